//! An index of URIs and patterns of URIs (section "Pattern-based Subscriptions").
//!
//! What a look-up costs depends on what matches, not on how many patterns there are: one probe for the exact
//! entry, one for each length that any prefix has, and for wildcards one step per component along the
//! branches that still match.

use crate::{
    collections::Map,
    message::uri::{Match, Uri},
};
use indexmap::Equivalent;
use std::{cmp::Ordering, collections::BTreeMap, hash::Hash};

/// Values by URI and match. The same text as exact, prefix and wildcard are three different keys.
#[derive(Debug)]
pub(crate) struct Patterns<T> {
    exact: Map<Uri, T>,
    prefix: Map<Uri, T>,
    /// How many prefixes there are of each length in octets.
    prefix_lengths: BTreeMap<usize, usize>,
    wildcard: Wildcards<T>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self {
            exact: Map::default(),
            prefix: Map::default(),
            prefix_lengths: BTreeMap::new(),
            wildcard: Wildcards::default(),
        }
    }
}

impl<T: Copy> Patterns<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefix.is_empty() && self.wildcard.edges.is_empty()
    }

    pub(crate) fn get(&self, uri: &str, matching: Match) -> Option<T> {
        match matching {
            Match::Exact => self.exact.get(uri).copied(),
            Match::Prefix => self.prefix.get(uri).copied(),
            Match::Wildcard => self.wildcard.get(uri),
        }
    }

    /// Adds a value under a key that has none.
    pub(crate) fn insert(&mut self, uri: &Uri, matching: Match, value: T) {
        match matching {
            Match::Exact => {
                self.exact.insert(uri.clone(), value);
            }
            Match::Prefix => {
                self.prefix.insert(uri.clone(), value);
                *self.prefix_lengths.entry(uri.len()).or_default() += 1;
            }
            Match::Wildcard => self.wildcard.insert(uri, value),
        }
    }

    pub(crate) fn remove(&mut self, uri: &str, matching: Match) {
        match matching {
            Match::Exact => {
                self.exact.swap_remove(uri);
            }
            Match::Prefix => {
                if self.prefix.swap_remove(uri).is_some()
                    && let Some(count) = self.prefix_lengths.get_mut(&uri.len())
                {
                    *count -= 1;
                    if *count == 0 {
                        self.prefix_lengths.remove(&uri.len());
                    }
                }
            }
            Match::Wildcard => self.wildcard.remove(uri),
        }
    }

    /// Calls `found` with each value that matches `uri`: the exact one, prefixes from short to long, wildcards.
    pub(crate) fn matching(&self, uri: &str, mut found: impl FnMut(T)) {
        if let Some(value) = self.exact.get(uri) {
            found(*value);
        }
        for length in self.prefix_lengths.range(..=uri.len()).map(|(length, _)| *length) {
            if let Some(value) = uri.get(..length).and_then(|prefix| self.prefix.get(prefix)) {
                found(*value);
            }
        }
        self.wildcard.matching(uri, found);
    }

    /// The value that stands first for `uri` among those that are acceptable: the exact one, else the longest
    /// prefix, else the wildcard that is the first to be literal, component by component (section "Pattern-based
    /// Registrations").
    pub(crate) fn best(&self, uri: &str, is_acceptable: impl Fn(T) -> bool) -> Option<T> {
        let exact = self.exact.get(uri).copied().filter(|value| is_acceptable(*value));
        let longest = || {
            let lengths = self.prefix_lengths.range(..=uri.len()).rev().map(|(length, _)| *length);
            let mut prefixes = lengths.filter_map(|length| self.prefix.get(uri.get(..length)?).copied());
            prefixes.find(|value| is_acceptable(*value))
        };
        exact.or_else(longest).or_else(|| self.wildcard.best(uri, &is_acceptable))
    }
}

/// Whether `outer` matches every URI that `inner` matches.
pub(crate) fn covers((outer, outer_match): (&str, Match), (inner, inner_match): (&str, Match)) -> bool {
    match (outer_match, inner_match) {
        (Match::Exact, Match::Exact) | (Match::Exact, Match::Wildcard) => outer == inner,
        (Match::Prefix, Match::Exact | Match::Prefix) => inner.starts_with(outer),
        (Match::Prefix, Match::Wildcard) => literal_head(inner).starts_with(outer),
        (Match::Wildcard, Match::Exact | Match::Wildcard) => zip(outer, inner)
            .is_some_and(|mut pairs| pairs.all(|(outer, inner)| outer.is_empty() || outer == inner)),
        // A prefix matches URIs of any number of components.
        (Match::Exact | Match::Wildcard, Match::Prefix) => false,
    }
}

