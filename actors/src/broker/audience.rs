//! Who may receive a publication (section "Subscriber Black- and Whitelisting").

use crate::{
    collections::Set,
    message::{PublishOptions, Sparse, id::SessionId},
    roster::Member,
};
use indexmap::Equivalent;
use std::hash::Hash;

/// Those whom the lists of a publication let receive it; without lists everybody.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Audience(Option<Box<Lists>>);

#[derive(Clone, Debug, PartialEq)]
struct Lists {
    sessions: Choice<SessionId>,
    authids: Choice<Box<str>>,
    authroles: Choice<Box<str>>,
}

/// What the lists say about one attribute of a session.
#[derive(Clone, Debug, PartialEq)]
struct Choice<T: Hash + Eq> {
    /// The only values that are admitted; an empty list admits nobody.
    eligible: Option<Set<T>>,
    excluded: Set<T>,
}

impl<T: Clone + Hash + Eq> Choice<T> {
    fn new(eligible: Option<&Vec<T>>, excluded: Option<&Vec<T>>) -> Self {
        Self {
            eligible: eligible.map(|values| values.iter().cloned().collect()),
            excluded: excluded.into_iter().flatten().cloned().collect(),
        }
    }

    fn is_open(&self) -> bool {
        self.eligible.is_none() && self.excluded.is_empty()
    }

    fn admits<Q: Hash + Equivalent<T> + ?Sized>(&self, value: &Q) -> bool {
        self.eligible.as_ref().is_none_or(|eligible| eligible.contains(value))
            && !self.excluded.contains(value)
    }

    fn values(&self) -> impl Iterator<Item = &T> {
        self.eligible.iter().flatten().chain(&self.excluded)
    }
}

impl Audience {
    /// Those whom the options of a publication name.
    pub(crate) fn new(options: &Sparse<PublishOptions>) -> Self {
        if options.is_empty() {
            return Self::default();
        }
        let lists = Lists {
            sessions: Choice::new(options.eligible.as_ref(), options.exclude.as_ref()),
            authids: Choice::new(options.eligible_authid.as_ref(), options.exclude_authid.as_ref()),
            authroles: Choice::new(options.eligible_authrole.as_ref(), options.exclude_authrole.as_ref()),
        };
        let is_everybody = lists.sessions.is_open() && lists.authids.is_open() && lists.authroles.is_open();
        Self((!is_everybody).then(|| Box::new(lists)))
    }

    pub(crate) fn is_everybody(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it depends on the ids of sessions, which nobody has twice.
    pub(crate) fn names_sessions(&self) -> bool {
        self.0.as_ref().is_some_and(|lists| !lists.sessions.is_open())
    }

    pub(crate) fn admits(&self, member: &Member) -> bool {
        self.0.as_ref().is_none_or(|lists| {
            lists.sessions.admits(&member.id)
                && lists.authids.admits(&*member.authid)
                && lists.authroles.admits(&**member.authrole())
        })
    }

    /// How much its lists hold.
    pub(crate) fn octets(&self) -> usize {
        let Some(lists) = &self.0 else { return 0 };
        let names = lists.authids.values().chain(lists.authroles.values());
        lists.sessions.values().count() * size_of::<SessionId>()
            + names.map(|name| size_of::<Box<str>>() + name.len()).sum::<usize>()
    }
}
