//! What goes over the wire, as transcripts: one file a rule, run in every serializer over WebSocket and RawSocket,
//! and in mixtures of them.
//!
//! ```text
//! set request ids strict       the router is set so; see `set_all` for what there is
//! only json websocket          the file is run in these serializers and framings; in all, if it does not say
//! router + stops               the router begins to stop
//! ann + joins                  ann connects and joins realm1; also: joins realm2, connects, closes, drops, resets
//! ann + proves secret123       ann connects and joins realm1 as the principal ann with this ticket
//! ann + announces a_feature    ann connects and joins realm1 with this feature in each role; also: several, all
//! ann > [48, 1, {}, "a.b"]     ann sends this message
//! ann >> text {                ann sends a frame of text; also: binary and invalid text, in hexadecimal; to RawSocket
//!                              they are all the same
//! ann < [50, 1, {}, [$x, _]]   this message comes next for ann
//! ann | closed 1000            a close frame with this code, or without, comes next for ann, and then the end; over
//!                              RawSocket the end comes
//!   and more                   a line that is indented belongs to the one before
//! ```
//!
//! `$x` is bound by what first stands in its place and must be the same afterwards; `_` matches anything.
//! All else is compared whole. Connecting binds `$ann.transport`, what the meta API tells of the connection, and
//! `$ann.unaddressed`, the same without the address;
//! joining binds `$ann` and `$ann.authid`; inside of strings, what is bound is written `${ann}`. When a
//! transcript is over, nothing more may come for anybody.

