//! Who stands before the door of a realm, and by which method it is asked who it is.

use super::{
    access::{Admission, CertificateName, ChannelBinding, Principal},
    auth::{
        Exchange, Method, Proof, cra,
        cryptosign::{self, PublicKey},
        jwt, made_up, scram, ticket,
    },
    authenticator::{self, Asking},
    handshake::{Candidate, Handshake, Lent, Next},
    lockout::{Lockout, Login},
};
use crate::{
    message::{Hello, id::SessionId, uri::Uri, value::Value},
    roster::Transport,
};
use rand::RngExt;
use std::sync::Arc;

/// By whom those are known who are in the configuration.
const PROVIDER: &str = "static";

/// Somebody who stands before the door of a realm.
pub(super) struct Applicant<'a> {
    pub(super) hello: &'a Hello,
    pub(super) transport: &'a Transport,
    pub(super) certificate: &'a [CertificateName],
    pub(super) admission: &'a Admission,
    pub(super) lockout: &'a Lockout,
    /// Who has its authid or, if nobody has, somebody like whom it is asked; `None` if it names no authid.
    pub(super) like: Option<&'a Principal>,
}

impl<'a> Applicant<'a> {
    /// The method that is taken out of those that the realm accepts: the first that serves. If none does it is the first:
    /// nobody learns whether somebody who can use no other method can use this one.
    pub(super) fn choose(&self, accepted: impl Iterator<Item = Method>) -> Option<Method> {
        let mut usable = accepted.filter(|method| self.lacks(*method).is_none());
        let first = usable.next()?;
        let serves = |method: &Method| {
            *method == Method::Jwt
                || self.admission.authenticator(*method).is_some()
                || self.like.map_or(self.principal(*method).is_some(), |like| like.credentials.serve(*method))
        };
        if first == Method::Anonymous || serves(&first) {
            return Some(first);
        }
        Some(usable.find(serves).unwrap_or(first))
    }

