//! The members of a realm, by id, by authid and by authrole.

use crate::{
    codec::Serializer,
    collections::{Map, Set},
    message::{
        feature::{Features, Roles},
        id::{RequestId, SessionId},
        value::{Dict, Value},
    },
    permission::Role,
    transport::framing::Framing,
};
use std::{sync::Arc, time::SystemTime};

/// Who wants to join, as far as the handshake has found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Newcomer {
    /// The id that it was told its session would have; another one if it was told none, or a member has it.
    pub promised: Option<SessionId>,
    /// Who it is; `None` for somebody anonymous, who is given a name when joining.
    pub authid: Option<Arc<str>>,
    /// The role that it was given.
    pub role: Arc<Role>,
    /// How it was authenticated.
    pub authmethod: &'static str,
    /// By whom it was authenticated.
    pub authprovider: &'static str,
    /// What its method of authentication tells it in WELCOME.
    pub authextra: Option<Dict>,
    /// Where it is connected from.
    pub transport: Transport,
    /// What it announced.
    pub roles: Roles,
}

/// What the meta API tells of a connection: nothing that the client could forge, and no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// How the messages are encoded.
    pub serializer: Serializer,
    /// How the messages are told apart.
    pub framing: Framing,
    /// What the connection is made of.
    pub channel: Channel,
    /// The address of the client, as `tcp4:127.0.0.1:48638`, or who it is on this machine, as
    /// `unix:pid=4711,uid=1000`.
    pub peer: Box<str>,
    /// The address of the balancer through which it came, if it came through one.
    pub via: Option<Box<str>>,
}

/// What a connection to the router is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// A Unix domain socket.
    Unix,
}

impl Channel {
    /// Its name, as `transport.channel_type` has it.
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Unix => "unix",
        }
    }
}

impl Transport {
    /// The dict `transport` of session details.
    fn details(&self) -> Dict {
        let told = [
            ("channel_type", Value::from(self.channel.name())),
            ("channel_framing", self.framing.name().into()),
            ("channel_serializer", self.serializer.name().into()),
            ("peer", (&*self.peer).into()),
            ("is_secure", (self.channel == Channel::Tls).into()),
        ];
        let subprotocol = (self.framing == Framing::WebSocket).then(|| self.serializer.subprotocol());
        let subprotocol = subprotocol.map(|name| ("websocket_protocol", Value::from(name)));
        let via = self.via.as_deref().map(|via| ("via", Value::from(via)));
        told.into_iter().chain(subprotocol).chain(via).collect()
    }
}

/// A session of the realm.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its id.
    pub id: SessionId,
    /// Who it is.
    pub authid: Arc<str>,
    /// The role it has.
    pub role: Arc<Role>,
    /// How it was authenticated.
    pub authmethod: &'static str,
    /// By whom it was authenticated.
    pub authprovider: &'static str,
    /// Where it is connected from.
    pub transport: Transport,
    /// What it announced.
    pub roles: Roles,
    /// When it joined.
    pub since: SystemTime,
    /// The id that its next request has to have, if the realm was strict when it joined.
    pub(crate) next_request: Option<RequestId>,
}

impl Member {
    /// The name of its role.
    pub fn authrole(&self) -> &Arc<str> {
        &self.role.name
    }

    /// How messages to and from it are encoded.
    pub fn serializer(&self) -> Serializer {
        self.transport.serializer
    }

    /// What it announced as a caller; nothing where it is none.
    pub(crate) fn as_caller(&self) -> Features {
        self.roles.caller.unwrap_or_default()
    }

    /// What it announced as a publisher; nothing where it is none.
    pub(crate) fn as_publisher(&self) -> Features {
        self.roles.publisher.unwrap_or_default()
    }

    /// What it announced as a callee; nothing where it is none.
    pub(crate) fn as_callee(&self) -> Features {
        self.roles.callee.unwrap_or_default()
    }

    /// What the meta API tells of it (section "Session Meta API", `wamp.session.on_join`).
    pub(crate) fn details(&self, realm: &str) -> Dict {
        Dict::from([
            ("session", self.id.get().into()),
            ("authid", Value::from(&*self.authid)),
            ("authrole", (&**self.authrole()).into()),
            ("authmethod", self.authmethod.into()),
            ("authprovider", self.authprovider.into()),
            ("realm", realm.into()),
            ("transport", self.transport.details().into()),
        ])
    }
}

/// The members of a realm. Only joining and leaving change who they are.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: Map<SessionId, Member>,
    by_authid: Map<Arc<str>, Set<SessionId>>,
    by_authrole: Map<Arc<str>, Set<SessionId>>,
}

impl Roster {
    pub(crate) fn contains(&self, session: SessionId) -> bool {
        self.members.contains_key(&session)
    }

    pub(crate) fn get(&self, session: SessionId) -> Option<&Member> {
        self.members.get(&session)
    }

    pub(crate) fn get_mut(&mut self, session: SessionId) -> Option<&mut Member> {
        self.members.get_mut(&session)
    }

    pub(crate) fn insert(&mut self, member: Member) {
        self.by_authid.entry(member.authid.clone()).or_default().insert(member.id);
        self.by_authrole.entry(member.authrole().clone()).or_default().insert(member.id);
        self.members.insert(member.id, member);
    }

    pub(crate) fn remove(&mut self, session: SessionId) -> Option<Member> {
        let member = self.members.swap_remove(&session)?;
        forget(&mut self.by_authid, &member.authid, session);
        forget(&mut self.by_authrole, member.authrole(), session);
        Some(member)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.members.keys().copied()
    }

    pub(crate) fn into_members(self) -> impl Iterator<Item = Member> {
        self.members.into_values()
    }

    pub(crate) fn with_authid(&self, authid: &str) -> impl Iterator<Item = SessionId> {
        self.by_authid.get(authid).into_iter().flatten().copied()
    }

    pub(crate) fn count_of_authid(&self, authid: &str) -> usize {
        self.by_authid.get(authid).map_or(0, Set::len)
    }

    pub(crate) fn with_authrole(&self, authrole: &str) -> impl Iterator<Item = SessionId> {
        self.by_authrole.get(authrole).into_iter().flatten().copied()
    }

    /// Whether each index names every member once, under what it is or has, and nobody else.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_sound(&self) -> bool {
        let agrees = |index: &Map<Arc<str>, Set<SessionId>>, key: fn(&Member) -> &Arc<str>| {
            index.values().all(|sessions| !sessions.is_empty())
                && index.values().map(Set::len).sum::<usize>() == self.members.len()
                && self.members.iter().all(|(id, member)| {
                    index.get(key(member)).is_some_and(|sessions| sessions.contains(id)) && member.id == *id
                })
        };
        agrees(&self.by_authid, |member| &member.authid)
            && agrees(&self.by_authrole, |member| member.authrole())
    }
}

fn forget(index: &mut Map<Arc<str>, Set<SessionId>>, key: &Arc<str>, session: SessionId) {
    if let Some(sessions) = index.get_mut(key) {
        sessions.swap_remove(&session);
        if sessions.is_empty() {
            index.swap_remove(key);
        }
    }
}
