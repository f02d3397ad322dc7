//! Tests of the core without a runtime: what goes in, and exactly what comes out, in order.

mod authorizers;
mod calls;
mod canceling;
mod churn;
mod history;
mod limits;
mod lists;
mod membership;
mod meta;
mod model;
mod passthru;
mod permissions;
mod policies;
mod progress;
mod pubsub;
mod registration_meta;
mod registrations;
mod reload;
mod rerouting;
mod retention;
mod subscriptions;
mod testaments;
mod timeouts;
mod waiting;

use super::{Realm, RealmOptions};
use crate::{
    ban::BanList,
    cause::Cause,
    codec::{Raw, Serializer},
    collections::{Map, Set},
    message::{
        ClientMessage, RouterMessage,
        feature::{Feature, Features, Roles},
        id::{RequestId, SessionId},
        value::Value,
    },
    permission::Role,
    refusal::Refusal,
    roster::{Member, Newcomer, Transport},
    step::{Effect, Step},
};
use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A realm whose members have names. What it asks for is kept as lines, one an effect:
///
/// - `bob < [36,#1,#2,{},["hello"]]`: bob is sent this. Ids of sessions stand as names, other random ids as `#1`,
///   `#2` and so on in the order in which they are first seen.
/// - `bob left: goodbye`: bob is let go of.
/// - `bob misses it: …`: an event has no form for bob.
struct TestRealm {
    realm: Realm,
    chance: StdRng,
    /// The uptime of the next step.
    uptime: Duration,
    names: Map<SessionId, (String, Serializer)>,
    ids: Set<u64>,
    lines: Vec<String>,
    /// The time of the next step.
    now: SystemTime,
    /// What those announce who join next.
    roles: Roles,
}

impl TestRealm {
    /// A realm with these members, all of whom speak JSON. Their joins are not looked at.
    fn with<const N: usize>(members: [&str; N]) -> Self {
        Self::with_options(RealmOptions::default(), members)
    }

    /// A realm with these members, who announce every feature.
    fn announcing<const N: usize>(members: [&str; N]) -> Self {
        let mut realm = Self::with([]);
        realm.announce(Feature::ALL);
        for member in members {
            realm.join(member, Serializer::Json);
        }
        realm.lines.clear();
        realm
    }

    /// Lets those who join from now on announce these features, in the roles of clients.
    fn announce(&mut self, features: &[Feature]) {
        let features = Some(Features::of(features));
        let (caller, callee, publisher, subscriber) = (features, features, features, features);
        self.roles = Roles { caller, callee, publisher, subscriber, ..Roles::default() };
    }

    fn with_options<const N: usize>(options: RealmOptions, members: [&str; N]) -> Self {
        let mut chance = StdRng::seed_from_u64(1);
        let mut step = Step::new(SystemTime::UNIX_EPOCH, Duration::ZERO, &mut chance);
        let mut realm = Self {
            realm: Realm::new("realm1".into(), options, BanList::default(), &mut step),
            chance,
            uptime: Duration::ZERO,
            names: Map::default(),
            ids: Set::default(),
            lines: Vec::new(),
            now: SystemTime::UNIX_EPOCH,
            roles: Roles::default(),
        };
        for member in members {
            realm.join(member, Serializer::Json);
        }
        realm.lines.clear();
        realm
    }

    /// Lets a member join whose authid is its name and whose role is `user`.
    fn join(&mut self, name: &str, serializer: Serializer) -> SessionId {
        self.join_as(name, Some(name), "user", serializer)
    }

    fn join_as(
        &mut self,
        name: &str,
        authid: Option<&str>,
        authrole: &str,
        serializer: Serializer,
    ) -> SessionId {
        let joined = self.try_join(name, authid, Role::unrestricted(authrole), serializer);
        joined.unwrap_or_else(|refusal| panic!("{name} is not let in: {refusal}"))
    }

    fn try_join(
        &mut self,
        name: &str,
        authid: Option<&str>,
        role: Role,
        serializer: Serializer,
    ) -> Result<SessionId, Refusal> {
        let newcomer = Newcomer {
            promised: None,
            authid: authid.map(Into::into),
            role: role.into(),
            authmethod: "anonymous",
            authprovider: "static",
            authextra: None,
            transport: Transport::example(serializer),
            roles: self.roles,
        };
        let mut step = Step::new(self.now, self.uptime, &mut self.chance);
        let joined = self.realm.join(newcomer, &mut step);
        let effects = step.into_effects();
        if let Ok(id) = joined {
            self.names.insert(id, (name.into(), serializer));
        }
        self.keep(effects);
        joined
    }

