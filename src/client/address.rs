//! Where a router listens.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};
use tokio_tungstenite::tungstenite::http::Uri;

/// Where a router listens, and what it speaks there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    text: String,
    pub(super) place: Place,
    pub(super) is_web_socket: bool,
}

/// Where a router listens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// A name or an IP address, a port, and whether connections are encrypted.
    Tcp { host: String, port: u16, is_secure: bool },
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// What an address looks like.
const FORMS: &str = "must be ws://HOST:PORT/PATH, wss://HOST/PATH, rs://HOST:PORT, rss://HOST:PORT, unix:PATH or the path \
                     of a Unix domain socket";

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unix = text.strip_prefix("rs://").unwrap_or(text).strip_prefix("unix:");
        let unix = unix.map(|path| path.strip_prefix("//").unwrap_or(path));
        if let Some(path) = unix.or_else(|| Some(text).filter(|text| text.starts_with(['/', '.']))) {
            let place = Place::Unix(Path::new(path).to_owned());
            let address = Self { text: text.to_owned(), place, is_web_socket: false };
            return if path.is_empty() { Err(FORMS) } else { Ok(address) };
        }
        let uri: Uri = text.parse().map_err(|_| FORMS)?;
        let (is_web_socket, is_secure, usual_port) = match uri.scheme_str() {
            Some("ws") => (true, false, Some(80)),
            Some("wss") => (true, true, Some(443)),
            Some("rs") => (false, false, None),
            Some("rss") => (false, true, None),
            _ => return Err(FORMS),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(FORMS)?;
        // Of a port that is none the parser of the URI says the same as where there is no port.
        let authority = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
        let port = authority.and_then(|authority| authority.strip_prefix(host)?.strip_prefix(':'));
        let port = match port.filter(|port| !port.is_empty()) {
            Some(port) => port.parse().map_err(|_| FORMS)?,
            None => usual_port.ok_or("must have a port, as rs://HOST:PORT")?,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { text: text.to_owned(), place: Place::Tcp { host, port, is_secure }, is_web_socket })
    }
}

impl Address {
    /// Whether connections are encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.place, Place::Tcp { is_secure: true, .. })
    }

    /// Whether WebSocket is spoken, or else RawSocket.
    pub(crate) fn is_web_socket(&self) -> bool {
        self.is_web_socket
    }

    /// Another path at the same place, for WebSocket without TLS; nothing for what else there is.
    pub(crate) fn beside(&self, path: &str) -> Option<Self> {
        let uri = self.text.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("ws"))?;
        let text = format!("ws://{}{path}", uri.authority()?);
        Some(Self { text, ..self.clone() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_and_what() {
        let tcp = |host: &str, port, is_secure| Place::Tcp { host: host.into(), port, is_secure };
        for (text, place, is_web_socket) in [
            ("ws://127.0.0.1:8080/ws", tcp("127.0.0.1", 8080, false), true),
            ("ws://[::1]/ws", tcp("::1", 80, false), true),
            ("ws://example.com:/ws", tcp("example.com", 80, false), true),
            ("wss://example.com/ws", tcp("example.com", 443, true), true),
            ("rs://example.com:9000", tcp("example.com", 9000, false), false),
            ("rss://[::1]:9000", tcp("::1", 9000, true), false),
            ("/run/realmkeeper.sock", Place::Unix("/run/realmkeeper.sock".into()), false),
            ("./socket", Place::Unix("./socket".into()), false),
            ("unix:socket", Place::Unix("socket".into()), false),
            ("unix:///run/socket", Place::Unix("/run/socket".into()), false),
            ("rs://unix:/run/socket", Place::Unix("/run/socket".into()), false),
        ] {
            let address = Address { text: text.into(), place, is_web_socket };
            assert_eq!(text.parse(), Ok(address));
        }
    }

    #[test]
    fn beside_a_path_stand_others_of_the_same_place() {
        let address: Address = "ws://[::1]:8080/ws".parse().unwrap();
        assert_eq!(address.beside("/a/b"), "ws://[::1]:8080/a/b".parse().ok());
        for text in ["wss://localhost/ws", "rs://localhost:9000", "/run/socket"] {
            assert_eq!(text.parse::<Address>().unwrap().beside("/a"), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost:8080", "http://localhost/", "ws:///ws", "ws://a b/", "unix:", "rs:/x"] {
            assert_eq!(text.parse::<Address>(), Err(FORMS), "{text}");
        }
        for text in ["ws://127.0.0.1:80800/ws", "wss://a:65536/", "ws://[::1]:80800/ws", "rs://a:80800"] {
            assert_eq!(text.parse::<Address>(), Err(FORMS), "{text}");
        }
        assert_eq!("rs://localhost".parse::<Address>(), Err("must have a port, as rs://HOST:PORT"));
    }
}
