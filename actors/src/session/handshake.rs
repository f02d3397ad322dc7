//! From HELLO to WELCOME as a state machine (section "Session Establishment").
//!
//! ```text
//! Opened     -- HELLO -----------> Join                     nothing is asked
//! Opened     -- HELLO -----------> Challenge, Challenged    a method of `auth` asks for a proof
//! Challenged -- AUTHENTICATE ----> Verify, Verifying        the actor runs the check
//! Verifying  -- its outcome -----> Join                     the proof is right
//! Opened     -- HELLO -----------> Ask, Asking              the actor has a component asked who that is
//! Opened     -- HELLO -----------> Challenge, Showing       a ticket is due, about which a component is asked
//! Showing    -- AUTHENTICATE ----> Ask, Asking
//! Asking     -- its answer ------> Join, or Challenge       the component knows it, or how it is to be proved
//! ```
//!
//! Every other way leads to [`Next::Refuse`], and ABORT of the client to [`Next::Close`]. Each state is used up by
//! what it takes, so that one AUTHENTICATE answers one CHALLENGE.

use super::{
    access::{Access, CertificateName},
    applicant::Applicant,
    auth::{Check, Checked, Claims, Exchange, Method, Proof},
    authenticator::{Asking, Question},
    lockout::Login,
    refused::Refused,
};
use crate::{
    label::labels,
    message::{
        Challenge, ClientMessage, Hello,
        feature::Roles,
        id::{MAX_ID, SessionId},
        uri::{Match, Uri, UriRule},
        value::Dict,
    },
    permission::Role,
    refusal::{Refusal, Violation},
    roster::{Newcomer, Transport},
};
use rand::{RngExt, rngs::StdRng};
use std::{sync::Arc, time::SystemTime};

/// Where a client stands that has not joined, and whose next message is due.
#[derive(Debug, Default)]
pub(crate) enum Handshake {
    /// HELLO is due.
    #[default]
    Opened,
    /// CHALLENGE was sent; AUTHENTICATE is due.
    Challenged { candidate: Box<Candidate>, exchange: Box<Exchange> },
    /// CHALLENGE was sent; a ticket is due, about which a component is asked.
    Showing(Box<Asking>),
}

/// A proof is being checked. No message is taken meanwhile.
#[derive(Debug)]
pub(crate) struct Verifying(Box<Candidate>);

/// Who wants to join, and who it is if it proves that.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(super) realm: Uri,
    /// Whose failure it is if it does not.
    pub(super) login: Login,
    pub(super) method: Method,
    /// By whom it is known.
    pub(super) provider: &'static str,
    /// The id that CHALLENGE, or a component, was told.
    pub(super) promised: Option<SessionId>,
    /// Its authid and its role; `None` for an authid that nobody has: whatever the proof, it is not let in, unless the
    /// proof tells who it is.
    pub(super) identity: Option<(Arc<str>, Arc<Role>)>,
    /// What it is told in WELCOME by who knows it, unless its method tells something.
    pub(super) extra: Option<Dict>,
    pub(super) transport: Transport,
    pub(super) roles: Roles,
}

/// What comes next for a client that has not joined.
#[derive(Debug)]
pub(crate) enum Next {
    /// It may join this realm, and stay until this time if there is one.
    Join { realm: Uri, newcomer: Newcomer, expiry: Option<SystemTime> },
    /// It is asked for a proof; `then` takes the answer.
    Challenge { challenge: Challenge, then: Handshake },
    /// The check is to be run; `then` takes its outcome.
    Verify { check: Check, then: Verifying },
    /// A component is to be asked; `then` takes the answer.
    Ask { question: Question, then: Box<Asking> },
    /// It gave up.
    Close,
    /// It is sent away.
    Refuse(Refused),
}

/// How the way to a session ends for a client that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has joined.
    Joined,
    /// It sent ABORT.
    Aborted,
    /// It closed its WebSocket.
    Closed,
    /// The connection broke.
    Lost,
}

labels! {
    pub(crate) Outcome {
        Self::Joined => "joined",
        Self::Aborted => "aborted",
        Self::Closed => "closed",
        Self::Lost => "lost",
    }
}

/// What the handshake is lent for a message of the client: the time, the chance, and what its connection proves.
pub(crate) struct Lent<'a> {
    pub(crate) now: SystemTime,
    pub(crate) chance: &'a mut StdRng,
    /// The names in the certificate with which the connection was opened, in the order in which they are looked up;
    /// none if there is no certificate.
    pub(crate) certificate: &'a [CertificateName],
}

impl Lent<'_> {
    pub(super) fn session_id(&mut self) -> SessionId {
        SessionId::new(self.chance.random_range(1..=MAX_ID)).unwrap_or(SessionId::FIRST)
    }
}

