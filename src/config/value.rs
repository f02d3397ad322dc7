//! Values that a file or a flag holds as text.

use crate::AllowedOrigin;
use actix_http::uri::Authority;
use ipnet::{IpNet, Ipv4Net};
use nix::unistd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::{Duration, SystemTime},
};
use tracing_subscriber::EnvFilter;

/// What is logged: a level, or directives of `tracing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// The addresses of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// How old something may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub SystemTime);

/// A number of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octets(pub usize);

/// The permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

/// A user of this machine, by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    text: String,
    /// The number.
    pub id: u32,
}

/// A group of this machine, by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    text: String,
    /// The number.
    pub id: u32,
}

/// Which web pages may connect: `*` for those of every origin, `loopback` for those from this machine, or an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(pub AllowedOrigin);

/// Makes a type that can be parsed and displayed one of text in a file, with an example for people.
macro_rules! text {
    ($($name:ident such as $example:literal),* $(,)?) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written(PhantomData))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "examples": [$example] })
            }
        }
    )*};
}

/// Reads a value from its text. The error of a visitor has the place of the value.
struct Written<T>(PhantomData<T>);

impl<T: FromStr<Err = &'static str>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

text!(
    LogLevel such as "info",
    Address such as "127.0.0.1:8080",
    Network such as "10.0.0.0/8",
    Time such as "10s",
    Age such as "7days",
    Moment such as "2030-01-31T12:00:00Z",
    Mode such as "660",
    User such as "www-data",
    Group such as "www-data",
    Origin such as "https://example.com",
);

impl LogLevel {
    /// The filter that lets through what is to be logged. Where a level alone says it, the libraries that listen have
    /// nothing to say that is not said here in words for those who run the router, up to the level info; what is wrong
    /// with the requests of strangers is no error of the router.
    pub fn filter(&self) -> EnvFilter {
        let besides = match &*self.0 {
            "info" => ",actix_server=warn,actix_http::h1::dispatcher=off",
            "warn" | "error" => ",actix_http::h1::dispatcher=off",
            _ => "",
        };
        EnvFilter::new(format!("{}{besides}", self.0))
    }
}

impl FromStr for LogLevel {
    type Err = &'static str;

    /// A word alone has to be a level: the filter would take any other for the name of a module.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_level = |word: &str| matches!(word, "error" | "warn" | "info" | "debug" | "trace");
        let has_sense = |directive: &str| is_level(directive) || directive.contains('=');
        if text.split(',').all(has_sense) && EnvFilter::try_new(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be error, warn, info, debug or trace, or directives such as \
                 info,realmkeeper_actors=debug")
        }
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".into())
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = "must be an ip address and a port, such as 127.0.0.1:8080 or [::1]:8080";
        text.parse().map(Self).map_err(|_| error)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Network {
    type Err = &'static str;

    /// An address alone is a network of its own.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text.parse::<IpAddr>().map(IpNet::from).ok().or_else(|| text.parse().ok());
        let network = network.filter(|network| *network == network.trunc());
        network
            .map(canonical)
            .map(Self)
            .ok_or("must be a network such as 10.0.0.0/8 or ::1/128, or an address")
    }
}

/// The network of IPv4 of which this one is another form, if it is that: clients are known by the addresses of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let address = mapped.addr().to_ipv4_mapped();
    let length = mapped.prefix_len().checked_sub(96);
    let network_v4 = address.zip(length).and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    network_v4.map_or(network, IpNet::V4)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
        let time = humantime::parse_duration(text).ok().filter(|time| allowed.contains(time));
        time.map(Self).ok_or("must be a time from 1ms to 24h, such as 500ms, 10s or 2m")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Age {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 60 * 60);
        let age = humantime::parse_duration(text).ok().filter(|age| allowed.contains(age));
        age.map(Self).ok_or("must be a time from 1s to 366days, such as 10m, 24h or 7days")
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = humantime::parse_rfc3339(text);
        moment.map(Self).map_err(|_| "must be a time in UTC, such as 2030-01-31T12:00:00Z")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339(self.0).fmt(f)
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_octal = text.len() == 3 && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
        mode.map(Self).ok_or("must be three octal digits, as chmod takes them, such as \"660\"")
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl FromStr for User {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = || Some(unistd::User::from_name(text).ok()??.uid.as_raw());
        let id = text
            .parse()
            .ok()
            .or_else(named)
            .ok_or("must be the name or the number of a user of this machine")?;
        Ok(Self { text: text.into(), id })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Group {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = || Some(unistd::Group::from_name(text).ok()??.gid.as_raw());
        let id = text
            .parse()
            .ok()
            .or_else(named)
            .ok_or("must be the name or the number of a group of this machine")?;
        Ok(Self { text: text.into(), id })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    /// An origin is kept as browsers write it: in lower case and without the usual port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => return Ok(Self(AllowedOrigin::Any)),
            "loopback" => return Ok(Self(AllowedOrigin::Loopback)),
            _ => {}
        }
        let origin = text.to_ascii_lowercase();
        let (scheme, authority) = origin.split_once("://").unwrap_or_default();
        let usual_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        let is_one = |authority: &Authority| {
            let (host, port) = (authority.host(), authority.port_u16());
            let whole = port.map_or(host.to_owned(), |port| format!("{host}:{port}"));
            !host.is_empty() && !host.contains('*') && whole == authority.as_str()
        };
        if !usual_port.is_empty() && authority.parse().is_ok_and(|authority| is_one(&authority)) {
            let origin = origin.strip_suffix(usual_port).unwrap_or(&origin);
            Ok(Self(AllowedOrigin::Exactly(origin.to_owned())))
        } else {
            Err("must be \"loopback\", \"*\", or an origin without a path, such as https://example.com")
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            AllowedOrigin::Any => "*",
            AllowedOrigin::Loopback => "loopback",
            AllowedOrigin::Exactly(origin) => origin,
        })
    }
}

