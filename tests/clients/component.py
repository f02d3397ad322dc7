"""Components that a router asks, in the manner of the manual of Crossbar.io, with autobahn-python.

    python component.py URL SERIALIZER

Joins realm1 as the principal component by the ticket secret123, and registers com.example.authorize. Prints `ready`, then
one line of JSON for each question: what it was asked. The last component of the URI says what it does then.
"""

import asyncio
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


class Component(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm, ["ticket"], "component")

    def onChallenge(self, challenge):
        return "secret123"

    def onUserError(self, failure, message):
        """What is raised here is meant for the router."""

    async def onJoin(self, details):
        await self.register(authorize, "com.example.authorize")
        print("ready", flush=True)


ApplicationRunner(URL, "realm1", serializers=[create_transport_serializer(SERIALIZER)]).run(Component)