impl Handshake {
    /// Takes the next message of the client.
    pub(crate) fn receive(
        self,
        message: ClientMessage,
        transport: &Transport,
        access: &Access,
        lent: &mut Lent<'_>,
    ) -> Next {
        match (self, message) {
            (Self::Opened, ClientMessage::Hello(hello)) => {
                greet(&hello, transport, access, lent).unwrap_or_else(Next::Refuse)
            }
            (Self::Challenged { candidate, .. }, ClientMessage::Authenticate(_))
                if access.lockout.is_locked(candidate.login, lent.now) =>
            {
                Next::Refuse(Refused::LockedOut)
            }
            (Self::Challenged { candidate, exchange }, ClientMessage::Authenticate(authenticate)) => {
                Next::Verify { check: exchange.answer(authenticate, lent.now), then: Verifying(candidate) }
            }
            (Self::Showing(asking), ClientMessage::Authenticate(_))
                if access.lockout.is_locked(asking.candidate.login, lent.now) =>
            {
                Next::Refuse(Refused::LockedOut)
            }
            (Self::Showing(asking), ClientMessage::Authenticate(authenticate)) => {
                asking.ask(&authenticate.signature)
            }
            (_, ClientMessage::Abort(_)) => Next::Close,
            (Self::Opened, message) => unexpected(message.name(), "came before a session was joined"),
            (Self::Challenged { .. } | Self::Showing(_), message) => {
                unexpected(message.name(), "came where AUTHENTICATE was due")
            }
        }
    }
}

impl Verifying {
    /// Takes the outcome of the check. Who has to wait meanwhile, since others failed who said that they are the same,
    /// does so even if it is right: many checks at once are not as many tries.
    pub(crate) fn conclude(self, outcome: Checked, access: &Access, now: SystemTime) -> Next {
        let login = self.0.login;
        if outcome.is_ok() && access.lockout.is_locked(login, now) {
            return Next::Refuse(Refused::LockedOut);
        }
        let next = match outcome {
            Ok(Some(proof)) => self.0.admit(proof),
            Ok(None) => Next::Refuse(Refused::AuthenticationDenied),
            Err(_) => Next::Refuse(Refused::AuthenticationFailed),
        };
        match &next {
            Next::Join { .. } => access.lockout.succeed(login),
            Next::Refuse(Refused::AuthenticationDenied) => access.lockout.fail(login, now),
            Next::Refuse(_)
            | Next::Challenge { .. }
            | Next::Verify { .. }
            | Next::Ask { .. }
            | Next::Close => {}
        }
        next
    }
}

impl Candidate {
    /// Lets it in as who it is by a right proof; nobody is not let in.
    pub(super) fn admit(mut self, Proof { authextra, claims }: Proof) -> Next {
        match (claims, self.identity.take()) {
            (Some(Claims { authid, role, expiry }), _) => {
                self.join(Some(authid), role, authextra, Some(expiry))
            }
            (None, Some((authid, role))) => self.join(Some(authid), role, authextra, None),
            (None, None) => Next::Refuse(Refused::AuthenticationDenied),
        }
    }

    pub(super) fn join(
        self,
        authid: Option<Arc<str>>,
        role: Arc<Role>,
        authextra: Option<Dict>,
        expiry: Option<SystemTime>,
    ) -> Next {
        let Self { realm, method, provider, promised, extra, transport, roles, .. } = self;
        let authmethod = method.name();
        let (authprovider, authextra) = (provider, authextra.or(extra));
        let newcomer =
            Newcomer { promised, authid, role, authmethod, authprovider, authextra, transport, roles };
        Next::Join { realm, newcomer, expiry }
    }
}

fn unexpected(message: &'static str, problem: &'static str) -> Next {
    Next::Refuse(Violation::Unexpected { message, problem }.into())
}

