"""Holds a router to the session meta API, the options of events, calls and authentication with autobahn-python.

    python session.py URL REALM SERIALIZER [AUTHORITY]

The realm admits anonymous sessions, and joe, who has the role backend, by the ticket secret123.
The URL is one of WebSocket or, as autobahn has it, of RawSocket: rs://HOST:PORT, rss://HOST:PORT or rs://unix:PATH.
The authority is the file by which the certificate of a wss or rss URL is checked.
Prints `ok <check>` for each check that passes. The first that does not ends the run with status 1.
"""

import asyncio
import json
import os
import re
import ssl
import sys
from urllib.parse import urlsplit

from autobahn.asyncio.rawsocket import WampRawSocketClientFactory
from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.rawsocket.util import parse_url
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import create_transport_serializer
from autobahn.wamp.types import (
    CallOptions,
    CallResult,
    ComponentConfig,
    PublishOptions,
    RegisterOptions,
    SubscribeOptions,
)

URL, REALM, SERIALIZER = sys.argv[1:4]
AUTHORITIES = sys.argv[4:]
IS_RAW = URL.startswith("rs")
IS_LOCAL = URL.startswith("rs://unix:")
TIME_LIMIT = 60

ACKNOWLEDGED = PublishOptions(acknowledge=True)
TO_MYSELF_TOO = PublishOptions(acknowledge=True, exclude_me=False)

TOPIC = "com.example.topic"
ARGS = ["Grüße, 世界 👋", 0, -1, 2**32, 2**53, 0.5, True, None, [], [1, [2, [3, {}]]]]
KWARGS = {"größe": {"tiefer": [{"null": None}, "\u2028"]}, "leer": "", "groß": 2**53 - 1}
BINARY = [bytes(range(256)), b""]


class Session(ApplicationSession):
    """A session that tells when it has joined and how it was closed. It may have to show a ticket."""

    def __init__(self, principal=None, ticket=None):
        super().__init__(ComponentConfig(REALM))
        self.principal, self.ticket = principal, ticket
        loop = asyncio.get_running_loop()
        self.joined, self.closed = loop.create_future(), loop.create_future()

    def onConnect(self):
        methods = ["anonymous"] if self.principal is None else ["ticket"]
        self.join(REALM, methods, self.principal)

    def onChallenge(self, challenge):
        assert (challenge.method, challenge.extra) == ("ticket", {}), challenge
        return self.ticket

    def onJoin(self, details):
        self.joined.set_result(details)

    def onLeave(self, details):
        self.closed.set_result([details.reason, details.message])
        return super().onLeave(details)

    async def collect(self, *topics):
        """Subscribes to topics; returns the subscriptions and what is published there from now on."""
        inbox = asyncio.Queue()

        def receive(*args, **kwargs):
            inbox.put_nowait([args, kwargs])

        return [await self.subscribe(receive, topic) for topic in topics], inbox

    async def drain(self, inbox):
        """All that has been published into an inbox before now: an answered call proves there is no more."""
        await self.call("wamp.session.count")
        return [inbox.get_nowait() for _ in range(inbox.qsize())]

    async def goodbye(self):
        """Leaves the realm and waits until that is done."""
        self.leave()
        await self.closed


async def connect(session):
    """Gives a session a connection of its own, over which it says HELLO."""
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=AUTHORITIES[0]) if AUTHORITIES else None
    serializer = create_transport_serializer(SERIALIZER)
    if not IS_RAW:
        address = urlsplit(URL)
        factory = WampWebSocketClientFactory(lambda: session, url=URL, serializers=[serializer])
        await loop.create_connection(factory, address.hostname, address.port, ssl=context)
        return
    factory = WampRawSocketClientFactory(lambda: session, serializer=serializer)
    _, host, place = parse_url(URL)
    if IS_LOCAL:
        await loop.create_unix_connection(factory, place)
    else:
        await loop.create_connection(factory, host, place, ssl=context)


async def join(*credentials):
    """Joins the realm with a new session."""
    session = Session(*credentials)
    await connect(session)
    session.details = await session.joined
    session.id = session.details.session
    return session


async def refused(*credentials):
    """Reason and message with which a new session is refused."""
    session = Session(*credentials)
    await connect(session)
    return await session.closed


