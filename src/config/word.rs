//! The words that a key of the format can have.

use clap::ValueEnum;
use realmkeeper_actors::{codec, message::uri, permission, realm, session::access};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Defines the words that a key can have, each of which stands for a value of the core.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident is $core:path { $($(#[$what:meta])* $word:ident is $value:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum,
        )]
        #[serde(rename_all = "lowercase")]
        #[value(rename_all = "lower")]
        pub enum $name {
            $($(#[$what])* $word,)*
        }

        impl From<$name> for $core {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$word => Self::$value,)*
                }
            }
        }

        impl From<$core> for $name {
            fn from(value: $core) -> Self {
                match value {
                    $(<$core>::$value => Self::$word,)*
                }
            }
        }
    )*};
}

words! {
    /// A serialization format.
    Serializer is codec::Serializer {
        /// wamp.2.json.
        Json is Json,
        /// wamp.2.msgpack.
        MsgPack is MessagePack,
        /// wamp.2.cbor.
        Cbor is Cbor,
    }

    /// What clients speak to a listener.
    ListenerKind is crate::ListenerKind {
        /// WAMP over WebSocket.
        WebSocket is WebSocket,
        /// WAMP over RawSocket.
        RawSocket is RawSocket,
    }

    /// What characters URIs can have.
    UriRule is uri::UriRule {
        /// Anything but white space and #.
        Loose is Loose,
        /// Lower-case letters, digits and _.
        Strict is Strict,
    }

    /// Which request ids are taken.
    RequestIds is realm::RequestIds {
        /// Any but the one of a call that is in flight.
        Lenient is Lenient,
        /// 1, then each one more than the one before.
        Strict is Strict,
    }

    /// How a pattern matches URIs.
    Match is uri::Match {
        /// The URI itself.
        Exact is Exact,
        /// Every URI that begins with it.
        Prefix is Prefix,
        /// Every URI of as many components; an empty component matches any.
        Wildcard is Wildcard,
    }

    /// What can be done with a URI.
    Action is permission::Action {
        /// Call a procedure.
        Call is Call,
        /// Register a procedure.
        Register is Register,
        /// Publish to a topic.
        Publish is Publish,
        /// Subscribe to a topic.
        Subscribe is Subscribe,
    }

    /// What happens to a session that would be one too many.
    Beyond is permission::Beyond {
        /// It is refused.
        Reject is Reject,
        /// The oldest is ended for it.
        Replace is Replace,
    }

    /// What becomes of those who ask for a channel binding by cryptosign.
    ChannelBinding is access::ChannelBinding {
        /// They are challenged without one.
        Ignore is Ignore,
        /// They are refused.
        Refuse is Refuse,
    }

    /// What is told of a session.
    SessionDetails is permission::SessionDetails {
        /// Its id.
        Ids is Ids,
        /// Who it is, and how it is connected, without addresses.
        Standard is Standard,
        /// Where it is connected from as well.
        Full is Full,
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object.
    Json,
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They cannot connect without one.
    #[default]
    Required,
    /// They may connect without one, and use it for authentication by tls if they have one.
    Optional,
}

/// How a password is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kdf {
    /// Argon2id, version 1.3.
    Argon2id13,
    /// PBKDF2 with HMAC-SHA256.
    Pbkdf2,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

impl Default for ListenerKind {
    fn default() -> Self {
        crate::ListenerKind::default().into()
    }
}

impl Default for UriRule {
    fn default() -> Self {
        uri::UriRule::default().into()
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        realm::RequestIds::default().into()
    }
}

impl Default for Beyond {
    fn default() -> Self {
        permission::Beyond::default().into()
    }
}

impl Default for ChannelBinding {
    fn default() -> Self {
        access::ChannelBinding::default().into()
    }
}

impl Default for SessionDetails {
    fn default() -> Self {
        permission::SessionDetails::default().into()
    }
}

impl Default for Match {
    fn default() -> Self {
        uri::Match::default().into()
    }
}
