//! Sessions that come, go, call and subscribe at random, and what must hold after every step.

use super::TestRealm;
use crate::{
    cause::Cause,
    codec::Serializer,
    message::{feature::Feature, uri::Match},
    permission::{Actions, Disclosure, Permission, Permissions, Role},
    realm::{HistoryOptions, RealmLimits, RealmOptions},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const STEPS: usize = 10_000;
const MOST_MEMBERS: usize = 12;

/// The topics that have a history, how they match, and how many events are kept.
const HISTORIES: [(&str, Match, usize); 2] = [("t.1", Match::Exact, 20), ("t.", Match::Prefix, 20)];

fn options(histories: &[(&str, Match, usize)]) -> RealmOptions {
    let history = |(topic, matching, events): &(&str, Match, usize)| {
        let age = Some(Duration::from_secs(500));
        HistoryOptions { topic: (*topic).into(), matching: *matching, events: *events, octets: 300, age }
    };
    RealmOptions {
        histories: histories.iter().map(history).collect(),
        limits: RealmLimits { retained: 8, retained_octets: 200, ..RealmLimits::default() },
        ..RealmOptions::default()
    }
}

/// A role that may do everything but something with this URI.
fn role(name: &str, denied: &str) -> Role {
    let permission = |uri: &str, matching, allow| Permission {
        uri: uri.into(),
        matching,
        allow,
        discloses_caller: Disclosure::AsAsked,
        discloses_publisher: Disclosure::AsAsked,
        trustlevel: None,
    };
    let permissions = Permissions::new(vec![
        permission("", Match::Prefix, Actions::all()),
        permission("wamp.", Match::Prefix, Actions::all()),
        permission(denied, Match::Exact, Actions::default()),
    ]);
    Role { permissions, ..Role::unrestricted(name) }
}

/// The world as an observer and the callers see it, beside the realm.
struct Churn {
    realm: TestRealm,
    chance: StdRng,
    /// The members but the observer.
    members: Vec<String>,
    joined: usize,
    requests: u64,
    /// Who was announced and has not left.
    present: BTreeSet<String>,
    /// The callees of each registration, as they were told.
    registered: BTreeMap<String, BTreeSet<String>>,
    /// Calls that are not answered yet, as caller and request.
    calls: BTreeSet<(String, u64)>,
    /// Invocations that are not answered yet, by callee.
    invocations: BTreeMap<String, BTreeSet<u64>>,
    /// Who holds which subscription, as it is announced.
    holders: BTreeSet<(String, String)>,
    /// How many calls were answered.
    answered: usize,
    /// How many retained events came.
    retained: usize,
    /// How many answers told of past events.
    remembered: usize,
    /// Whether the last message was one to kill all.
    silently: bool,
}

impl Churn {
    fn new(seed: u64) -> Self {
        let mut realm = TestRealm::with_options(options(&HISTORIES), ["observer"]);
        realm.receive("observer", r#"[32,1,{"match":"prefix"},"wamp.session."]"#);
        realm.receive("observer", r#"[32,2,{"match":"prefix"},"wamp.subscription."]"#);
        realm.receive("observer", r#"[32,3,{"match":"prefix"},"wamp.registration."]"#);
        realm.lines.clear();
        Self {
            realm,
            chance: StdRng::seed_from_u64(seed),
            members: Vec::new(),
            joined: 0,
            requests: 0,
            present: BTreeSet::new(),
            registered: BTreeMap::new(),
            calls: BTreeSet::new(),
            invocations: BTreeMap::new(),
            holders: BTreeSet::new(),
            answered: 0,
            retained: 0,
            remembered: 0,
            silently: false,
        }
    }

    fn any(&mut self) -> Option<String> {
        let count = self.members.len();
        (count > 0).then(|| self.members[self.chance.random_range(0..count)].clone())
    }

    fn step(&mut self) {
        self.silently = false;
        self.realm.now += Duration::from_secs(1);
        let choice = self.chance.random_range(0..100);
        let Some(name) = self.any().filter(|_| choice >= 15) else {
            if self.members.len() < MOST_MEMBERS {
                self.joined += 1;
                let name = format!("m{}x", self.joined);
                let serializer = Serializer::ALL[self.chance.random_range(0..3)];
                let role = ["user", "guest"][self.chance.random_range(0..2)];
                self.realm.announce([&[], Feature::ALL][self.chance.random_range(0..2)]);
                self.realm.join_as(&name, Some(&name), role, serializer);
                self.members.push(name);
            }
            return self.observe();
        };
        self.requests += 1;
        let (request, number) = (self.requests, self.chance.random_range(0..6));
        match choice {
            15..20 => {
                let causes = [
                    Cause::Goodbye,
                    Cause::TransportLost,
                    Cause::Panic,
                    Cause::PingTimeout,
                    Cause::SlowConsumer,
                ];
                self.realm.leave(&name, causes[self.chance.random_range(0..causes.len())].clone());
            }
            20..22 => {
                let other = self.any().unwrap_or_default();
                let call = format!(r#"[48,{request},{{}},"wamp.session.kill",[@{other}]]"#);
                self.call(&name, request, &call);
            }
            22 => {
                let by = ["kill_by_authid", "kill_by_authrole"][self.chance.random_range(0..2)];
                let other =
                    if by == "kill_by_authid" { self.any().unwrap_or_default() } else { "guest".into() };
                self.call(&name, request, &format!(r#"[48,{request},{{}},"wamp.session.{by}",["{other}"]]"#));
            }
            23 if request % 7 == 0 => {
                self.silently = true;
                let call = format!(r#"[48,{request},{{}},"wamp.session.kill_all"]"#);
                self.realm.receive("observer", &call);
                self.calls.insert(("observer".into(), request));
            }
            23..33 => {
                let matching = ["exact", "prefix", "wildcard"][number % 3];
                let options = format!(r#"{{"match":"{matching}","get_retained":{}}}"#, request % 2 == 0);
                self.realm.receive(&name, &format!(r#"[32,{request},{options},"t.{number}"]"#));
            }
            33..38 if !self.realm.ids.is_empty() => {
                let id = self.realm.ids[self.chance.random_range(0..self.realm.ids.len())];
                let code = [34, 66][number % 2];
                self.realm.receive(&name, &format!("[{code},{request},{id}]"));
            }
            38..48 => {
                let options =
                    ["", r#""invoke":"roundrobin""#, r#""invoke":"random","match":"prefix""#][number / 2];
                self.realm.receive(&name, &format!(r#"[64,{request},{{{options}}},"p.{number}"]"#));
            }
            48..62 => {
                let options =
                    ["", r#""timeout":20"#, r#""receive_progress":true"#][self.chance.random_range(0..3)];
                let call = format!(r#"[48,{request},{{{options}}},"p.{number}",["\u0000AQI="]]"#);
                self.call(&name, request, &call);
            }
            62..66 => {
                let calls: Vec<_> = self.calls.iter().filter(|(caller, _)| *caller == name).collect();
                if let Some((_, request)) = calls.get(number) {
                    let mode = ["skip", "kill", "killnowait"][number % 3];
                    self.realm.receive(&name, &format!(r#"[49,{request},{{"mode":"{mode}"}}]"#));
                }
            }
            66..68 => self.realm.pass(number as u64),
            68..72 => {
                let options = self.publish_options();
                let kwargs = format!(r#"{{"publish_options":{options}}}"#);
                let call = format!(
                    r#"[48,{request},{{}},"wamp.session.add_testament",["t.1",[{number}],{{}}],{kwargs}]"#
                );
                self.call(&name, request, &call);
            }
            72..76 => {
                let other = self.any().unwrap_or_default();
                let id = self.realm.ids[self.chance.random_range(0..self.realm.ids.len())];
                let with_history = self.realm.realm.broker.subscription_to("t.1", Match::Exact);
                let (procedure, id, more) = match number % 3 {
                    0 => ("remove_subscriber", id, format!(",@{other}")),
                    1 => ("get_events", with_history.map_or(id, |found| found.id().get()), String::new()),
                    _ => ("list_subscribers", id, String::new()),
                };
                let call = format!(r#"[48,{request},{{}},"wamp.subscription.{procedure}",[{id}{more}]]"#);
                self.call(&name, request, &call);
            }
            76..88 => {
                let waiting: Vec<_> = self.invocations.get(&name).into_iter().flatten().copied().collect();
                if let Some(invocation) = waiting.get(self.chance.random_range(0..waiting.len().max(1))) {
                    let answer = [
                        format!("[70,{invocation},{{}},[1]]"),
                        format!(r#"[70,{invocation},{{"progress":true}},[1]]"#),
                        format!(r#"[8,68,{invocation},{{}},"a.b"]"#),
                        format!(r#"[8,68,{invocation},{{}},"wamp.error.unavailable"]"#),
                    ];
                    self.realm.receive(&name, &answer[number % 4]);
                }
            }
            98 => self.reload(),
            _ => {
                let options = self.publish_options();
                self.realm.receive(&name, &format!(r#"[16,{request},{options},"t.{number}",[{request}]]"#));
            }
        }
        self.observe();
    }

    /// Has another configuration: other histories, other permissions, and now and then no role any more.
    fn reload(&mut self) {
        let histories = [&HISTORIES[..], &HISTORIES[..1], &HISTORIES[1..], &[("t.1", Match::Exact, 3)]];
        let histories = histories[self.chance.random_range(0..histories.len())];
        let gone = self.any().filter(|_| self.chance.random_range(0..4) == 0);
        let denied = ["t.1", "t.2", "p.1", "p.2"][self.chance.random_range(0..4)];
        self.realm.reload(options(histories), |member| {
            let denied = if &*member.authid == "observer" { "nothing" } else { denied };
            (gone.as_deref() != Some(&*member.authid)).then(|| role(member.authrole(), denied).into())
        });
    }

    /// Options of a publication, each of which is there or not.
    fn publish_options(&mut self) -> String {
        let (one, other) = (self.any().unwrap_or_default(), self.any().unwrap_or_default());
        let all = [
            r#""acknowledge":true"#.to_owned(),
            r#""exclude_me":false"#.to_owned(),
            r#""disclose_me":true"#.to_owned(),
            r#""retain":true"#.to_owned(),
            format!(r#""exclude":[@{one}]"#),
            format!(r#""eligible":[@{one},@{other}]"#),
            format!(r#""exclude_authid":["{one}"]"#),
            r#""eligible_authrole":["guest"]"#.to_owned(),
        ];
        let some: Vec<_> = all.into_iter().filter(|_| self.chance.random_range(0..4) == 0).collect();
        format!("{{{}}}", some.join(","))
    }

    fn call(&mut self, name: &str, request: u64, call: &str) {
        self.calls.insert((name.to_owned(), request));
        self.realm.receive(name, call);
    }

    /// Looks through what the step asked for.
    fn observe(&mut self) {
        let mut left = BTreeSet::new();
        for line in std::mem::take(&mut self.realm.lines) {
            if let Some((name, _)) = line.split_once(" left: ") {
                assert!(left.insert(name.to_owned()), "{name} left twice");
                self.members.retain(|member| member != name);
                self.calls.retain(|(caller, _)| caller != name);
                self.invocations.remove(name);
                continue;
            }
            let Some((name, message)) = line.split_once(" < ") else { panic!("{line}") };
            assert!(!left.contains(name), "{line} comes after the end");
            self.retained += usize::from(message.contains(r#""retained":true"#));
            self.remembered += usize::from(message.contains(r#""timestamp":"#));
            if message.starts_with("[50,") && message.contains(r#"{"progress":true}"#) {
                let request = message.split(',').nth(1).and_then(|request| request.parse().ok());
                let call = (name.to_owned(), request.unwrap_or_else(|| panic!("{line}")));
                assert!(self.calls.contains(&call), "{line} is part of no answer");
            } else if message.starts_with("[50,") || message.starts_with("[8,48,") {
                let place = if message.starts_with("[50,") { 1 } else { 2 };
                let request = message.split(',').nth(place).and_then(|request| request.parse().ok());
                let request = request.unwrap_or_else(|| panic!("{line}"));
                assert!(self.calls.remove(&(name.to_owned(), request)), "{line} answers no call");
                self.answered += 1;
            } else if let Some(invocation) = message.strip_prefix("[68,") {
                let invocation = invocation.split(',').next().and_then(|request| request.parse().ok());
                let invocation = invocation.unwrap_or_else(|| panic!("{line}"));
                assert!(self.invocations.entry(name.into()).or_default().insert(invocation), "{line}");
            } else if name == "observer" && message.contains("wamp.subscription.on_") {
                self.hold(message);
            } else if name == "observer" && message.contains("wamp.registration.on_") {
                self.observe_registration(message);
            } else if name == "observer" && message.contains("wamp.session.on_join") {
                let who = message.split_once("\"session\":").and_then(|(_, rest)| rest.split(',').next());
                assert!(self.present.insert(who.unwrap_or_default().to_owned()), "{line} comes twice");
            } else if name == "observer" && message.contains("wamp.session.on_leave") {
                let who = message.rsplit_once('[').and_then(|(_, rest)| rest.split(',').next());
                assert!(self.present.remove(who.unwrap_or_default()), "{line} was not announced");
            }
        }
        let held = self.realm.realm.broker.holders().map(|(session, subscription)| {
            (
                self.realm.name(session),
                format!("#{}", self.realm.ids.get_index_of(&subscription).unwrap() + 1),
            )
        });
        assert_eq!(self.holders, held.collect(), "what was announced is not what is held");
        if self.silently {
            // Whom kill_all ends is not announced.
            self.present.retain(|name| !left.contains(name));
        }
        let members: BTreeSet<_> = self.members.iter().cloned().collect();
        assert_eq!(self.present, members, "what was announced is not who is there");
        assert_eq!(self.realm.realm.roster.len(), members.len() + 1);
        assert_eq!(self.realm.realm.registrations(), self.registered.len());
        assert!(self.realm.realm.is_sound());
    }

    /// Takes note of an event about a subscription: who takes part in it, and who does not any more.
    fn hold(&mut self, event: &str) {
        let (_, args) = event.rsplit_once(",[").unwrap_or_else(|| panic!("{event}"));
        let (session, about) =
            args.trim_end_matches(']').split_once(',').unwrap_or_else(|| panic!("{event}"));
        let holder = (session.to_owned(), about.to_owned());
        if event.contains("on_subscribe") {
            assert!(self.holders.insert(holder), "{event} comes twice");
        } else if event.contains("on_unsubscribe") {
            assert!(self.holders.remove(&holder), "{event} was not announced");
        } else if event.contains("on_delete") {
            let is_held = self.holders.iter().any(|(_, held)| *held == about);
            assert!(!is_held, "{event}, but it is held");
        }
    }

    /// Follows what is told of a registration: `[36,…,{"topic":"wamp.registration.on_…"},[session,…]]`.
    fn observe_registration(&mut self, message: &str) {
        let (_, event) = message.split_once("wamp.registration.on_").unwrap_or_default();
        let (event, arguments) = event.split_once(r#""},["#).unwrap_or_default();
        let (session, registration) = arguments.trim_end_matches("]]").split_once(',').unwrap_or_default();
        match event {
            "create" => {
                let id = registration.split_once(r#""id":"#).and_then(|(_, rest)| rest.split(',').next());
                let known = self.registered.insert(id.unwrap_or_default().into(), BTreeSet::new());
                assert_eq!(known, None, "{message}");
            }
            "register" | "unregister" => {
                let callees = self.registered.get_mut(registration).unwrap_or_else(|| panic!("{message}"));
                let is_right = match event {
                    "register" => callees.insert(session.into()),
                    _ => callees.remove(session),
                };
                assert!(is_right, "{message}");
            }
            _ => assert_eq!(self.registered.remove(registration), Some(BTreeSet::new()), "{message}"),
        }
    }

    /// Lets everybody leave: then nobody waits for anything.
    fn end(mut self) -> [usize; 3] {
        for name in self.members.clone() {
            self.realm.leave(&name, Cause::Goodbye);
            self.observe();
        }
        let observers: Vec<_> = self.calls.iter().filter(|(caller, _)| caller != "observer").collect();
        assert!(observers.is_empty(), "{observers:?} were never answered");
        assert!(self.registered.is_empty(), "{:?} were not deleted", self.registered);
        self.realm.answers("observer", "wamp.session.count", "", "[1]");
        [self.answered, self.retained, self.remembered]
    }
}

#[test]
fn whatever_happens_every_call_is_answered_once_and_every_join_pairs_with_its_leave() {
    for seed in 1..=4 {
        let mut churn = Churn::new(seed);
        for _ in 0..STEPS {
            churn.step();
        }
        assert!(churn.joined > STEPS / 100, "only {} joined", churn.joined);
        let seen @ [answered, retained, remembered] = churn.end();
        let is_enough = answered > STEPS / 10 && retained > STEPS / 100 && remembered > STEPS / 1000;
        assert!(is_enough, "only so many calls were answered, events retained and remembered: {seen:?}");
    }
}
