//! How a router stops: balancers are told first, calls are answered, and the sessions are sent away.

use crate::support::{
    Peer,
    http::{self, Answer},
    peer::Received,
    program::{Serving, program},
    router::PATIENCE,
    scrape::Samples,
};
use realmkeeper_actors::codec::Serializer;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// Starts the program with these lines in the section `shutdown`.
fn serve(shutdown: &str) -> Serving {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("shutdown-{}-{}.toml", process::id(), FILES.fetch_add(1, Ordering::Relaxed));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        "[shutdown]\n{shutdown}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [[realms]]\nname = \"realm1\"\nanonymous = \"anyone\"\n\
         [[realms.roles]]\nname = \"anyone\"\n\
         [[realms.roles.permissions]]\n\
         uri = \"\"\nmatch = \"prefix\"\nallow = [\"call\", \"register\", \"publish\", \"subscribe\"]\n"
    );
    fs::write(&file, text).expect("the folder of tests can be written to");
    let serving = Serving::run(program(&["--config"]).arg(&file));
    fs::remove_file(&file).expect("what was written can be removed");
    serving
}

fn join(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect_to(address, Serializer::Json);
    peer.say_hello("realm1", &json!({}));
    peer
}

/// Tells the program to stop, and waits until it does.
fn terminate(program: &Serving) {
    program.signal("TERM");
    let start = Instant::now();
    let stops = Answer::plain("503 service unavailable", "the router stops");
    while http::plain(program.address(), "GET /readyz") != stops {
        assert!(start.elapsed() < PATIENCE, "the router does not stop");
    }
}

fn goodbye() -> Json {
    json!([6, {}, "wamp.close.system_shutdown"])
}

/// Answers GOODBYE, and waits for the end.
fn part(mut peer: Peer) {
    peer.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
    assert_eq!([peer.receive(), peer.receive()], [Received::Close(Some(1001)), Received::End]);
}

#[test]
fn while_it_waits_for_balancers_it_serves_whom_it_has_and_nobody_else() {
    let program = serve("wait = \"1h\"");
    let (mut alice, mut bob) = (join(program.address()), join(program.address()));
    let mut opened = Peer::connect_to(program.address(), Serializer::Json);
    terminate(&program);
    let refusal = json!([3, {"message": "the router stops"}, "wamp.close.system_shutdown"]);
    assert_eq!(opened.message(), refusal);
    let stops = Answer::plain("503 service unavailable", "the router stops");
    assert_eq!(http::ask(program.address(), &http::upgrade("GET /ws", &[])), stops);
    assert_eq!(http::plain(program.address(), "GET /healthz"), Answer::plain("200 ok", "ok"));
    let registration = bob.register("com.example.procedure", &json!({}));
    alice.send(&json!([48, 1, {}, "com.example.procedure", [7]]));
    assert_eq!(bob.message(), json!([68, 1, registration, {}, [7]]));
    bob.send(&json!([70, 1, {}, [8]]));
    assert_eq!(alice.message(), json!([50, 1, {}, [8]]));
    // Told once more, it ends at once.
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(1));
    assert_eq!([alice.receive(), bob.receive()], [Received::End, Received::End]);
}

#[test]
fn an_interrupt_ends_what_a_termination_began() {
    let program = serve("spread = \"1h\"");
    let peers = [join(program.address()), join(program.address())];
    terminate(&program);
    program.signal("INT");
    assert_eq!(program.wait().0, Some(1));
    assert_eq!(peers.map(|mut peer| peer.receive()), [Received::End, Received::End]);
}

