//! The dealer beside a small model of it: whatever happens at random, both ask for the same to be sent.

use crate::{
    ban::BanList,
    cause::Cause,
    codec::{Arguments, Payload, Serializer},
    message::{
        Call, CallOptions, Cancel, CancelMode, CancelOptions, ClientMessage, Error, Invoke, Register,
        RegisterOptions, RequestType, RouterMessage, Sparse, Unregister, Yield, YieldOptions,
        feature::{Feature, Features, Roles},
        id::{RegistrationId, RequestId, SessionId},
    },
    permission::Role,
    realm::{Realm, RealmOptions},
    roster::{Newcomer, Transport},
    step::{Effect, Step},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

const STEPS: usize = 120_000;
const MOST_MEMBERS: usize = 7;
const PROCEDURES: [(&str, Invoke); 4] = [
    ("single", Invoke::Single),
    ("turns", Invoke::RoundRobin),
    ("oldest", Invoke::First),
    ("any", Invoke::Random),
];
const UNAVAILABLE: &str = "wamp.error.unavailable";

/// A call, as its caller names it.
type Key = (SessionId, u64);

/// What the realm asked to be sent, as far as calls go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Saw {
    Invoked { callee: SessionId, invocation: u64, progress: bool, number: u64 },
    Interrupted { callee: SessionId, invocation: u64, mode: &'static str },
    Result { caller: SessionId, request: u64, progress: bool, number: u64 },
    Failed { caller: SessionId, request: u64, error: String },
    Left(SessionId),
}

/// A member, as the model knows it.
struct Peer {
    features: Features,
    requests: u64,
    invocations: u64,
    /// Calls that ended while parts of their arguments were to come.
    cut_short: BTreeSet<u64>,
}

/// A call that is not answered yet.
#[derive(Clone)]
struct Open {
    callee: SessionId,
    invocation: u64,
    procedure: usize,
    number: u64,
    asks_progress: bool,
    receives_progress: bool,
    is_killed: bool,
    timeout: Option<(u64, u64)>,
    takes_parts: bool,
    /// Who was tried with it, where somebody else may be.
    tried: Option<Vec<SessionId>>,
    has_begun: bool,
}

struct Model {
    realm: Realm,
    chance: StdRng,
    ids: StdRng,
    now: u64,
    peers: BTreeMap<SessionId, Peer>,
    callees: [Vec<SessionId>; PROCEDURES.len()],
    registrations: [Option<RegistrationId>; PROCEDURES.len()],
    calls: BTreeMap<Key, Open>,
    /// Calls that ended a while ago, to be answered, canceled and continued all the same.
    past: Vec<(Key, Open)>,
    /// How many calls were made, and how many of them ended with an answer or with their caller.
    made: usize,
    ended: usize,
}

fn payload(number: u64) -> Payload {
    Payload::build(Serializer::Json, &Arguments { args: vec![number.into()], ..Default::default() }).unwrap()
}

fn number(payload: &Payload) -> u64 {
    let arguments = payload.open().unwrap();
    arguments.args.first().and_then(|value| payload.id_of(value)).unwrap_or_default()
}

fn id(request: u64) -> RequestId {
    RequestId::new(request).unwrap()
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut ids = StdRng::seed_from_u64(seed + 1000);
        let mut step = Step::new(SystemTime::UNIX_EPOCH, Duration::ZERO, &mut ids);
        Self {
            realm: Realm::new("realm1".into(), RealmOptions::default(), BanList::default(), &mut step),
            chance: StdRng::seed_from_u64(seed),
            ids,
            now: 0,
            peers: BTreeMap::new(),
            callees: Default::default(),
            registrations: Default::default(),
            calls: BTreeMap::new(),
            past: Vec::new(),
            made: 0,
            ended: 0,
        }
    }

    /// Has the realm do something; gives what it asked to be sent.
    fn run(&mut self, act: impl FnOnce(&mut Realm, &mut Step<'_>)) -> Vec<Saw> {
        let mut step = Step::new(SystemTime::UNIX_EPOCH, Duration::from_millis(self.now), &mut self.ids);
        act(&mut self.realm, &mut step);
        let mut seen = Vec::new();
        for effect in step.into_effects() {
            match effect {
                Effect::Left { member, .. } => seen.push(Saw::Left(member.id)),
                Effect::Send { to, message: RouterMessage::Invocation(message) } => seen.push(Saw::Invoked {
                    callee: to,
                    invocation: message.request.get(),
                    progress: message.details.progress == Some(true),
                    number: number(&message.payload),
                }),
                Effect::Send { to, message: RouterMessage::Interrupt(message) } => {
                    let mode = message.options.mode.unwrap().word();
                    seen.push(Saw::Interrupted { callee: to, invocation: message.request.get(), mode });
                }
                Effect::Send { to, message: RouterMessage::Result(message) } => seen.push(Saw::Result {
                    caller: to,
                    request: message.request.get(),
                    progress: message.details.progress == Some(true),
                    number: number(&message.payload),
                }),
                Effect::Send { to, message: RouterMessage::Error(message) }
                    if message.request_type == RequestType::Call =>
                {
                    let error = message.error.to_string();
                    seen.push(Saw::Failed { caller: to, request: message.request.get(), error });
                }
                Effect::Send { to, message: RouterMessage::Registered(message) } => {
                    // Under this request: the procedure is the last digit.
                    let place = (message.request.get() % 10) as usize;
                    self.registrations[place] = Some(message.registration);
                    if !self.callees[place].contains(&to) {
                        self.callees[place].push(to);
                    }
                }
                Effect::Send { .. }
                | Effect::Broadcast { .. }
                | Effect::Undeliverable { .. }
                | Effect::Unanswered { .. }
                | Effect::Unfinished { .. }
                | Effect::Released { .. }
                | Effect::Settled { .. } => {}
            }
        }
        seen
    }

    fn receive(&mut self, from: SessionId, message: impl Into<ClientMessage>) -> Vec<Saw> {
        let message = message.into();
        self.run(|realm, step| realm.receive(from, message, step))
    }

    fn any(&mut self) -> SessionId {
        let place = self.chance.random_range(0..self.peers.len());
        *self.peers.keys().nth(place).unwrap()
    }

    /// A call that is not answered yet or, one time in four, one that is.
    fn any_call(&mut self) -> Option<(Key, Open)> {
        let (open, past) = (self.calls.len(), self.past.len());
        if past > 0 && (open == 0 || self.chance.random_range(0..4) == 0) {
            return Some(self.past[self.chance.random_range(0..past)].clone());
        }
        let place = (open > 0).then(|| self.chance.random_range(0..open))?;
        self.calls.iter().nth(place).map(|(key, call)| (*key, call.clone()))
    }

    fn has(&self, session: SessionId, features: &[Feature]) -> bool {
        let announced = self.peers.get(&session).map(|peer| peer.features);
        features.iter().all(|feature| announced.is_some_and(|announced| announced.contains(*feature)))
    }

    /// The next request id of a member. Its last digit is `digit`.
    fn request(&mut self, session: SessionId, digit: usize) -> u64 {
        let peer = self.peers.get_mut(&session).unwrap();
        peer.requests += 10;
        peer.requests + digit as u64
    }

    /// A call has ended.
    fn end(&mut self, key: Key) -> Open {
        let call = self.calls.remove(&key).unwrap();
        if call.takes_parts
            && let Some(caller) = self.peers.get_mut(&key.0)
        {
            caller.cut_short.insert(key.1);
        }
        self.ended += 1;
        if self.past.len() > 50 {
            self.past.clear();
        }
        self.past.push((key, call.clone()));
        call
    }

    fn failed(&self, (caller, request): Key, error: &str) -> Option<Saw> {
        self.peers.contains_key(&caller).then(|| Saw::Failed { caller, request, error: error.to_owned() })
    }

    fn interrupted(&self, call: &Open, mode: &'static str) -> Option<Saw> {
        let can = self.has(call.callee, &[Feature::CallCanceling]);
        can.then_some(Saw::Interrupted { callee: call.callee, invocation: call.invocation, mode })
    }

    /// A call goes to a callee: to which of those that may be chosen is what was seen.
    fn dispatch(&mut self, key: Key, mut call: Open, seen: &[Saw]) -> Saw {
        let tried = call.tried.clone().unwrap_or_default();
        let free = |callee: &&SessionId| !tried.contains(*callee);
        let candidates: Vec<_> = self.callees[call.procedure].iter().filter(free).copied().collect();
        let invoke = PROCEDURES[call.procedure].1;
        let chosen = seen
            .iter()
            .find_map(|saw| if let Saw::Invoked { callee, .. } = saw { Some(*callee) } else { None });
        let callee = match invoke {
            Invoke::Single | Invoke::First => candidates.first().copied(),
            Invoke::RoundRobin | Invoke::Random | Invoke::Last => {
                chosen.filter(|chosen| candidates.contains(chosen))
            }
        };
        let Some(callee) = callee else {
            if candidates.is_empty() {
                let error = if tried.is_empty() { "no_such_procedure" } else { "no_available_callee" };
                return self.failed(key, &format!("wamp.error.{error}")).unwrap();
            }
            // With parts to come even one that cannot take them is chosen, which nobody sees.
            assert!(call.takes_parts, "{seen:?}: nobody was chosen");
            return self.failed(key, "wamp.error.feature_not_supported").unwrap();
        };
        let can_take_parts = self.has(callee, &[Feature::ProgressiveCallInvocations, Feature::CallCanceling]);
        if call.takes_parts && !can_take_parts {
            return self.failed(key, "wamp.error.feature_not_supported").unwrap();
        }
        let peer = self.peers.get_mut(&callee).unwrap();
        peer.invocations += 1;
        (call.callee, call.invocation) = (callee, peer.invocations);
        let progresses = self.has(callee, &[Feature::ProgressiveCallResults, Feature::CallCanceling]);
        call.receives_progress = call.asks_progress && progresses;
        call.tried = (invoke != Invoke::Single && !call.takes_parts).then(|| {
            let mut tried = tried;
            tried.push(callee);
            tried
        });
        let (progress, number) = (call.takes_parts, call.number);
        let saw = Saw::Invoked { callee, invocation: call.invocation, progress, number };
        self.calls.insert(key, call);
        saw
    }

    /// Does something at random and asserts what came of it.
    fn step(&mut self) {
        let choice = self.chance.random_range(0..100);
        let (seen, mut expected) = match choice {
            _ if self.peers.len() < 2 => self.join(),
            0..3 if self.peers.len() < MOST_MEMBERS => self.join(),
            3..5 => self.leave(),
            5 => self.kill(),
            6..14 => self.register(),
            14..17 => self.unregister(),
            17..40 => self.call(),
            40..50 => self.part(),
            50..74 => self.answer(),
            74..80 => self.fail(),
            80..92 => self.cancel(),
            _ => self.pass(),
        };
        let mut sorted = seen.clone();
        sorted.sort();
        expected.sort();
        assert_eq!(sorted, expected, "choice {choice}: {seen:?}");
    }

    fn join(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        use Feature as F;
        let features = [
            Features::of(F::ALL),
            Features::of(F::ALL),
            Features::of(&[F::CallCanceling]),
            Features::of(&[F::CallCanceling, F::ProgressiveCallResults]),
            Features::default(),
        ][self.chance.random_range(0..5)];
        let newcomer = Newcomer {
            promised: None,
            authid: None,
            role: Role::unrestricted("user").into(),
            authmethod: "anonymous",
            authprovider: "static",
            authextra: None,
            transport: Transport::example(Serializer::Json),
            roles: Roles { caller: Some(features), callee: Some(features), ..Roles::default() },
        };
        let mut joined = None;
        let seen = self.run(|realm, step| joined = realm.join(newcomer, step).ok());
        let peer = Peer { features, requests: 0, invocations: 0, cut_short: BTreeSet::new() };
        self.peers.insert(joined.unwrap(), peer);
        (seen, Vec::new())
    }

    /// What follows when a session has left.
    fn gone(&mut self, session: SessionId) -> Vec<Saw> {
        self.peers.remove(&session);
        for place in 0..PROCEDURES.len() {
            self.drop_callee(place, session);
        }
        let mut expected = vec![Saw::Left(session)];
        let keys: Vec<_> = self.calls.keys().copied().collect();
        for key in keys {
            if key.0 == session {
                let call = self.end(key);
                expected.extend(self.interrupted(&call, "killnowait"));
            } else if self.calls[&key].callee == session {
                self.end(key);
                expected.extend(self.failed(key, "wamp.error.canceled"));
            }
        }
        self.past.retain(|((caller, _), call)| *caller != session && call.callee != session);
        expected
    }

    fn leave(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let session = self.any();
        let seen = self.run(|realm, step| realm.leave(session, Cause::TransportLost, step));
        (seen, self.gone(session))
    }

    fn kill(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let (by, victim) = (self.any(), self.any());
        if by == victim {
            return (Vec::new(), Vec::new());
        }
        let request = self.request(by, 9);
        let call = Call {
            request: id(request),
            options: Sparse::default(),
            procedure: "wamp.session.kill".into(),
            payload: payload(victim.get()),
        };
        let seen = self.receive(by, call);
        let mut expected = self.gone(victim);
        expected.push(Saw::Result { caller: by, request, progress: false, number: 0 });
        (seen, expected)
    }

    fn register(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let (session, place) = (self.any(), self.chance.random_range(0..PROCEDURES.len()));
        let (procedure, invoke) = PROCEDURES[place];
        let request = id(self.request(session, place));
        let options = RegisterOptions { invoke: Some(invoke), ..RegisterOptions::default() };
        (self.receive(session, Register { request, options, procedure: procedure.into() }), Vec::new())
    }

    fn unregister(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let (session, place) = (self.any(), self.chance.random_range(0..PROCEDURES.len()));
        let Some(registration) = self.registrations[place] else { return (Vec::new(), Vec::new()) };
        let request = id(self.request(session, place));
        let seen = self.receive(session, Unregister { request, registration });
        self.drop_callee(place, session);
        (seen, Vec::new())
    }

    fn drop_callee(&mut self, place: usize, session: SessionId) {
        self.callees[place].retain(|callee| *callee != session);
    }

    fn call(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let (caller, procedure) = (self.any(), self.chance.random_range(0..PROCEDURES.len()));
        let request = self.request(caller, procedure);
        let takes_parts =
            self.has(caller, &[Feature::ProgressiveCallInvocations]) && self.chance.random_range(0..4) == 0;
        let asks_progress = self.chance.random_range(0..2) == 0;
        let timeout = [None, None, Some(0), Some(20), Some(50)][self.chance.random_range(0..5)];
        let options = CallOptions {
            progress: takes_parts.then_some(true),
            receive_progress: asks_progress.then_some(true),
            timeout,
            ..CallOptions::default()
        };
        self.made += 1;
        let number = self.made as u64;
        let call = Call {
            request: id(request),
            options: options.into(),
            procedure: PROCEDURES[procedure].0.into(),
            payload: payload(number),
        };
        let seen = self.receive(caller, call);
        let open = Open {
            callee: caller,
            invocation: 0,
            procedure,
            number,
            asks_progress,
            receives_progress: false,
            is_killed: false,
            timeout: timeout.filter(|limit| *limit > 0).map(|limit| (limit, self.now + limit)),
            takes_parts,
            tried: None,
            has_begun: false,
        };
        let saw = self.dispatch((caller, request), open, &seen);
        if matches!(saw, Saw::Failed { .. }) {
            self.ended += 1;
            if takes_parts {
                self.peers.get_mut(&caller).unwrap().cut_short.insert(request);
            }
        }
        (seen, vec![saw])
    }

    fn part(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let chosen = self.any_call().filter(|(key, call)| {
            let is_late = self.peers.get(&key.0).is_some_and(|caller| caller.cut_short.contains(&key.1));
            call.takes_parts && (is_late || self.calls.contains_key(key))
        });
        let Some(((caller, request), call)) = chosen else { return (Vec::new(), Vec::new()) };
        let progress = self.chance.random_range(0..3) > 0;
        let options = CallOptions { progress: progress.then_some(true), ..CallOptions::default() };
        self.now += 1;
        let number = self.now;
        let message = Call {
            request: id(request),
            options: options.into(),
            procedure: PROCEDURES[call.procedure].0.into(),
            payload: payload(number),
        };
        let seen = self.receive(caller, message);
        if let Some(open) = self.calls.get_mut(&(caller, request)) {
            if !progress {
                (open.takes_parts, open.has_begun) = (false, true);
            }
            let (callee, invocation) = (call.callee, call.invocation);
            return (seen, vec![Saw::Invoked { callee, invocation, progress, number }]);
        }
        if !progress {
            self.peers.get_mut(&caller).unwrap().cut_short.remove(&request);
        }
        (seen, Vec::new())
    }

    /// A callee answers, in part or in full, in time or too late.
    fn answer(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let Some((key, call)) = self.any_call() else { return (Vec::new(), Vec::new()) };
        let progress = self.chance.random_range(0..2) == 0;
        self.now += 1;
        let number = self.now;
        let options = YieldOptions { progress: progress.then_some(true), ..YieldOptions::default() };
        let message =
            Yield { request: id(call.invocation), options: options.into(), payload: payload(number) };
        let seen = self.receive(call.callee, message);
        let now = self.now;
        let is_open = self.is_carried_out(key, &call);
        let mut expected = Vec::new();
        if is_open && progress && call.receives_progress {
            let open = self.calls.get_mut(&key).unwrap();
            if !open.takes_parts {
                open.has_begun = true;
            }
            open.timeout = open.timeout.map(|(limit, _)| (limit, now + limit));
            expected.push(Saw::Result { caller: key.0, request: key.1, progress, number });
        } else if is_open && !progress {
            self.end(key);
            expected.push(Saw::Result { caller: key.0, request: key.1, progress, number });
        }
        (seen, expected)
    }

    /// Whether this is how a call is carried out now.
    fn is_carried_out(&self, key: Key, call: &Open) -> bool {
        let open = self.calls.get(&key);
        open.is_some_and(|open| (open.callee, open.invocation) == (call.callee, call.invocation))
    }

    /// A callee answers with an error, or that it is unavailable.
    fn fail(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let Some((key, call)) = self.any_call() else { return (Vec::new(), Vec::new()) };
        let error = ["a.problem", UNAVAILABLE, UNAVAILABLE][self.chance.random_range(0..3)];
        let message = Error {
            request_type: RequestType::Invocation,
            request: id(call.invocation),
            details: Sparse::default(),
            error: error.into(),
            payload: Payload::EMPTY,
        };
        let seen = self.receive(call.callee, message);
        if !self.is_carried_out(key, &call) {
            return (seen, Vec::new());
        }
        let call = self.end(key);
        let stays = error != UNAVAILABLE || call.is_killed || call.takes_parts || call.has_begun;
        let saw = match (stays, &call.tried) {
            (true, _) => self.failed(key, error).unwrap(),
            (false, None) => self.failed(key, "wamp.error.no_available_callee").unwrap(),
            (false, Some(_)) => self.dispatch(key, call, &seen),
        };
        if matches!(saw, Saw::Invoked { .. }) {
            // It goes on with somebody else.
            self.ended -= 1;
        }
        (seen, vec![saw])
    }

    fn cancel(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        let Some((key, _)) = self.any_call() else { return (Vec::new(), Vec::new()) };
        let mode =
            [CancelMode::Skip, CancelMode::Kill, CancelMode::KillNoWait][self.chance.random_range(0..3)];
        let options = CancelOptions { mode: Some(mode) };
        let seen = self.receive(key.0, Cancel { request: id(key.1), options });
        let Some(call) = self.calls.get(&key).cloned() else { return (seen, Vec::new()) };
        let can_be_interrupted = self.has(call.callee, &[Feature::CallCanceling]);
        if mode == CancelMode::Kill && can_be_interrupted {
            let expected = self.interrupted(&call, "kill").filter(|_| !call.is_killed);
            self.calls.get_mut(&key).unwrap().is_killed = true;
            return (seen, expected.into_iter().collect());
        }
        self.end(key);
        let interrupted = self.interrupted(&call, "killnowait").filter(|_| mode == CancelMode::KillNoWait);
        (seen, interrupted.into_iter().chain(self.failed(key, "wamp.error.canceled")).collect())
    }

    fn pass(&mut self) -> (Vec<Saw>, Vec<Saw>) {
        self.now += self.chance.random_range(0..15);
        let seen = self.run(Realm::expire);
        let mut expected = Vec::new();
        let is_due = |(_, call): &(&Key, &Open)| call.timeout.is_some_and(|(_, due)| due <= self.now);
        let due: Vec<_> = self.calls.iter().filter(is_due).map(|(key, _)| *key).collect();
        for key in due {
            let call = self.end(key);
            expected.extend(self.interrupted(&call, "killnowait"));
            expected.extend(self.failed(key, "wamp.error.timeout"));
        }
        (seen, expected)
    }

    /// Everybody leaves, and nothing remains.
    fn finish(mut self) -> usize {
        while let Some(session) = self.peers.keys().next().copied() {
            let mut seen = self.run(|realm, step| realm.leave(session, Cause::Goodbye, step));
            let mut expected = self.gone(session);
            seen.sort();
            expected.sort();
            assert_eq!(seen, expected);
        }
        assert!(self.calls.is_empty());
        assert_eq!(self.ended, self.made, "a call was not answered, or twice");
        assert_eq!((self.realm.calls_in_flight(), self.realm.registrations()), (0, 0));
        assert_eq!(self.realm.next_timeout(), None);
        assert!(self.realm.is_sound());
        self.made
    }
}

#[test]
fn the_dealer_does_what_a_model_of_it_says() {
    let mut made = 0;
    for seed in 1..=4 {
        let mut model = Model::new(seed);
        for step in 0..STEPS / 4 {
            model.step();
            if step % 50 == 0 {
                assert!(model.realm.is_sound());
            }
        }
        made += model.finish();
    }
    assert!(made > STEPS / 5, "only {made} calls were made");
}
