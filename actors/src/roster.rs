//! The members of a realm, by id, by authid and by authrole.

use crate::{
    codec::Serializer,
    collections::{Map, Set},
    message::{
        feature::{Features, Roles},
        id::{RequestId, SessionId},
        uri::{Match, Uri},
        value::{Dict, Value},
    },
    permission::{Action, Permission, Role, SessionDetails},
    refusal::Refusal,
    transport::framing::Framing,
    verdict::{Verdicts, Wish},
};
use std::{net::IpAddr, sync::Arc, time::SystemTime};

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
    /// Where the client is, without its port; `None` for one that comes by a Unix domain socket.
    pub address: Option<IpAddr>,
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
    /// A WebSocket of this machine, for those who test.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn example(serializer: Serializer) -> Self {
        Self {
            serializer,
            framing: Framing::WebSocket,
            channel: Channel::Tcp,
            address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            peer: "tcp4:127.0.0.1:4711".into(),
            via: None,
        }
    }

    /// The dict `transport` of session details, with the addresses if they are told.
    pub(crate) fn details(&self, has_addresses: bool) -> Dict {
        let peer = Some(&*self.peer).filter(|_| has_addresses);
        let via = self.via.as_deref().filter(|_| has_addresses);
        let subprotocol = (self.framing == Framing::WebSocket).then(|| self.serializer.subprotocol());
        let told = [
            Some(("channel_type", Value::from(self.channel.name()))),
            Some(("channel_framing", self.framing.name().into())),
            Some(("channel_serializer", self.serializer.name().into())),
            peer.map(|peer| ("peer", Value::copied(peer))),
            Some(("is_secure", (self.channel == Channel::Tls).into())),
            subprotocol.map(|name| ("websocket_protocol", name.into())),
            via.map(|via| ("via", Value::copied(via))),
        ];
        told.into_iter().flatten().collect()
    }
}

/// A session of the realm.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its id.
    pub id: SessionId,
    /// Who it is.
    pub authid: Arc<str>,
    /// Whether it is anonymous: its authid was made up for it.
    pub is_anonymous: bool,
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
    /// What its authorizer said, where its role has one.
    pub(crate) verdicts: Verdicts,
    /// The id that its next request has to have, if the realm was strict when it joined.
    pub(crate) next_request: Option<RequestId>,
}

impl Member {
    /// The name of its role.
    pub fn authrole(&self) -> &Arc<str> {
        &self.role.name
    }

    /// The permission by which it may do something with a URI or pattern.
    #[inline]
    pub(crate) fn authorize(
        &self,
        action: Action,
        uri: &Uri,
        matching: Match,
    ) -> Result<&Permission, Refusal> {
        match self.role.asks() {
            None => self.role.authorize(action, uri, matching),
            Some(_) => {
                let wish = Wish { action, uri: uri.clone(), matching };
                self.verdicts.authorize(self.authrole(), &wish)
            }
        }
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

    /// What the meta API tells of it (section "Session Meta API", `wamp.session.on_join`) where so much is told.
    pub(crate) fn details(&self, realm: &str, level: SessionDetails) -> Dict {
        let session = ("session", self.id.get().into());
        let has_addresses = match level {
            SessionDetails::Ids => return Dict::from([session]),
            SessionDetails::Standard => false,
            SessionDetails::Full => true,
        };
        Dict::from([
            session,
            ("authid", Value::copied(&self.authid)),
            ("authrole", Value::copied(self.authrole())),
            ("authmethod", self.authmethod.into()),
            ("authprovider", self.authprovider.into()),
            ("realm", Value::copied(realm)),
            ("transport", self.transport.details(has_addresses).into()),
        ])
    }
}

/// The members of a realm. Only joining and leaving change who they are.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Boxed, so that their ids stand close together.
    members: Map<SessionId, Box<Member>>,
    by_authid: Map<Arc<str>, Set<SessionId>>,
    by_authrole: Map<Arc<str>, Set<SessionId>>,
    /// How many are told so much of sessions, by [`SessionDetails`].
    by_level: [usize; SessionDetails::ALL.len()],
    /// How many have a role with an authorizer.
    asked_about: usize,
}

impl Roster {
    pub(crate) fn contains(&self, session: SessionId) -> bool {
        self.members.contains_key(&session)
    }

    pub(crate) fn get(&self, session: SessionId) -> Option<&Member> {
        self.members.get(&session).map(|member| &**member)
    }

    pub(crate) fn get_mut(&mut self, session: SessionId) -> Option<&mut Member> {
        self.members.get_mut(&session).map(|member| &mut **member)
    }

    pub(crate) fn insert(&mut self, member: Member) {
        self.by_authid.entry(member.authid.clone()).or_default().insert(member.id);
        self.by_authrole.entry(member.authrole().clone()).or_default().insert(member.id);
        self.by_level[member.role.session_details as usize] += 1;
        self.asked_about += usize::from(member.role.asks().is_some());
        self.members.insert(member.id, Box::new(member));
    }

    pub(crate) fn remove(&mut self, session: SessionId) -> Option<Member> {
        let member = self.members.swap_remove(&session)?;
        forget(&mut self.by_authid, &member.authid, session);
        forget(&mut self.by_authrole, member.authrole(), session);
        self.by_level[member.role.session_details as usize] -= 1;
        self.asked_about -= usize::from(member.role.asks().is_some());
        Some(*member)
    }

    /// Gives a member its role as it is now, which has the same name; gives whether it says something else of what its
    /// members may do, or has somebody else asked: what was said by its authorizer holds no more then.
    pub(crate) fn replace_role(&mut self, session: SessionId, role: Arc<Role>) -> bool {
        let Some(member) = self.members.get_mut(&session) else { return false };
        self.by_level[member.role.session_details as usize] -= 1;
        self.by_level[role.session_details as usize] += 1;
        self.asked_about -= usize::from(member.role.asks().is_some());
        self.asked_about += usize::from(role.asks().is_some());
        let has_other_authorizer = member.role.asks() != role.asks();
        if has_other_authorizer {
            member.verdicts = Verdicts::default();
        }
        let is_changed = has_other_authorizer || member.role.permissions != role.permissions;
        member.role = role;
        is_changed
    }

    /// Whether a member has a role with an authorizer.
    pub(crate) fn is_asked_about(&self) -> bool {
        self.asked_about > 0
    }

    /// How much members are told of sessions: each level that one of them has.
    pub(crate) fn levels(&self) -> impl Iterator<Item = SessionDetails> {
        SessionDetails::ALL.into_iter().filter(|level| self.by_level[*level as usize] > 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.members.keys().copied()
    }

    pub(crate) fn into_members(self) -> impl Iterator<Item = Member> {
        self.members.into_values().map(|member| *member)
    }

    pub(crate) fn with_authid(&self, authid: &str) -> impl Iterator<Item = SessionId> {
        self.by_authid.get(authid).into_iter().flatten().copied()
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
        let of_level = |level: SessionDetails| {
            self.members.values().filter(|member| member.role.session_details == level).count()
        };
        agrees(&self.by_authid, |member| &member.authid)
            && agrees(&self.by_authrole, |member| member.authrole())
            && SessionDetails::ALL.map(of_level) == self.by_level
            && self.members.values().filter(|member| member.role.asks().is_some()).count() == self.asked_about
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