use crate::support::{
    Peer, Router,
    peer::Received,
    principal::{backend, hashed, told, trusted},
};
use realmkeeper::{Listener, ListenerKind, RealmSettings, Settings};
use realmkeeper_actors::{
    codec::Serializer,
    message::{
        feature::Feature,
        uri::{Match, UriRule},
    },
    permission::{Role, SessionDetails},
    realm::{HistoryOptions, RequestIds},
    session::access::Ticket,
};
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, fs, iter, net::Shutdown, path::Path, thread, time::Duration};
use tungstenite::{
    Message,
    protocol::{
        CloseFrame,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");

/// Makes a test of each file, and a list of them all.
macro_rules! transcripts {
    ($($name:ident)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        $(#[test]
        fn $name() {
            run(stringify!($name));
        })+
    };
}

transcripts! {
    a_call_is_answered_with_what_the_callee_answers
    a_call_that_is_not_answered_in_time_ends
    a_callee_may_be_removed
    a_callee_that_leaves_fails_the_calls_it_has
    a_caller_that_leaves_is_not_told_to_the_callee
    a_cancel_ends_a_call_as_its_mode_says
    a_challenge_ends_with_the_time_to_join
    a_challenge_that_is_not_answered_in_time_ends_the_session
    a_client_that_does_not_join_in_time_is_sent_away
    a_client_that_never_joined_is_not_announced
    a_feature_that_was_not_announced_is_a_violation
    a_hello_is_taken_as_clients_send_it
    a_hello_that_cannot_join_is_told_why
    a_hello_with_a_detail_of_the_wrong_type_is_not_announced
    a_join_is_announced_to_the_others
    a_kill_may_ban_whom_it_ends
    a_killed_client_that_never_answers_is_disconnected
    a_killed_session_takes_all_that_it_held_with_it
    a_late_answer_has_no_effect
    a_leave_is_announced_once_whatever_ended_the_session
    a_lenient_realm_takes_any_request_id_that_is_not_in_flight
    a_message_of_no_known_shape_is_a_violation
    a_message_over_a_limit_ends_the_session
    a_meta_procedure_is_called_like_any_other
    a_payload_may_pass_through_as_it_is
    a_payload_that_only_the_endpoints_open_passes_through
    a_procedure_is_registered_once_and_until_it_is_unregistered
    a_procedure_may_be_taken_over
    a_procedure_may_have_several_callees
    a_publication_reaches_whom_its_lists_admit
    a_realm_that_asks_for_a_ticket_says_so
    a_registration_may_be_of_a_pattern
    a_result_in_parts_that_nobody_asked_for_has_no_effect
    a_result_may_come_in_parts
    a_retained_event_waits_for_later_subscribers
    a_router_that_stops_says_goodbye_to_all
    a_second_hello_is_a_violation
    a_session_is_killed_once
    a_session_may_call_its_own_procedure
    a_strict_realm_takes_request_ids_in_sequence_only
    a_strict_realm_takes_strict_uris_only
    a_subscriber_that_a_retained_event_excludes_is_answered
    a_subscription_is_announced_from_its_creation_to_its_end
    a_subscription_is_shared_and_held_once
    a_subscription_is_taken_away
    a_testament_is_published_before_the_leave_is_announced
    a_testament_keeps_to_its_publish_options
    a_testament_that_is_withdrawn_is_not_published
    a_ticket_lets_its_principal_in
    a_uri_that_is_not_valid_is_refused
    a_uri_where_no_error_can_answer_is_a_violation
    a_value_of_the_wrong_type_is_a_violation
    a_wrong_ticket_and_an_unknown_authid_are_told_the_same
    an_answer_to_no_invocation_is_a_violation
    an_error_that_answers_no_invocation_is_a_violation
    an_event_goes_to_every_subscriber_but_the_publisher
    an_id_is_no_float_in_json
    an_id_may_be_a_float_where_clients_write_it_so
    an_option_without_a_value_counts_as_absent
    another_callee_takes_over_for_one_that_is_unavailable
    another_realm_hears_nothing
    arguments_may_come_in_parts
    arguments_travel_without_what_is_empty_at_the_end
    before_hello_nothing_else_has_a_place
    binary_where_text_is_due_is_a_violation
    callees_are_told_how_far_a_caller_is_trusted
    each_role_is_told_as_much_of_sessions_as_it_may_know
    goodbye_is_answered_and_ends_the_connection
    kill_all_ends_the_calls_with_those_that_are_killed
    kill_all_spares_the_caller_and_is_not_announced
    kill_by_authid_answers_which_sessions
    kill_by_authrole_answers_how_many
    kill_is_refused_for_what_is_wrong_with_it
    kill_tells_the_reason_and_the_message
    no_more_is_retained_than_may_be
    nothing_of_a_peer_that_broke_the_protocol_has_an_effect
    past_events_are_told_to_whoever_may_subscribe
    patterns_match_by_prefix_and_by_component
    publisher_and_caller_are_disclosed_where_that_is_asked_for
    registrations_are_listed_found_and_told_of
    session_count_and_list_take_a_filter_of_roles
    session_get_tells_of_any_session_of_the_realm
    subscribers_are_told_how_far_a_publisher_is_trusted
    subscriptions_are_listed_and_described
    text_that_is_not_utf_8_ends_the_session
    text_where_binary_is_due_is_a_violation
    the_namespace_of_the_router_is_not_for_clients
    welcome_tells_all_of_the_session
    what_is_not_cbor_is_a_violation
    what_is_not_json_is_a_violation
    what_is_not_messagepack_is_a_violation
    what_one_peer_sends_arrives_in_order
    what_only_a_router_sends_is_a_violation
    where_a_ticket_is_due_nothing_else_has_a_place
}

#[test]
fn every_transcript_is_run() {
    let files = fs::read_dir(FOLDER).expect("the transcripts can be listed");
    let mut files: Vec<_> = files.map(|file| file.expect("a transcript").path()).collect();
    files.sort();
    let files: Vec<_> = files.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
    assert_eq!(files, NAMES, "the list in tests/transcripts.rs is sorted and names every file");
}

/// Runs the transcript of this name.
fn run(name: &str) {
    let path = Path::new(FOLDER).join(name).with_extension("txt");
    let text = fs::read_to_string(&path).expect("the transcript can be read");
    replay(&path, &text);
}

/// Runs a transcript in each serializer, and in mixtures in which each next peer speaks the next one: once over
/// WebSocket, and once over RawSocket, where every second peer of a mixture comes by WebSocket all the same.
pub(crate) fn replay(path: &Path, text: &str) {
    let only = text.lines().find_map(|line| line.strip_prefix("only "));
    let only: Vec<_> = only.into_iter().flat_map(|only| only.split(' ')).collect();
    let serializers: Vec<_> = chosen(&only, Serializer::ALL, Serializer::name);
    let kinds = [ListenerKind::WebSocket, ListenerKind::RawSocket];
    for kind in
        chosen(&only, kinds, |kind| if kind == ListenerKind::WebSocket { "websocket" } else { "rawsocket" })
    {
        for first in 0..serializers.len() {
            for step in 0..serializers.len().min(2) {
                let assigned = (0..).map(|peer| {
                    let is_mixed = peer * step % 2 == 1;
                    let kind = if is_mixed { ListenerKind::WebSocket } else { kind };
                    (serializers[(first + peer * step) % serializers.len()], kind)
                });
                Transcript::run(path, text, assigned);
            }
        }
    }
}

/// Those whose names are among `only`, or all if none is.
fn chosen<T: Copy, const N: usize>(only: &[&str], all: [T; N], name: fn(T) -> &'static str) -> Vec<T> {
    let named: Vec<_> = all.into_iter().filter(|one| only.contains(&name(*one))).collect();
    if named.is_empty() { all.into() } else { named }
}

/// A transcript while it is run.
struct Transcript<S> {
    /// The peers that are connected, each with the newest id that it gave a request. They are dropped before the
    /// router, which need not wait for them then.
    peers: BTreeMap<String, (Peer, u64)>,
    router: Router,
    /// Who speaks what.
    speaks: BTreeMap<String, (Serializer, ListenerKind)>,
    /// What the peers speak that are still to come.
    assigned: S,
    bound: Map<String, Json>,
}

impl<S: Iterator<Item = (Serializer, ListenerKind)>> Transcript<S> {
    fn run(path: &Path, text: &str, assigned: S) {
        let mut place = Place { path, number: 0, line: String::new(), speaks: String::new() };
        let mut transcript = Self {
            router: Router::with(|settings| set_all(settings, text)),
            peers: BTreeMap::new(),
            speaks: BTreeMap::new(),
            assigned,
            bound: Map::new(),
        };
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            (place.number, place.line) = (number + 1, line.to_owned());
            while let Some((_, more)) = lines.next_if(|(_, line)| line.starts_with(' ')) {
                place.line.push_str(more.trim_start());
            }
            if !place.line.is_empty() && !["#", "set ", "only "].iter().any(|start| line.starts_with(start)) {
                transcript.step(&place.line);
                place.speaks = format!("{:?}", transcript.speaks);
            }
        }
        place.line = "nothing more comes".to_owned();
        transcript.finish();
    }

    /// Does what one line says.
    fn step(&mut self, line: &str) {
        let parts: Vec<_> = line.splitn(3, ' ').map(str::trim).collect();
        let &[name, what, rest] = &parts[..] else { panic!("a line has three parts") };
        match what {
            "+" => self.act(name, rest),
            ">" => {
                let message = fill(&parse(rest), &self.bound);
                assert!(!message.to_string().contains("\"$"), "something is not bound in {message}");
                let (peer, newest) = self.peer(name);
                if let Some(16 | 32 | 34 | 48 | 64 | 66) = message[0].as_u64() {
                    *newest = message[1].as_u64().map_or(*newest, |id| id.max(*newest));
                }
                peer.send(&message);
            }
            ">>" => {
                let (kind, content) = rest.split_once(' ').unwrap_or((rest, ""));
                let over = self.speaks[name].1;
                send_frame(&mut self.peer(name).0, over, kind, content);
            }
            "<" => {
                let expected = parse(rest);
                let found = self.peer(name).0.message();
                let matches = compare(&expected, &found, &mut self.bound);
                let expected = fill(&expected, &self.bound);
                assert!(matches, "\nexpected {expected}\n     got {found}");
            }
            "|" => {
                let (mut peer, _) = self.peers.remove(name).expect("a peer that is connected");
                let has_frames = self.speaks[name].1 == ListenerKind::WebSocket;
                let mut found = vec![peer.receive()];
                while found.last() != Some(&Received::End) {
                    found.push(peer.receive());
                }
                let code = match argued(rest) {
                    ("closed", code) => code.map(|code| code.parse().expect("a code")),
                    _ => panic!("{rest} is unknown"),
                };
                let expected = [Received::Close(code), Received::End];
                assert_eq!(expected[usize::from(!has_frames)..], found[..]);
            }
            _ => panic!("{what} is unknown"),
        }
    }

    fn act(&mut self, name: &str, action: &str) {
        match argued(action) {
            ("stops", None) => self.router.stop(),
            ("connects", None) => self.connect(name, None, &[]),
            ("joins", realm) => self.connect(name, Some(realm.unwrap_or("realm1")), &[]),
            ("proves", Some(ticket)) => self.prove(name, ticket),
            ("announces", Some("all")) => {
                let all: Vec<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
                self.connect(name, Some("realm1"), &all);
            }
            ("announces", Some(features)) => {
                self.connect(name, Some("realm1"), &features.split(' ').collect::<Vec<_>>());
            }
            ("closes", _) if self.speaks[name].1 == ListenerKind::RawSocket => {
                self.peer(name).0.stream().shutdown(Shutdown::Write).expect("the connection is open");
            }
            ("closes", code) => {
                let code = code.map(|code| CloseCode::from(code.parse::<u16>().expect("a code")));
                let frame = code.map(|code| CloseFrame { code, reason: "".into() });
                self.peer(name).0.socket().close(frame).expect("the close frame is sent");
            }
            ("drops", None) => drop(self.peers.remove(name)),
            ("resets", None) => {
                let (mut peer, _) = self.peers.remove(name).expect("a peer that is connected");
                let ping = peer.ping(b"");
                peer.send_raw(&ping);
                // What has come and is not read resets the connection when it is closed.
                peer.stream().peek(&mut [0]).expect("the pong comes");
            }
            _ => panic!("{action} is unknown"),
        }
    }

    /// Connects a peer and joins as the principal whose authid is its name.
    fn prove(&mut self, name: &str, ticket: &str) {
        self.connect(name, None, &[]);
        let peer = &mut self.peer(name).0;
        peer.prove("realm1", name, ticket);
        let session = peer.session;
        self.bound.insert(format!("${name}"), session.into());
    }

    /// Connects a peer, and joins this realm if there is one, announcing these features.
    fn connect(&mut self, name: &str, realm: Option<&str>, features: &[&str]) {
        let new = &mut self.assigned;
        let (serializer, kind) =
            *self.speaks.entry(name.to_owned()).or_insert_with(|| new.next().expect("one for each"));
        let listener = self.router.addresses()[kind as usize];
        let mut peer = Peer::connect_over(kind, listener, serializer);
        let address = peer.stream().local_addr().expect("a socket has an address");
        let mut transport = json!({
            "channel_type": "tcp",
            "channel_framing": "rawsocket",
            "channel_serializer": serializer.name(),
            "peer": format!("tcp4:{address}"),
            "is_secure": false,
        });
        if kind == ListenerKind::WebSocket {
            transport["channel_framing"] = "websocket".into();
            transport["websocket_protocol"] = serializer.subprotocol().into();
        }
        let mut unaddressed = transport.clone();
        unaddressed.as_object_mut().expect("it is a dict").remove("peer");
        self.bound.insert(format!("${name}.transport"), transport);
        self.bound.insert(format!("${name}.unaddressed"), unaddressed);
        if let Some(realm) = realm {
            peer.announce(realm, features, &json!({}));
            self.bound.insert(format!("${name}"), peer.session.into());
            self.bound.insert(format!("${name}.authid"), peer.authid.as_str().into());
        }
        self.peers.insert(name.to_owned(), (peer, 0));
    }

    fn peer(&mut self, name: &str) -> &mut (Peer, u64) {
        self.peers.get_mut(name).expect("a peer that is connected")
    }

    /// Nothing more comes for anybody: the answer to a call is next. The first round of calls brings all to the
    /// realm that was sent before, and the second shows that it had no effect.
    fn finish(&mut self) {
        for _ in 0..2 {
            for (name, (peer, newest)) in &mut self.peers {
                *newest += 1;
                peer.send(&json!([48, newest, {}, "wamp.session.count", [[]]]));
                assert_eq!(peer.message(), json!([50, newest, {}, [0]]), "for {name}");
            }
        }
    }
}

/// A word, and what follows it if anything does.
fn argued(text: &str) -> (&str, Option<&str>) {
    text.split_once(' ').map_or((text, None), |(word, argument)| (word, Some(argument)))
}

/// Says on a failure where it is.
struct Place<'a> {
    path: &'a Path,
    number: usize,
    line: String,
    speaks: String,
}

