//! Each method of authentication against a started router: right and wrong proofs, in every serializer.

use crate::support::{
    Peer, Router,
    certificate::{self, authority_file, certificate, client_certificate},
    clients, log,
    peer::Received,
    principal::{HASH, hashed},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use realmkeeper::Settings;
use realmkeeper_actors::{
    codec::Serializer,
    permission::Role,
    session::access::{
        CertificateName, ChannelBinding, Credentials, Principal,
        cra::{self, Salting},
        cryptosign,
        jwt::{self, Grant, Rules},
        scram::{self, Kdf, Told},
    },
};
use serde_json::{Value as Json, json};
use std::{
    io::{Read, Write},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What nobody is told more than: neither whether somebody has the authid, nor what was wrong.
const DENIED: [&str; 2] = ["wamp.error.authentication_denied", "the authid or the proof is wrong"];

const KDF: Kdf = Kdf::Argon2id { iterations: 1, memory: 32 };

/// The private key of carol.
const CAROL: [u8; 32] = [3; 32];

fn salting() -> Salting {
    Salting { salt: "AAECAwQFBgcICQoLDA0ODw==".into(), iterations: 100, key_length: 32 }
}

fn principal(authid: &str, role: &Arc<Role>, credentials: Credentials) -> Principal {
    Principal { authid: authid.into(), role: role.clone(), credentials }
}

/// A router that knows somebody by each method, whose secret is `secret of` and the authid.
fn router() -> Router {
    Router::with(|settings| {
        let role = Arc::new(Role::unrestricted("member"));
        let derived = cra::derive("secret of salty", &salting());
        let scram = scram::Keys::derive("secret of sam", &[7; 16], KDF).expect("the password is one");
        settings.realms[0].door.principals = vec![
            principal("sam", &role, Credentials { scram: Some(scram), ..Credentials::default() }),
            principal(
                "salty",
                &role,
                Credentials { cra: Some(cra::Key::salted(&derived, salting())), ..Credentials::default() },
            ),
            principal(
                "carol",
                &role,
                Credentials {
                    public_keys: vec![cryptosign::public_key(&[9; 32]), cryptosign::public_key(&CAROL)],
                    ..Credentials::default()
                },
            ),
        ];
    })
}

/// The same, where no channel binding may be asked for.
fn binding_none() -> Router {
    Router::with(|settings| {
        let door = &mut settings.realms[0].door;
        let public_keys = vec![cryptosign::public_key(&CAROL)];
        let credentials = Credentials { public_keys, ..Credentials::default() };
        door.principals = vec![principal("carol", &Role::unrestricted("member").into(), credentials)];
        door.channel_binding = ChannelBinding::Refuse;
    })
}

/// A router that knows joe by a secret that is not salted.
fn plain() -> Router {
    Router::with(|settings| {
        let cra = Some(cra::Key::plain("secret of joe"));
        let credentials = Credentials { cra, ..Credentials::default() };
        settings.realms[0].door.principals =
            vec![principal("joe", &Role::unrestricted("member").into(), credentials)];
    })
}

/// Says HELLO; gives CHALLENGE.Extra.
fn challenged(router: &Router, serializer: Serializer, method: &str, details: &Json) -> (Peer, Json) {
    let mut peer = Peer::connect(router, serializer);
    let mut details = details.clone();
    (details["roles"], details["authmethods"]) = (json!({"caller": {}}), json!([method]));
    peer.send(&json!([1, "realm1", details]));
    let challenge = peer.message();
    assert_eq!((&challenge[0], &challenge[1]), (&json!(4), &json!(method)), "{challenge}");
    (peer, challenge[2].clone())
}

/// Answers CHALLENGE with what is right; gives the session and the details of WELCOME.
fn welcomed(mut peer: Peer, signature: &str, extra: &Json) -> (Json, Json) {
    peer.send(&json!([5, signature, extra]));
    let mut welcome = peer.message();
    assert_eq!(welcome[0], 2, "{welcome}");
    (welcome[1].take(), welcome[2].take())
}

/// Answers CHALLENGE with what is wrong.
fn denied(mut peer: Peer, signature: &str, extra: &Json) {
    peer.send(&json!([5, signature, extra]));
    check_denied(&mut peer);
}

fn check_denied<S: Read + Write>(peer: &mut Peer<S>) {
    let [reason, message] = DENIED;
    let abort = Received::Message(json!([3, {"message": message}, reason]));
    assert_eq!(peer.rest(), [abort, Received::Close(Some(1000)), Received::End]);
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json[key].as_str().unwrap_or_else(|| panic!("no text {key} in {json}"))
}

/// Asserts who WELCOME says that somebody is.
fn check_welcome(welcome: &Json, authid: &str, method: &str, authextra: &Json) {
    let told =
        ["authid", "authrole", "authmethod", "authprovider", "authextra"].map(|key| welcome[key].clone());
    assert_eq!(
        told,
        [json!(authid), json!("member"), json!(method), json!("static"), authextra.clone()],
        "{welcome}"
    );
}

#[test]
fn a_secret_signs_a_challenge_that_tells_the_session() {
    let router = plain();
    for serializer in Serializer::ALL {
        let details = json!({"authid": "joe"});
        let begin = || challenged(&router, serializer, "wampcra", &details);
        let (peer, extra) = begin();
        assert_eq!(extra.as_object().expect("a dict").len(), 1, "{extra}");
        let challenge = text(&extra, "challenge").to_owned();
        let right = cra::sign("secret of joe", &challenge);
        let (session, welcome) = welcomed(peer, &right, &json!({}));
        check_welcome(&welcome, "joe", "wampcra", &Json::Null);
        let told: Json = serde_json::from_str(&challenge).expect("the challenge is JSON");
        let keys = ["authid", "authrole", "authmethod", "authprovider"].map(|key| &told[key]);
        assert_eq!(keys, ["joe", "member", "wampcra", "static"]);
        assert_eq!(told["session"], session);

        denied(begin().0, &right, &json!({}));
        let (peer, extra) = begin();
        denied(peer, &cra::sign("secret of jo", text(&extra, "challenge")), &json!({}));
    }
}

#[test]
fn a_secret_that_is_kept_derived_signs_with_the_salt() {
    let router = router();
    for serializer in Serializer::ALL {
        for (authid, is_known) in [("salty", true), ("nobody", false), ("sam", false)] {
            let details = json!({"authid": authid});
            let (peer, mut extra) = challenged(&router, serializer, "wampcra", &details);
            let salt = text(&extra, "salt").to_owned();
            let answer = |secret: &str, extra: &Json| {
                let salting = Salting { salt: salt.as_str().into(), ..salting() };
                cra::sign(&cra::derive(secret, &salting), text(extra, "challenge"))
            };
            let right = answer("secret of salty", &extra);
            if is_known {
                check_welcome(&welcomed(peer, &right, &json!({})).1, authid, "wampcra", &Json::Null);
            } else {
                denied(peer, &right, &json!({}));
            }
            // Nobody's challenge has the same form, and nobody's salt stays.
            let (peer, again) = challenged(&router, serializer, "wampcra", &details);
            denied(peer, &answer("secret of salt", &again), &json!({}));
            assert_ne!(again["challenge"], extra["challenge"]);
            let challenge: Json = serde_json::from_str(text(&again, "challenge")).expect("it is JSON");
            assert_eq!((&challenge["authid"], &challenge["authrole"]), (&json!(authid), &json!("member")));
            extra["challenge"] = again["challenge"].clone();
            assert_eq!(again, extra);
            assert_eq!((salt.len(), &again["keylen"], &again["iterations"]), (24, &json!(32), &json!(100)));
        }
    }
}

#[test]
fn a_password_is_proved_and_the_router_proves_that_it_knew_it() {
    let router = router();
    for serializer in Serializer::ALL {
        for (authid, is_known) in [("sam", true), ("nobody", false), ("carol", false)] {
            let details =
                json!({"authid": authid, "authextra": {"nonce": "bm9uY2U=", "channel_binding": null}});
            let begin = || challenged(&router, serializer, "wamp-scram", &details);
            let (peer, extra) = begin();
            let nonce = text(&extra, "nonce");
            let told = ["salt", "kdf", "iterations", "memory"].map(|key| extra[key].clone());
            assert_eq!(told[1..], [json!("argon2id13"), json!(1), json!(32)]);
            assert_eq!((&nonce[..8], nonce.len(), text(&extra, "salt").len()), ("bm9uY2U=", 32, 24));
            let prove = |extra: &Json, password| {
                let (nonce, salt) = (text(extra, "nonce"), text(extra, "salt"));
                let told = Told { authid, client_nonce: "bm9uY2U=", nonce, salt, kdf: KDF };
                scram::prove(password, &told).expect("the password is one").expect("the salt is one")
            };
            let answered = |extra: &Json| json!({"nonce": extra["nonce"], "channel_binding": null});
            let right = prove(&extra, "secret of sam");
            if is_known {
                let (_, welcome) = welcomed(peer, &right.signature, &answered(&extra));
                check_welcome(&welcome, authid, "wamp-scram", &json!({"verifier": right.verifier}));
            } else {
                denied(peer, &right.signature, &answered(&extra));
            }
            let (peer, again) = begin();
            let other = ["salt", "kdf", "iterations", "memory"].map(|key| again[key].clone());
            assert_eq!(told, other);
            assert_ne!(again["nonce"], extra["nonce"]);
            denied(peer, &right.signature, &answered(&again));
            denied(begin().0, &right.signature, &answered(&extra));
            let (peer, extra) = begin();
            denied(peer, &prove(&extra, "secret of sa").signature, &answered(&extra));
        }
    }
}

#[test]
fn a_private_key_signs_a_challenge_and_need_not_say_whose_it_is() {
    let router = router();
    let public = cryptosign::public_key(&CAROL).to_string();
    for serializer in Serializer::ALL {
        let sign = |extra: &Json| {
            assert_eq!(extra.as_object().expect("a dict").len(), 1, "{extra}");
            cryptosign::sign(&CAROL, text(extra, "challenge")).expect("it is a challenge")
        };
        let announced = json!({"pubkey": public, "channel_binding": "tls-unique", "trustroot": "x"});
        for details in [json!({"authextra": announced}), json!({"authid": "carol", "authextra": announced})] {
            let (peer, extra) = challenged(&router, serializer, "cryptosign", &details);
            let right = sign(&extra);
            check_welcome(&welcomed(peer, &right, &json!({})).1, "carol", "cryptosign", &Json::Null);
            denied(challenged(&router, serializer, "cryptosign", &details).0, &right, &json!({}));
        }
        // The key is somebody's, but not of who is named.
        for authid in ["sam", "nobody", ""] {
            let details = json!({"authid": authid, "authextra": announced});
            let (peer, extra) = challenged(&router, serializer, "cryptosign", &details);
            denied(peer, &sign(&extra), &json!({}));
        }
        // The key is nobody's, or not the one that signs.
        for (announced, signing) in [([4; 32], [4; 32]), ([9; 32], CAROL), (CAROL, [9; 32])] {
            for authid in [Json::Null, json!("carol"), json!("nobody")] {
                let announced = cryptosign::public_key(&announced).to_string();
                let details = json!({"authid": authid, "authextra": {"pubkey": announced}});
                let (peer, extra) = challenged(&router, serializer, "cryptosign", &details);
                let signature = cryptosign::sign(&signing, text(&extra, "challenge"));
                denied(peer, &signature.expect("it is a challenge"), &json!({}));
            }
        }
    }
}

#[test]
fn a_channel_binding_that_is_asked_for_is_refused_where_the_realm_says_so() {
    let router = binding_none();
    let announced = |binding: Json| {
        let key = cryptosign::public_key(&CAROL).to_string();
        json!({"authextra": {"pubkey": key, "channel_binding": binding}})
    };
    for serializer in Serializer::ALL {
        let (peer, extra) = challenged(&router, serializer, "cryptosign", &announced(Json::Null));
        let signature = cryptosign::sign(&CAROL, text(&extra, "challenge")).expect("it is a challenge");
        check_welcome(&welcomed(peer, &signature, &json!({})).1, "carol", "cryptosign", &Json::Null);
        for binding in [json!("tls-unique"), json!("tls-exporter"), json!(7)] {
            let mut peer = Peer::connect(&router, serializer);
            let mut details = announced(binding);
            (details["roles"], details["authmethods"]) = (json!({"caller": {}}), json!(["cryptosign"]));
            peer.send(&json!([1, "realm1", details]));
            let text = "authentication by cryptosign is not possible: \
                        HELLO.Details.authextra.channel_binding must be null, since none is offered";
            let abort = json!([3, {"message": text}, "wamp.error.authentication_required"]);
            assert_eq!(peer.rest()[0], Received::Message(abort), "{details}");
        }
    }
}

#[test]
fn who_leaves_out_what_a_method_needs_is_told_what() {
    let router = router();
    let key = "HELLO.Details.authextra.pubkey must be 64 hexadecimal digits";
    let nonce = "HELLO.Details.authextra.nonce must be a text of at most 256 printable ASCII characters without a comma";
    let binding = "HELLO.Details.authextra.channel_binding must be null, since none is offered";
    for (method, details, lacks) in [
        ("wampcra", json!({}), "HELLO.Details.authid is missing"),
        ("wamp-scram", json!({"authextra": {"nonce": "a"}}), "HELLO.Details.authid is missing"),
        ("wamp-scram", json!({"authid": "sam"}), nonce),
        ("wamp-scram", json!({"authid": "sam", "authextra": {"nonce": 1}}), nonce),
        ("wamp-scram", json!({"authid": "sam", "authextra": {"nonce": "a,b"}}), nonce),
        (
            "wamp-scram",
            json!({"authid": "sam", "authextra": {"nonce": "a", "channel_binding": "x"}}),
            binding,
        ),
        ("cryptosign", json!({"authid": "carol"}), key),
        ("cryptosign", json!({"authextra": {"pubkey": "ff"}}), key),
    ] {
        let mut peer = Peer::connect(&router, Serializer::Json);
        let mut details = details.clone();
        (details["roles"], details["authmethods"]) = (json!({"caller": {}}), json!([method]));
        peer.send(&json!([1, "realm1", details]));
        let text = format!("authentication by {method} is not possible: {lacks}");
        let abort = json!([3, {"message": text}, "wamp.error.authentication_required"]);
        assert_eq!(peer.rest()[0], Received::Message(abort), "{method} {details}");
    }
}

/// Lets somebody in by a certificate with these names.
fn holder(settings: &mut Settings, authid: &str, names: &[&str]) {
    let names = names.iter().map(|name| name.parse::<CertificateName>().expect("it names a certificate"));
    let credentials = Credentials { certificates: names.collect(), ..Credentials::default() };
    let role = Role::unrestricted("member").into();
    settings.realms[0].door.principals.push(principal(authid, &role, credentials));
}

#[test]
fn a_certificate_tells_who_its_connection_is_of() {
    let own = client_certificate("own", "Sensor 7", "Sensor.example.com", "spiffe://example.com/sensor/7");
    let other = client_certificate("other", "Sensor 8", "other.example.com", "spiffe://example.com/sensor/8");
    let fingerprint = CertificateName::fingerprint(&own.der).to_string();
    let listener = certificate("methods", &["localhost"]).files;
    let router = |names: &[&str]| {
        Router::with(|settings| {
            let client_ca = Some(authority_file().to_owned());
            let tls =
                realmkeeper::TlsFiles { client_ca, allows_no_client_certificate: true, ..listener.clone() };
            settings.listeners[0].tls = Some(tls);
            holder(settings, "nobody's", &["cn:Sensor 9"]);
            holder(settings, "sensor", names);
        })
    };
    let hello = |router: &Router, own, serializer: Serializer, authid: &Json| {
        let mut peer = Peer::on(certificate::open(router.address(), own, serializer), serializer);
        let details = json!({"roles": {"caller": {}}, "authmethods": ["tls"], "authid": authid});
        peer.send(&json!([1, "realm1", details]));
        peer
    };
    for names in [
        &["cn:Sensor 7"][..],
        &["dns:sensor.EXAMPLE.com"],
        &["uri:spiffe://example.com/sensor/7"],
        &[&fingerprint],
        &["cn:Sensor 1", "cn:Sensor 7"],
    ] {
        let router = router(names);
        for serializer in Serializer::ALL {
            for authid in [Json::Null, json!("sensor")] {
                let mut peer = hello(&router, Some(&own), serializer, &authid);
                let welcome = peer.message();
                assert_eq!(welcome[0], 2, "{names:?} {welcome}");
                check_welcome(&welcome[2], "sensor", "tls", &Json::Null);
            }
            for (own, authid) in [
                (&own, json!("nobody's")),
                (&own, json!("nobody")),
                (&other, Json::Null),
                (&other, json!("sensor")),
            ] {
                check_denied(&mut hello(&router, Some(own), serializer, &authid));
            }
            let mut without = hello(&router, None, serializer, &json!("sensor"));
            let text = "authentication by tls is not possible: the connection was opened without a client \
                        certificate";
            let abort = json!([3, {"message": text}, "wamp.error.authentication_required"]);
            assert_eq!(without.rest()[0], Received::Message(abort));
        }
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_opens_no_connection_though_none_is_needed() {
    let listener = certificate("optional", &["localhost"]).files;
    let router = Router::with(|settings| {
        let client_ca = Some(authority_file().to_owned());
        let tls = realmkeeper::TlsFiles { client_ca, allows_no_client_certificate: true, ..listener };
        settings.listeners[0].tls = Some(tls);
    });
    let foreign = certificate::self_signed("foreign");
    let connected =
        certificate::connect(crate::support::http::send(router.address(), b""), "localhost", Some(&foreign));
    let refused = connected.and_then(|(mut stream, _)| stream.read(&mut [0]));
    let problem = refused.expect_err("it is refused").to_string();
    assert!(problem.starts_with("received fatal alert: "), "{problem}");
}

const JWT_SECRET: &str = "a secret of more than 32 octets, shared by two";

/// A token that is signed with a secret.
fn token(secret: &str, claims: &Json) -> String {
    let encode = |json: &Json| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", encode(&json!({"alg": "HS256", "typ": "JWT"})), encode(claims));
    // It is what wampcra signs with, in another alphabet.
    let signature = cra::sign(secret, &message).replace('+', "-").replace('/', "_").replace('=', "");
    format!("{message}.{signature}")
}

/// So many seconds from now, in seconds since the Unix epoch.
fn from_now(seconds: u64) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    (since + Duration::from_secs(seconds)).as_secs()
}

/// Rules by which tokens that are signed with the secret give the role `member`.
fn rules() -> Rules {
    Rules {
        keys: vec![jwt::Key::secret(JWT_SECRET.as_bytes()).expect("it is long enough")],
        issuer: None,
        audience: None,
        authid: "sub".into(),
        role: Grant::Fixed(Role::unrestricted("member").into()),
    }
}

/// A router that lets in by tokens, and observers who do not say who they are.
fn by_token() -> Router {
    Router::with(|settings| settings.realms[0].door.jwt = Some(rules()))
}

#[test]
fn a_token_lets_in_whom_it_names() {
    let router = by_token();
    let claims = json!({"sub": "joe", "exp": from_now(3600)});
    let right = token(JWT_SECRET, &claims);
    for serializer in Serializer::ALL {
        for authid in [Json::Null, json!("joe")] {
            let (peer, extra) = challenged(&router, serializer, "jwt", &json!({"authid": authid}));
            assert_eq!(extra, json!({}));
            check_welcome(&welcomed(peer, &right, &json!({})).1, "joe", "jwt", &Json::Null);
        }
        denied(challenged(&router, serializer, "jwt", &json!({"authid": "root"})).0, &right, &json!({}));
        for wrong in [
            String::new(),
            "secret123".into(),
            token("a secret of more than 32 octets, that nobody has", &claims),
            token(JWT_SECRET, &json!({"sub": "joe", "exp": from_now(0) - 1})),
            token(JWT_SECRET, &json!({"sub": "joe"})),
            token(JWT_SECRET, &json!({"exp": from_now(3600)})),
        ] {
            denied(challenged(&router, serializer, "jwt", &json!({})).0, &wrong, &json!({}));
        }
    }
}

#[test]
fn a_name_is_one_line_of_the_log_whatever_it_holds() {
    let router = by_token();
    let name = "log-forger\n WARN realmkeeper: forged";
    let token = token(JWT_SECRET, &json!({"sub": name, "exp": from_now(3600)}));
    let (peer, _) = challenged(&router, Serializer::Json, "jwt", &json!({}));
    assert_eq!(welcomed(peer, &token, &json!({})).1["authid"], name);
    for event in ["session joined", "session left"] {
        let line = log::wait_for(&[event, "log-forger"]);
        assert!(line.contains(r#"authid="log-forger\n WARN realmkeeper: forged""#), "{line}");
    }
}

#[test]
fn a_session_ends_when_its_token_expires_and_its_realm_is_told() {
    let router = by_token();
    let mut observer = Peer::join(&router, Serializer::Json);
    observer.subscribe("wamp.session.on_leave");
    let (peer, _) = challenged(&router, Serializer::Json, "jwt", &json!({}));
    let mut joe = peer;
    joe.send(&json!([5, token(JWT_SECRET, &json!({"sub": "joe", "exp": from_now(2)})), {}]));
    let session = joe.message()[1].clone();
    let text = "the token has expired by which this session was let in";
    let goodbye = Received::Message(json!([6, {"message": text}, "realmkeeper.close.expired"]));
    assert_eq!(joe.rest(), [goodbye, Received::Close(Some(1008)), Received::End]);
    let left = observer.message();
    assert_eq!((&left[0], &left[4]), (&json!(36), &json!([session, "joe", "member"])), "{left}");
}

/// What the client programs print.
const CHECKS: [&str; 12] = [
    "ticket",
    "wrong ticket",
    "wampcra",
    "wrong wampcra",
    "salted wampcra",
    "wrong salted wampcra",
    "unknown wampcra",
    "cryptosign",
    "cryptosign without authid",
    "wrong cryptosign",
    "jwt",
    "wrong jwt",
];

/// Runs a client program in a serializer.
fn passes(program: &str, serializer: Serializer) {
    let role = Arc::new(Role::unrestricted("member"));
    let router = Router::with(|settings| {
        let door = &mut settings.realms[0].door;
        let by_cra = |key| Credentials { cra: Some(key), ..Credentials::default() };
        let salted = cra::Key::salted(&cra::derive("secret123", &salting()), salting());
        let public_keys = vec![cryptosign::public_key(&CAROL)];
        door.principals = vec![
            principal("joe", &role, hashed(HASH).into()),
            principal("plain", &role, by_cra(cra::Key::plain("secret123"))),
            principal("salty", &role, by_cra(salted)),
            principal("carol", &role, Credentials { public_keys, ..Credentials::default() }),
        ];
        door.jwt = Some(rules());
    });
    let token = token(JWT_SECRET, &json!({"sub": "tom", "exp": from_now(3600)}));
    let outcome = clients::run(program, &[&router.url(), "realm1", serializer.name(), &token]);
    let expected: String = CHECKS.iter().map(|check| format!("ok {check}\n")).collect();
    assert_eq!(outcome.stdout, expected, "{program} over {serializer} printed:\n{}", outcome.stderr);
    assert!(outcome.status.success(), "{program} over {serializer}: {}\n{}", outcome.status, outcome.stderr);
}

#[test]
fn autobahn_python_proves_who_it_is() {
    Serializer::ALL.into_iter().for_each(|serializer| passes("methods.py", serializer));
}

#[test]
fn autobahn_js_proves_who_it_is() {
    Serializer::ALL.into_iter().for_each(|serializer| passes("methods_autobahn.js", serializer));
}
