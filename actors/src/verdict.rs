//! What an authorizer has said about the wishes of a session (section "Authorization").

use crate::{
    collections::Map,
    message::uri::{Match, Uri},
    permission::{Action, Permission},
    refusal::Refusal,
};
use std::sync::Arc;

/// How many verdicts of a session are kept. Beyond, its authorizer is asked again.
const MOST_KEPT: usize = 1000;

/// What a session wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    pub(crate) action: Action,
    pub(crate) uri: Uri,
    pub(crate) matching: Match,
}

/// What its authorizer said about that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It may do it, in this way.
    Allowed(Permission),
    /// It may not.
    Denied,
    /// Nothing that can be used.
    Failed,
}

/// The verdicts on a session that are known: those that its authorizer let the router keep, and the one on the message
/// that is at hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdicts(Option<Box<Known>>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    kept: Map<Wish, Verdict>,
    at_hand: Option<(Wish, Verdict)>,
}

impl Verdicts {
    fn of(&self, wish: &Wish) -> Option<&Verdict> {
        let known = self.0.as_ref()?;
        let at_hand = known.at_hand.as_ref().filter(|(at_hand, _)| at_hand == wish);
        at_hand.map(|(_, verdict)| verdict).or_else(|| known.kept.get(wish))
    }

    /// Whether its authorizer need not be asked.
    pub(crate) fn has(&self, wish: &Wish) -> bool {
        self.of(wish).is_some()
    }

    /// The permission by which the session may do something. What was never said is denied.
    pub(crate) fn authorize(&self, role: &Arc<str>, wish: &Wish) -> Result<&Permission, Refusal> {
        match self.of(wish) {
            Some(Verdict::Allowed(permission)) => Ok(permission),
            Some(Verdict::Failed) => Err(Refusal::AuthorizationFailed { role: role.clone() }),
            Some(Verdict::Denied) | None => {
                let (role, action, uri) = (role.clone(), wish.action.name(), wish.uri.clone());
                Err(Refusal::NotAuthorized { role, action, uri })
            }
        }
    }

    /// Notes a verdict on the message that is at hand and, if it `is_kept`, on what comes.
    pub(crate) fn learn(&mut self, wish: Wish, verdict: Verdict, is_kept: bool) {
        let known = self.0.get_or_insert_default();
        if is_kept && known.kept.len() < MOST_KEPT {
            known.kept.insert(wish.clone(), verdict.clone());
        }
        known.at_hand = Some((wish, verdict));
    }

    /// Forgets the verdict on a message that has had its effect.
    pub(crate) fn done(&mut self) {
        if let Some(known) = &mut self.0 {
            known.at_hand = None;
            if known.kept.is_empty() {
                self.0 = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::Actions;

    fn wish(number: usize) -> Wish {
        Wish { action: Action::Call, uri: format!("a.p{number}").as_str().into(), matching: Match::Exact }
    }

    fn allowed(wish: &Wish) -> Verdict {
        Verdict::Allowed(Permission::bare(wish.uri.clone(), Match::Exact, Actions::all()))
    }

    #[test]
    fn a_verdict_holds_for_one_message_or_is_kept_as_far_as_there_is_room() {
        let role = Arc::from("user");
        let mut verdicts = Verdicts::default();
        verdicts.learn(wish(0), allowed(&wish(0)), false);
        assert!(verdicts.has(&wish(0)) && !verdicts.has(&wish(1)));
        assert!(verdicts.authorize(&role, &wish(0)).is_ok());
        verdicts.done();
        assert_eq!(verdicts, Verdicts::default());
        for number in 0..=MOST_KEPT {
            verdicts.learn(wish(number), allowed(&wish(number)), true);
            verdicts.done();
        }
        assert!(verdicts.has(&wish(MOST_KEPT - 1)) && !verdicts.has(&wish(MOST_KEPT)));
        let other = Wish { action: Action::Register, ..wish(0) };
        let denied = verdicts.authorize(&role, &other).unwrap_err();
        assert_eq!(denied.to_string(), "the role \"user\" may not register \"a.p0\"");
    }
}
