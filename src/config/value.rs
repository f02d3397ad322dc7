//! Values that a file or a flag holds as text.

use crate::AllowedOrigin;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use std::{borrow::Cow, fmt, marker::PhantomData, net::SocketAddr, str::FromStr, time::Duration};
use tracing_subscriber::EnvFilter;

/// What is logged: a level, or directives of `tracing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A number of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octets(pub usize);

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
    Time such as "10s",
    Origin such as "https://example.com",
);

impl LogLevel {
    /// The filter that lets through what is to be logged.
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
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

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => return Ok(Self(AllowedOrigin::Any)),
            "loopback" => return Ok(Self(AllowedOrigin::Loopback)),
            _ => {}
        }
        let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let is_one = |authority: &str| {
            let uri = authority.parse::<actix_http::uri::Authority>();
            uri.is_ok_and(|uri| !uri.host().is_empty() && !authority.contains(['@', '*']))
        };
        if authority.is_some_and(is_one) {
            Ok(Self(AllowedOrigin::Exactly(text.to_owned())))
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
