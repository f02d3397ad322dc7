//! Each method of authentication against a started router: right and wrong proofs, in every serializer.

use crate::support::{Peer, Router, peer::Received};
use realmkeeper_actors::{
    codec::Serializer,
    permission::Role,
    session::access::{
        Credentials, Principal,
        cra::{self, Salting},
        cryptosign,
        scram::{self, Kdf, Told},
    },
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

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
