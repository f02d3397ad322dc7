//! URIs, and the index of patterns beside the rules read literally.

use crate::{
    message::uri::{Match, Uri, UriRule},
    pattern::{Patterns, covers, overlap, precedence},
};
use std::cmp::Ordering;

const MATCHES: [Match; 3] = [Match::Exact, Match::Prefix, Match::Wildcard];

/// Takes a text apart into lines. Each is a URI, or behind one of the letters `e`, `p` and `w` a pattern that is
/// added to the index, or taken out of it if it is there; each URI is looked up.
pub fn pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut index = Patterns::default();
    let mut kept: Vec<(Uri, Match)> = Vec::new();
    for line in text.lines().take(50) {
        let Some((kind, rest)) = line.split_at_checked(1) else { continue };
        let Some(matching) = "epw".find(kind).map(|at| MATCHES[at]) else {
            look_up(&index, &kept, line);
            continue;
        };
        let pattern = Uri::from(rest);
        validate(&pattern, matching);
        match kept.iter().position(|held| (&held.0, held.1) == (&pattern, matching)) {
            Some(held) => {
                kept.swap_remove(held);
                index.remove(&pattern, matching);
            }
            None if pattern.is_valid(matching, UriRule::Loose) => {
                kept.push((pattern.clone(), matching));
                index.insert(&pattern, matching, kept.len());
                // The index holds the place in the list; one that moves there is put in again.
            }
            None => {}
        }
        for (place, (pattern, matching)) in kept.iter().enumerate() {
            if index.get(pattern, *matching) != Some(place) {
                index.remove(pattern, *matching);
                index.insert(pattern, *matching, place);
            }
        }
    }
    for (pattern, matching) in &kept {
        index.remove(pattern, *matching);
    }
    assert!(index.is_empty(), "what is taken out leaves nothing");
}

fn look_up(index: &Patterns<usize>, kept: &[(Uri, Match)], uri: &str) {
    validate(&uri.into(), Match::Exact);
    let matching = |(pattern, matching): &(Uri, Match)| literally(pattern, *matching, uri);
    let expected: Vec<_> = (0..kept.len()).filter(|place| matching(&kept[*place])).collect();
    let mut found = Vec::new();
    index.matching(uri, |place| found.push(place));
    found.sort_unstable();
    assert_eq!(found, expected, "{uri:?}");
    let key = |place: usize| (&*kept[place].0, kept[place].1);
    match index.best(uri, |_| true) {
        None => assert!(expected.is_empty(), "{uri:?} has no best, but matches"),
        Some(best) => {
            for other in expected.iter().copied().filter(|other| *other != best) {
                assert_eq!(precedence(key(best), key(other)), Ordering::Greater, "{uri:?}");
                assert!(overlap(key(best), key(other)), "{uri:?} is in both");
            }
        }
    }
    for one in expected.iter().copied() {
        assert!(covers(key(one), (uri, Match::Exact)), "{uri:?} is in {:?}", key(one));
    }
}

/// The rules of matching read literally.
fn literally(pattern: &str, matching: Match, uri: &str) -> bool {
    let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    match matching {
        Match::Exact => pattern == uri,
        Match::Prefix => uri.starts_with(pattern),
        Match::Wildcard => {
            let (pattern, uri) = (parts(pattern), parts(uri));
            pattern.len() == uri.len() && pattern.iter().zip(&uri).all(|(p, u)| p.is_empty() || p == u)
        }
    }
}

/// Asserts that a URI is valid by the rules of characters and components read literally.
fn validate(uri: &Uri, matching: Match) {
    let parts: Vec<_> = uri.split('.').collect();
    let may_be_empty = |place: usize| match matching {
        Match::Exact => false,
        Match::Prefix => place + 1 == parts.len(),
        Match::Wildcard => true,
    };
    let has_room = parts.iter().enumerate().all(|(place, part)| !part.is_empty() || may_be_empty(place));
    let loose = |c: char| !c.is_whitespace() && c != '#';
    let strict = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let all = |allowed: &dyn Fn(char) -> bool| parts.iter().all(|part| part.chars().all(allowed));
    assert_eq!(uri.is_valid(matching, UriRule::Loose), has_room && all(&loose), "{uri:?} {matching:?}");
    assert_eq!(uri.is_valid(matching, UriRule::Strict), has_room && all(&strict), "{uri:?} {matching:?}");
}
