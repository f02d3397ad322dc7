// Holds a router to the session meta API, the options of events, calls and authentication with a JavaScript client,
// whichever it is.
//
//     node session_<client>.js URL REALM SERIALIZER
//
// The URL is one of WebSocket or, where the client has RawSocket, rs://HOST:PORT or rs://unix:PATH.
// The realm admits anonymous sessions, and joe, who has the role backend, by the ticket secret123.
// Prints `ok <check>` for each check that passes. The first that does not ends the run with status 1.
"use strict";

const { inspect, isDeepStrictEqual } = require("node:util");

const [url, realm, serializer] = process.argv.slice(2);
const isRaw = url.startsWith("rs://");
const isLocal = url.startsWith("rs://unix:");
const TIME_LIMIT = 60_000;

const TOPIC = "com.example.topic";
const ARGS = ["Grüße, 世界 👋", 0, -1, 2 ** 32, 2 ** 53, 0.5, true, null, [], [1, [2, [3, {}]]]];
const KWARGS = { größe: { tiefer: [{ null: null }, "\u2028"] }, leer: "", groß: 2 ** 53 - 1 };
const BINARY = [Buffer.from([...Array(256).keys()]), Buffer.alloc(0)];

/** What has been received and not yet been looked at. */
class Inbox {
  received = [];
  awaited = [];

  put = (args, kwargs) => {
    const take = this.awaited.shift();
    take ? take([args, kwargs]) : this.received.push([args, kwargs]);
  };

  get() {
    return this.received.length > 0
      ? this.received.shift()
      : new Promise((resolve) => this.awaited.push(resolve));
  }
}

/** Subscribes to topics; returns the subscriptions and what is published there from now on. */
async function collect(session, ...topics) {
  const inbox = new Inbox();
  const subscriptions = [];
  for (const topic of topics) subscriptions.push(await session.subscribe(topic, inbox.put));
  return [subscriptions, inbox];
}

/** All that has been published into an inbox before now: an answered call proves there is no more. */
async function drain(session, inbox) {
  await session.call("wamp.session.count");
  return inbox.received.splice(0);
}

/** Reports a check, and ends the program unless the values are equal in every detail. */
function check(name, actual, expected) {
  if (!isDeepStrictEqual(actual, expected)) {
    const [wanted, got] = [expected, actual].map((value) =>
      inspect(value, { depth: null, compact: true, breakLength: Infinity }),
    );
    throw `${name}\n  expected ${wanted}\n  got      ${got}`;
  }
  console.log("ok", name);
}

/** URI and payload of the error a call ends with. */
const failure = (call) => call.then((result) => ["no error", result], ({ uri, args, kwargs }) => [uri, args, kwargs]);

/** What the router is to tell others about a session, its port left open. */
const described = ({ id, authid }, authrole = "anonymous", authmethod = "anonymous") => ({
  session: id,
  authid,
  authrole,
  authmethod,
  authprovider: "static",
  realm,
  transport: {
    channel_type: isLocal ? "unix" : "tcp",
    channel_framing: isRaw ? "rawsocket" : "websocket",
    channel_serializer: serializer,
    peer: isLocal ? `unix:pid=${process.pid},uid=${process.getuid()}` : "tcp4:127.0.0.1:*",
    is_secure: false,
    ...(isRaw ? {} : { websocket_protocol: `wamp.2.${serializer}` }),
  },
});

/** Session details as received, with the port of the peer replaced. */
const portless = (details) => ({
  ...details,
  transport: { ...details.transport, peer: details.transport.peer.replace(/:\d+$/, ":*") },
});

/** Numbers from the smallest to the largest. */
const sorted = (ids) => ids.toSorted((a, b) => a - b);

/** Events arrive as published, at those they are meant for. */
async function publishAndSubscribe(alice, bob, abilities) {
  const [[subscription], bobs] = await collect(bob, TOPIC);
  await alice.publish(TOPIC, ARGS, KWARGS);
  check("publish and subscribe", await bobs.get(), [ARGS, KWARGS]);

  if (serializer !== "json") {
    // Neither client has the JSON convention for bytes.
    await alice.publish(TOPIC, BINARY);
    check("binary payload", await bobs.get(), [BINARY, {}]);
  }

  if (abilities.unacknowledged) {
    for (const number of [0, 1, 2]) alice.publish(TOPIC, [number], {}, { acknowledge: false });
    const events = [await bobs.get(), await bobs.get(), await bobs.get()];
    check("unacknowledged publications", events, [[[0], {}], [[1], {}], [[2], {}]]);
  }

  const [[own], alices] = await collect(alice, TOPIC);
  await alice.publish(TOPIC, ["from alice"]);
  await bob.publish(TOPIC, ["from bob"]);
  check("publisher excluded", await drain(alice, alices), [[["from bob"], {}]]);

  if (abilities.inclusion) {
    await alice.publish(TOPIC, ["from alice"], {}, { exclude_me: false });
    check("publisher included", await drain(alice, alices), [[["from alice"], {}]]);
  }

  await own.unsubscribe();
  await subscription.unsubscribe();
  await drain(bob, bobs);
  await alice.publish(TOPIC, ["unheard"]);
  check("unsubscribe", await drain(bob, bobs), []);
}

