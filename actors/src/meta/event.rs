//! The events of the session meta API.

use super::single;
use crate::{codec::Arguments, message::value::Value, permission::SessionDetails, roster::Member};

/// The arguments of `wamp.session.on_join` for those who are told so much.
pub(crate) fn on_join(member: &Member, realm: &str, level: SessionDetails) -> Arguments {
    single(member.details(realm, level))
}

/// The arguments of `wamp.session.on_leave` for those who are told so much.
pub(crate) fn on_leave(member: &Member, level: SessionDetails) -> Arguments {
    let mut args = vec![member.id.get().into()];
    if level != SessionDetails::Ids {
        args.extend([Value::copied(&member.authid), Value::copied(member.authrole())]);
    }
    Arguments { args, ..Arguments::default() }
}
