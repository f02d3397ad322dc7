// The scenario with wampy.
"use strict";

const { w3cwebsocket: WebSocket } = require("websocket");
const { Wampy } = require("wampy");
const { JsonSerializer } = require("wampy/JsonSerializer.js");
const { MsgpackSerializer } = require("wampy/MsgpackSerializer.js");
const { CborSerializer } = require("wampy/CborSerializer.js");
const scenario = require("./scenario");

const SERIALIZERS = { json: JsonSerializer, msgpack: MsgpackSerializer, cbor: CborSerializer };
const [ABORT, GOODBYE] = [3, 6];

/** A serializer that keeps the last message of a session, of which wampy tells nothing if it is GOODBYE. */
const watchful = (Serializer) =>
  class extends Serializer {
    decode(data) {
      const message = super.decode(data);
      if (message[0] === ABORT || message[0] === GOODBYE) this.last = message;
      return message;
    }
  };

/** A value as the scenario has it: wampy's MessagePack reads wide integers as BigInt and bytes as Uint8Array. */
function plain(value) {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** The payload of a message as the scenario has it. */
const payload = ({ argsList, argsDict }) => ({ args: plain(argsList ?? []), kwargs: plain(argsDict ?? {}) });

/** A payload as wampy has it. */
const packed = (argsList = [], argsDict) => ({ argsList, argsDict });

/** The result or the error of a call as the scenario has it. */
const answer = (call) =>
  call.then(payload, (error) => {
    throw { uri: error.errorUri, ...payload(error) };
  });

/** Connects and joins, by a ticket if there is one. wampy announces less than it can do: `announced` comes to that. */
async function connect(url, realm, name, authid, ticket, announced = []) {
  const serializer = new (watchful(SERIALIZERS[name]))();
  const wampy = new Wampy(url, { realm, serializer, ws: WebSocket, autoReconnect: false });
  if (authid !== undefined) wampy.setOptions({ authid, authmethods: ["ticket"], onChallenge: () => ticket });
  for (const { features } of Object.values(wampy._wamp_features.roles)) {
    for (const feature of announced) features[feature] = true;
  }
  const closed = new Promise((resolve) => {
    wampy.setOptions({
      onClose: () => {
        const [, details, reason] = serializer.last;
        resolve([reason, details.message ?? null]);
      },
    });
  });
  const details = await wampy.connect().catch((error) => {
    throw [error.errorUri, error.details?.message];
  });
  return {
    id: Number(wampy.getSessionId()),
    authid: details.authid,
    details,
    closed,
    publish: (topic, args, kwargs) => wampy.publish(topic, packed(args, kwargs)),
    subscribe: async (topic, handler) => {
      const { subscriptionId } = await wampy.subscribe(topic, (event) => {
        const { args, kwargs } = payload(event);
        handler(args, kwargs);
      });
      return { unsubscribe: () => wampy.unsubscribe(subscriptionId) };
    },
    call: (procedure, args, kwargs, options) => answer(wampy.call(procedure, packed(args, kwargs), options)),
    callAndCancel: (procedure) => {
      const call = wampy.call(procedure);
      wampy.cancel(wampy.getOpStatus().reqId, { mode: "killnowait" });
      return answer(call);
    },
    register: async (procedure, endpoint, options) => {
      const answering = async (invocation) => {
        try {
          const { args, kwargs } = payload(invocation);
          const result = await endpoint(args, kwargs, invocation.details);
          return packed(result.args, result.kwargs);
        } catch ({ uri, args, kwargs }) {
          throw { error: uri, ...packed(args, kwargs) };
        }
      };
      await wampy.register(procedure, answering, options);
      return { unregister: () => wampy.unregister(procedure) };
    },
    sumInParts: async (procedure, numbers) => {
      let sum = 0;
      await wampy.register(procedure, ({ argsList, details }) => {
        sum += Number(argsList[0]);
        return { argsList: [sum], options: { progress: details.progress === true } };
      });
      const parts = [];
      const progress_callback = ({ argsList }) => parts.push(Number(argsList[0]));
      const [first, ...others] = numbers;
      const call = wampy.progressiveCall(procedure, first, { progress_callback });
      others.forEach((number, place) => call.sendData(number, { progress: place < others.length - 1 }));
      return [parts, payload(await call.result).args[0]];
    },
    leave: () => wampy.disconnect(),
  };
}

scenario.run(connect, { unacknowledged: false, inclusion: false, options: false, parts: true });
