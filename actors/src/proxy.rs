//! What those in front of the router tell of where its clients are, and what comes of it.

use crate::label::labels;

/// How the address of a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The PROXY protocol, before anything else on a connection.
    Proxy,
    /// The HTTP header Forwarded (RFC 7239).
    Forwarded,
    /// The HTTP header X-Forwarded-For.
    XForwardedFor,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Somebody who is trusted told it.
    Believed,
    /// Somebody else told it.
    Ignored,
    /// It cannot be understood, or contradicts itself. The connection is closed.
    Broken,
}

labels! {
    pub ProxyHeader {
        Self::Proxy => "proxy",
        Self::Forwarded => "forwarded",
        Self::XForwardedFor => "x_forwarded_for",
    }
}

labels! {
    pub Belief {
        Self::Believed => "believed",
        Self::Ignored => "ignored",
        Self::Broken => "broken",
    }
}
