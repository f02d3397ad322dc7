//! The WAMP core of Realmkeeper and the actors that carry it.
//!
//! # The path of one message
//!
//! A client sends `[16, 1, {}, "com.example.topic", ["hello"]]`. This is its way to a subscriber:
//!
//! 1. [`session::actor`]: the I/O future of the session reads its socket once ([`transport::connection`]). By the
//!    [`transport::framing`] of the connection, [`transport::websocket`] or [`transport::rawsocket`] looks at the frame
//!    header, refuses what is too large, and hands over the payload of each whole message, without copying it.
//! 2. [`message::ClientMessage::decode`] makes a message of it: [`codec`] checks the bytes whole and cuts them into
//!    elements; only the request id, the options and the topic are looked into. The arguments stay closed as a
//!    [`codec::Payload`], a slice of what was read.
//! 3. Before the session has joined, [`session::handshake`] takes the message; how a client proves who it is stands in
//!    [`session::auth`], who is let in as what in [`session::access`], and a check that takes long runs in
//!    [`session::verification`]. Who is banned ([`ban`]) or has failed too often ([`session::lockout`]) is refused
//!    before; about who is not known, a component may be asked ([`session::authenticator`]). Afterwards all messages of
//!    one read travel as one [`realm::actor::Inbound`] to the realm: one hop through a mailbox for each read.
//! 4. [`realm::actor::RealmActor`] lends the core a [`step::Step`] (the time, the chance) and calls
//!    [`realm::Realm::receive`] for each message. What takes more than one turn of the session waits, so
//!    that nobody keeps the others waiting.
//! 5. [`realm`] checks the request id. If the role of the sender has an authorizer, the message waits for what that
//!    says ([`verdict`]). Then it goes to the [`broker`], which asks the role of the sender ([`permission`]), finds the
//!    subscriptions that match ([`pattern`]), keeps the event where it is retained or has a history, and asks the step
//!    for one [`step::Effect::Broadcast`] for each subscription and serializer. A CALL goes to the [`dealer`] instead,
//!    or to [`meta`] if the procedure is the router's own.
//! 6. The realm's actor carries the effects out (`realm/delivery.rs`): it encodes the EVENT once, frames it for each [`transport::framing`]
//!    that receivers have, and appends the frame to the [`transport::outbox`] of each. The first append wakes the
//!    session that owns the outbox.
//! 7. The I/O future of the receiver's session writes all that has gathered in its outbox.
//!
//! How a session begins and ends: [`realm::Realm::join`] and [`realm::Realm::leave`] change the [`roster`] and
//! publish `wamp.session.on_join` and `on_leave` in the same step, and nothing else does. A session holds a
//! [`realm::actor::Membership`]; dropping it is leaving, so that goodbye, a lost connection, a panic and a stopped
//! thread all come to the same `leave`, once. Every way to end is a variant of [`cause::Cause`].
//!
//! How the configuration changes while the router serves: [`router::actor::Reload`] replaces the doors of the realms in
//! [`session::access`] and tells each realm in the same turn; [`realm::Realm::reload`] says what becomes of its
//! sessions.
//!
//! A call that has to be answered in time is ended by [`realm::Realm::expire`]. The dealer keeps the times in order,
//! and the realm's actor sets one alarm, for the first of them.
//!
//! # The map
//!
//! | module | what it knows |
//! |---|---|
//! | [`message`] | the messages as types, ids, URIs, options; what is announced stands in [`message::feature`] |
//! | [`codec`] | JSON, MessagePack and CBOR: checking, cutting, writing; payloads |
//! | [`pattern`] | an index of URIs, prefixes and wildcards |
//! | [`permission`] | what the sessions of a role may do |
//! | [`verdict`] | what an authorizer has said about a session |
//! | [`roster`] | the members of a realm |
//! | [`ban`] | who may not join a realm |
//! | [`refusal`], [`cause`], [`limit`] | why a request is turned down, why a session ends, what a client can run into |
//! | [`proxy`] | what is told of a client's address, and whether it is believed |
//! | [`label`] | the fixed names in logs and metrics |
//! | [`shared`] | a value that realms and sessions share |
//! | [`turn`] | how who has much to do lets others go on |
//! | [`step`] | what one step may use, and what it asks for |
//! | [`broker`], [`dealer`] | subscriptions and events, those that are kept included; registrations and calls |
//! | [`meta`] | the router's own procedures and events; testaments |
//! | [`realm`] | joining, leaving, receiving; asking authorizers and authenticators; its actor |
//! | [`metrics`] | every metric |
//! | [`transport`] | sockets, the frames of WebSockets and RawSockets, outboxes |
//! | [`session`] | from the handshake to the end of a connection; who may join, how it is proved, and who has to wait after failures; its actor |
//! | [`router`] | realms by name, and their change; its actor |
//! | `fuzz` | what must hold whatever comes, with the feature `fuzzing`; the targets are in `tests/fuzz` |
//!
//! # What never depends on what
//!
//! - The core (`message`, `codec`, `pattern`, `permission`, `roster`, `step`, `broker`, `dealer`, `meta`,
//!   `realm/mod.rs`) has no actor, clock, chance or socket in it. Every rule of the protocol is tested without a
//!   runtime.
//! - actix appears in files named `actor.rs` and nowhere else, `actix_http` in `transport/websocket.rs`; the clock and
//!   the source of chance in `actor.rs`; a lock in `transport/outbox.rs`. Other values that threads share are in
//!   `shared.rs` and, to be replaced whole, in `session/access.rs`.
//! - Metrics are counted in files named `actor.rs`; what only the core knows it leaves in a [`step::Tally`].
//! - serde_json, rmp-serde and cbor4ii encode and decode in `codec` only.
//! - What hashes, signs or compares secrets appears in `session/auth/`: argon2, ed25519-dalek, hmac, jsonwebtoken,
//!   pbkdf2, ring, sha2, stringprep, subtle. Threads beside those of the actors appear in `session/verification.rs`.
//! - `broker` and `dealer` never use each other, and never open a payload.
//! - `session` knows a realm by its messages and its `Membership`.
//! - This crate reads no file, parses no flag, and knows nothing of the program around it.
//!
//! `tests/tidy.rs` of the workspace holds these rules.

pub mod ban;
mod broker;
pub mod cause;
pub mod codec;
mod collections;
mod dealer;
#[cfg(feature = "fault-injection")]
mod fault;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod label;
pub mod limit;
pub mod message;
mod meta;
pub mod metrics;
mod pattern;
pub mod permission;
pub mod proxy;
pub mod realm;
pub mod refusal;
pub mod roster;
pub mod router;
pub mod session;
mod shared;
pub mod step;
pub mod transport;
mod turn;
mod verdict;