/** Patterns, lists and retained events reach those they are meant for. */
async function select(alice, bob) {
  const inbox = new Inbox();
  const put = (args, _, { topic, retained }) => inbox.received.push([args, topic, retained]);
  const subscribe = (topic, options) => bob.subscribe(topic, put, options);
  const publish = (topic, args, options) => alice.publish(topic, args, {}, options);

  const patterns = [
    await subscribe("com.example.pattern", { match: "prefix" }),
    await subscribe("com..pattern.b", { match: "wildcard" }),
  ];
  const topics = ["com.example.pattern.b", "com.example.patterns", "com.other.pattern.b", "com.example"];
  for (const topic of topics) await publish(topic, [topic]);
  const expected = [topics[0], ...topics.slice(0, 3)].map((topic) => [[topic], topic, false]);
  check("patterns", await drain(bob, inbox), expected);

  const listed = await subscribe(TOPIC);
  const lists = [
    { exclude: [bob.id] },
    { exclude_authid: [bob.authid] },
    { exclude_authrole: ["anonymous"] },
    { eligible: [] },
    { eligible_authid: [bob.authid] },
    { eligible: [bob.id], eligible_authrole: ["anonymous"] },
  ];
  for (const [number, options] of lists.entries()) await publish(TOPIC, [number], options);
  check("lists", await drain(bob, inbox), [4, 5].map((number) => [[number], TOPIC, false]));

  await publish("com.example.state.all", ["old"], { retain: true });
  await publish("com.example.state.all", ["new"], { retain: true });
  await publish("com.example.state.others", ["others"], { retain: true, exclude_authid: [bob.authid] });
  const states = [];
  for (const name of ["others", "all"])
    states.push(await subscribe(`com.example.state.${name}`, { get_retained: true }));
  check("retained events", await drain(bob, inbox), [[["new"], "com.example.state.all", true]]);
  for (const subscription of [...patterns, listed, ...states]) await subscription.unsubscribe();
}

/** Calls, results and errors arrive as sent. */
async function callAndRegister(alice, bob) {
  const registration = await bob.register("com.example.echo", (args, kwargs) => ({ args, kwargs }));
  const result = await alice.call("com.example.echo", ARGS, KWARGS);
  check("register and call", result, { args: ARGS, kwargs: KWARGS });

  await bob.register("com.example.fail", (args, kwargs) => {
    throw { uri: "com.example.failed", args, kwargs };
  });
  const error = await failure(alice.call("com.example.fail", ARGS, KWARGS));
  check("application error", error, ["com.example.failed", ARGS, KWARGS]);

  const [unknown] = await failure(alice.call("com.example.nothing"));
  check("no such procedure", unknown, "wamp.error.no_such_procedure");

  await registration.unregister();
  const [unregistered] = await failure(alice.call("com.example.echo"));
  check("unregister", unregistered, "wamp.error.no_such_procedure");
}

/** Calls take the ways of the Advanced Profile. */
async function advancedCalls(alice, bob, join, abilities) {
  const result = (...args) => ({ args, kwargs: {} });
  const call = async (procedure, ...args) => (await alice.call(procedure, args)).args[0];
  const nameProcedure = (args, kwargs, details) => result(details.procedure);
  await bob.register("com.example.pattern", nameProcedure, { match: "prefix" });
  check("registration of a pattern", await call("com.example.pattern.one"), "com.example.pattern.one");

  const inTurns = { invoke: "roundrobin" };
  await alice.register("com.example.shared", () => result("alice"), inTurns);
  await bob.register("com.example.shared", () => result("bob"), inTurns);
  const names = [];
  for (let turn = 0; turn < 4; turn += 1) names.push(await call("com.example.shared"));
  check("shared registration", names, ["alice", "bob", "alice", "bob"]);

  const registration = await call("wamp.registration.match", "com.example.shared");
  const answers = [
    (await call("wamp.registration.lookup", "com.example.shared")) === registration,
    await call("wamp.registration.list_callees", registration),
    await call("wamp.registration.count_callees", registration),
  ];
  check("registration meta api", answers, [true, [alice.id, bob.id], 2]);

  await bob.register("com.example.never", () => new Promise(() => {}));
  const canceled = ["wamp.error.canceled", ["the caller canceled the call"]];
  const [uri, args] = await failure(alice.callAndCancel("com.example.never"));
  check("canceled call", [uri, args], canceled);

  const timeout = await failure(alice.call("com.example.never", [], {}, { timeout: 30 }));
  check("call timeout", timeout.slice(0, 2), ["wamp.error.timeout", ["the call was not answered within 30 ms"]]);

  if (abilities.parts) {
    const features = ["progressive_call_results", "progressive_call_invocations", "call_canceling"];
    const carol = await join(undefined, undefined, features);
    const [parts, answer] = await carol.sumInParts("com.example.sum", [1, 2, 3]);
    check("result in parts", parts, [1, 3]);
    check("arguments in parts", answer, 6);
    await carol.leave();
  }
}

