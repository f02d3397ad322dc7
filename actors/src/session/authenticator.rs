//! Whom a component of a realm lets in, and how that is proved: what it is asked and answers is what the dynamic
//! authenticators of Crossbar.io are asked and answer.

use super::{
    access::Access,
    auth::{
        Exchange, Method, cra,
        cryptosign::{self, PublicKey},
        scram,
    },
    handshake::{Candidate, Handshake, Lent, Next},
    refused::Refused,
};
use crate::{
    codec::{Arguments, Payload, Serializer},
    message::{
        Challenge, Signature,
        uri::Uri,
        value::{Dict, Value},
    },
    permission::Role,
    step::Reply,
};
use rand::RngExt;
use std::{fmt, sync::Arc};

/// By whom those are known whom a component knows.
pub(super) const PROVIDER: &str = "dynamic";

/// The most rounds by which a secret is salted here, for each signature that is checked.
const MOST_ROUNDS: u64 = 100_000;

/// The most octets of a key that is derived of a secret here: the work grows with them.
const LONGEST_KEY: u64 = 64;

/// How many octets the text of a component can have that a client is told.
const MOST_TEXT: usize = 1024;

/// How many octets a component is told of somebody at most: what those send who have not joined must not fill the outbox
/// of the component.
const MOST_TOLD: usize = 8 * 1024;

/// Who wants to join, as long as it is a component's to say who that is.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(super) candidate: Box<Candidate>,
    pub(super) procedure: Uri,
    /// Who the client says that it is.
    pub(super) authid: Option<Arc<str>>,
    pub(super) authextra: Option<Dict>,
    /// The key that it says it has.
    pub(super) key: Option<PublicKey>,
    /// What it adds to the challenge of `wamp-scram`.
    pub(super) nonce: Option<String>,
}

/// What a component is asked. There may be a ticket in it, which is not shown.
pub(crate) struct Question {
    pub(crate) realm: Uri,
    pub(crate) procedure: Uri,
    pub(crate) arguments: Arguments,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { realm, procedure, .. } = self;
        let mut shown = f.debug_struct("Question");
        shown.field("realm", realm).field("procedure", procedure).finish_non_exhaustive()
    }
}

/// What a component grants.
struct Granted {
    role: Arc<Role>,
    authid: Option<Arc<str>>,
    extra: Option<Dict>,
    /// How it is to be proved.
    proof: Dict,
}

impl Asking {
    /// What comes first: a ticket is shown before the component is asked about it. Of whom it would have to be told too
    /// much even without the ticket, nothing is kept until then.
    pub(super) fn begin(self: Box<Self>) -> Next {
        match self.question(None) {
            Err(refused) => Next::Refuse(refused),
            Ok(_) if self.candidate.method == Method::Ticket => {
                let challenge = Challenge { method: Method::Ticket.name().into(), extra: Dict::default() };
                Next::Challenge { challenge, then: Handshake::Showing(self) }
            }
            Ok(question) => Next::Ask { question, then: self },
        }
    }

    /// Asks the component, with the ticket that was shown.
    pub(super) fn ask(self: Box<Self>, ticket: &Signature) -> Next {
        match self.question(Some(ticket)) {
            Err(refused) => Next::Refuse(refused),
            Ok(question) => Next::Ask { question, then: self },
        }
    }

    /// What the component is asked, unless that is too much.
    fn question(&self, ticket: Option<&Signature>) -> Result<Question, Refused> {
        let Candidate { realm, method, promised, transport, .. } = &*self.candidate;
        let authid = || self.authid.as_deref().map_or(Value::Null, Value::copied);
        let told = [
            ("authmethod", Value::from(method.name())),
            ("authid", authid()),
            ("authextra", self.authextra.clone().map_or(Value::Null, Value::from)),
            ("session", promised.map_or(Value::Null, |session| session.get().into())),
            ("transport", transport.details(true).into()),
        ];
        let details: Dict =
            told.into_iter().chain(ticket.map(|ticket| ("ticket", Value::copied(ticket.text())))).collect();
        let args = vec![Value::copied(realm), authid(), details.into()];
        let arguments = Arguments { args, ..Arguments::default() };
        // The component may speak another serializer than the client. What has a form in JSON has one in all.
        let Ok(payload) = Payload::build(Serializer::Json, &arguments) else {
            let lacks = "what is said in HELLO.Details has no form in JSON";
            return Err(Refused::Incomplete { lacks, method: method.name() });
        };
        if payload.len() > MOST_TOLD {
            let text = "what the authenticator of the realm would have to be told is larger than";
            return Err(Refused::MessageTooBig(format!("{text} {MOST_TOLD} octets")));
        }
        Ok(Question { realm: realm.clone(), procedure: self.procedure.clone(), arguments })
    }