impl Drop for Place<'_> {
    #[expect(clippy::print_stderr, reason = "it is shown with the failure")]
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { path, number, line, speaks } = self;
            eprintln!("{}:{number}: {line}\n{speaks}", path.display());
        }
    }
}

/// Sets the router as a transcript says. There is always a second realm.
fn set_all(settings: &mut Settings, text: &str) {
    let RealmSettings { options, door, .. } = &mut settings.realms[0];
    for line in text.lines().filter_map(|line| line.strip_prefix("set ")) {
        let (what, value) = line.rsplit_once(' ').expect("a setting and its value");
        let session = &mut settings.listeners[0].session;
        let number = || value.parse::<usize>().expect("a number");
        let time = || Duration::from_millis(value.parse().expect("a time in milliseconds"));
        match (what, value) {
            ("request ids", "strict") => options.request_ids = RequestIds::Strict,
            ("uris", "strict") => options.uris = UriRule::Strict,
            ("message limit", _) => session.message_limit = number(),
            ("depth limit", _) => session.depth_limit = number(),
            ("linger", _) => session.linger = time(),
            ("handshake timeout", _) => session.handshake_timeout = time(),
            ("authentication timeout", _) => session.authentication_timeout = time(),
            ("anonymous", "refused") => door.anonymous = None,
            ("trustlevel", _) => door.anonymous = Some(trusted(number() as u64).into()),
            ("retained", _) => options.limits.retained = number(),
            ("anonymous", "takes-over") => {
                door.anonymous = Some(Role { takes_over: true, ..Role::unrestricted("anonymous") }.into());
            }
            // A principal with the role backend, by its ticket or by the hash of it; one that is told so much of
            // sessions; or so many events of a prefix.
            _ => match what.split_once(" of ") {
                Some(("ticket", authid)) => door.principals.push(backend(authid, Ticket::plain(value))),
                Some(("ids", authid)) => door.principals.push(told(authid, SessionDetails::Ids, value)),
                Some(("standard", authid)) => {
                    door.principals.push(told(authid, SessionDetails::Standard, value));
                }
                Some(("hash", authid)) => door.principals.push(backend(authid, hashed(value))),
                Some(("history", prefix)) => options.histories.push(HistoryOptions {
                    topic: prefix.into(),
                    matching: Match::Prefix,
                    events: number(),
                    octets: 1 << 20,
                    age: None,
                }),
                _ => panic!("the router has no setting {line:?}"),
            },
        }
    }
    // The order is that of the kinds.
    let websocket = settings.listeners[0].clone();
    settings.listeners.push(Listener { kind: ListenerKind::RawSocket, ..websocket });
    let second = RealmSettings { name: "realm2".into(), ..settings.realms[0].clone() };
    settings.realms.push(second);
}