fn greet(
    hello: &Hello,
    transport: &Transport,
    access: &Access,
    lent: &mut Lent<'_>,
) -> Result<Next, Refused> {
    if !hello.realm.is_valid(Match::Exact, UriRule::Loose) {
        return Err(Refused::InvalidRealm(hello.realm.clone()));
    }
    if !hello.details.roles.as_ref().is_some_and(|roles| roles.has_client()) {
        let problem = "must announce in Details.roles one of publisher, subscriber, caller and callee";
        return Err(Violation::Unexpected { message: "HELLO", problem }.into());
    }
    let admission =
        access.admission(&hello.realm).ok_or_else(|| Refused::NoSuchRealm(hello.realm.clone()))?;
    let is_banned = |authid| admission.bans.holds(authid, transport.address, lent.now);
    if is_banned(None) {
        return Err(Refusal::Banned.into());
    }
    let offered = offered(hello.details.authmethods.as_deref());
    let applicant = Applicant {
        hello,
        transport,
        certificate: lent.certificate,
        admission: &admission,
        lockout: &access.lockout,
        like: hello.details.authid.as_deref().and_then(|authid| admission.likeness(authid)),
    };
    let accepted = || offered.iter().copied().flatten().filter(|method| admission.accepts(*method));
    if let Some(method) = applicant.choose(accepted()) {
        // Who is anonymous is not whom it says that it is.
        let known = applicant.principal(method).map(|known| &*known.authid);
        if method != Method::Anonymous && is_banned(known.or(applicant.authid())) {
            return Err(Refusal::Banned.into());
        }
        if method != Method::Anonymous && access.lockout.is_locked(applicant.login(), lent.now) {
            return Err(Refused::LockedOut);
        }
        return Ok(applicant.begin(method, lent));
    }
    let mut incomplete = accepted().filter_map(|method| Some((method, applicant.lacks(method)?)));
    Err(match incomplete.next() {
        Some((method, lacks)) => Refused::Incomplete { lacks, method: method.name() },
        None if offered.iter().all(|method| *method == Some(Method::Anonymous)) => {
            Refused::AuthenticationRequired { accepted: admission.accepted() }
        }
        None => Refused::NoMatchingAuthMethod { accepted: admission.accepted() },
    })
}