    /// What the client has left out that a method needs; `None` if it is all there.
    pub(super) fn lacks(&self, method: Method) -> Option<&'static str> {
        match method {
            Method::Anonymous | Method::Jwt => None,
            Method::Tls => self
                .certificate
                .is_empty()
                .then_some("the connection was opened without a client certificate"),
            Method::Ticket | Method::WampCra | Method::WampScram if self.authid().is_none() => {
                Some("HELLO.Details.authid is missing")
            }
            Method::Ticket | Method::WampCra => None,
            Method::WampScram if self.client_nonce().is_none() => Some(
                "HELLO.Details.authextra.nonce must be a text of at most 256 printable ASCII characters without a comma",
            ),
            Method::Cryptosign if self.announced_key().is_none() => {
                Some("HELLO.Details.authextra.pubkey must be 64 hexadecimal digits")
            }
            Method::Cryptosign if self.admission.channel_binding == ChannelBinding::Ignore => None,
            Method::WampScram | Method::Cryptosign => self
                .extra("channel_binding")
                .map(|_| "HELLO.Details.authextra.channel_binding must be null, since none is offered"),
        }
    }

    /// Whose failure it is if it does not prove who it is.
    pub(super) fn login(&self) -> Login {
        let key = || self.extra("pubkey").and_then(Value::as_str);
        let name = self.authid().or_else(key);
        self.lockout.login(&self.hello.realm, self.transport.address, name)
    }

    pub(super) fn authid(&self) -> Option<&'a str> {
        self.hello.details.authid.as_deref()
    }

    /// What the client tells a method.
    fn extra(&self, key: &str) -> Option<&'a Value> {
        self.hello.details.authextra.as_ref()?.value(key)
    }

    /// What the client adds to the challenge of `wamp-scram`.
    fn client_nonce(&self) -> Option<&'a str> {
        self.extra("nonce").and_then(Value::as_str).filter(|nonce| scram::is_nonce(nonce))
    }

    /// The key that the client says it has.
    fn announced_key(&self) -> Option<PublicKey> {
        PublicKey::announced(self.extra("pubkey")?.as_str()?)
    }

    /// Who can use the method and says that it is who it is, still to be proved.
    pub(super) fn principal(&self, method: Method) -> Option<&'a Principal> {
        let principal = match (self.authid(), method) {
            (Some(authid), _) => self.admission.principal(authid)?,
            (None, Method::Cryptosign) => self.admission.owner(&self.announced_key()?)?,
            (None, Method::Tls) => self.admission.holder(self.certificate)?,
            (
                None,
                Method::Anonymous | Method::Ticket | Method::WampCra | Method::WampScram | Method::Jwt,
            ) => return None,
        };
        principal.credentials.serve(method).then_some(principal)
    }

    /// Whether the connection was opened with a certificate of somebody.
    fn shows_certificate_of(&self, principal: &Principal) -> bool {
        self.certificate.iter().any(|name| principal.credentials.certificates.contains(name))
    }

    /// Begins a method that lacks nothing.
    pub(super) fn begin(&self, method: Method, lent: &mut Lent<'_>) -> Next {
        let admission = self.admission;
        let authid = self.authid().unwrap_or_default();
        let principal = self.principal(method);
        if let Some(procedure) = admission.authenticator(method).filter(|_| principal.is_none()) {
            return self.asking(method, procedure, lent).begin();
        }
        let credentials = principal.map(|known| &known.credentials);
        let like = self.like.map(|like| &like.credentials);
        let mut promised = None;
        let exchange = match method {
            Method::Anonymous => {
                let candidate = self.candidate(method, None, None);
                let Some(role) = admission.anonymous.clone() else {
                    return candidate.admit(Proof::default());
                };
                return candidate.join(None, role, None, None);
            }
            Method::Ticket => {
                let expected = credentials.and_then(|known| known.ticket.as_ref());
                Exchange::Ticket(ticket::Exchange::begin(expected, admission.decoy_hash.as_ref()))
            }
            Method::WampCra => {
                let session = lent.session_id();
                promised = Some(session);
                let authrole = self.like.map_or("", |like| &like.role.name);
                let subject = cra::Subject { authid, authrole, authprovider: PROVIDER, session };
                let salting = like.and_then(|like| like.cra.as_ref());
                let salting = salting.map_or(admission.decoy_salting.as_ref(), cra::Key::salting);
                let nobody = made_up(cra::Key::decoy(&admission.decoy, authid, salting));
                let key = credentials.and_then(|known| known.cra.clone()).unwrap_or(nobody);
                Exchange::Cra(cra::Exchange::begin(key, subject, lent.chance.random(), lent.now))
            }
            Method::WampScram => {
                let kdf =
                    like.and_then(|like| like.scram.as_ref()).map_or(admission.decoy_kdf, scram::Keys::kdf);
                let nobody = made_up(scram::Keys::decoy(&admission.decoy, authid, kdf));
                let keys = credentials.and_then(|known| known.scram.clone()).unwrap_or(nobody);
                let nonce = self.client_nonce().unwrap_or_default();
                Exchange::Scram(scram::Exchange::begin(keys, authid, nonce, lent.chance.random()))
            }
            Method::Tls => {
                let shown = principal.filter(|known| self.shows_certificate_of(known));
                return self.candidate(method, shown, None).admit(Proof::default());
            }
            Method::Jwt => Exchange::Jwt(jwt::Exchange::begin(admission.jwt.clone(), self.authid())),
            Method::Cryptosign => {
                let keys = credentials.map_or(&[][..], |known| &known.public_keys);
                let announced = self.announced_key().unwrap_or_default();
                Exchange::Cryptosign(cryptosign::Exchange::begin(keys, announced, lent.chance.random()))
            }
        };
        let challenge = exchange.challenge();
        let candidate = Box::new(self.candidate(method, principal, promised));
        let then = Handshake::Challenged { candidate, exchange: exchange.into() };
        Next::Challenge { challenge, then }
    }

    /// Has a component say who it is.
    fn asking(&self, method: Method, procedure: &Uri, lent: &mut Lent<'_>) -> Box<Asking> {
        let promised = Some(lent.session_id());
        let candidate =
            Candidate { provider: authenticator::PROVIDER, ..self.candidate(method, None, promised) };
        Box::new(Asking {
            candidate: Box::new(candidate),
            procedure: procedure.clone(),
            authid: self.authid().filter(|_| method != Method::Anonymous).map(Arc::from),
            authextra: self.hello.details.authextra.clone(),
            key: self.announced_key(),
            nonce: self.client_nonce().map(str::to_owned),
        })
    }

    fn candidate(
        &self,
        method: Method,
        principal: Option<&Principal>,
        promised: Option<SessionId>,
    ) -> Candidate {
        Candidate {
            realm: self.hello.realm.clone(),
            login: self.login(),
            method,
            provider: PROVIDER,
            promised,
            extra: None,
            identity: principal.map(|known| (known.authid.clone(), known.role.clone())),
            transport: self.transport.clone(),
            roles: self.hello.details.roles.unwrap_or_default(),
        }
    }
}