def canonical(value):
    """Text that is the same for equal values only: 1, 1.0 and True all differ."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)


def check(name, actual, expected):
    """Reports a check, and ends the program unless the values are equal in every detail."""
    actual, expected = canonical(actual), canonical(expected)
    if actual != expected:
        raise AssertionError(f"{name}\n  expected {expected}\n  got      {actual}")
    print("ok", name, flush=True)


async def failure(call):
    """URI and payload of the error a call ends with."""
    try:
        return ["no error", await call]
    except ApplicationError as error:
        return [error.error, error.args, error.kwargs]


def described(session, authrole="anonymous", authmethod="anonymous"):
    """What the router is to tell others about a session, its port left open."""
    return {
        "session": session.id,
        "authid": session.authid,
        "authrole": authrole,
        "authmethod": authmethod,
        "authprovider": "static",
        "realm": REALM,
        "transport": {
            "channel_type": "unix" if IS_LOCAL else "tls" if AUTHORITIES else "tcp",
            "channel_framing": "rawsocket" if IS_RAW else "websocket",
            "channel_serializer": SERIALIZER,
            "peer": f"unix:pid={os.getpid()},uid={os.getuid()}" if IS_LOCAL else "tcp4:127.0.0.1:*",
            "is_secure": bool(AUTHORITIES),
        }
        | ({} if IS_RAW else {"websocket_protocol": f"wamp.2.{SERIALIZER}"}),
    }


def portless(details):
    """Session details as received, with the port of the peer replaced."""
    peer = re.sub(r":\d+$", ":*", details["transport"]["peer"])
    return details | {"transport": details["transport"] | {"peer": peer}}


async def publish_and_subscribe(alice, bob):
    """Events arrive as published, at those they are meant for."""
    [subscription], bobs = await bob.collect(TOPIC)
    await alice.publish(TOPIC, *ARGS, options=ACKNOWLEDGED, **KWARGS)
    check("publish and subscribe", await bobs.get(), [ARGS, KWARGS])

    await alice.publish(TOPIC, *BINARY, options=ACKNOWLEDGED)
    check("binary payload", await bobs.get(), [BINARY, {}])

    for number in range(3):
        alice.publish(TOPIC, number)
    check("unacknowledged publications", [await bobs.get() for _ in range(3)], [[[n], {}] for n in range(3)])

    [own], alices = await alice.collect(TOPIC)
    await alice.publish(TOPIC, "from alice", options=ACKNOWLEDGED)
    await bob.publish(TOPIC, "from bob", options=ACKNOWLEDGED)
    check("publisher excluded", await alice.drain(alices), [[["from bob"], {}]])

    await alice.publish(TOPIC, "from alice", options=TO_MYSELF_TOO)
    check("publisher included", await alice.drain(alices), [[["from alice"], {}]])

    await own.unsubscribe()
    await subscription.unsubscribe()
    await bob.drain(bobs)
    await alice.publish(TOPIC, "unheard", options=ACKNOWLEDGED)
    check("unsubscribe", await bob.drain(bobs), [])


async def select(alice, bob):
    """Patterns, lists and retained events reach those they are meant for."""
    inbox = asyncio.Queue()

    def receive(*args, details):
        inbox.put_nowait([args, details.topic, bool(details.retained)])

    async def subscribe(topic, **options):
        return await bob.subscribe(receive, topic, options=SubscribeOptions(details=True, **options))

    async def publish(topic, *args, **options):
        await alice.publish(topic, *args, options=PublishOptions(acknowledge=True, **options))

    patterns = [
        await subscribe("com.example.pattern", match="prefix"),
        await subscribe("com..pattern.b", match="wildcard"),
    ]
    for topic in ["com.example.pattern.b", "com.example.patterns", "com.other.pattern.b", "com.example"]:
        await publish(topic, topic)
    expected = ["com.example.pattern.b", "com.example.pattern.b", "com.example.patterns", "com.other.pattern.b"]
    check("patterns", await bob.drain(inbox), [[[topic], topic, False] for topic in expected])

    listed = await subscribe(TOPIC)
    for number, options in enumerate([
        {"exclude": [bob.id]},
        {"exclude_authid": [bob.authid]},
        {"exclude_authrole": ["anonymous"]},
        {"eligible": [alice.id]},
        {"eligible_authid": [bob.authid]},
        {"eligible": [bob.id], "eligible_authrole": ["anonymous"]},
    ]):
        await publish(TOPIC, number, **options)
    check("lists", await bob.drain(inbox), [[[number], TOPIC, False] for number in [4, 5]])

    await publish("com.example.state.all", "old", retain=True)
    await publish("com.example.state.all", "new", retain=True)
    await publish("com.example.state.others", "others", retain=True, exclude_authid=[bob.authid])
    states = [await subscribe(f"com.example.state.{name}", get_retained=True) for name in ["others", "all"]]
    check("retained events", await bob.drain(inbox), [[["new"], "com.example.state.all", True]])
    for subscription in [*patterns, listed, *states]:
        await subscription.unsubscribe()


async def call_and_register(alice, bob):
    """Calls, results and errors arrive as sent."""

    def fail(*args, **kwargs):
        raise ApplicationError("com.example.failed", *args, **kwargs)

    registration = await bob.register(lambda *args, **kwargs: CallResult(*args, **kwargs), "com.example.echo")
    result = await alice.call("com.example.echo", *ARGS, **KWARGS)
    check("register and call", [result.results, result.kwresults], [ARGS, KWARGS])

    await bob.register(fail, "com.example.fail")
    error = await failure(alice.call("com.example.fail", *ARGS, **KWARGS))
    check("application error", error, ["com.example.failed", ARGS, KWARGS])

    [uri, *_] = await failure(alice.call("com.example.nothing"))
    check("no such procedure", uri, "wamp.error.no_such_procedure")

    await registration.unregister()
    [uri, *_] = await failure(alice.call("com.example.echo"))
    check("unregister", uri, "wamp.error.no_such_procedure")


async def advanced_calls(alice, bob):
    """Calls take the ways of the Advanced Profile."""

    def name_procedure(details):
        return details.procedure

    prefix = RegisterOptions(match="prefix", details_arg="details")
    await bob.register(name_procedure, "com.example.pattern", options=prefix)
    check("registration of a pattern", await alice.call("com.example.pattern.one"), "com.example.pattern.one")

    for session, name in [(alice, "alice"), (bob, "bob")]:
        in_turns = RegisterOptions(invoke="roundrobin")
        await session.register(lambda name=name: name, "com.example.shared", options=in_turns)
    names = [await alice.call("com.example.shared") for _ in range(4)]
    check("shared registration", names, ["alice", "bob"] * 2)

    registration = await alice.call("wamp.registration.match", "com.example.shared")
    answers = [
        await alice.call("wamp.registration.lookup", "com.example.shared") == registration,
        await alice.call("wamp.registration.list_callees", registration),
        await alice.call("wamp.registration.count_callees", registration),
    ]
    check("registration meta api", answers, [True, [alice.id, bob.id], 2])

    begun, interruptions = asyncio.Queue(), asyncio.Queue()

    async def never():
        begun.put_nowait("begun")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            interruptions.put_nowait("interrupted")
            raise

    await bob.register(never, "com.example.never")
    call = alice.call("com.example.never")
    await begun.get()
    call.cancel()
    check("canceled call", [await interruptions.get(), call.cancelled()], ["interrupted", True])

    error = await failure(alice.call("com.example.never", options=CallOptions(timeout=30)))
    expected = ["wamp.error.timeout", ["the call was not answered within 30 ms"], {}]
    check("call timeout", [await interruptions.get(), error], ["interrupted", expected])

    def count(to, details):
        for number in range(to):
            details.progress(number)
        return to

    await bob.register(count, "com.example.count", options=RegisterOptions(details_arg="details"))
    parts = []
    result = await alice.call("com.example.count", 3, options=CallOptions(on_progress=parts.append))
    check("result in parts", [parts, result], [[0, 1, 2], 3])


async def join_and_leave(alice, bob):
    """Sessions are announced, counted, listed and described."""
    _, joins = await alice.collect("wamp.session.on_join")
    _, leaves = await alice.collect("wamp.session.on_leave")
    carol = await join()
    [[details], kwargs] = await joins.get()
    check("on_join", [portless(details), kwargs], [described(carol), {}])

    filters = [["anonymous"], ["nobody", "anonymous"], ["nobody"], []]
    check("count", await alice.call("wamp.session.count"), 3)
    counts = [await alice.call("wamp.session.count", roles) for roles in filters]
    check("count by authrole", counts, [3, 3, 0, 0])

    ids = sorted([alice.id, bob.id, carol.id])
    check("list", sorted(await alice.call("wamp.session.list")), ids)
    lists = [sorted(await alice.call("wamp.session.list", roles)) for roles in filters]
    check("list by authrole", lists, [ids, ids, [], []])

    check("get own", portless(await alice.call("wamp.session.get", alice.id)), described(alice))
    check("get other", portless(await alice.call("wamp.session.get", carol.id)), described(carol))

    await carol.goodbye()
    check("on_leave", await leaves.get(), [[carol.id, carol.authid, "anonymous"], {}])
    [uri, *_] = await failure(alice.call("wamp.session.get", carol.id))
    check("get unknown", uri, "wamp.error.no_such_session")
    check("announced once", [await alice.drain(joins), await alice.drain(leaves)], [[], []])


async def kill(alice, bob):
    """Sessions are killed one by one, by authid, by authrole and all at once."""
    _, leaves = await alice.collect("wamp.session.on_leave")

    async def killed(victims, name, *args, **kwargs):
        """What a kill answers, how the victims were closed, and who was announced as gone."""
        result = await alice.call(name, *args, **kwargs)
        return [result, [await victim.closed for victim in victims], await alice.drain(leaves)]

    def gone(*sessions):
        return [[[session.id, session.authid, "anonymous"], {}] for session in sessions]

    victim = await join()
    outcome = await killed([victim], "wamp.session.kill", victim.id, reason="because", message="foobar")
    check("kill with reason and message", outcome, [None, [["because", "foobar"]], gone(victim)])

    [uri, *_] = await failure(alice.call("wamp.session.kill", victim.id))
    check("kill unknown", uri, "wamp.error.no_such_session")

    victim = await join()
    outcome = await killed([victim], "wamp.session.kill", victim.id)
    check("kill without reason", outcome, [None, [["wamp.close.killed", None]], gone(victim)])

    [uri, *_] = await failure(alice.call("wamp.session.kill", alice.id))
    check("kill own", uri, "wamp.error.no_such_session")

    [uri, *_] = await failure(alice.call("wamp.session.kill", bob.id, reason=""))
    count = await bob.call("wamp.session.count")
    check("kill with invalid reason", [uri, count], ["wamp.error.invalid_uri", 2])

    victim = await join()
    outcome = await killed([victim], "wamp.session.kill_by_authid", victim.authid, reason="com.example.authid")
    check("kill by authid", outcome, [[victim.id], [["com.example.authid", None]], gone(victim)])

    victim = await join()
    result, closed, left = await killed([bob, victim], "wamp.session.kill_by_authrole", "anonymous", message="role")
    expected = [2, [["wamp.close.killed", "role"]] * 2, sorted(gone(bob, victim))]
    check("kill by authrole", [result, closed, sorted(left)], expected)

    outcome = await killed([], "wamp.session.kill_by_authrole", "nobody")
    check("kill by unknown authrole", outcome, [0, [], []])

    victims = [await join() for _ in range(3)]
    outcome = await killed(victims, "wamp.session.kill_all", reason="com.example.all", message="all of you")
    check("kill all", outcome, [3, [["com.example.all", "all of you"]] * 3, []])
    check("the killer survives", await alice.call("wamp.session.list"), [alice.id])


async def testament(alice):
    """What a session leaves behind is published before it is announced as gone."""
    _, inbox = await alice.collect(TOPIC, "wamp.session.on_leave")
    dora = await join()
    result = await dora.call("wamp.session.add_testament", TOPIC, ARGS, KWARGS)
    await dora.goodbye()
    events = [await inbox.get(), await inbox.get()]
    check("testament", [result, events], [None, [[ARGS, KWARGS], [[dora.id, dora.authid, "anonymous"], {}]]])


async def ticket(alice):
    """Who shows its ticket joins as who it is; who shows another is refused, known or not."""
    _, joins = await alice.collect("wamp.session.on_join")
    joe = await join("joe", "secret123")
    [[announced], _] = await joins.get()
    identity = [joe.details.authid, joe.details.authrole, joe.details.authmethod, joe.details.authprovider]
    expected = [["joe", "backend", "ticket", "static"], described(joe, "backend", "ticket")]
    check("ticket", [identity, portless(announced)], expected)
    denied = ["wamp.error.authentication_denied", "the authid or the proof is wrong"]
    check("wrong ticket", await refused("joe", "secret12"), denied)
    check("unknown authid", await refused("eve", "secret123"), denied)
    check("refused unannounced", await alice.drain(joins), [])
    await joe.goodbye()


async def main():
    alice, bob = await join(), await join()
    details = alice.details
    identity = [details.realm, details.authrole, details.authmethod, details.authprovider]
    check("join", identity, [REALM, "anonymous", "anonymous", "static"])
    check("session id", [type(alice.id) is int and 1 <= alice.id <= 2**53, alice.id != bob.id], [True, True])
    await publish_and_subscribe(alice, bob)
    await select(alice, bob)
    await call_and_register(alice, bob)
    await advanced_calls(alice, bob)
    await join_and_leave(alice, bob)
    await kill(alice, bob)
    await testament(alice)
    await ticket(alice)
    await alice.goodbye()


asyncio.run(asyncio.wait_for(main(), TIME_LIMIT))
