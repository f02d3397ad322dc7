//! Every limit that a client can run into.

use crate::label::labels;

/// What there is a limit of. Running into it is counted under its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The time from the opening of the WebSocket until WELCOME.
    HandshakeTimeout,
    /// The time to answer CHALLENGE.
    AuthenticationTimeout,
    /// How often somebody fails to prove who it is.
    Lockout,
    /// The octets of a message.
    MessageSize,
    /// How deep lists and dicts stand inside each other in a message.
    NestingDepth,
    /// The octets of a URI.
    UriLength,
    /// The connections of this node.
    Sessions,
    /// The sessions of a realm.
    SessionsPerRealm,
    /// The sessions of a realm that are one authid.
    SessionsPerAuthid,
    /// The connections from one address.
    SessionsPerAddress,
    /// How often an address connects.
    ConnectionRate,
    /// How often a session sends.
    MessageRate,
    /// The subscriptions of a session.
    Subscriptions,
    /// The registrations of a session.
    Registrations,
    /// The calls of a session that are not answered yet.
    Calls,
    /// The time for a component to answer the router.
    ComponentTimeout,
    /// The bans of a realm that procedures made.
    Bans,
    /// The octets of past events in one answer.
    History,
    /// The retained events of a realm, and their octets.
    Retention,
    /// The testaments of a session, and their octets.
    Testaments,
    /// The octets that wait for a client.
    Outbox,
    /// The time without taking any of what waits.
    WriteStall,
    /// The time to answer a ping.
    PingTimeout,
    /// The octets of a client that wait for its realm. It is not read from until there is room.
    Credit,
}

labels! {
    pub Limit {
        Self::HandshakeTimeout => "handshake_timeout",
        Self::AuthenticationTimeout => "authentication_timeout",
        Self::Lockout => "lockout",
        Self::MessageSize => "message_size",
        Self::NestingDepth => "nesting_depth",
        Self::UriLength => "uri_length",
        Self::Sessions => "sessions",
        Self::SessionsPerRealm => "sessions_per_realm",
        Self::SessionsPerAuthid => "sessions_per_authid",
        Self::SessionsPerAddress => "sessions_per_address",
        Self::ConnectionRate => "connection_rate",
        Self::MessageRate => "message_rate",
        Self::Subscriptions => "subscriptions",
        Self::Registrations => "registrations",
        Self::Calls => "calls",
        Self::ComponentTimeout => "component_timeout",
        Self::Bans => "bans",
        Self::History => "history",
        Self::Retention => "retention",
        Self::Testaments => "testaments",
        Self::Outbox => "outbox",
        Self::WriteStall => "write_stall",
        Self::PingTimeout => "ping_timeout",
        Self::Credit => "credit",
    }
}