/// The units of sizes, the largest first.
const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for Octets {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
        let (number, size) = unit.unwrap_or((text, 1));
        let octets = number.trim_end().parse::<usize>().ok().and_then(|number| number.checked_mul(size));
        octets.map(Self).ok_or("must be a number of octets, such as 65536, \"64KiB\" or \"1MiB\"")
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => self.0.fmt(f),
        }
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written(PhantomData))
    }
}

impl JsonSchema for Octets {
    fn schema_name() -> Cow<'static, str> {
        "Octets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "examples": [65536, "64KiB"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts what texts are understood as, and displayed again.
    fn check<T: FromStr<Err = &'static str> + fmt::Display>(texts: &[(&str, Option<&str>)]) {
        for (text, expected) in texts {
            let found = text.parse::<T>().ok().map(|value| value.to_string());
            assert_eq!(found.as_deref(), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_level_alone_or_directives_say_what_is_logged() {
        check::<LogLevel>(&[
            ("debug", Some("debug")),
            ("info,realmkeeper_actors=debug", Some("info,realmkeeper_actors=debug")),
            ("realmkeeper=trace", Some("realmkeeper=trace")),
            ("DEBUG", None),
            ("realmkeeper", None),
            ("info,", None),
            ("a=b=c", None),
            ("", None),
        ]);
    }

    #[test]
    fn a_time_has_a_unit_and_is_neither_none_nor_more_than_a_day() {
        check::<Time>(&[
            ("10s", Some("10s")),
            ("500ms", Some("500ms")),
            ("90s", Some("1m 30s")),
            ("1m 30s", Some("1m 30s")),
            ("24h", Some("1day")),
            ("24h 1ms", None),
            ("999us", None),
            ("0s", None),
            ("10", None),
            ("-1s", None),
            ("", None),
        ]);
    }

    #[test]
    fn an_age_is_at_most_a_year() {
        check::<Age>(&[
            ("7days", Some("7days")),
            ("36h", Some("1day 12h")),
            ("366days", Some("1year 18h")),
            ("366days 1s", None),
            ("999ms", None),
            ("7", None),
        ]);
    }

    #[test]
    fn a_network_has_no_bits_beyond_its_prefix() {
        check::<Network>(&[
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("::1", Some("::1/128")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("::ffff:192.0.2.7", Some("192.0.2.7/32")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("10.0.0.1/8", None),
            ("10.0.0.0/33", None),
            ("10.0.0/8", None),
            ("::1/129", None),
            ("localhost", None),
            ("", None),
        ]);
    }

    #[test]
    fn a_size_is_a_number_of_octets_or_of_larger_units() {
        check::<Octets>(&[
            ("65536", Some("64KiB")),
            ("65537", Some("65537")),
            ("1 MiB", Some("1MiB")),
            ("3GiB", Some("3GiB")),
            ("0", Some("0")),
            ("1.5MiB", None),
            ("1MB", None),
            ("MiB", None),
            ("-1", None),
            ("17179869184GiB", None),
        ]);
    }

    #[test]
    fn a_mode_is_octal() {
        check::<Mode>(&[
            ("660", Some("660")),
            ("007", Some("007")),
            ("777", Some("777")),
            ("0660", None),
            ("66", None),
            ("680", None),
            ("rw-", None),
            ("+66", None),
            ("", None),
        ]);
    }

    #[test]
    fn users_and_groups_are_known_to_this_machine_or_numbers() {
        check::<User>(&[
            ("root", Some("root")),
            ("0", Some("0")),
            ("nobody-at-all", None),
            ("-1", None),
            ("", None),
        ]);
        check::<Group>(&[
            ("root", Some("root")),
            ("4711", Some("4711")),
            ("nobody-at-all", None),
            ("", None),
        ]);
        assert_eq!("root".parse::<User>().map(|root| root.id), Ok(0));
        assert_eq!("4711".parse::<Group>().map(|group| group.id), Ok(4711));
    }

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        check::<Origin>(&[
            ("*", Some("*")),
            ("loopback", Some("loopback")),
            ("https://example.com", Some("https://example.com")),
            ("HTTPS://Example.com:443", Some("https://example.com")),
            ("http://example.com:443", Some("http://example.com:443")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("https://example.com:8443", Some("https://example.com:8443")),
            ("https://example.com:", None),
            ("https://example.com/", None),
            ("https://joe@example.com", None),
            ("https://*.example.com", None),
            ("wss://example.com", None),
            ("example.com", None),
            ("https://", None),
            ("null", None),
            ("", None),
        ]);
    }
}