    /// Takes what the component answered.
    pub(crate) fn conclude(self, reply: Reply, access: &Access, lent: &mut Lent<'_>) -> Next {
        let (login, is_anonymous) = (self.candidate.login, self.candidate.method == Method::Anonymous);
        if !is_anonymous && access.lockout.is_locked(login, lent.now) {
            return Next::Refuse(Refused::LockedOut);
        }
        let next = match reply {
            Reply::Result(payload) => {
                let granted = self.read(&payload, access);
                let next = granted.and_then(|granted| self.grant(granted, lent));
                next.unwrap_or_else(|problem| Next::Refuse(Refused::AuthenticatorFailed(problem)))
            }
            Reply::Error(error, payload) => Next::Refuse(Refused::Vetoed(reason(&error, &payload))),
            Reply::None => Next::Refuse(Refused::AuthenticatorFailed("it gave no answer".to_owned())),
        };
        match &next {
            Next::Join { .. } if !is_anonymous => access.lockout.succeed(login),
            Next::Refuse(Refused::Vetoed(_)) if !is_anonymous => access.lockout.fail(login, lent.now),
            Next::Join { .. }
            | Next::Refuse(_)
            | Next::Challenge { .. }
            | Next::Verify { .. }
            | Next::Ask { .. }
            | Next::Close => {}
        }
        next
    }

    /// What the component grants; an error if it makes no sense.
    fn read(&self, payload: &Payload, access: &Access) -> Result<Granted, String> {
        let realm = &self.candidate.realm;
        let admission = access.admission(realm).ok_or("the realm is gone")?;
        let arguments = payload.open()?;
        let proof = match &arguments.args[..] {
            [Value::String(role)] => Dict::from([("role", Value::String(role.clone()))]),
            [Value::Dict(dict)] => dict.clone(),
            _ => return Err("it answered neither a role nor a dict".to_owned()),
        };
        let text = |key: &str| match proof.value(key) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(format!("it answered no text for the key {key:?}")),
        };
        if text("realm")?.is_some_and(|other| *other != **realm) {
            return Err("it named another realm".to_owned());
        }
        let role = text("role")?.ok_or("it named no role")?;
        let role =
            admission.role(role).ok_or_else(|| format!("it named the role {role:?}, which there is not"))?;
        let authid = text("authid")?.filter(|authid| !authid.is_empty()).map(Arc::from);
        let extra = match proof.value("extra") {
            None => None,
            Some(Value::Dict(extra)) => Some(extra.clone()),
            Some(_) => return Err("it answered no dict for the key \"extra\"".to_owned()),
        };
        let authid = authid.or_else(|| self.authid.clone());
        Ok(Granted { role: role.clone(), authid, extra, proof })
    }

    /// Lets the client in, or asks it for the proof of which the component said how it is checked.
    fn grant(self, granted: Granted, lent: &mut Lent<'_>) -> Result<Next, String> {
        let Self { mut candidate, authid: said, key, nonce, .. } = self;
        let Granted { role, authid, extra, proof } = granted;
        if candidate.method == Method::Anonymous {
            return Ok(candidate.join(authid, role, extra, None));
        }
        let authid = authid.ok_or("it named no authid")?;
        let exchange = match candidate.method {
            Method::Ticket | Method::Anonymous | Method::Tls | Method::Jwt => {
                return Ok(candidate.join(Some(authid), role, extra, None));
            }
            Method::WampCra => {
                let session = candidate.promised.ok_or("there is no session to be")?;
                let (authrole, authprovider) = (&*role.name, PROVIDER);
                let subject = cra::Subject { authid: &authid, authrole, authprovider, session };
                Exchange::Cra(cra::Exchange::begin(cra_key(&proof)?, subject, lent.chance.random(), lent.now))
            }
            Method::WampScram => {
                let nonce = nonce.unwrap_or_default();
                // The client proves it of the authid that it has said, not knowing another.
                let said = said.unwrap_or_default();
                Exchange::Scram(scram::Exchange::begin(
                    scram_keys(&proof)?,
                    &said,
                    &nonce,
                    lent.chance.random(),
                ))
            }
            Method::Cryptosign => {
                let known = text(&proof, "pubkey").and_then(PublicKey::announced);
                let known = known.ok_or("it named no public key of 64 hexadecimal digits")?;
                let announced = key.unwrap_or_default();
                Exchange::Cryptosign(cryptosign::Exchange::begin(&[known], announced, lent.chance.random()))
            }
        };
        candidate.identity = Some((authid, role));
        candidate.extra = extra;
        let challenge = exchange.challenge();
        Ok(Next::Challenge {
            challenge,
            then: Handshake::Challenged { candidate, exchange: exchange.into() },
        })
    }
}