    fn id(&self, name: &str) -> SessionId {
        let known = self.names.iter().rev().find(|(_, (known, _))| known == name);
        *known.unwrap_or_else(|| panic!("nobody is called {name}")).0
    }

    /// The serializer of somebody who is or was a member.
    fn serializer(&self, id: SessionId) -> Serializer {
        self.names.get(&id).unwrap_or_else(|| panic!("{id} was never a member")).1
    }

    /// Takes a message of a member, written as JSON. `@bob` stands for the id of bob, `#1` for an id seen before.
    fn receive(&mut self, name: &str, message: &str) {
        let id = self.id(name);
        let json = self.written(message);
        let value: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        let serializer = self.serializer(id);
        let bytes = match serializer {
            Serializer::Json => json.into_bytes(),
            Serializer::MessagePack => rmp_serde::to_vec(&value).unwrap(),
            Serializer::Cbor => cbor4ii::serde::to_vec(Vec::new(), &value).unwrap(),
        };
        self.receive_bytes(name, serializer, bytes);
    }

    fn receive_bytes(&mut self, name: &str, serializer: Serializer, bytes: Vec<u8>) {
        let message = ClientMessage::decode(serializer, &Bytes::from(bytes), 64).unwrap();
        let id = self.id(name);
        self.play(|realm, step| realm.receive(id, message, step), &format!("a message of {name}"));
    }

