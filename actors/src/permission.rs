//! What the sessions of a role may do (section "Authorization").
//!
//! One permission decides about a URI: the exact one, else the longest prefix, else the wildcard that is the
//! first to be literal, component by component. What no permission decides is denied.

use crate::{
    message::uri::{Match, Uri},
    pattern::{self, Patterns},
    refusal::Refusal,
};
use std::{cmp::Ordering, sync::Arc};

/// What can be done with a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// How far those who call or publish by this permission are trusted: callees and subscribers are told, if it is
    /// given.
    pub trustlevel: Option<u64>,
}

/// What the session meta API tells of a session (section "Session Meta API").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionDetails {
    /// Its id.
    Ids,
    /// Who it is, and how it is connected, without addresses.
    #[default]
    Standard,
    /// Where it is connected from as well.
    Full,
}

impl SessionDetails {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Ids, Self::Standard, Self::Full];
}

/// How many sessions one authid may have in a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionsPerAuthid {
    /// How many; at least 1.
    pub most: usize,
    /// What happens to one more.
    pub beyond: Beyond,
}

/// What happens to a session that would be one too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beyond {
    /// It is refused.
    #[default]
    Reject,
    /// The oldest is ended for it.
    Replace,
}

/// A role: what those who have it may do.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    /// The name, which is the authrole of its sessions.
    pub name: Arc<str>,
    /// What they may do.
    pub permissions: Permissions,
    /// Whether they may take a procedure from those who have registered it: the option `force_reregister`.
    pub takes_over: bool,
    /// What they are told of sessions.
    pub session_details: SessionDetails,
    /// How many sessions one authid may have in it; `None` for any number.
    pub sessions_per_authid: Option<SessionsPerAuthid>,
    /// The procedure that is asked what its sessions may do. Without one the permissions say so.
    pub authorizer: Option<Uri>,
    /// Whether its sessions may carry out the procedures that the router asks, and call them. They are not asked about
    /// themselves.
    pub is_trusted: bool,
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
    /// A role that may do what these permissions allow, and nothing special.
    pub fn new(name: &str, permissions: Permissions) -> Self {
        Self {
            name: name.into(),
            permissions,
            takes_over: false,
            session_details: SessionDetails::default(),
            sessions_per_authid: None,
            authorizer: None,
            is_trusted: false,
        }
    }

    /// The permission by which its sessions may do something with a URI or pattern.
    pub(crate) fn authorize(
        &self,
        action: Action,
        uri: &Uri,
        matching: Match,
    ) -> Result<&Permission, Refusal> {
        match self.permissions.decide_match(action, uri, matching) {
            Decision { is_allowed: true, by: Some((_, permission)) } => Ok(permission),
            Decision { .. } => {
                let (role, uri) = (self.name.clone(), uri.clone());
                Err(Refusal::NotAuthorized { role, action: action.name(), uri })
            }
        }
    }

    /// The procedure that is asked about its sessions. Those that are trusted to answer are not asked about.
    pub(crate) fn asks(&self) -> Option<&Uri> {
        self.authorizer.as_ref().filter(|_| !self.is_trusted)
    }

    /// Whether a caller is disclosed to its callee, where `is_asked` says whether one of the two asks for it.
    pub(crate) fn discloses_caller(&self, permission: &Permission, is_asked: bool) -> Result<bool, Refusal> {
        self.discloses("the caller", permission, permission.discloses_caller, is_asked)
    }

    /// Whether a publisher is disclosed to its subscribers, where `is_asked` says whether it asks for it.
    pub(crate) fn discloses_publisher(
        &self,
        permission: &Permission,
        is_asked: bool,
    ) -> Result<bool, Refusal> {
        self.discloses("the publisher", permission, permission.discloses_publisher, is_asked)
    }

    fn discloses(
        &self,
        whom: &'static str,
        permission: &Permission,
        disclosure: Disclosure,
        is_asked: bool,
    ) -> Result<bool, Refusal> {
        match disclosure {
            Disclosure::AsAsked => Ok(is_asked),
            Disclosure::Always => Ok(true),
            Disclosure::Never if is_asked => {
                let (role, uri) = (self.name.clone(), permission.uri.clone());
                Err(Refusal::DisclosureNotAllowed { role, whom, uri })
            }
            Disclosure::Never => Ok(false),
        }
    }

    /// A role that may do everything, ending other sessions included, and is told all of sessions.
    pub fn unrestricted(name: &str) -> Self {
        let everything = |prefix: &str| Permission {
            uri: prefix.into(),
            matching: Match::Prefix,
            allow: Actions::all(),
            discloses_caller: Disclosure::AsAsked,
            discloses_publisher: Disclosure::AsAsked,
            trustlevel: None,
        };
        let permissions = Permissions::new(vec![everything(""), everything("wamp.")]);
        Self { session_details: SessionDetails::Full, ..Self::new(name, permissions) }
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
                && !permission.uri.is_reserved()
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
    /// A permission for these actions, and nothing else.
    pub(crate) fn bare(uri: Uri, matching: Match, allow: Actions) -> Self {
        let (discloses_caller, discloses_publisher) = Default::default();
        Self { uri, matching, allow, discloses_caller, discloses_publisher, trustlevel: None }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::uri::UriRule;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn permission(uri: &str, matching: Match, allow: &[Action]) -> Permission {
        Permission {
            uri: uri.into(),
            matching,
            allow: allow.iter().copied().collect(),
            discloses_caller: Disclosure::AsAsked,
            discloses_publisher: Disclosure::AsAsked,
            trustlevel: None,
        }
    }

    /// What decides, by place, and whether it allows.
    fn found(decision: Decision<'_>) -> (bool, Option<usize>) {
        (decision.is_allowed, decision.by.map(|(place, _)| place))
    }

    #[test]
    fn the_most_specific_permission_decides() {
        let permissions = Permissions::new(vec![
            permission("", Match::Prefix, &[Action::Subscribe]),
            permission("com.app.", Match::Prefix, &[Action::Call, Action::Subscribe]),
            permission("com.app.secret", Match::Exact, &[]),
            permission("com..read", Match::Wildcard, &[Action::Call]),
            permission("org..read", Match::Wildcard, &[Action::Call]),
        ]);
        for (action, uri, expected) in [
            (Action::Call, "com.app.add", (true, Some(1))),
            (Action::Register, "com.app.add", (false, Some(1))),
            (Action::Call, "com.app.secret", (false, Some(2))),
            (Action::Call, "com.other.read", (false, Some(0))),
            (Action::Subscribe, "org.x", (true, Some(0))),
        ] {
            assert_eq!(found(permissions.decide(action, uri)), expected, "{action:?} {uri}");
        }
        assert_eq!(found(Permissions::new(Vec::new()).decide(Action::Call, "a")), (false, None));
    }

    #[test]
    fn a_general_permission_opens_nothing_that_takes_from_others() {
        let general = Permissions::new(vec![
            permission("", Match::Prefix, &Action::ALL),
            permission("wamp", Match::Prefix, &Action::ALL),
            permission(".session.kill", Match::Wildcard, &Action::ALL),
        ]);
        let own = Permissions::new(vec![
            permission("", Match::Prefix, &[]),
            permission("wamp.session.kill", Match::Exact, &[Action::Call]),
            permission("wamp.session.kill_by_", Match::Prefix, &[Action::Call]),
            permission("wamp..remove_callee", Match::Wildcard, &[Action::Call]),
        ]);
        for (procedure, place) in [
            ("wamp.session.kill", 1),
            ("wamp.session.kill_by_authid", 2),
            ("wamp.session.kill_by_authrole", 2),
            ("wamp.registration.remove_callee", 3),
        ] {
            assert_eq!(found(general.decide(Action::Call, procedure)), (false, None), "{procedure}");
            assert_eq!(found(own.decide(Action::Call, procedure)), (true, Some(place)), "{procedure}");
        }
        for procedure in ["wamp.session.kill_all", "wamp.subscription.remove_subscriber"] {
            assert_eq!(found(own.decide(Action::Call, procedure)), (false, None), "{procedure}");
        }
        assert_eq!(found(general.decide(Action::Call, "wamp.session.count")), (true, Some(1)));
        assert_eq!(found(general.decide(Action::Call, "app.remove_all")), (true, Some(0)));
    }

    #[test]
    fn a_pattern_needs_a_permission_for_all_that_it_can_match() {
        let permissions = Permissions::new(vec![
            permission("com.open.", Match::Prefix, &[Action::Subscribe]),
            permission("com.open.closed", Match::Exact, &[]),
            permission("org.", Match::Prefix, &[Action::Subscribe]),
            permission("org.a.", Match::Wildcard, &[]),
            permission("net..x", Match::Wildcard, &[Action::Subscribe]),
            permission("edu.one", Match::Exact, &[Action::Subscribe]),
        ]);
        for (uri, matching, expected) in [
            ("com.open.x", Match::Prefix, (true, Some(0))),
            ("com.open.", Match::Prefix, (false, Some(1))),
            ("com.open.c", Match::Prefix, (false, Some(1))),
            ("com.open", Match::Prefix, (false, None)),
            ("com.", Match::Prefix, (false, None)),
            ("", Match::Prefix, (false, None)),
            ("com.open..x", Match::Wildcard, (true, Some(0))),
            ("com.open.", Match::Wildcard, (false, Some(1))),
            ("com..x", Match::Wildcard, (false, None)),
            // A wildcard never decides where a prefix does.
            ("org.a.", Match::Prefix, (true, Some(2))),
            ("net..x", Match::Wildcard, (true, Some(4))),
            ("net.y.x", Match::Wildcard, (true, Some(4))),
            ("net..", Match::Wildcard, (false, None)),
            ("net.y.x", Match::Prefix, (false, None)),
            ("edu.one", Match::Wildcard, (true, Some(5))),
            ("edu.one", Match::Prefix, (false, None)),
        ] {
            let decision = permissions.decide_match(Action::Subscribe, &uri.into(), matching);
            assert_eq!(found(decision), expected, "{uri:?} {matching:?}");
        }
    }

    #[test]
    fn what_is_said_about_the_router_does_not_close_a_pattern_of_everything() {
        let permissions = Permissions::new(vec![
            permission("", Match::Prefix, &[Action::Subscribe]),
            permission("wamp.", Match::Prefix, &[]),
        ]);
        let decide =
            |uri: &str| found(permissions.decide_match(Action::Subscribe, &uri.into(), Match::Prefix));
        assert_eq!(decide(""), (true, Some(0)));
        assert_eq!(decide("wamp.session."), (false, Some(1)));
        assert_eq!(found(permissions.decide(Action::Subscribe, "wamp.session.on_join")), (false, Some(1)));
    }

    /// The rules read literally: all permissions that match, and the first of them by each rule in turn.
    fn literally(permissions: &[Permission], action: Action, uri: &str) -> bool {
        let components = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let parts = components(uri);
        let guarded = uri == "wamp.session.kill" && action == Action::Call;
        let about: Vec<_> = permissions.iter().filter(|p| !guarded || p.uri.starts_with("wamp.")).collect();
        let exact = about.iter().find(|p| p.matching == Match::Exact && *p.uri == *uri);
        let prefixes = about.iter().filter(|p| p.matching == Match::Prefix && uri.starts_with(&*p.uri));
        let prefix = prefixes.max_by_key(|p| p.uri.len());
        let mut wildcards: Vec<_> = about
            .iter()
            .filter(|p| p.matching == Match::Wildcard)
            .map(|p| (components(&p.uri), p))
            .filter(|(pattern, _)| {
                pattern.len() == parts.len()
                    && pattern.iter().zip(&parts).all(|(p, u)| p.is_empty() || p == u)
            })
            .collect();
        for place in 0..parts.len() {
            if wildcards.iter().any(|(pattern, _)| !pattern[place].is_empty()) {
                wildcards.retain(|(pattern, _)| !pattern[place].is_empty());
            }
        }
        let wildcard = wildcards.first().map(|(_, permission)| *permission);
        exact.or(prefix).or(wildcard).is_some_and(|permission| permission.allow.contains(action))
    }

    #[test]
    fn the_index_agrees_with_the_rules_read_literally() {
        let mut chance = StdRng::seed_from_u64(11);
        let uris: Vec<String> = {
            let components = ["wamp", "session", "kill", "a", "ab", "z"];
            let two = components.iter().flat_map(|one| components.map(|other| format!("{one}.{other}")));
            let three = two.clone().flat_map(|two| components.map(|other| format!("{two}.{other}")));
            components.map(Into::into).into_iter().chain(two).chain(three).collect()
        };
        let kinds = [Match::Exact, Match::Prefix, Match::Wildcard];
        let mut patterns_allowed = 0;
        for _ in 0..400 {
            let mut drawn = || {
                let matching = kinds[chance.random_range(0..3)];
                let count = chance.random_range(1..4);
                let words: Vec<_> = (0..count)
                    .map(|_| ["wamp", "session", "kill", "a", "ab", "", ""][chance.random_range(0..7)])
                    .collect();
                let allow: Vec<_> =
                    Action::ALL.into_iter().filter(|_| chance.random_range(0..3) > 0).collect();
                permission(&words.join("."), matching, &allow)
            };
            let mut list: Vec<Permission> = Vec::new();
            for new in (0..6).map(|_| drawn()) {
                let is_valid = new.uri.is_valid(new.matching, UriRule::Loose);
                if is_valid && !list.iter().any(|old| (&old.uri, old.matching) == (&new.uri, new.matching)) {
                    list.push(new);
                }
            }
            let asked = drawn();
            let permissions = Permissions::new(list.clone());
            for action in Action::ALL {
                for uri in &uris {
                    let decision = permissions.decide(action, uri).is_allowed;
                    assert_eq!(decision, literally(&list, action, uri), "{action:?} {uri} {list:?}");
                }
                // No pattern that is allowed reaches what is not, but for the router's own.
                if permissions.decide_match(action, &asked.uri, asked.matching).is_allowed {
                    patterns_allowed += 1;
                    let pattern: (&str, Match) = (&asked.uri, asked.matching);
                    for uri in uris.iter().filter(|uri| pattern::covers(pattern, (uri, Match::Exact))) {
                        let is_allowed = literally(&list, action, uri);
                        assert!(is_allowed || uri.starts_with("wamp"), "{action:?} {asked:?} {uri} {list:?}");
                    }
                }
            }
        }
        assert!(patterns_allowed > 100, "{patterns_allowed} patterns were allowed");
    }
}