fn text<'a>(dict: &'a Dict, key: &str) -> Option<&'a str> {
    dict.value(key).and_then(Value::as_str)
}

/// A number that is not over `most`.
fn number(dict: &Dict, key: &str, most: u64) -> Result<Option<u32>, String> {
    match dict.value(key) {
        None => Ok(None),
        Some(Value::Integer(number)) if (1..=most).contains(number) => Ok(u32::try_from(*number).ok()),
        Some(_) => Err(format!("it answered no integer from 1 to {most} for the key {key:?}")),
    }
}

/// The key of `wampcra`: of a secret, which is salted here where a salt is named.
fn cra_key(proof: &Dict) -> Result<cra::Key, String> {
    let secret = text(proof, "secret").filter(|secret| !secret.is_empty()).ok_or("it named no secret")?;
    let rounds = number(proof, "iterations", MOST_ROUNDS)?;
    let length = number(proof, "keylen", LONGEST_KEY)?;
    match (text(proof, "salt"), rounds, length) {
        (Some(salt), Some(iterations), Some(key_length)) => {
            let salting = cra::Salting { salt: salt.into(), iterations, key_length };
            Ok(cra::Key::to_be_salted(secret, salting))
        }
        (None, None, None) => Ok(cra::Key::plain(secret)),
        _ => Err("it named some of salt, iterations and keylen, not all".to_owned()),
    }
}

/// The keys of `wamp-scram`, in hexadecimal digits as Crossbar.io has them.
fn scram_keys(proof: &Dict) -> Result<scram::Keys, String> {
    let octets = |key: &str| {
        let octets = text(proof, key).and_then(octets);
        octets.ok_or_else(|| format!("it answered no hexadecimal digits for the key {key:?}"))
    };
    let key = |key: &str| {
        <[u8; 32]>::try_from(octets(key)?)
            .map_err(|_| format!("it answered no 32 octets for the key {key:?}"))
    };
    let rounds = number(proof, "iterations", u32::MAX.into())?.ok_or("it named no iterations")?;
    let kdf = match (text(proof, "kdf"), number(proof, "memory", u32::MAX.into())?) {
        (Some("pbkdf2"), _) => scram::Kdf::Pbkdf2 { iterations: rounds },
        (Some("argon2id13" | "argon2id-13"), Some(memory)) => {
            scram::Kdf::Argon2id { iterations: rounds, memory }
        }
        _ => return Err("it named neither the kdf pbkdf2 nor argon2id13 with memory".to_owned()),
    };
    Ok(scram::Keys::new(&octets("salt")?, kdf, key("stored-key")?, key("server-key")?))
}

/// The octets that hexadecimal digits stand for.
fn octets(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pair = |pair: &[u8]| u8::try_from(digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(pair).collect())?
}

/// What a client is told that a component has not let in: its words, unless they are those of a fault.
fn reason(error: &Uri, payload: &Payload) -> String {
    let said = payload.open().ok().filter(|_| !error.is_reserved());
    let said = said.as_ref().and_then(|said| said.args.first()?.as_str());
    let said = said.filter(|said| said.len() <= MOST_TEXT && !said.starts_with('\0'));
    said.unwrap_or("the authenticator of the realm does not let this client in").to_owned()
}