/// The methods that a client offers, `None` for what is none, each once: what is done for each costs more than its name
/// in HELLO.
fn offered(names: Option<&[Box<str>]>) -> Vec<Option<Method>> {
    let mut offered = Vec::new();
    for name in names.unwrap_or_default() {
        let method = Method::from_name(name);
        if !offered.contains(&method) {
            offered.push(method);
        }
    }
    if offered.is_empty() {
        // Who offers nothing offers to be anonymous.
        offered.push(Some(Method::Anonymous));
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Serializer,
        message::{Abort, value::Value},
        roster::Channel,
        session::{
            access::{Credentials, Door, Principal, Ticket},
            auth::{Unchecked, cra, cryptosign, jwt, scram},
            lockout::{Lockout, LockoutOptions},
        },
        transport::framing::Framing,
    };
    use bytes::Bytes;
    use rand::SeedableRng;
    use std::{collections::HashSet, net::Ipv4Addr, num::NonZeroU32, time::Duration};

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$cmVhbG1rZWVwZXIuc2FsdA\
                        $Mv5STjIxSpnL5c5hA1ZVL9MtOunSNAQmRLEmT64bzZM";

    /// How the realms admit: `open` whoever does not say who it is, `plain` and `hashed` only joe by his ticket,
    /// `both` either, and `shut` nobody.
    fn access() -> Access {
        let anonymous = Some(Arc::new(Role::unrestricted("anonymous")));
        let joe = |ticket: Ticket| {
            let role = Arc::new(Role::unrestricted("backend"));
            vec![Principal { authid: "joe".into(), role, credentials: ticket.into() }]
        };
        let (plain, hashed) = (Ticket::plain("secret123"), Ticket::hashed(HASH).unwrap());
        let access = Access::new(Lockout::default(), [7; 32]);
        access.replace([
            ("open".into(), Door { anonymous: anonymous.clone(), ..Door::default() }),
            ("plain".into(), Door { principals: joe(plain.clone()), ..Door::default() }),
            ("hashed".into(), Door { principals: joe(hashed), ..Door::default() }),
            ("both".into(), Door { anonymous, principals: joe(plain), ..Door::default() }),
            ("shut".into(), Door::default()),
        ]);
        access
    }

    /// What a message leads to.
    fn receive(handshake: Handshake, message: &str) -> Next {
        receive_at(handshake, message, &access(), SystemTime::UNIX_EPOCH)
    }

    fn receive_at(handshake: Handshake, message: &str, access: &Access, now: SystemTime) -> Next {
        let frame = Bytes::copy_from_slice(message.as_bytes());
        let message = ClientMessage::decode(Serializer::Json, &frame, 64).unwrap();
        let transport = Transport::example(Serializer::Json);
        let mut chance = StdRng::seed_from_u64(1);
        let lent = &mut Lent { now, chance: &mut chance, certificate: &[] };
        handshake.receive(message, &transport, access, lent)
    }

    fn hello(realm: &str, details: &str) -> Next {
        receive(Handshake::Opened, &format!(r#"[1,"{realm}",{{"roles":{{"caller":{{}}}}{details}}}]"#))
    }

    /// Who is let in where.
    fn joined(next: Next) -> (Uri, Newcomer) {
        let Next::Join { realm, newcomer, expiry: None } = next else { panic!("it is not let in: {next:?}") };
        (realm, newcomer)
    }

    fn refused(next: Next) -> (String, String) {
        let Next::Refuse(refused) = next else { panic!("it is not refused: {next:?}") };
        let abort = refused.abort();
        (abort.reason.to_string(), abort.details.message.unwrap_or_default().into())
    }

    /// Says HELLO with this authid; gives what takes the answer to the challenge.
    fn challenged(realm: &str, authid: &str) -> Handshake {
        let next = hello(realm, &format!(r#","authmethods":["ticket"],"authid":"{authid}""#));
        let Next::Challenge { challenge, then } = next else { panic!("it is not challenged: {next:?}") };
        assert_eq!((&*challenge.method, challenge.extra), ("ticket", Default::default()));
        then
    }

    /// Shows a ticket; gives what the outcome of its check leads to.
    fn show(realm: &str, authid: &str, ticket: &str) -> Next {
        let next = receive(challenged(realm, authid), &format!(r#"[5,"{ticket}",{{}}]"#));
        let Next::Verify { check, then } = next else { panic!("nothing is checked: {next:?}") };
        assert_eq!(check.is_costly(), realm == "hashed");
        then.conclude(check.run(), &access(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_client_that_offers_nothing_is_anonymous() {
        for offer in
            ["", r#","authmethods":[]"#, r#","authmethods":null"#, r#","authmethods":["x","anonymous"]"#]
        {
            let (realm, newcomer) = joined(hello("open", offer));
            assert_eq!((&*realm, &newcomer.authid, &*newcomer.role.name), ("open", &None, "anonymous"));
        }
    }

    #[test]
    fn what_a_client_says_of_itself_is_not_believed() {
        let forged = r#","authid":"root","authrole":"admin","authprovider":"x","transport":{"peer":"y"},
            "authextra":{"transport":{"peer":"z"}}"#;
        assert_eq!(joined(hello("open", forged)), joined(hello("open", "")));
    }

    #[test]
    fn the_right_ticket_lets_its_principal_in() {
        for realm in ["plain", "hashed", "both"] {
            let (joined, newcomer) = joined(show(realm, "joe", "secret123"));
            let Newcomer { authid, role, authmethod, authprovider, .. } = newcomer;
            assert_eq!(
                (&*joined, authid.as_deref(), &*role.name, authmethod, authprovider),
                (realm, Some("joe"), "backend", "ticket", "static")
            );
        }
    }

    #[test]
    fn a_wrong_ticket_and_an_unknown_authid_are_told_the_same() {
        let denied = ("wamp.error.authentication_denied".into(), "the authid or the proof is wrong".into());
        for realm in ["plain", "hashed", "both"] {
            for ticket in ["", "secret12", "secret1234", "SECRET123"] {
                assert_eq!(refused(show(realm, "joe", ticket)), denied, "{realm} {ticket:?}");
            }
            for authid in ["", "jo", "Joe", "backend", "anonymous"] {
                for ticket in ["", "secret123"] {
                    assert_eq!(refused(show(realm, authid, ticket)), denied, "{realm} {authid:?} {ticket:?}");
                }
            }
        }
    }

    #[test]
    fn who_fails_too_often_is_asked_for_nothing_until_time_has_passed() {
        let locked =
            ("realmkeeper.error.limit_exceeded".into(), "too many failed logins, try again later".into());
        for authid in ["joe", "nobody"] {
            let (access, second) = (access(), |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let hello = |now| {
                let hello = format!(
                    r#"[1,"plain",{{"roles":{{"caller":{{}}}},"authmethods":["ticket"],"authid":"{authid}"}}]"#
                );
                receive_at(Handshake::Opened, &hello, &access, second(now))
            };
            let answer = |next: Next, ticket: &str, now| {
                let Next::Challenge { then, .. } = next else { panic!("it is not challenged: {next:?}") };
                receive_at(then, &format!(r#"[5,"{ticket}",{{}}]"#), &access, second(now))
            };
            let conclude = |next: Next, now| {
                let Next::Verify { check, then } = next else { panic!("nothing is checked: {next:?}") };
                then.conclude(check.run(), &access, second(now))
            };
            // Three stand there while others fail: at the challenge, and with a right and a wrong proof.
            let (challenged, right, wrong) =
                (hello(0), answer(hello(0), "secret123", 0), answer(hello(0), "wrong", 0));
            for _ in 0..5 {
                let next = conclude(answer(hello(0), "wrong", 0), 0);
                assert!(matches!(next, Next::Refuse(Refused::AuthenticationDenied)), "{next:?}");
            }
            for next in [hello(0), answer(challenged, "secret123", 0), conclude(right, 0), conclude(wrong, 0)]
            {
                assert_eq!(refused(next), locked, "{authid}");
            }
            let next = conclude(answer(hello(1), "secret123", 1), 1);
            assert_eq!(matches!(next, Next::Join { .. }), authid == "joe", "{next:?}");
            // The next failure is the first again, or the seventh.
            conclude(answer(hello(5), "wrong", 5), 5);
            let next = hello(5);
            assert_eq!(matches!(next, Next::Challenge { .. }), authid == "joe", "{next:?}");
        }
    }

    #[test]
    fn a_proof_that_cannot_be_checked_is_no_proof() {
        let next = receive(challenged("hashed", "joe"), r#"[5,"secret123",{}]"#);
        let Next::Verify { then, .. } = next else { panic!("nothing is checked: {next:?}") };
        let failed = ("wamp.error.authentication_failed", "the proof could not be checked, try again");
        let (reason, text) =
            refused(then.conclude(Err(Unchecked("no memory".into())), &access(), SystemTime::UNIX_EPOCH));
        assert_eq!((&*reason, &*text), failed);
    }

    #[test]
    fn the_first_method_that_can_be_used_is() {
        for (realm, details, expected) in [
            ("both", r#","authmethods":["ticket","anonymous"],"authid":"joe""#, "ticket"),
            ("both", r#","authmethods":["anonymous","ticket"],"authid":"joe""#, "anonymous"),
            ("both", r#","authmethods":["wampcra","ticket","anonymous"],"authid":"joe""#, "ticket"),
            ("both", r#","authmethods":["ticket","anonymous"]"#, "anonymous"),
            ("both", r#","authid":"joe""#, "anonymous"),
            ("open", r#","authmethods":["ticket","anonymous"],"authid":"joe""#, "anonymous"),
            ("plain", r#","authmethods":["anonymous","ticket"],"authid":"joe""#, "ticket"),
            ("plain", r#","authmethods":["anonymous","ticket"],"authid":"joe","authrole":"admin""#, "ticket"),
        ] {
            let next = hello(realm, details);
            let used = if let Next::Challenge { challenge, .. } = next {
                challenge.method
            } else {
                joined(next).1.authmethod.into()
            };
            assert_eq!(&*used, expected, "{realm} {details}");
        }
    }

    #[test]
    fn a_hello_that_cannot_join_is_told_why() {
        let violation = "wamp.error.protocol_violation";
        let roles = "HELLO must announce in Details.roles one of publisher, subscriber, caller and callee";
        for (message, reason, text) in [
            (r#"[1,"open",{}]"#, violation, roles),
            (r#"[1,"open",{"roles":{}}]"#, violation, roles),
            (r#"[1,"open",{"roles":{"broker":{}}}]"#, violation, roles),
            (
                r#"[1,"a b",{"roles":{"caller":{}}}]"#,
                "wamp.error.invalid_uri",
                r#""a b" is not a valid uri for a realm"#,
            ),
            (r#"[48,1,{},"a"]"#, violation, "CALL came before a session was joined"),
            (r#"[5,"x",{}]"#, violation, "AUTHENTICATE came before a session was joined"),
            (r#"[6,{},"a"]"#, violation, "GOODBYE came before a session was joined"),
        ] {
            assert_eq!(
                refused(receive(Handshake::Opened, message)),
                (reason.into(), text.into()),
                "{message}"
            );
        }
    }

    #[test]
    fn a_client_that_offers_no_method_of_the_realm_is_told_which_there_are() {
        let (no_match, required) =
            ("wamp.error.no_matching_auth_method", "wamp.error.authentication_required");
        let none = "none of the offered methods of authentication is accepted here; accepted: ";
        let nobody = "nobody joins this realm anonymously; accepted: ";
        let no_authid = "authentication by ticket is not possible: HELLO.Details.authid is missing";
        for (realm, details, reason, text) in [
            ("open", r#","authmethods":["ticket"],"authid":"joe""#, no_match, format!("{none}anonymous")),
            ("open", r#","authmethods":["wampcra","ticket"]"#, no_match, format!("{none}anonymous")),
            ("plain", r#","authmethods":["wampcra"],"authid":"joe""#, no_match, format!("{none}ticket")),
            ("plain", r#","authmethods":["wampcra","anonymous"]"#, no_match, format!("{none}ticket")),
            ("both", r#","authmethods":["wampcra"]"#, no_match, format!("{none}anonymous, ticket")),
            ("shut", r#","authmethods":["ticket"],"authid":"joe""#, no_match, format!("{none}none")),
            ("plain", "", required, format!("{nobody}ticket")),
            ("plain", r#","authmethods":[]"#, required, format!("{nobody}ticket")),
            ("plain", r#","authmethods":["anonymous"],"authid":"joe""#, required, format!("{nobody}ticket")),
            ("shut", "", required, format!("{nobody}none")),
            ("plain", r#","authmethods":["ticket"]"#, required, no_authid.into()),
            ("plain", r#","authmethods":["ticket","anonymous"],"authid":null"#, required, no_authid.into()),
        ] {
            assert_eq!(refused(hello(realm, details)), (reason.into(), text), "{realm} {details}");
        }
    }

    #[test]
    fn only_authenticate_answers_a_challenge() {
        for (message, name) in [
            (r#"[1,"plain",{"roles":{"caller":{}},"authmethods":["ticket"],"authid":"joe"}]"#, "HELLO"),
            (r#"[6,{},"wamp.close.normal"]"#, "GOODBYE"),
            (r#"[48,1,{},"a"]"#, "CALL"),
            (r#"[16,1,{},"a"]"#, "PUBLISH"),
        ] {
            let text = format!("{name} came where AUTHENTICATE was due");
            let next = receive(challenged("plain", "joe"), message);
            assert_eq!(refused(next), ("wamp.error.protocol_violation".into(), text));
        }
    }

    #[test]
    fn a_client_may_give_up() {
        for handshake in [Handshake::Opened, challenged("plain", "joe"), challenged("plain", "nobody")] {
            let next = receive(handshake, r#"[3,{},"wamp.close.normal"]"#);
            assert!(matches!(next, Next::Close), "{next:?}");
        }
    }

    #[test]
    fn a_client_that_takes_too_long_is_told_how_long_it_had() {
        for (refused, reason, text) in [
            (Refused::Timeout(50), "wamp.error.timeout", "no session was joined within 50 ms"),
            (
                Refused::AuthenticationTimeout(50),
                "wamp.error.authentication_failed",
                "CHALLENGE was not answered within 50 ms",
            ),
        ] {
            assert_eq!(refused.abort(), Abort::new(reason, text));
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        for realm in ["plain", "hashed"] {
            let handshake = challenged(realm, "joe");
            let before = format!("{handshake:?} {:?}", access());
            let check = receive(handshake, r#"[5,"secret123",{}]"#);
            for shown in [before, format!("{check:?}")] {
                assert!(!shown.contains("secret123") && !shown.contains("cmVhbG1r"), "{shown}");
            }
        }
    }

    #[test]
    fn what_a_component_is_asked_shows_no_ticket() {
        let door =
            Door { authenticators: vec![(Method::Ticket, "com.example.ask".into())], ..Door::default() };
        let access = access();
        access.replace([("asking".into(), door)]);
        let hello = r#"[1,"asking",{"roles":{"caller":{}},"authmethods":["ticket"],"authid":"joe"}]"#;
        let at = SystemTime::UNIX_EPOCH;
        let Next::Challenge { then, .. } = receive_at(Handshake::Opened, hello, &access, at) else {
            panic!("a ticket is due")
        };
        let next = receive_at(then, r#"[5,"secret123",{}]"#, &access, at);
        let shown = format!("{next:?}");
        assert!(matches!(next, Next::Ask { .. }) && !shown.contains("secret123"), "{shown}");
    }

    /// A realm `all` where ann can use a ticket and a public key, bob wampcra and wamp-scram, eve a public key, and a
    /// client whose certificate says `cn:eve` is eve; and where those are let in who do not say who they are.
    fn everybody() -> Access {
        let role = || Arc::new(Role::unrestricted("member"));
        let principal =
            |authid: &str, credentials| Principal { authid: authid.into(), role: role(), credentials };
        let key = |octet| cryptosign::public_key(&[octet; 32]);
        let scram = scram::Keys::derive("secret123", &[1; 16], scram::Kdf::Pbkdf2 { iterations: 1 }).unwrap();
        let none = Credentials::default;
        let principals = vec![
            principal(
                "ann",
                Credentials { ticket: Some(Ticket::plain("secret123")), public_keys: vec![key(1)], ..none() },
            ),
            principal(
                "bob",
                Credentials { cra: Some(cra::Key::plain("secret123")), scram: Some(scram), ..none() },
            ),
            principal(
                "eve",
                Credentials {
                    public_keys: vec![key(2)],
                    certificates: vec!["cn:eve".parse().unwrap()],
                    ..none()
                },
            ),
        ];
        let rules = jwt::Rules {
            keys: vec![jwt::Key::secret(&[1; 32]).unwrap()],
            issuer: None,
            audience: None,
            authid: "sub".into(),
            role: jwt::Grant::Fixed(role()),
        };
        let lockout = Lockout::new(LockoutOptions { failures: NonZeroU32::MAX, ..LockoutOptions::default() });
        let access = Access::new(lockout, [7; 32]);
        let door = Door { anonymous: Some(role()), principals, jwt: Some(rules), ..Door::default() };
        access.replace([("all".into(), door)]);
        access
    }

    /// What a message leads to, on a connection with a certificate of these names.
    fn at_the_door(
        access: &Access,
        handshake: Handshake,
        message: &str,
        certificate: &[CertificateName],
        seed: u64,
    ) -> Next {
        let frame = Bytes::copy_from_slice(message.as_bytes());
        let message = ClientMessage::decode(Serializer::Json, &frame, 64).unwrap();
        let (serializer, peer) = (Serializer::Json, "tcp4:127.0.0.1:1".into());
        let (framing, channel) = (Framing::WebSocket, Channel::Tls);
        let address = Some(Ipv4Addr::LOCALHOST.into());
        let transport = Transport { serializer, framing, channel, address, peer, via: None };
        let mut chance = StdRng::seed_from_u64(seed);
        let lent = &mut Lent { now: SystemTime::UNIX_EPOCH, chance: &mut chance, certificate };
        handshake.receive(message, &transport, access, lent)
    }

    #[test]
    fn a_principal_is_asked_by_the_first_method_that_it_can_use_and_others_by_the_first() {
        let everybody = everybody();
        let authextra = |key: u8| {
            let key = cryptosign::public_key(&[key; 32]);
            format!(r#""authextra":{{"pubkey":"{key}","nonce":"abc"}}"#)
        };
        let (ann, eve, nobody) = (authextra(1), authextra(2), authextra(9));
        for (authid, extra, offered, expected) in [
            ("ann", &ann, r#""wampcra","ticket","cryptosign""#, "ticket"),
            ("ann", &ann, r#""wampcra","cryptosign","ticket""#, "cryptosign"),
            ("ann", &ann, r#""wampcra","wamp-scram""#, "wampcra"),
            ("ann", &ann, r#""wampcra","anonymous""#, "wampcra"),
            ("ann", &ann, r#""wampcra","jwt","ticket""#, "jwt"),
            ("bob", &ann, r#""ticket","cryptosign","wamp-scram","wampcra""#, "wamp-scram"),
            ("bob", &ann, r#""anonymous","wampcra""#, "anonymous"),
            ("eve", &nobody, r#""ticket","cryptosign""#, "cryptosign"),
            ("nobody", &ann, r#""ticket","anonymous""#, "ticket"),
            ("", &eve, r#""cryptosign","anonymous""#, "cryptosign"),
        ] {
            let hello = format!(
                r#"[1,"all",{{"roles":{{"caller":{{}}}},"authmethods":[{offered}],"authid":"{authid}",{extra}}}]"#
            );
            let next = at_the_door(&everybody, Handshake::Opened, &hello, &[], 1);
            let used = if let Next::Challenge { challenge, .. } = next {
                challenge.method
            } else {
                joined(next).1.authmethod.into()
            };
            assert_eq!(&*used, expected, "{hello}");
        }
    }

    #[test]
    fn those_who_are_not_known_are_asked_like_those_who_are() {
        let everybody = everybody();
        let key = cryptosign::public_key(&[9; 32]);
        let asked = |authid: &str, offered: &str, seed| {
            let hello = format!(
                r#"[1,"all",{{"roles":{{"caller":{{}}}},"authmethods":[{offered}],"authid":"{authid}","authextra":{{"pubkey":"{key}","nonce":"abc"}}}}]"#
            );
            let next = at_the_door(&everybody, Handshake::Opened, &hello, &[], seed);
            let Next::Challenge { challenge, .. } = next else { panic!("{next:?}") };
            challenge.method.to_string()
        };
        for offered in [
            r#""wampcra","ticket""#,
            r#""ticket","wampcra""#,
            r#""ticket","cryptosign","wamp-scram""#,
            r#""wamp-scram","cryptosign","ticket""#,
        ] {
            let known: HashSet<_> = ["ann", "bob", "eve"].map(|authid| asked(authid, offered, 1)).into();
            let others: Vec<_> = (0..50).map(|number| asked(&format!("x{number}"), offered, 1)).collect();
            assert_eq!(others.iter().cloned().collect::<HashSet<_>>(), known, "{offered}");
            let again: Vec<_> = (0..50).map(|number| asked(&format!("x{number}"), offered, 2)).collect();
            assert_eq!(again, others, "{offered}");
        }
    }

    #[test]
    fn a_method_that_is_offered_again_and_again_counts_once() {
        let names = ["ticket", "x", "ticket", "y", "anonymous", "x"].map(Box::from);
        assert_eq!(offered(Some(&names)), [Some(Method::Ticket), None, Some(Method::Anonymous)]);
        assert_eq!(offered(Some(&[])), [Some(Method::Anonymous)]);
        assert_eq!(offered(None), [Some(Method::Anonymous)]);
    }

    #[test]
    fn who_does_not_say_who_it_is_is_who_has_the_key_or_the_certificate() {
        let everybody = everybody();
        let own = ["cn:nobody", "cn:eve"].map(|name| name.parse().unwrap());
        let foreign = ["cn:nobody".parse().unwrap()];
        let hello = |offered: &str| {
            let key = cryptosign::public_key(&[2; 32]);
            format!(
                r#"[1,"all",{{"roles":{{"caller":{{}}}},"authmethods":[{offered}],"authextra":{{"pubkey":"{key}"}}}}]"#
            )
        };
        for (offered, certificate, expected) in [
            (r#""tls""#, &own[..], "tls eve"),
            (r#""ticket","tls","anonymous""#, &own, "tls eve"),
            (r#""tls","cryptosign""#, &foreign, "cryptosign eve"),
            (r#""tls","anonymous""#, &foreign, "authentication_denied"),
            (r#""tls","anonymous""#, &[], "anonymous"),
            (r#""tls""#, &[], "incomplete"),
            (r#""cryptosign""#, &[], "cryptosign eve"),
        ] {
            let next = at_the_door(&everybody, Handshake::Opened, &hello(offered), certificate, 1);
            let found = if let Next::Challenge { challenge, then } = next {
                let Handshake::Challenged { candidate, .. } = then else { panic!("{then:?}") };
                format!("{} {}", challenge.method, candidate.identity.unwrap().0)
            } else if let Next::Refuse(refused) = next {
                refused.label().to_owned()
            } else {
                let Newcomer { authid, authmethod, .. } = joined(next).1;
                [Some(authmethod), authid.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
            };
            assert_eq!(found, expected, "{offered} {certificate:?}");
        }
    }

    /// Answers that are not right, made of parts that are.
    #[test]
    fn no_answer_made_at_random_lets_anybody_in() {
        let everybody = everybody();
        let mut chance = StdRng::seed_from_u64(7);
        let mut challenged = 0;
        let parts = [
            "",
            "secret12",
            "AAAA",
            "=",
            ".",
            "eyJhbGciOiJIUzI1NiJ9",
            "a\\u0000",
            "\u{e9}",
            "ff",
            "{}",
            "[1",
        ];
        for seed in 0..4_000 {
            let mut pick = |from: &[&str]| from[chance.random_range(0..from.len())].to_owned();
            let method = pick(&["ticket", "wampcra", "wamp-scram", "cryptosign", "jwt"]);
            let authid = pick(&[r#""ann""#, r#""bob""#, r#""eve""#, r#""nobody""#, r#""""#, "null"]);
            let octet: u8 = pick(&["1", "2", "9"]).parse().unwrap();
            let key = cryptosign::public_key(&[octet; 32]);
            let nonce = pick(&["abc", "a,b", "", "n="]);
            let hello = format!(
                r#"[1,"all",{{"roles":{{"caller":{{}}}},"authmethods":["{method}"],"authid":{authid},"authextra":{{"pubkey":"{key}","nonce":"{nonce}"}}}}]"#
            );
            let Next::Challenge { challenge, then } =
                at_the_door(&everybody, Handshake::Opened, &hello, &[], seed)
            else {
                continue;
            };
            challenged += 1;
            let told =
                |key: &str| challenge.extra.value(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (asked, nonce) = (told("challenge"), told("nonce"));
            let signature = match chance.random_range(0..4) {
                0 => cra::sign("secret12", &asked),
                1 => cryptosign::sign(&[8; 32], &asked).unwrap_or_default(),
                2 => {
                    let mut octets = [0; 96];
                    chance.fill(&mut octets);
                    cryptosign::hex(&octets)
                }
                _ => (0..chance.random_range(0..6))
                    .map(|_| parts[chance.random_range(0..parts.len())])
                    .collect(),
            };
            let extra = [
                "{}".to_owned(),
                format!(r#"{{"nonce":"{nonce}"}}"#),
                format!(r#"{{"nonce":["{nonce}"],"channel_binding":7,"cbind_data":{{}}}}"#),
            ][chance.random_range(0..3)]
            .clone();
            let answer = format!(r#"[5,"{signature}",{extra}]"#);
            let Next::Verify { check, then } = at_the_door(&everybody, then, &answer, &[], seed) else {
                panic!("it is not checked: {answer}")
            };
            let next = then.conclude(check.run(), &everybody, SystemTime::UNIX_EPOCH);
            assert!(
                matches!(next, Next::Refuse(Refused::AuthenticationDenied)),
                "{hello} {answer}: {next:?}"
            );
        }
        assert!(challenged > 2_000, "{challenged}");
    }
}
