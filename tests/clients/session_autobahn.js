// The scenario with autobahn-js.
"use strict";

const autobahn = require("autobahn");
const scenario = require("./scenario");

const SERIALIZERS = {
  json: autobahn.serializer.JSONSerializer,
  msgpack: autobahn.serializer.MsgpackSerializer,
  cbor: autobahn.serializer.CBORSerializer,
};

/** A result as the scenario has it: autobahn-js unwraps one that is a single value. */
const wrapped = (result) =>
  result instanceof autobahn.Result ? { ...result } : { args: result === null ? [] : [result], kwargs: {} };

/** The result or the error of a call as the scenario has it. */
async function answer(call) {
  try {
    return wrapped(await call);
  } catch ({ error: uri, args, kwargs }) {
    throw { uri, args, kwargs };
  }
}

/** How to reach a URL: by WebSocket, or by RawSocket for rs://HOST:PORT and rs://unix:PATH. */
function transport(url) {
  if (!url.startsWith("rs://")) return { type: "websocket", url };
  const [host, place] = url.slice("rs://".length).split(":");
  return host === "unix" ? { type: "rawsocket", path: place } : { type: "rawsocket", host, port: Number(place) };
}

/** Connects and joins, by a ticket if there is one. */
function connect(url, realm, serializer, authid, ticket) {
  const connection = new autobahn.Connection({
    transports: [transport(url)],
    realm,
    serializers: [new SERIALIZERS[serializer]()],
    authmethods: [authid === undefined ? "anonymous" : "ticket"],
    authid,
    onchallenge: () => ticket,
  });
  const closed = new Promise((resolve) => {
    connection.onclose = (_, { reason, message }) => resolve([reason, message || null]);
  });
  return new Promise((resolve, reject) => {
    // Of a session that has joined this comes too late to matter.
    closed.then(reject);
    connection.onopen = (session, details) =>
      resolve({
        id: session.id,
        authid: details.authid,
        details,
        closed,
        publish: (topic, args, kwargs, options) =>
          session.publish(topic, args, kwargs, { acknowledge: true, ...options }),
        subscribe: (topic, handler, options) => session.subscribe(topic, handler, options),
        call: (procedure, args, kwargs, options) => answer(session.call(procedure, args, kwargs, options)),
        callAndCancel: (procedure) => {
          const call = session.call(procedure);
          // In the other modes it does not expect the ERROR with which every call ends.
          call.cancel({ mode: "kill" });
          return answer(call);
        },
        register: (procedure, endpoint, options) => {
          const answering = async (args, kwargs, details) => {
            try {
              const result = await endpoint(args, kwargs, details);
              return new autobahn.Result(result.args, result.kwargs);
            } catch ({ uri, args, kwargs }) {
              throw new autobahn.Error(uri, args, kwargs);
            }
          };
          return session.register(procedure, answering, options);
        },
        leave: () => {
          connection.close();
          return closed;
        },
      });
    connection.open();
  });
}

scenario.run(connect, { unacknowledged: true, inclusion: true, options: true, parts: false });