    /// Has the realm take one step, and keeps what it asks for.
    #[track_caller]
    fn play(&mut self, play: impl FnOnce(&mut Realm, &mut Step<'_>), what: &str) {
        let mut step = Step::new(self.now, self.uptime, &mut self.chance);
        play(&mut self.realm, &mut step);
        let effects = step.into_effects();
        self.keep(effects);
        assert!(self.realm.is_sound(), "an index is out of step after {what}");
    }

    /// Goes on with what had to wait of a member.
    fn go_on(&mut self, name: &str) {
        let id = self.id(name);
        self.play(|realm, step| realm.go_on(id, step), &format!("{name} went on"));
    }

    /// Goes on with all that has to wait.
    fn finish(&mut self) {
        const WAITS: &str = " has to wait";
        while let Some(place) = self.lines.iter().position(|line| line.ends_with(WAITS)) {
            let line = self.lines.remove(place);
            self.go_on(line.trim_end_matches(WAITS));
        }
    }

    /// An invocation turns out to be larger than this member takes.
    fn refuse_invocation(&mut self, name: &str, request: u64) {
        let (id, request) = (self.id(name), RequestId::new(request).unwrap());
        let what = format!("an invocation of {name} was too large");
        self.play(|realm, step| realm.refuse_opening(id, request, step), &what);
    }

    fn leave(&mut self, name: &str, cause: Cause) {
        let id = self.id(name);
        self.play(|realm, step| realm.leave(id, cause, step), &format!("{name} has left"));
    }

    /// Has a member leave when what it has sent is done.
    fn leave_in_turn(&mut self, name: &str, cause: Cause) {
        let id = self.id(name);
        self.play(|realm, step| realm.leave_in_turn(id, cause, step), &format!("{name} has to leave"));
    }

    /// Goes on with these options, and gives each member this role.
    fn reload(&mut self, options: RealmOptions, role_of: impl Fn(&Member) -> Option<Arc<Role>>) {
        self.play(|realm, step| realm.reload(options, role_of, step), "a reload");
    }

    fn close(&mut self, cause: &Cause) {
        self.play(|realm, step| realm.close(cause, step), "the close");
    }

    /// Lets so many milliseconds pass, with the calls that are due in them.
    fn pass(&mut self, milliseconds: u64) {
        self.uptime += Duration::from_millis(milliseconds);
        while self.realm.next_timeout().is_some_and(|due| due <= self.uptime) {
            let mut step = Step::new(SystemTime::UNIX_EPOCH, self.uptime, &mut self.chance);
            self.realm.expire(&mut step);
            let effects = step.into_effects();
            self.keep(effects);
            assert!(self.realm.is_sound(), "an index is out of step after {:?}", self.uptime);
        }
    }

    /// Asserts that exactly this was asked for since the last check, in this order.
    #[track_caller]
    fn check<const N: usize>(&mut self, expected: [&str; N]) {
        let lines = std::mem::take(&mut self.lines);
        assert_eq!(lines, expected, "\nfound:\n{}", lines.join("\n"));
    }

    /// Takes a message and asserts what was asked for because of it.
    #[track_caller]
    fn expect<const N: usize>(&mut self, name: &str, message: &str, expected: [&str; N]) {
        self.receive(name, message);
        self.check(expected);
    }

    /// Calls a procedure with these arguments and asserts the answer, the part behind the request and the details.
    #[track_caller]
    fn answers(&mut self, caller: &str, procedure: &str, arguments: &str, answer: &str) {
        let arguments = if arguments.is_empty() { String::new() } else { format!(",{arguments}") };
        self.receive(caller, &format!(r#"[48,77,{{}},"{procedure}"{arguments}]"#));
        let answer = if answer.is_empty() { String::new() } else { format!(",{answer}") };
        let expected = if answer.starts_with(",\"") {
            format!("{caller} < [8,48,77,{{}}{answer}]")
        } else {
            format!("{caller} < [50,77,{{}}{answer}]")
        };
        let lines = std::mem::take(&mut self.lines);
        assert_eq!(lines, [expected], "{procedure} {arguments}");
    }

    fn written(&self, message: &str) -> String {
        let mut written = message.to_owned();
        if message.contains('@') {
            for (id, (name, _)) in self.names.iter().rev() {
                written = written.replace(&format!("@{name}"), &id.to_string());
            }
        }
        if message.contains('#') {
            for (number, id) in self.ids.iter().enumerate().rev() {
                written = written.replace(&format!("#{}", number + 1), &id.to_string());
            }
        }
        written
    }

    fn keep(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => self.keep_message(to, &message),
                Effect::Broadcast { to, message } => {
                    to.iter().for_each(|to| self.keep_message(*to, &message))
                }
                Effect::Undeliverable { to, problem } => {
                    for to in to {
                        let line = format!("{} misses it: {problem}", self.name(to));
                        self.lines.push(line);
                    }
                }
                Effect::Unfinished { session } => {
                    self.lines.push(format!("{} has to wait", self.name(session)))
                }
                Effect::Unanswered { .. } | Effect::Released { .. } | Effect::Settled { .. } => {}
                Effect::Left { member, cause, farewell } => {
                    if let Some(farewell) = farewell {
                        self.keep_message(member.id, &farewell);
                    }
                    let line = format!("{} left: {}", self.name(member.id), self.shown(&cause.to_string()));
                    self.lines.push(line);
                }
            }
        }
    }

    fn keep_message(&mut self, to: SessionId, message: &RouterMessage) {
        let (serializer, mut bytes) = (self.serializer(to), Vec::new());
        message.encode(serializer, &mut bytes);
        let json = match (Raw { serializer, bytes: &bytes }.value(), serializer) {
            (Ok(value), _) => serde_json::to_string(&value).unwrap_or_else(|_| format!("{value:?}")),
            (Err(_), Serializer::Json) => String::from_utf8(bytes).unwrap(),
            (Err(problem), _) => panic!("{problem}"),
        };
        let line = format!("{} < {}", self.name(to), self.shown(&json));
        self.lines.push(line);
    }

    fn name(&self, id: SessionId) -> String {
        self.names.get(&id).map_or_else(|| id.to_string(), |(name, _)| name.clone())
    }

    /// Writes names for ids: whatever is a number too large to be counted to.
    fn shown(&mut self, text: &str) -> String {
        let mut shown = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
            let (before, digits) = rest.split_at(start);
            let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
            let (digits, after) = digits.split_at(end);
            shown.push_str(before);
            match digits.parse::<u64>() {
                Ok(id) if (1 << 40..=1 << 53).contains(&id) => shown.push_str(&self.shown_id(id)),
                // Now and then the id of a session is smaller.
                Ok(id)
                    if id > 1 << 20 && SessionId::new(id).is_some_and(|id| self.names.contains_key(&id)) =>
                {
                    shown.push_str(&self.shown_id(id));
                }
                _ => shown.push_str(digits),
            }
            rest = after;
        }
        shown + rest
    }

    fn shown_id(&mut self, id: u64) -> String {
        match SessionId::new(id).and_then(|id| self.names.get(&id)) {
            Some((name, _)) => name.clone(),
            None => format!("#{}", self.ids.insert_full(id).0 + 1),
        }
    }
}