/** Sessions are announced, counted, listed and described. */
async function joinAndLeave(alice, bob, join) {
  const meta = async (name, ...args) => (await alice.call(`wamp.session.${name}`, args)).args[0];
  const [, joins] = await collect(alice, "wamp.session.on_join");
  const [, leaves] = await collect(alice, "wamp.session.on_leave");
  const carol = await join();
  const [[details], kwargs] = await joins.get();
  check("on_join", [portless(details), kwargs], [described(carol), {}]);

  const filters = [["anonymous"], ["nobody", "anonymous"], ["nobody"], []];
  check("count", await meta("count"), 3);
  const counts = await Promise.all(filters.map((roles) => meta("count", roles)));
  check("count by authrole", counts, [3, 3, 0, 0]);

  const ids = sorted([alice.id, bob.id, carol.id]);
  check("list", sorted(await meta("list")), ids);
  const lists = await Promise.all(filters.map((roles) => meta("list", roles)));
  check("list by authrole", lists.map(sorted), [ids, ids, [], []]);

  check("get own", portless(await meta("get", alice.id)), described(alice));
  check("get other", portless(await meta("get", carol.id)), described(carol));

  await carol.leave();
  check("on_leave", await leaves.get(), [[carol.id, carol.authid, "anonymous"], {}]);
  const [unknown] = await failure(meta("get", carol.id));
  check("get unknown", unknown, "wamp.error.no_such_session");
  check("announced once", [await drain(alice, joins), await drain(alice, leaves)], [[], []]);
}

/** Sessions are killed one by one, by authid, by authrole and all at once. */
async function kill(alice, bob, join) {
  const [, leaves] = await collect(alice, "wamp.session.on_leave");
  const meta = (name, args, kwargs) => alice.call(`wamp.session.${name}`, args, kwargs);
  const gone = (...sessions) => sessions.map(({ id, authid }) => [[id, authid, "anonymous"], {}]);

  /** What a kill answers, how the victims were closed, and who was announced as gone. */
  async function killed(victims, name, args, kwargs) {
    const result = await meta(name, args, kwargs);
    return [result.args, await Promise.all(victims.map((victim) => victim.closed)), await drain(alice, leaves)];
  }

  let victim = await join();
  let outcome = await killed([victim], "kill", [victim.id], { reason: "because", message: "foobar" });
  check("kill with reason and message", outcome, [[], [["because", "foobar"]], gone(victim)]);

  const [unknown] = await failure(meta("kill", [victim.id]));
  check("kill unknown", unknown, "wamp.error.no_such_session");

  victim = await join();
  outcome = await killed([victim], "kill", [victim.id]);
  check("kill without reason", outcome, [[], [["wamp.close.killed", null]], gone(victim)]);

  const [own] = await failure(meta("kill", [alice.id]));
  check("kill own", own, "wamp.error.no_such_session");

  const [invalid] = await failure(meta("kill", [bob.id], { reason: "" }));
  const count = await bob.call("wamp.session.count");
  check("kill with invalid reason", [invalid, count.args], ["wamp.error.invalid_uri", [2]]);

  victim = await join();
  outcome = await killed([victim], "kill_by_authid", [victim.authid], { reason: "com.example.authid" });
  check("kill by authid", outcome, [[[victim.id]], [["com.example.authid", null]], gone(victim)]);

  victim = await join();
  const [result, closed, left] = await killed([bob, victim], "kill_by_authrole", ["anonymous"], { message: "role" });
  const bySession = (events) => events.toSorted(([[a]], [[b]]) => a - b);
  const expected = [[2], Array(2).fill(["wamp.close.killed", "role"]), bySession(gone(bob, victim))];
  check("kill by authrole", [result, closed, bySession(left)], expected);

  outcome = await killed([], "kill_by_authrole", ["nobody"]);
  check("kill by unknown authrole", outcome, [[0], [], []]);

  const victims = [await join(), await join(), await join()];
  outcome = await killed(victims, "kill_all", [], { reason: "com.example.all", message: "all of you" });
  check("kill all", outcome, [[3], Array(3).fill(["com.example.all", "all of you"]), []]);
  check("the killer survives", await alice.call("wamp.session.list"), { args: [[alice.id]], kwargs: {} });
}