#[test]
fn a_call_may_be_answered_within_its_time_and_others_are_refused() {
    let program = serve("calls = \"1h\"");
    let (mut caller, mut callee) = (join(program.address()), join(program.address()));
    let registration = callee.register("com.example.procedure", &json!({}));
    caller.send(&json!([48, 1, {}, "com.example.procedure", [7]]));
    assert_eq!(callee.message(), json!([68, 1, registration, {}, [7]]));
    terminate(&program);
    let refusal =
        |request: u64| json!([8, 48, request, {}, "wamp.close.system_shutdown", ["the router stops"]]);
    // Until the realm knows of it, calls are taken.
    let mut request = 2;
    let mut answer = json!(null);
    while answer != refusal(request) {
        request += 1;
        caller.send(&json!([48, request, {}, "com.example.nobody"]));
        answer = caller.message();
    }
    caller.send(&json!([48, 2, {}, "com.example.procedure"]));
    assert_eq!(caller.message(), refusal(2));
    caller.send(&json!([48, 3, {}, "wamp.session.count"]));
    assert_eq!(caller.message(), json!([50, 3, {}, [2]]));
    callee.send(&json!([70, 1, {}, [8]]));
    assert_eq!(caller.message(), json!([50, 1, {}, [8]]));
    assert_eq!([caller.message(), callee.message()], [goodbye(), goodbye()]);
    [caller, callee].into_iter().for_each(part);
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn a_call_whose_time_is_over_is_not_waited_for() {
    let program = serve("calls = \"100ms\"");
    let (mut caller, mut callee) = (join(program.address()), join(program.address()));
    let registration = callee.register("com.example.procedure", &json!({}));
    caller.send(&json!([48, 1, {}, "com.example.procedure", [7]]));
    assert_eq!(callee.message(), json!([68, 1, registration, {}, [7]]));
    let start = Instant::now();
    program.signal("TERM");
    let canceled =
        json!([8, 48, 1, {}, "wamp.error.canceled", ["the realm closed before the call was answered"]]);
    assert_eq!(caller.message(), canceled);
    assert_eq!([caller.message(), callee.message()], [goodbye(), goodbye()]);
    assert!(start.elapsed() >= Duration::from_millis(100));
    [caller, callee].into_iter().for_each(part);
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn sessions_are_sent_away_one_after_the_other() {
    const SESSIONS: usize = 20;
    let program = serve("spread = \"500ms\"");
    let peers: Vec<_> = (0..SESSIONS).map(|_| join(program.address())).collect();
    let start = Instant::now();
    program.signal("TERM");
    let waiting = peers.into_iter().map(|mut peer| {
        thread::spawn(move || {
            assert_eq!(peer.message(), goodbye());
            let told = start.elapsed();
            part(peer);
            told
        })
    });
    let waiting = waiting.collect::<Vec<_>>();
    let mut told = waiting.into_iter().map(|peer| peer.join().expect("it is sent away")).collect::<Vec<_>>();
    told.sort();
    for (before, told) in told.iter().enumerate() {
        let least = Duration::from_millis(500) * (before as u32 + 1) / SESSIONS as u32;
        assert!(*told >= least, "{} were sent away within {told:?}", before + 1);
    }
    assert_eq!(program.wait().0, Some(0));
}

/// How many calls each caller makes before the router is told to stop, and thereafter.
const BEFORE: u64 = 200;
const AFTER: u64 = 50;

/// Takes invocations and answers none until it hears of the topic; tells of each that it takes.
fn hold(mut callee: Peer, taken: &mpsc::Sender<()>) {
    let (mut held, mut is_told) = (Vec::new(), false);
    loop {
        let message = callee.message();
        match message[0].as_u64() {
            Some(36) => is_told = true,
            Some(68) => {
                held.push(message);
                // Nobody listens any more once enough are taken.
                let _ = taken.send(());
            }
            _ => {
                assert_eq!(message, goodbye());
                assert_eq!(held, Vec::<Json>::new());
                return part(callee);
            }
        }
        if is_told {
            held.drain(..).for_each(|invocation| callee.send(&json!([70, invocation[1], {}, invocation[4]])));
        }
    }
}

/// Makes calls; gives all answers by request until GOODBYE.
fn call(mut caller: Peer, procedure: &str, told: &mpsc::Receiver<()>) -> BTreeMap<u64, Vec<Json>> {
    let mut make = |request| caller.send(&json!([48, request, {}, procedure, [request]]));
    (1..=BEFORE).for_each(&mut make);
    told.recv().expect("the test goes on");
    (BEFORE + 1..=BEFORE + AFTER).for_each(&mut make);
    let mut answers = BTreeMap::<_, Vec<_>>::new();
    loop {
        let message = caller.message();
        let request = match message[0].as_u64() {
            Some(50) => &message[1],
            Some(8) => &message[2],
            _ => {
                assert_eq!(message, goodbye());
                part(caller);
                return answers;
            }
        };
        answers.entry(request.as_u64().expect("it is an id")).or_default().push(message);
    }
}

fn check_drain(shutdown: &str) {
    const PAIRS: usize = 4;
    let program = serve(shutdown);
    let mut conductor = join(program.address());
    let (took, taken) = mpsc::channel();
    let mut callers = Vec::new();
    let mut callees = Vec::new();
    for pair in 0..PAIRS {
        let procedure = format!("com.example.procedure{pair}");
        let (mut callee, caller) = (join(program.address()), join(program.address()));
        callee.register(&procedure, &json!({}));
        callee.subscribe("com.example.answer");
        let took = took.clone();
        callees.push(thread::spawn(move || hold(callee, &took)));
        let (tell, told) = mpsc::channel();
        callers.push((tell, thread::spawn(move || call(caller, &procedure, &told))));
    }
    for _ in 0..PAIRS as u64 * BEFORE {
        taken.recv_timeout(PATIENCE).expect("every call reaches its callee");
    }
    terminate(&program);
    callers.iter().for_each(|(tell, _)| tell.send(()).expect("the caller goes on"));
    conductor.send(&json!([16, 1, {}, "com.example.answer"]));
    for (_, caller) in callers {
        let answers = caller.join().expect("the caller is answered");
        for request in 1..=BEFORE {
            assert_eq!(answers[&request], [json!([50, request, {}, [request]])]);
        }
        // Those made later are answered or refused, if there was time for it.
        for (request, answers) in answers.range(BEFORE + 1..) {
            let refusal = json!([8, 48, request, {}, "wamp.close.system_shutdown", ["the router stops"]]);
            let result = json!([50, request, {}, [request]]);
            assert!(*answers == [refusal] || *answers == [result], "{answers:?}");
        }
    }
    callees.into_iter().for_each(|callee| callee.join().expect("the callee answers all"));
    assert_eq!(conductor.message(), goodbye());
    part(conductor);
    assert_eq!(program.wait().0, Some(0));
}

#[test]
fn every_call_from_before_is_answered_once() {
    check_drain("calls = \"1h\"");
    check_drain("calls = \"1h\"\nwait = \"100ms\"\nspread = \"100ms\"");
}

#[test]
fn every_call_that_takes_too_long_is_answered_once_before_the_goodbye() {
    const CALLS: u64 = 100;
    for shutdown in ["calls = \"50ms\"", "", "calls = \"50ms\"\nspread = \"100ms\""] {
        let program = serve(shutdown);
        // Each session calls all.
        let mut peers = ["a", "b", "c"].map(|name| {
            let mut peer = join(program.address());
            peer.register(&format!("com.example.{name}"), &json!({}));
            peer
        });
        for peer in &mut peers {
            for request in 1..=CALLS {
                let name = ["a", "b", "c"][request as usize % 3];
                peer.send(&json!([48, request + 1, {}, format!("com.example.{name}")]));
            }
        }
        let in_flight = "realmkeeper_calls_in_flight{realm=\"realm1\"}";
        let start = Instant::now();
        while Samples::at(program.address()).value(in_flight) != 3.0 * CALLS as f64 {
            assert!(start.elapsed() < PATIENCE, "the calls do not reach their callees");
        }
        program.signal("TERM");
        for mut peer in peers {
            let (mut answered, mut message) = (BTreeMap::<u64, u32>::new(), peer.message());
            while message != goodbye() {
                if message[0] != json!(68) {
                    assert_eq!(
                        (&message[0], &message[1], &message[4]),
                        (&json!(8), &json!(48), &json!("wamp.error.canceled")),
                        "{message}"
                    );
                    *answered.entry(message[2].as_u64().expect("it is an id")).or_default() += 1;
                }
                message = peer.message();
            }
            assert_eq!(answered, (2..=CALLS + 1).map(|request| (request, 1)).collect(), "{shutdown}");
            part(peer);
        }
        assert_eq!(program.wait().0, Some(0));
    }
}