/// Whether there is a URI that both match.
pub(crate) fn overlap((one, one_match): (&str, Match), (other, other_match): (&str, Match)) -> bool {
    match (one_match, other_match) {
        (Match::Exact, _) => covers((other, other_match), (one, Match::Exact)),
        (_, Match::Exact) => covers((one, one_match), (other, Match::Exact)),
        (Match::Prefix, Match::Prefix) => one.starts_with(other) || other.starts_with(one),
        (Match::Prefix, Match::Wildcard) => reaches_into(one, other),
        (Match::Wildcard, Match::Prefix) => reaches_into(other, one),
        (Match::Wildcard, Match::Wildcard) => zip(one, other).is_some_and(|mut pairs| {
            pairs.all(|(one, other)| one.is_empty() || other.is_empty() || one == other)
        }),
    }
}

/// Which of two patterns stands first for a URI that both match: the greater, in the order of
/// [`Patterns::best`].
pub(crate) fn precedence((one, one_match): (&str, Match), (other, other_match): (&str, Match)) -> Ordering {
    let rank = |matching| match matching {
        Match::Exact => 2,
        Match::Prefix => 1,
        Match::Wildcard => 0,
    };
    rank(one_match).cmp(&rank(other_match)).then_with(|| match one_match {
        Match::Exact => Ordering::Equal,
        Match::Prefix => one.len().cmp(&other.len()),
        Match::Wildcard => {
            let is_literal = |component: &str| !component.is_empty();
            one.split('.').map(is_literal).cmp(other.split('.').map(is_literal))
        }
    })
}

/// The components of two texts in pairs, if there are as many of one as of the other.
fn zip<'a>(one: &'a str, other: &'a str) -> Option<impl Iterator<Item = (&'a str, &'a str)>> {
    let is_same = one.split('.').count() == other.split('.').count();
    is_same.then(|| one.split('.').zip(other.split('.')))
}

/// What every URI that a pattern matches begins with.
pub(crate) fn head(pattern: &str, matching: Match) -> &str {
    match matching {
        Match::Exact | Match::Prefix => pattern,
        Match::Wildcard => literal_head(pattern),
    }
}

/// What every URI that a wildcard matches begins with.
fn literal_head(wildcard: &str) -> &str {
    let mut end = 0;
    for component in wildcard.split('.') {
        if component.is_empty() {
            return &wildcard[..end];
        }
        end += component.len() + 1;
    }
    wildcard
}

/// Whether a URI that begins with `prefix` can match `wildcard`.
fn reaches_into(prefix: &str, wildcard: &str) -> bool {
    let mut components = wildcard.split('.');
    let mut parts = prefix.split('.').peekable();
    while let Some(part) = parts.next() {
        let Some(component) = components.next() else { return false };
        let is_last = parts.peek().is_none();
        let fits = match component {
            "" => is_last || !part.is_empty(),
            _ if is_last => component.starts_with(part),
            _ => component == part,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// A tree of the components of wildcard patterns, kept flat, so that no pattern is too deep for it.
#[derive(Debug)]
struct Wildcards<T> {
    nodes: Vec<Node<T>>,
    edges: Map<Edge, usize>,
    free: Vec<usize>,
}

const ROOT: usize = 0;

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    children: usize,
}

/// From a node by a component to the next node. The empty component matches any.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Edge {
    from: usize,
    component: Box<str>,
}

#[derive(Hash)]
struct EdgeRef<'a> {
    from: usize,
    component: &'a str,
}

impl Equivalent<Edge> for EdgeRef<'_> {
    fn equivalent(&self, edge: &Edge) -> bool {
        self.from == edge.from && *self.component == *edge.component
    }
}

impl<T> Default for Wildcards<T> {
    fn default() -> Self {
        Self { nodes: vec![Node { value: None, children: 0 }], edges: Map::default(), free: Vec::new() }
    }
}

