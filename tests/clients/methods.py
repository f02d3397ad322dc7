"""Proves who it is to a router by each method of authentication that autobahn-python has.

    python methods.py URL REALM SERIALIZER TOKEN

The realm knows joe by the ticket secret123, plain and salty by the secret secret123 of wampcra, and carol by the public key
of the private key 03 03 03 ..; the token lets in tom, by jwt.
Prints `ok <check>` for each check that passes. The first that does not ends the run with status 1.
"""

import asyncio
import sys
from urllib.parse import urlsplit

from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp.auth import create_authenticator
from autobahn.wamp.serializer import create_transport_serializer
from autobahn.wamp.types import ComponentConfig

URL, REALM, SERIALIZER, TOKEN = sys.argv[1:5]
TIME_LIMIT = 60

DENIED = ("wamp.error.authentication_denied", "the authid or the proof is wrong")


class Token:
    """What shows a token when it is asked; autobahn-python has no authenticator for that."""

    name = "jwt"

    def __init__(self, token):
        self.token = token

    def on_challenge(self, session, challenge):
        return self.token


class Session(ApplicationSession):
    """A session that proves who it is, and tells how that ended."""

    def __init__(self, authid, authenticator):
        super().__init__(ComponentConfig(REALM))
        self.authid_asked, self.authenticator = authid, authenticator
        self.outcome = asyncio.get_running_loop().create_future()

    def onConnect(self):
        authextra = getattr(self.authenticator, "authextra", None)
        self.join(REALM, [self.authenticator.name], self.authid_asked, authextra=authextra)

    def onChallenge(self, challenge):
        return self.authenticator.on_challenge(self, challenge)

    def onJoin(self, details):
        self.outcome.set_result((details.authid, details.authrole, details.authmethod))
        self.leave()

    def onLeave(self, details):
        if not self.outcome.done():
            self.outcome.set_result((details.reason, details.message))
        return super().onLeave(details)


async def outcome(authid, authenticator):
    """Who somebody is after the handshake, or why it is refused."""
    session = Session(authid, authenticator)
    factory = WampWebSocketClientFactory(
        lambda: session, url=URL, serializers=[create_transport_serializer(SERIALIZER)]
    )
    address = urlsplit(URL)
    await asyncio.get_running_loop().create_connection(factory, address.hostname, address.port)
    return await session.outcome


async def check(name, authid, authenticator, expected):
    actual = await outcome(authid, authenticator)
    if actual != expected:
        raise AssertionError(f"{name}\n  expected {expected}\n  got      {actual}")
    print("ok", name, flush=True)


async def run():
    def ticket(ticket):
        return create_authenticator("ticket", authid="joe", ticket=ticket)

    def secret(authid, secret):
        return create_authenticator("wampcra", authid=authid, secret=secret)

    def key(octet):
        return create_authenticator("cryptosign", authid="carol", privkey=octet * 32)

    await check("ticket", "joe", ticket("secret123"), ("joe", "member", "ticket"))
    await check("wrong ticket", "joe", ticket("secret12"), DENIED)
    await check("wampcra", "plain", secret("plain", "secret123"), ("plain", "member", "wampcra"))
    await check("wrong wampcra", "plain", secret("plain", "secret12"), DENIED)
    await check("salted wampcra", "salty", secret("salty", "secret123"), ("salty", "member", "wampcra"))
    await check("wrong salted wampcra", "salty", secret("salty", "secret12"), DENIED)
    await check("unknown wampcra", "nobody", secret("nobody", "secret123"), DENIED)
    await check("cryptosign", "carol", key("03"), ("carol", "member", "cryptosign"))
    await check("cryptosign without authid", None, key("03"), ("carol", "member", "cryptosign"))
    await check("wrong cryptosign", "carol", key("04"), DENIED)
    await check("jwt", None, Token(TOKEN), ("tom", "member", "jwt"))
    await check("wrong jwt", None, Token(TOKEN[:-4]), DENIED)


asyncio.run(asyncio.wait_for(run(), TIME_LIMIT))
