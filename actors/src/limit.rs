//! The limits that a client can run into.

macro_rules! limits {
    ($($(#[$doc:meta])* $limit:ident = $label:literal),+ $(,)?) => {
        /// A limit that a client can run into. How large each is stands where it is kept.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limit {
            $($(#[$doc])* $limit),+
        }

        impl Limit {
            /// Every limit.
            pub const ALL: &'static [Self] = &[$(Self::$limit),+];

            /// Its name in metrics.
            pub fn label(self) -> &'static str {
                match self { $(Self::$limit => $label),+ }
            }
        }
    };
}

limits! {
    /// Connections of the node.
    Sessions = "sessions",
    /// Connections from one address.
    SessionsPerAddress = "sessions_per_address",
    /// How often an address connects.
    ConnectionRate = "connection_rate",
    /// Sessions of a realm.
    SessionsPerRealm = "sessions_per_realm",
    /// Sessions of an authid in a realm.
    SessionsPerAuthid = "sessions_per_authid",
    /// The time until a session has joined.
    HandshakeTimeout = "handshake_timeout",
    /// The time to answer CHALLENGE.
    AuthenticationTimeout = "authentication_timeout",
    /// The octets of a message.
    MessageSize = "message_size",
    /// How deep lists and dicts stand inside each other.
    NestingDepth = "nesting_depth",
    /// How often a session sends messages.
    MessageRate = "message_rate",
    /// The octets of a URI.
    UriLength = "uri_length",
    /// Subscriptions of a session.
    Subscriptions = "subscriptions",
    /// Registrations of a session.
    Registrations = "registrations",
    /// Calls of a session that are not answered yet.
    Calls = "calls",
    /// Testaments of a session.
    Testaments = "testaments",
    /// The octets that wait for a client.
    Outbox = "outbox",
    /// The time in which a client takes nothing of what waits.
    WriteStall = "write_stall",
    /// The time to answer a ping.
    PingTimeout = "ping_timeout",
}