impl<T: Copy> Wildcards<T> {
    /// The nodes that a component of a URI leads to: its own and that of any, which is one if it is empty.
    fn steps(&self, from: usize, component: &str) -> [Option<usize>; 2] {
        let own = (!component.is_empty()).then(|| self.step(from, component)).flatten();
        [own, self.step(from, "")]
    }

    fn step(&self, from: usize, component: &str) -> Option<usize> {
        self.edges.get(&EdgeRef { from, component }).copied()
    }

    fn get(&self, pattern: &str) -> Option<T> {
        let end = pattern.split('.').try_fold(ROOT, |node, component| self.step(node, component))?;
        self.nodes.get(end)?.value
    }

    fn insert(&mut self, pattern: &str, value: T) {
        let mut at = ROOT;
        for component in pattern.split('.') {
            at = match self.step(at, component) {
                Some(next) => next,
                None => self.grow(at, component),
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.value = Some(value);
        }
    }

    fn grow(&mut self, from: usize, component: &str) -> usize {
        let node = Node { value: None, children: 0 };
        let new = match self.free.pop() {
            Some(free) => {
                self.nodes[free] = node;
                free
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        self.edges.insert(Edge { from, component: component.into() }, new);
        self.nodes[from].children += 1;
        new
    }

    fn remove(&mut self, pattern: &str) {
        let mut path = Vec::new();
        let mut at = ROOT;
        for component in pattern.split('.') {
            let Some(next) = self.step(at, component) else { return };
            path.push((at, component, next));
            at = next;
        }
        self.nodes[at].value = None;
        // Nodes that carry nothing any more go, from the end of the pattern up.
        for (from, component, node) in path.into_iter().rev() {
            let Node { value, children } = &self.nodes[node];
            if value.is_some() || *children > 0 {
                break;
            }
            self.edges.swap_remove(&EdgeRef { from, component });
            self.nodes[from].children -= 1;
            self.free.push(node);
        }
    }

    fn matching(&self, uri: &str, mut found: impl FnMut(T)) {
        if self.edges.is_empty() {
            return;
        }
        let mut front = vec![ROOT];
        for component in uri.split('.') {
            front = front.iter().flat_map(|node| self.steps(*node, component)).flatten().collect();
            if front.is_empty() {
                return;
            }
        }
        front.iter().filter_map(|node| self.nodes[*node].value).for_each(&mut found);
    }

    /// The value of the first pattern that matches, where a literal component goes before any.
    fn best(&self, uri: &str, is_acceptable: impl Fn(T) -> bool) -> Option<T> {
        if self.edges.is_empty() {
            return None;
        }
        let components: Vec<_> = uri.split('.').collect();
        let mut open = vec![(ROOT, 0)];
        while let Some((node, depth)) = open.pop() {
            match components.get(depth) {
                None => {
                    if let Some(value) = self.nodes[node].value.filter(|value| is_acceptable(*value)) {
                        return Some(value);
                    }
                }
                Some(component) => {
                    let next = self.steps(node, component).into_iter().rev().flatten();
                    open.extend(next.map(|next| (next, depth + 1)));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::uri::UriRule;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn matches(patterns: &Patterns<u32>, uri: &str) -> Vec<u32> {
        let mut found = Vec::new();
        patterns.matching(uri, |value| found.push(value));
        found
    }

    #[test]
    fn the_same_text_with_another_match_is_another_key() {
        let mut patterns = Patterns::default();
        let uri = Uri::from("a.b");
        patterns.insert(&uri, Match::Exact, 1);
        patterns.insert(&uri, Match::Prefix, 2);
        patterns.insert(&uri, Match::Wildcard, 3);
        assert_eq!(matches(&patterns, "a.b"), [1, 2, 3]);
        assert_eq!(matches(&patterns, "a.bc"), [2]);
        patterns.remove("a.b", Match::Prefix);
        assert_eq!(matches(&patterns, "a.b"), [1, 3]);
        assert_eq!(patterns.get("a.b", Match::Prefix), None);
        assert_eq!(patterns.get("a.b", Match::Wildcard), Some(3));
    }

    #[test]
    fn a_prefix_is_plain_text_and_may_be_empty() {
        let mut patterns = Patterns::default();
        patterns.insert(&"".into(), Match::Prefix, 1);
        patterns.insert(&"com.myapp.topic.emergency".into(), Match::Prefix, 2);
        patterns.insert(&"ä".into(), Match::Prefix, 3);
        assert_eq!(matches(&patterns, "com.myapp.topic.emergency-low"), [1, 2]);
        assert_eq!(matches(&patterns, "com.myapp.topic.emergency"), [1, 2]);
        assert_eq!(matches(&patterns, "com.myapp.topic.emerge"), [1]);
        assert_eq!(matches(&patterns, "x€"), [1]);
    }

    #[test]
    fn a_wildcard_matches_as_many_components() {
        let mut patterns = Patterns::default();
        patterns.insert(&"a..c".into(), Match::Wildcard, 1);
        patterns.insert(&"..".into(), Match::Wildcard, 2);
        patterns.insert(&"a.b.".into(), Match::Wildcard, 3);
        assert_eq!(matches(&patterns, "a.b.c"), [3, 1, 2]);
        assert_eq!(matches(&patterns, "a.b"), [0; 0]);
        assert_eq!(matches(&patterns, "x.y.z"), [2]);
        assert_eq!(matches(&patterns, "a.b.c.d"), [0; 0]);
    }

    #[test]
    fn a_pattern_of_a_million_components_is_no_trouble() {
        let mut patterns = Patterns::default();
        let uri = Uri::from(&*".".repeat(1_000_000));
        patterns.insert(&uri, Match::Wildcard, 1);
        assert_eq!(patterns.get(&uri, Match::Wildcard), Some(1));
        patterns.remove(&uri, Match::Wildcard);
        assert!(patterns.wildcard.edges.is_empty());
    }

    #[test]
    fn an_empty_component_is_any_and_itself_at_once_and_found_but_once() {
        let mut patterns = Patterns::default();
        let uri = Uri::from(&*".".repeat(100));
        patterns.insert(&uri, Match::Wildcard, 1);
        let mut found = Vec::new();
        patterns.matching(&uri, |one| found.push(one));
        assert_eq!(found, [1]);
        assert_eq!(patterns.best(&uri, |_| true), Some(1));
        assert_eq!(patterns.best(&uri, |_| false), None);
    }

    /// The rules read literally, one pattern after the other.
    fn literally(pattern: &str, matching: Match, uri: &str) -> bool {
        match matching {
            Match::Exact => pattern == uri,
            Match::Prefix => uri.starts_with(pattern),
            Match::Wildcard => {
                let (pattern, uri): (Vec<_>, Vec<_>) =
                    (pattern.split('.').collect(), uri.split('.').collect());
                pattern.len() == uri.len() && pattern.iter().zip(&uri).all(|(p, u)| p.is_empty() || p == u)
            }
        }
    }

    /// The examples of the section "Pattern-based Registrations", but for the one in which a prefix is taken for
    /// whole components.
    #[test]
    fn one_pattern_stands_first() {
        let mut patterns = Patterns::default();
        for (value, uri, matching) in [
            (1, "a1.b2.c3.d4.e55", Match::Exact),
            (2, "a1.b2.c3", Match::Prefix),
            (3, "a1.b2.c3.d4", Match::Prefix),
            (4, "a1.b2..d4.e5", Match::Wildcard),
            (5, "a1.b2.c33..e5", Match::Wildcard),
            (6, "a1.b2..d4.e5..g7", Match::Wildcard),
            (7, "a1.b2..d4..f6.g7", Match::Wildcard),
        ] {
            patterns.insert(&uri.into(), matching, value);
        }
        for (uri, first) in [
            ("a1.b2.c3.d4.e55", Some(1)),
            ("a1.b2.c3.d98.e74", Some(2)),
            ("a1.b2.c3.d4.e325", Some(3)),
            ("a1.b2.c55.d4.e5", Some(4)),
            ("a1.b2.c33.d4.e5", Some(2)),
            ("a1.b2.c88.d4.e5.f6.g7", Some(6)),
            ("a2.b2.c2.d2.e2", None),
        ] {
            assert_eq!(patterns.best(uri, |_| true), first, "{uri}");
        }
        assert_eq!(patterns.best("a1.b2.c3.d4.e55", |value| value != 1), Some(3));
        assert_eq!(patterns.best("a1.b2.c88.d4.e5.f6.g7", |value| value != 6), Some(7));
    }

    /// Every URI of up to four components out of some that patterns are made of and some that they are not.
    fn uris() -> Vec<String> {
        let components = ["a", "b", "ab", "abz", "z"];
        let mut uris: Vec<String> = components.map(Into::into).into();
        let mut longest = uris.clone();
        for _ in 1..4 {
            longest = longest
                .iter()
                .flat_map(|uri| components.map(|component| format!("{uri}.{component}")))
                .collect();
            uris.extend_from_slice(&longest);
        }
        uris
    }

    /// Every pattern of up to two components.
    fn all_patterns() -> Vec<(String, Match)> {
        let components = ["", "a", "b", "ab"];
        let pairs = components.iter().flat_map(|one| components.map(|other| format!("{one}.{other}")));
        let texts: Vec<String> = components.map(Into::into).into_iter().chain(pairs).collect();
        let kinds = [Match::Exact, Match::Prefix, Match::Wildcard];
        let all = kinds.into_iter().flat_map(|kind| texts.iter().map(move |text| (text.clone(), kind)));
        all.filter(|(text, kind)| Uri::from(&**text).is_valid(*kind, UriRule::Loose)).collect()
    }

    #[test]
    fn coverage_overlap_and_precedence_are_what_the_uris_say() {
        let (uris, patterns) = (uris(), all_patterns());
        let matched: Vec<Vec<bool>> = patterns
            .iter()
            .map(|(text, kind)| uris.iter().map(|uri| literally(text, *kind, uri)).collect())
            .collect();
        for ((one, one_kind), one_matches) in patterns.iter().zip(&matched) {
            for ((other, other_kind), other_matches) in patterns.iter().zip(&matched) {
                let mut both = one_matches.iter().zip(other_matches);
                let (one, other) = ((&**one, *one_kind), (&**other, *other_kind));
                assert_eq!(overlap(one, other), both.clone().any(|(a, b)| *a && *b), "{one:?} and {other:?}");
                assert_eq!(covers(one, other), both.all(|(a, b)| *a || !b), "{one:?} covers {other:?}");
                let mut index = Patterns::default();
                index.insert(&one.0.into(), one.1, 1);
                index.insert(&other.0.into(), other.1, 2);
                for uri in
                    uris.iter().filter(|uri| literally(one.0, one.1, uri) && literally(other.0, other.1, uri))
                {
                    let first = match precedence(one, other) {
                        Ordering::Greater => 1,
                        Ordering::Less | Ordering::Equal => 2,
                    };
                    assert_eq!(index.best(uri, |_| true), Some(first), "{uri}: {one:?} or {other:?}");
                }
            }
        }
    }

    #[test]
    fn the_index_agrees_with_the_rules_read_literally() {
        let mut chance = StdRng::seed_from_u64(7);
        let mut patterns = Patterns::default();
        let mut kept: Vec<(Uri, Match, u32)> = Vec::new();
        let mut word = |empty: bool| -> String {
            let components = chance.random_range(1..5);
            let one =
                |chance: &mut StdRng| ["a", "b", "ab", ""][chance.random_range(0..3 + usize::from(empty))];
            (0..components).map(|_| one(&mut chance)).collect::<Vec<_>>().join(".")
        };
        for number in 0..3000 {
            let matching = [Match::Exact, Match::Prefix, Match::Wildcard][number as usize % 3];
            let pattern = Uri::from(&*word(true));
            let held = kept.iter().position(|(uri, kind, _)| (uri, *kind) == (&pattern, matching));
            match held {
                Some(held) => {
                    kept.swap_remove(held);
                    patterns.remove(&pattern, matching);
                }
                None => {
                    kept.push((pattern.clone(), matching, number));
                    patterns.insert(&pattern, matching, number);
                }
            }
            let uri = word(false);
            let mut expected: Vec<u32> = kept
                .iter()
                .filter(|(p, m, _)| literally(p, *m, &uri))
                .map(|(_, _, number)| *number)
                .collect();
            let mut found = matches(&patterns, &uri);
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{uri}");
        }
        for (uri, matching, _) in kept {
            patterns.remove(&uri, matching);
        }
        assert!(
            patterns.exact.is_empty() && patterns.prefix.is_empty() && patterns.prefix_lengths.is_empty()
        );
        assert!(patterns.wildcard.edges.is_empty());
        assert_eq!(patterns.wildcard.free.len(), patterns.wildcard.nodes.len() - 1);
    }
}
