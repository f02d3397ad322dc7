//! Those who try to join without a secret.

use crate::{
    codec::Serializer,
    message::ClientMessage,
    permission::Role,
    roster::{Channel, Transport},
    session::{
        access::{Access, Credentials, Door, Principal, Ticket, cra, cryptosign, jwt, scram},
        handshake::{Handshake, Lent, Next},
        lockout::Lockout,
    },
};
use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// What no fuzzer finds.
const SECRET: &str = "nFf0qbJq2Yp7mC1s8VtWkz5dXe9RgLhU";

/// Plays the messages of a client that knows no secret of the realm `realm1`, where `joe` has one for every method. The
/// first octet chooses the serializer, the next two tell the length of the first message. However it answers what it is
/// asked, it does not join, and it is let go of after two messages.
pub fn authenticate(data: &[u8]) {
    let [first, high, low, rest @ ..] = data else { return };
    let serializer = Serializer::ALL[usize::from(*first) % Serializer::ALL.len()];
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (hello, answer) = rest.split_at(length);
    let mut room = Room::new(serializer);
    let Some(handshake) = room.receive(Handshake::Opened, hello) else { return };
    assert!(room.receive(handshake, answer).is_none(), "asked twice");
}

struct Room {
    access: Access,
    transport: Transport,
    chance: StdRng,
}

impl Room {
    fn new(serializer: Serializer) -> Self {
        let salting = cra::Salting { salt: "salt".into(), iterations: 1, key_length: 32 };
        let kdf = scram::Kdf::Pbkdf2 { iterations: 1 };
        let credentials = Credentials {
            ticket: Some(Ticket::plain(SECRET)),
            cra: Some(cra::Key::salted(&cra::derive(SECRET, &salting), salting)),
            scram: scram::Keys::derive(SECRET, b"salt", kdf).ok(),
            public_keys: vec![cryptosign::public_key(&[7; 32])],
            certificates: Vec::new(),
        };
        let role = Arc::new(Role::unrestricted("user"));
        let joe = Principal { authid: "joe".into(), role: role.clone(), credentials };
        let tokens = jwt::Rules {
            keys: jwt::Key::secret(SECRET.as_bytes()).into_iter().collect(),
            issuer: None,
            audience: None,
            authid: "sub".into(),
            role: jwt::Grant::Fixed(role),
        };
        let door = Door { principals: vec![joe], jwt: Some(tokens), ..Door::default() };
        let access = Access::new(Lockout::default(), [7; 32]);
        access.replace([("realm1".into(), door)]);
        let transport = Transport { channel: Channel::Tls, ..Transport::example(serializer) };
        Self { access, transport, chance: StdRng::seed_from_u64(1) }
    }

    /// Takes a message; gives the state in which the next is taken.
    fn receive(&mut self, handshake: Handshake, octets: &[u8]) -> Option<Handshake> {
        let frame = Bytes::copy_from_slice(octets);
        let message = ClientMessage::decode(self.transport.serializer, &frame, 64).ok()?;
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let lent = &mut Lent { now, chance: &mut self.chance, certificate: &[] };
        let mut next = handshake.receive(message, &self.transport, &self.access, lent);
        if let Next::Verify { check, then } = next {
            next = then.conclude(check.run(), &self.access, now);
        }
        match next {
            Next::Challenge { then, .. } => Some(then),
            Next::Refuse(refused) => {
                let text = format!("{:?}", refused.abort());
                assert!(!text.contains(SECRET), "{text}");
                None
            }
            Next::Close => None,
            Next::Join { newcomer, .. } => panic!("{newcomer:?} is let in"),
            Next::Verify { .. } | Next::Ask { .. } => panic!("nothing is left to be asked"),
        }
    }
}
