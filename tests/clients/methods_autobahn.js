// Proves who it is to a router by each method of authentication that autobahn-js has.
//
//     node methods_autobahn.js URL REALM SERIALIZER TOKEN
//
// The realm and what is printed are those of methods.py.
"use strict";

const autobahn = require("autobahn");
const nacl = require("tweetnacl");

const [url, realm, serializer, token] = process.argv.slice(2);
const TIME_LIMIT = 60_000;

const SERIALIZERS = {
  json: autobahn.serializer.JSONSerializer,
  msgpack: autobahn.serializer.MsgpackSerializer,
  cbor: autobahn.serializer.CBORSerializer,
};

const DENIED = ["wamp.error.authentication_denied", "the authid or the proof is wrong"];

// What answers a challenge, for each method.
const ticket = (ticket) => ({ method: "ticket", answer: () => ticket });
const secret = (secret) => ({
  method: "wampcra",
  answer({ challenge, salt, iterations, keylen }) {
    const { derive_key, sign } = autobahn.auth_cra;
    return sign(salt ? derive_key(secret, salt, iterations, keylen) : secret, challenge);
  },
});
const key = (octet) => {
  const pair = nacl.sign.keyPair.fromSeed(new Uint8Array(32).fill(octet));
  const { public_key, sign_challenge } = autobahn.auth_cryptosign;
  return {
    method: "cryptosign",
    authextra: { pubkey: public_key(pair), channel_binding: null, trustroot: null, challenge: null },
    answer: (extra) => sign_challenge(pair, extra),
  };
};
const jwt = (token) => ({ method: "jwt", answer: () => token });

// Who somebody is after the handshake, or why it is refused.
function outcome(authid, { method, authextra, answer }) {
  return new Promise((resolve) => {
    const connection = new autobahn.Connection({
      url,
      realm,
      authid,
      authmethods: [method],
      authextra,
      onchallenge: (session, asked, extra) => {
        if (asked !== method) throw new Error(`asked by ${asked}`);
        return answer(extra);
      },
      serializers: [new SERIALIZERS[serializer]()],
      max_retries: 0,
    });
    connection.onopen = (session, { authid, authrole, authmethod }) => {
      resolve([authid, authrole, authmethod]);
      connection.close();
    };
    connection.onclose = (reason, details) => {
      resolve([details.reason, details.message]);
      return true;
    };
    connection.open();
  });
}

async function check(name, authid, authenticator, expected) {
  const actual = JSON.stringify(await outcome(authid, authenticator));
  if (actual !== JSON.stringify(expected)) {
    throw new Error(`${name}\n  expected ${JSON.stringify(expected)}\n  got      ${actual}`);
  }
  console.log("ok", name);
}

async function run() {
  await check("ticket", "joe", ticket("secret123"), ["joe", "member", "ticket"]);
  await check("wrong ticket", "joe", ticket("secret12"), DENIED);
  await check("wampcra", "plain", secret("secret123"), ["plain", "member", "wampcra"]);
  await check("wrong wampcra", "plain", secret("secret12"), DENIED);
  await check("salted wampcra", "salty", secret("secret123"), ["salty", "member", "wampcra"]);
  await check("wrong salted wampcra", "salty", secret("secret12"), DENIED);
  await check("unknown wampcra", "nobody", secret("secret123"), DENIED);
  await check("cryptosign", "carol", key(3), ["carol", "member", "cryptosign"]);
  await check("cryptosign without authid", undefined, key(3), ["carol", "member", "cryptosign"]);
  await check("wrong cryptosign", "carol", key(4), DENIED);
  await check("jwt", undefined, jwt(token), ["tom", "member", "jwt"]);
  await check("wrong jwt", undefined, jwt(token.slice(0, -4)), DENIED);
}

setTimeout(() => {
  console.error("not done in time");
  process.exit(1);
}, TIME_LIMIT).unref();

run().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
