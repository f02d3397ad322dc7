//! Identifiers: integers from 1 to 2^53, each kind a type of its own (section "IDs").

use std::fmt;

/// The largest identifier. JavaScript's numbers are exact up to here.
pub const MAX_ID: u64 = 1 << 53;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The first identifier of a sequence.
            pub const FIRST: Self = Self(1);

            /// Takes an integer as identifier, if it is one from 1 to 2^53.
            pub fn new(id: u64) -> Option<Self> {
                (1..=MAX_ID).contains(&id).then_some(Self(id))
            }

            /// The identifier as the integer that travels.
            pub fn get(self) -> u64 {
                self.0
            }

            /// The identifier after this one in a sequence: 1 follows 2^53.
            pub fn next(self) -> Self {
                if self.0 == MAX_ID { Self::FIRST } else { Self(self.0 + 1) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    )*};
}

ids! {
    /// A session: global scope, drawn at random over the whole range.
    SessionId,
    /// A publication: global scope, drawn at random over the whole range.
    PublicationId,
    /// A request: session scope, sequential in each direction.
    RequestId,
    /// A subscription: router scope, shared by all who subscribe to the same topic and match.
    SubscriptionId,
    /// A registration: router scope.
    RegistrationId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_integer_from_1_to_2_to_the_53() {
        assert_eq!(RequestId::new(0), None);
        assert_eq!(RequestId::new(1), Some(RequestId::FIRST));
        assert_eq!(RequestId::new(MAX_ID).map(RequestId::get), Some(9_007_199_254_740_992));
        assert_eq!(RequestId::new(MAX_ID + 1), None);
    }

    #[test]
    fn the_sequence_wraps_to_1_after_2_to_the_53() {
        assert_eq!(RequestId::FIRST.next(), RequestId(2));
        assert_eq!(RequestId(MAX_ID).next(), RequestId::FIRST);
    }
}
