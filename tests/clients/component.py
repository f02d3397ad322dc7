"""Components that a router asks, in the manner of the manual of Crossbar.io, with autobahn-python.

    python component.py URL SERIALIZER

Joins realm1 as the principal component by the ticket secret123, and registers com.example.authorize and
com.example.authenticate. Prints `ready`, then one line of JSON for each question: what it was asked. The last component
of the URI, or the authid, says what it does then.
"""

import asyncio
import base64
import json
import os
import sys

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import create_transport_serializer

URL, SERIALIZER = sys.argv[1:3]


def told(*asked):
    print(json.dumps(asked), flush=True)


async def authorize(details, uri, action, options):
    told(details, uri, action, options)
    what = uri.rsplit(".", 1)[-1]
    if what == "kept":
        return {"allow": True, "disclose": True, "cache": True}
    if what == "disclosed":
        return {"allow": True, "disclose": True}
    if what == "error":
        raise ApplicationError("com.example.broken", "a secret of the component")
    if what == "fault":
        return 1 // 0
    if what == "nonsense":
        return "maybe"
    if what == "hang":
        await asyncio.get_running_loop().create_future()
    if what == "die":
        os._exit(1)
    return what != "forbidden"


USERS = {
    "joe": {"role": "member", "secret": "secret of joe"},
    "salty": {"role": "member", "secret": "secret of salty", "salt": "salt123", "iterations": 100, "keylen": 32},
    "alias": {"role": "member", "authid": "ally", "extra": {"team": "red"}, "secret": "secret of alias"},
    # The values of RFC 7677, for the password pencil.
    "sam": {
        "role": "member",
        "authid": "samuel",
        "kdf": "pbkdf2",
        "iterations": 4096,
        "memory": None,
        "salt": base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==").hex(),
        "stored-key": base64.b64decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=").hex(),
        "server-key": base64.b64decode("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=").hex(),
    },
    "elsewhere": {"role": "member", "realm": "realm2"},
    "strange": {"role": "emperor"},
    "nothing": {},
    "number": 7,
    "long": {"role": "member", "secret": "x", "salt": "salt123", "iterations": 100, "keylen": 65},
    "half": {"role": "member", "secret": "x", "salt": "salt123"},
    "empty": {"role": "member", "secret": ""},
}


async def authenticate(realm, authid, details):
    told(realm, authid, details)
    if authid == "fault":
        return 1 // 0
    if authid == "hang":
        await asyncio.get_running_loop().create_future()
    if authid == "die":
        os._exit(1)
    if authid == "banned":
        raise ApplicationError("com.example.banned", "come back tomorrow")
    if details["authmethod"] == "anonymous":
        return "member"
    if details["authmethod"] == "cryptosign":
        return {"role": "member", "authid": "carol", "pubkey": details["authextra"]["pubkey"]}
    if details["authmethod"] == "ticket" and authid in ("joe", "alias") and details["ticket"] != "secret of " + authid:
        raise ApplicationError("com.example.invalid_ticket", "this ticket is wrong")
    if authid not in USERS:
        raise ApplicationError("com.example.no_such_user", "there is no such user")
    return USERS[authid]


class Component(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm, ["ticket"], "component")

    def onChallenge(self, challenge):
        return "secret123"

    def onUserError(self, failure, message):
        """What is raised here is meant for the router."""

    async def onJoin(self, details):
        await self.register(authorize, "com.example.authorize")
        await self.register(authenticate, "com.example.authenticate")
        print("ready", flush=True)


ApplicationRunner(URL, "realm1", serializers=[create_transport_serializer(SERIALIZER)]).run(Component)