/** What a session leaves behind is published before it is announced as gone. */
async function testament(alice, join) {
  const [, inbox] = await collect(alice, TOPIC, "wamp.session.on_leave");
  const dora = await join();
  const result = await dora.call("wamp.session.add_testament", [TOPIC, ARGS, KWARGS]);
  await dora.leave();
  const events = [await inbox.get(), await inbox.get()];
  check("testament", [result.args, events], [[], [[ARGS, KWARGS], [[dora.id, dora.authid, "anonymous"], {}]]]);
}

/** Who shows its ticket joins as who it is; who shows another is refused, known or not. */
async function ticket(alice, join) {
  const [, joins] = await collect(alice, "wamp.session.on_join");
  const joe = await join("joe", "secret123");
  const [[announced]] = await joins.get();
  const { authid, authrole, authmethod, authprovider } = joe.details;
  const expected = [["joe", "backend", "ticket", "static"], described(joe, "backend", "ticket")];
  check("ticket", [[authid, authrole, authmethod, authprovider], portless(announced)], expected);
  const refused = (...credentials) => join(...credentials).then(() => "joined", (reason) => reason);
  const denied = ["wamp.error.authentication_denied", "the authid or the proof is wrong"];
  check("wrong ticket", await refused("joe", "secret12"), denied);
  check("unknown authid", await refused("eve", "secret123"), denied);
  check("refused unannounced", await drain(alice, joins), []);
  await joe.leave();
}

async function scenario(connect, abilities) {
  const join = (...credentials) => connect(url, realm, serializer, ...credentials);
  const [alice, bob] = [await join(), await join()];
  const { authrole, authmethod, authprovider } = alice.details;
  const identity = [alice.details.realm, authrole, authmethod, authprovider];
  check("join", identity, [realm, "anonymous", "anonymous", "static"]);
  const isId = Number.isInteger(alice.id) && alice.id >= 1 && alice.id <= 2 ** 53;
  check("session id", [isId, alice.id !== bob.id], [true, true]);
  await publishAndSubscribe(alice, bob, abilities);
  if (abilities.options) await select(alice, bob);
  await callAndRegister(alice, bob);
  await advancedCalls(alice, bob, join, abilities);
  await joinAndLeave(alice, bob, join);
  await kill(alice, bob, join);
  await testament(alice, join);
  await ticket(alice, join);
  await alice.leave();
}

/**
 * Runs all checks. `connect(url, realm, serializer, authid, ticket)` joins, anonymously without the last two, and
 * returns a session, or rejects with reason and message of ABORT:
 *
 * - `id`, `authid`, `details` of WELCOME, and `closed`, a promise of reason and message of GOODBYE
 * - `publish(topic, args, kwargs, options)`, acknowledged unless the options say otherwise
 * - `subscribe(topic, handler, options)`, returns an object with `unsubscribe()`
 * - `call(procedure, args, kwargs, options)` and what endpoints return: `{ args, kwargs }`, or
 *   `{ uri, args, kwargs }` thrown
 * - `callAndCancel(procedure)`, the same for a call that is canceled at once
 * - `register(procedure, endpoint, options)`, returns an object with `unregister()`; an endpoint is given the
 *   arguments and `{ procedure }`
 * - `sumInParts(procedure, numbers)`, which registers a procedure and calls it with the numbers one by one; returns the
 *   sums that came as parts of the result, and the last one
 * - `leave()`
 *
 * `connect` has the session announce more features if it is given their names as its last argument.
 *
 * `abilities` says what not every client can do: `unacknowledged` publications, `inclusion` of the publisher, all
 * `options` of publications, empty lists and `retain` among them, `parts` of arguments and results.
 */
exports.run = (connect, abilities) => {
  const fail = (error) => {
    console.error(error);
    process.exit(1);
  };
  setTimeout(fail, TIME_LIMIT, "timed out").unref();
  scenario(connect, abilities).catch(fail);
};
