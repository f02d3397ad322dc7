//! The events of the session meta API.

use super::single;
use crate::{codec::Arguments, roster::Member};

/// The arguments of `wamp.session.on_join`.
pub(crate) fn on_join(member: &Member, realm: &str) -> Arguments {
    single(member.details(realm))
}

/// The arguments of `wamp.session.on_leave`.
pub(crate) fn on_leave(member: &Member) -> Arguments {
    let args = vec![member.id.get().into(), (&*member.authid).into(), (&**member.authrole()).into()];
    Arguments { args, ..Arguments::default() }
}
