//! The core of a realm under any sequence of messages.

use super::codec::payload;
use crate::{
    ban::BanList,
    cause::Cause,
    codec::Serializer,
    collections::Set,
    message::{
        ClientMessage, RouterMessage,
        feature::{Feature, Features, Roles},
        id::SessionId,
        uri::Match,
    },
    permission::{Permissions, Role},
    realm::{HistoryOptions, Realm, RealmLimits, RealmOptions},
    roster::{Newcomer, Transport},
    step::{Effect, Step},
};
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

const MOST_MEMBERS: usize = 8;
/// The procedure that is asked what sessions of the role `asked` may do.
const AUTHORIZER: &str = "auth.ask";
const URIS: [&str; 7] = ["a", "a.b", "a.b.c", "a..c", "a.", "wamp.session.on_leave", AUTHORIZER];
/// What callees answer, authorizers among them.
const ANSWERS: [&str; 4] = ["1", "true", "false", r#"{"allow":true,"cache":true}"#];
const MATCHES: [&str; 3] = ["exact", "prefix", "wildcard"];
const INVOKES: [&str; 5] = ["single", "first", "last", "roundrobin", "random"];
const MODES: [&str; 3] = ["skip", "kill", "killnowait"];

/// A realm, what its members were told, and what they may expect.
struct World {
    realm: Realm,
    chance: StdRng,
    uptime: Duration,
    members: Vec<Member>,
    /// Ids of subscriptions, registrations and publications that somebody was told.
    ids: Set<u64>,
    /// Sessions of which more waits than there was room for in a step.
    unfinished: Vec<SessionId>,
}

struct Member {
    id: SessionId,
    serializer: Serializer,
    /// The last request.
    request: u64,
    /// Calls that are not answered yet.
    calls: Set<u64>,
    /// Invocations to be answered.
    invocations: Set<u64>,
    /// Whether its authorizer is asked: then what it sends may wait.
    is_asked: bool,
    /// Whether it leaves when what it has sent is done.
    leaves: bool,
}

/// Plays what the octets say in a realm: members join, leave, and send whatever, time passes. After each step the
/// indices of the realm have to agree, every message has to go to a member who is one and have a form in its
/// serializer, and no call may be answered twice.
pub fn realm(data: &[u8]) {
    let mut world = World::new();
    let mut octets = Unstructured::new(data);
    while !octets.is_empty() && world.step(&mut octets).is_ok() {
        assert!(world.realm.is_sound(), "the indices of the realm disagree");
    }
    if data.len().is_multiple_of(2) {
        world.play(|realm, step| realm.close(&Cause::Shutdown, step));
        assert_eq!(world.members.len(), 0, "somebody is left in a realm that is closed");
    }
    while let Some(member) = world.members.first() {
        let id = member.id;
        world.play(|realm, step| realm.leave(id, Cause::Goodbye, step));
        assert!(world.realm.is_sound(), "the indices of the realm disagree");
    }
    assert_eq!(world.realm.next_timeout(), None, "a call of nobody has a timeout");
}

impl World {
    fn new() -> Self {
        let history = |topic: &str, matching| {
            let age = Some(Duration::from_secs(10));
            HistoryOptions { topic: topic.into(), matching, events: 4, octets: 200, age }
        };
        let options = RealmOptions {
            components: vec![AUTHORIZER.into()],
            histories: vec![history("a.b", Match::Exact), history("a.", Match::Prefix)],
            limits: RealmLimits {
                subscriptions: 4,
                registrations: 4,
                calls: 4,
                retained: 3,
                retained_octets: 200,
                ..RealmLimits::default()
            },
            ..RealmOptions::default()
        };
        let mut chance = StdRng::seed_from_u64(1);
        let mut step = Step::new(SystemTime::UNIX_EPOCH, Duration::ZERO, &mut chance);
        let realm = Realm::new("realm1".into(), options, BanList::default(), &mut step);
        let (members, unfinished) = (Vec::new(), Vec::new());
        Self { realm, chance, uptime: Duration::ZERO, members, ids: Set::default(), unfinished }
    }

    /// Lets the realm do something, and looks at what it asks for.
    fn play<T>(&mut self, play: impl FnOnce(&mut Realm, &mut Step<'_>) -> T) -> T {
        let now = SystemTime::UNIX_EPOCH + self.uptime;
        let mut step = Step::new(now, self.uptime, &mut self.chance);
        let outcome = play(&mut self.realm, &mut step);
        for effect in step.into_effects() {
            match effect {
                Effect::Send { to, message } => self.deliver(to, &message),
                Effect::Broadcast { to, message } => {
                    to.into_iter().for_each(|to| self.deliver(to, &message));
                }
                Effect::Undeliverable { .. }
                | Effect::Unanswered { .. }
                | Effect::Settled { .. }
                | Effect::Released { .. } => {}
                Effect::Unfinished { session } => self.unfinished.push(session),
                Effect::Left { member, .. } => self.members.retain(|known| known.id != member.id),
            }
        }
        outcome
    }

    fn deliver(&mut self, to: SessionId, message: &RouterMessage) {
        if let RouterMessage::Welcome(_) = message {
            // Its receiver is known only when the join is over.
            return;
        }
        let member = self.members.iter_mut().find(|member| member.id == to);
        let member = member.unwrap_or_else(|| panic!("{message:?} is for {to}, who is no member"));
        message.encode(member.serializer, &mut Vec::new());
        match message {
            RouterMessage::Subscribed(message) => drop(self.ids.insert(message.subscription.get())),
            RouterMessage::Registered(message) => drop(self.ids.insert(message.registration.get())),
            RouterMessage::Published(message) => drop(self.ids.insert(message.publication.get())),
            RouterMessage::Invocation(message) => drop(member.invocations.insert(message.request.get())),
            RouterMessage::Result(message) => {
                let is_final = message.details.progress != Some(true);
                let call = message.request.get();
                let is_due =
                    if is_final { member.calls.swap_remove(&call) } else { member.calls.contains(&call) };
                assert!(is_due, "{message:?} answers no call of {to}");
            }
            RouterMessage::Error(message) if message.request_type.code() == 48 => {
                let call = message.request.get();
                assert!(member.calls.swap_remove(&call), "{message:?} answers no call of {to}");
            }
            RouterMessage::Welcome(_)
            | RouterMessage::Abort(_)
            | RouterMessage::Challenge(_)
            | RouterMessage::Goodbye(_)
            | RouterMessage::Error(_)
            | RouterMessage::Unsubscribed(_)
            | RouterMessage::Event(_)
            | RouterMessage::Unregistered(_)
            | RouterMessage::Interrupt(_) => {}
        }
    }

    fn step(&mut self, octets: &mut Unstructured<'_>) -> Result<()> {
        if let Some(session) = self.unfinished.pop() {
            self.play(|realm, step| realm.go_on(session, step));
            return Ok(());
        }
        let choice = octets.int_in_range(0..=15)?;
        if choice == 0 || self.members.is_empty() {
            return self.join(octets);
        }
        let place = octets.choose_index(self.members.len())?;
        let id = self.members[place].id;
        match choice {
            1 => {
                let causes = [Cause::TransportLost, Cause::SlowConsumer, Cause::Panic, Cause::Goodbye];
                let cause = octets.choose(&causes)?.clone();
                if octets.arbitrary()? {
                    self.members[place].leaves = true;
                    self.play(|realm, step| realm.leave_in_turn(id, cause, step));
                } else {
                    self.play(|realm, step| realm.leave(id, cause, step));
                }
            }
            2 => {
                self.uptime += Duration::from_millis(octets.int_in_range(0..=2000)?);
                while self.realm.next_timeout().is_some_and(|due| due <= self.uptime) {
                    self.play(Realm::expire);
                }
            }
            // It sends nothing more.
            _ if self.members[place].leaves => {}
            _ => {
                let json = self.message(place, choice, octets)?;
                self.receive(place, &json);
            }
        }
        Ok(())
    }

    fn join(&mut self, octets: &mut Unstructured<'_>) -> Result<()> {
        if self.members.len() >= MOST_MEMBERS {
            return Ok(());
        }
        let serializer = *octets.choose(&Serializer::ALL)?;
        let features = octets.arbitrary::<bool>()?.then(|| Features::of(Feature::ALL));
        let roles = Roles {
            caller: features,
            callee: features,
            publisher: features,
            subscriber: features,
            ..Roles::default()
        };
        let role = *octets.choose(&["user", "guest", "asked", "component"])?;
        let newcomer = Newcomer {
            promised: None,
            authextra: None,
            authid: Some((*octets.choose(&["joe", "ann"])?).into()),
            role: Arc::new(match role {
                "asked" => Role {
                    authorizer: Some(AUTHORIZER.into()),
                    ..Role::new("asked", Permissions::new(Vec::new()))
                },
                name => Role { is_trusted: name == "component", ..Role::unrestricted(name) },
            }),
            authmethod: "anonymous",
            authprovider: "static",
            transport: Transport::example(serializer),
            roles,
        };
        // Those who listen to joins are members already.
        let joined = self.play(|realm, step| realm.join(newcomer, step));
        if let Ok(id) = joined {
            let (calls, invocations) = (Set::default(), Set::default());
            let is_asked = role == "asked";
            let member = Member { id, serializer, request: 0, calls, invocations, is_asked, leaves: false };
            self.members.push(member);
        }
        Ok(())
    }

    /// A message of a member, in JSON.
    fn message(&mut self, place: usize, choice: u8, octets: &mut Unstructured<'_>) -> Result<String> {
        let uri = *octets.choose(&URIS)?;
        let some = octets.int_in_range(0..=255_u8)?;
        let flag = |bit: u8| some & (1 << bit) != 0;
        let id = match self.ids.len() {
            0 => 1,
            count => self.ids[octets.choose_index(count)?],
        };
        let session = self.members[octets.choose_index(self.members.len())?].id;
        let member = &mut self.members[place];
        let invocation = match member.invocations.len() {
            0 => 1,
            count => member.invocations[octets.choose_index(count)?],
        };
        // Now and then a request once more, as a call that goes on; or as another one, if the first has been answered, which
        // is not known while it waits.
        let is_more = choice == 7 && flag(6) && !member.calls.is_empty() && !member.is_asked;
        if !is_more {
            member.request += 1;
        }
        let request = member.request;
        let matching = MATCHES[usize::from(some) % 3];
        Ok(match choice {
            3 => format!(r#"[32,{request},{{"match":"{matching}","get_retained":{}}},"{uri}"]"#, flag(7)),
            4 => format!("[{},{request},{id}]", if flag(0) { 34 } else { 66 }),
            5 => {
                let list = match some % 4 {
                    0 => format!(r#","exclude":[{session}]"#),
                    1 => format!(r#","eligible":[{session}]"#),
                    2 => r#","eligible_authid":["joe"]"#.to_owned(),
                    _ => String::new(),
                };
                let (retain, back) = (flag(3), flag(4));
                format!(
                    r#"[16,{request},{{"acknowledge":true,"retain":{retain},"exclude_me":{back}{list}}},"{uri}",[1,"x"]]"#
                )
            }
            6 => {
                let (invoke, force) = (INVOKES[usize::from(some) % 5], flag(7));
                format!(
                    r#"[64,{request},{{"match":"{matching}","invoke":"{invoke}","force_reregister":{force}}},"{uri}"]"#
                )
            }
            7 | 8 => {
                member.calls.insert(request);
                let (progress, receive) = (choice == 7 && flag(5), flag(4));
                let timeout = if flag(3) { 0 } else { u64::from(some) * 4 };
                format!(
                    r#"[48,{request},{{"timeout":{timeout},"progress":{progress},"receive_progress":{receive}}},"{uri}",[1]]"#
                )
            }
            9 => {
                let call = member.calls.iter().next().copied().unwrap_or(1);
                format!(r#"[49,{call},{{"mode":"{}"}}]"#, MODES[usize::from(some) % 3])
            }
            10 | 11 => {
                let answer = ANSWERS[usize::from(some) % 4];
                format!(r#"[70,{invocation},{{"progress":{}}},[{answer}]]"#, choice == 10)
            }
            12 => {
                let error = if flag(0) { "wamp.error.unavailable" } else { "a.error" };
                format!(r#"[8,68,{invocation},{{}},"{error}"]"#)
            }
            13 => {
                member.calls.insert(request);
                let (procedure, arguments) = match some % 12 {
                    0 => ("wamp.session.kill", format!("{session}")),
                    1 => ("wamp.session.kill_by_authid", r#""joe""#.to_owned()),
                    2 => ("wamp.session.kill_all", String::new()),
                    3 => ("wamp.session.get", format!("{session}")),
                    4 => ("wamp.session.add_testament", r#""a.b",[1],{}"#.to_owned()),
                    5 => ("wamp.session.flush_testaments", String::new()),
                    6 => ("wamp.subscription.get_events", format!("{id}")),
                    7 => ("wamp.subscription.remove_subscriber", format!("{id},{session}")),
                    8 => ("wamp.registration.remove_callee", format!("{id},{session}")),
                    9 => ("wamp.registration.match", r#""a.b""#.to_owned()),
                    10 => ("wamp.subscription.list_subscribers", format!("{id}")),
                    _ => ("wamp.session.list", String::new()),
                };
                format!(r#"[48,{request},{{}},"{procedure}",[{arguments}]]"#)
            }
            14 => r#"[6,{},"wamp.close.close_realm"]"#.to_owned(),
            // Whatever else the octets give, as a topic and an option.
            _ => {
                let text: String = octets.arbitrary::<&str>()?.chars().take(40).collect();
                let text = text.replace(['"', '\\'], "").replace(char::is_control, "");
                format!(r#"[16,{request},{{"{text}":1}},"{text}",["{text}"]]"#)
            }
        })
    }

    fn receive(&mut self, place: usize, json: &str) {
        let Member { id, serializer, .. } = self.members[place];
        let frame = Bytes::copy_from_slice(json.as_bytes());
        let Ok(mut message) = ClientMessage::decode(Serializer::Json, &frame, 64) else { return };
        // A payload is in the serializer of its sender.
        if let Some(payload) = payload(&mut message) {
            let Ok(own) = payload.transcode(serializer) else { return };
            *payload = own;
        }
        self.play(|realm, step| realm.receive(id, message, step));
    }
}
