//! What a session allows its client, and how long it waits for it.

use governor::Quota;
use std::{fmt, num::NonZeroU32, time::Duration};

/// Limits and times of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// How long a client may take from the opening of the WebSocket or RawSocket until it has joined.
    pub handshake_timeout: Duration,
    /// How long a client may take to answer CHALLENGE.
    pub authentication_timeout: Duration,
    /// How long a session that has ended waits for the client to close its side.
    pub linger: Duration,
    /// Whether silent clients are sent pings.
    pub pings: bool,
    /// After how long a silent client is sent a ping.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping, with the pong or with anything else.
    pub ping_timeout: Duration,
    /// How long a client may take no data although some waits.
    pub write_stall: Duration,
    /// The largest message that is taken, in octets.
    pub message_limit: usize,
    /// How deep lists and dicts may stand inside each other in a message; the message itself counts.
    pub depth_limit: usize,
    /// How many octets may wait for a client.
    pub outbox_limit: usize,
    /// How many octets of a client may wait for its realm.
    pub credit: usize,
    /// How many messages a client may send; `None` for any number.
    pub message_rate: Option<Rate>,
}

/// How often something may happen: so often at once, and again so often a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How often a second in the long run.
    pub per_second: NonZeroU32,
    /// How often at once after a rest.
    pub burst: NonZeroU32,
}

impl From<Rate> for Quota {
    fn from(rate: Rate) -> Self {
        Self::per_second(rate.per_second).allow_burst(rate.burst)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at once and {} a second", self.burst, self.per_second)
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            authentication_timeout: Duration::from_secs(5),
            linger: Duration::from_secs(1),
            pings: true,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            write_stall: Duration::from_secs(10),
            message_limit: 1 << 20,
            depth_limit: 64,
            outbox_limit: 4 << 20,
            credit: 256 << 10,
            message_rate: None,
        }
    }
}