/// Sends a frame that holds no message as the serializer has it.
fn send_frame(peer: &mut Peer, over: ListenerKind, kind: &str, content: &str) {
    let octets = || {
        let digits = content.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("digits"));
        digits.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect::<Vec<_>>()
    };
    if over == ListenerKind::RawSocket {
        return peer.send_bytes(if kind == "text" { content.as_bytes().to_vec() } else { octets() });
    }
    let message = match kind {
        "text" => Message::text(content),
        "binary" => Message::binary(octets()),
        "invalid-text" => Message::Frame(Frame::message(octets(), OpCode::Data(Data::Text), true)),
        _ => panic!("{kind} is unknown"),
    };
    peer.socket().send(message).expect("the router takes the frame");
}

/// Reads a message in which `$x` and `_` stand for values.
fn parse(text: &str) -> Json {
    let mut json = String::new();
    let (mut in_string, mut in_name, mut is_escaped) = (false, false, false);
    for letter in text.chars() {
        let is_name =
            !in_string && ("$_".contains(letter) || in_name && (letter.is_alphanumeric() || letter == '.'));
        if is_name != in_name {
            json.push('"');
        }
        json.push(letter);
        in_name = is_name;
        in_string ^= letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
    }
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {json}"))
}

/// Compares what came with what is expected; binds the names that are new.
fn compare(expected: &Json, found: &Json, bound: &mut Map<String, Json>) -> bool {
    match (expected, found) {
        (Json::String(any), _) if any == "_" => true,
        (Json::String(name), _) if name.starts_with('$') && !name.starts_with("${") => {
            bound.entry(name).or_insert_with(|| found.clone()) == found
        }
        (Json::Array(expected), Json::Array(found)) => {
            expected.len() == found.len()
                && iter::zip(expected, found).all(|(expected, found)| compare(expected, found, bound))
        }
        (Json::Object(expected), Json::Object(found)) => {
            expected.len() == found.len()
                && expected.iter().all(|(key, expected)| {
                    found.get(key).is_some_and(|found| compare(expected, found, bound))
                })
        }
        _ => fill(expected, bound) == *found,
    }
}

/// Puts in what is bound.
fn fill(json: &Json, bound: &Map<String, Json>) -> Json {
    match json {
        Json::String(text) => bound.get(text).cloned().unwrap_or_else(|| {
            let filled = bound.iter().fold(text.clone(), |text, (name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text.replace(&format!("${{{}}}", &name[1..]), &value)
            });
            filled.into()
        }),
        Json::Array(items) => items.iter().map(|item| fill(item, bound)).collect(),
        Json::Object(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.clone(), fill(value, bound))).collect())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    }
}
