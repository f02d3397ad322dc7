//! What the sessions of a role may do (section "Authorization").
//!
//! One permission decides about a URI: the exact one, else the longest prefix, else the wildcard that is the
//! first to be literal, component by component. What no permission decides is denied.

use crate::{
    message::uri::{Match, Uri},
    pattern::{self, Patterns},
};
use std::{cmp::Ordering, sync::Arc};

/// What can be done with a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call a procedure.
    Call,
    /// Register a procedure.
    Register,
    /// Publish to a topic.
    Publish,
    /// Subscribe to a topic.
    Subscribe,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Call, Self::Register, Self::Publish, Self::Subscribe];

    /// Its name in configurations and texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Register => "register",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// The actions that a permission allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// Every action.
    pub fn all() -> Self {
        Action::ALL.into_iter().collect()
    }

    /// Whether the action is among them.
    pub fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u8) != 0
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        Self(actions.into_iter().fold(0, |all, action| all | 1 << action as u8))
    }
}

/// Whether peers learn who calls or publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disclosure {
    /// Where the client asks for it.
    #[default]
    AsAsked,
    /// In every case.
    Always,
    /// In no case; who asks for it is refused.
    Never,
}

/// What may be done with some URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The URI, or the pattern of URIs.
    pub uri: Uri,
    /// How it matches.
    pub matching: Match,
    /// What may be done.
    pub allow: Actions,
    /// Whether callees learn who calls.
    pub discloses_caller: Disclosure,
    /// Whether subscribers learn who publishes.
    pub discloses_publisher: Disclosure,
}

/// A role: what those who have it may do.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    /// The name, which is the authrole of its sessions.
    pub name: Arc<str>,
    /// What they may do.
    pub permissions: Permissions,
}

/// The permissions of a role, indexed.
#[derive(Debug)]
pub struct Permissions {
    all: Vec<Permission>,
    index: Patterns<usize>,
}

/// What the permissions say about one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether it may be done.
    pub is_allowed: bool,
    /// The place and the content of the permission that decides; `None` if none does.
    pub by: Option<(usize, &'a Permission)>,
}

impl Role {
    /// A role that may do everything, ending other sessions included.
    pub fn unrestricted(name: &str) -> Self {
        let everything = |prefix: &str| Permission {
            uri: prefix.into(),
            matching: Match::Prefix,
            allow: Actions::all(),
            discloses_caller: Disclosure::AsAsked,
            discloses_publisher: Disclosure::AsAsked,
        };
        let permissions = Permissions::new(vec![everything(""), everything("wamp.")]);
        Self { name: name.into(), permissions }
    }
}

impl Permissions {
    /// Indexes permissions. Of two with the same URI and match the first counts.
    pub fn new(all: Vec<Permission>) -> Self {
        let mut index = Patterns::default();
        for (place, permission) in all.iter().enumerate() {
            if index.get(&permission.uri, permission.matching).is_none() {
                index.insert(&permission.uri, permission.matching, place);
            }
        }
        Self { all, index }
    }

    /// Decides about an action on one URI.
    ///
    /// The procedures that end what others hold, `wamp.session.kill` and its like, are decided only by
    /// permissions that are about `wamp.`: no general permission opens them.
    pub fn decide(&self, action: Action, uri: &str) -> Decision<'_> {
        let found = if action == Action::Call && ends_what_others_hold(uri) {
            self.index.best(uri, |place| self.all[place].uri.starts_with("wamp."))
        } else {
            self.index.best(uri, |_| true)
        };
        self.decision(action, found)
    }

    /// Decides about a subscription or registration with this URI and match.
    ///
    /// For a pattern a permission has to cover all that it can match, and so has every more specific one that
    /// decides about a part of it. What is more specific about `wamp.` is left to each event of the router.
    pub fn decide_match(&self, action: Action, uri: &Uri, matching: Match) -> Decision<'_> {
        if matching == Match::Exact {
            return self.decide(action, uri);
        }
        let covers = |place: &usize| {
            let permission = &self.all[*place];
            pattern::covers((&permission.uri, permission.matching), (uri, matching))
        };
        let precedes = |one: &usize, other: &usize| self.all[*one].precedence(&self.all[*other]);
        let Some(general) = (0..self.all.len()).rev().filter(covers).max_by(precedes) else {
            return self.decision(action, None);
        };
        let denies_a_part = |place: &usize| {
            let permission = &self.all[*place];
            !permission.allow.contains(action)
                && (uri.is_reserved() || !permission.uri.is_reserved())
                && pattern::overlap((&permission.uri, permission.matching), (uri, matching))
                && precedes(place, &general) == Ordering::Greater
        };
        let deciding = (0..self.all.len()).find(denies_a_part).unwrap_or(general);
        self.decision(action, Some(deciding))
    }

    fn decision(&self, action: Action, found: Option<usize>) -> Decision<'_> {
        let by = found.map(|place| (place, &self.all[place]));
        Decision { is_allowed: by.is_some_and(|(_, permission)| permission.allow.contains(action)), by }
    }
}

impl Permission {
    /// Which of two permissions decides about a URI that both match: the greater.
    fn precedence(&self, other: &Self) -> Ordering {
        pattern::precedence((&self.uri, self.matching), (&other.uri, other.matching))
    }
}

impl PartialEq for Permissions {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Permissions {}

/// Whether a procedure of the router takes something away from another session.
fn ends_what_others_hold(procedure: &str) -> bool {
    let Some(rest) = procedure.strip_prefix("wamp.") else { return false };
    rest.starts_with("session.kill")
        || rest.split('.').next_back().is_some_and(|name| name.starts_with("remove_"))
}
