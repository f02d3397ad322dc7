//! URIs of topics, procedures, errors and realms, and what makes one valid (section "URIs").

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// A URI as it was received. Whether it is valid depends on its use: see [`Uri::is_valid`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uri(Arc<str>);

/// How a pattern matches URIs: the option `match` of SUBSCRIBE and REGISTER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Match {
    /// The URI itself.
    #[default]
    Exact,
    /// Every URI that begins with the pattern, as plain text.
    Prefix,
    /// Every URI of as many components; an empty component of the pattern matches any.
    Wildcard,
}

/// What characters a realm allows in the URIs of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UriRule {
    /// Anything but white space and `#` in a component.
    #[default]
    Loose,
    /// Lower-case letters, digits and `_` in a component.
    Strict,
}

/// Which URIs of its clients a realm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriRules {
    /// What characters they can have.
    pub characters: UriRule,
    /// How many octets they can have.
    pub longest: usize,
}

impl Uri {
    /// Whether the URI can be used with `matching` under `rule`: no empty component in an exact one,
    /// the last may be empty in a prefix, any in a wildcard.
    pub fn is_valid(&self, matching: Match, rule: UriRule) -> bool {
        let mut is_empty = true;
        for octet in self.0.bytes() {
            let is_allowed = match (octet, rule) {
                (b'.', _) => !is_empty || matching == Match::Wildcard,
                (_, UriRule::Loose) => !matches!(octet, b'#' | b' ' | b'\t'..=b'\r'),
                (_, UriRule::Strict) => matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_'),
            };
            if !is_allowed {
                return false;
            }
            is_empty = octet == b'.';
        }
        let has_other_space = !self.0.is_ascii() && self.0.contains(char::is_whitespace);
        !has_other_space && (!is_empty || matching != Match::Exact)
    }

    /// Whether the first component is `wamp`: such a URI is the router's, and no client publishes or
    /// registers there.
    pub fn is_reserved(&self) -> bool {
        self.0.strip_prefix("wamp").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl From<&str> for Uri {
    fn from(uri: &str) -> Self {
        Self(uri.into())
    }
}

impl Borrow<str> for Uri {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Uri {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// How many characters of a URI error texts and logs show.
const MOST_SHOWN: usize = 255;

/// The URI for people, who are shown the beginning of a long one. What travels is the text that it derefs to.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MOST_SHOWN) {
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
            None => f.write_str(&self.0),
        }
    }
}

/// The same in quotes.
impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(matching: Match, rule: UriRule, valid: &[&str], invalid: &[&str]) {
        for uri in valid {
            assert!(Uri::from(*uri).is_valid(matching, rule), "{uri:?} should be valid as {matching:?}");
        }
        for uri in invalid {
            assert!(!Uri::from(*uri).is_valid(matching, rule), "{uri:?} should not be valid as {matching:?}");
        }
    }

    #[test]
    fn an_exact_uri_has_no_empty_component() {
        let valid = ["because", "com.myapp.topic1", "a.B.ä-!/$", "wamp.session.on_join"];
        let invalid = ["", ".", "a.", ".a", "a..b", "a b", "a.b\n", "a\u{a0}b", "a.#", "\u{2003}"];
        check(Match::Exact, UriRule::Loose, &valid, &invalid);
    }

    #[test]
    fn the_last_component_of_a_prefix_may_be_empty() {
        check(Match::Prefix, UriRule::Loose, &["", "a", "a.", "a.b."], &[".", "a..", "a..b", ".a", " "]);
    }

    #[test]
    fn any_component_of_a_wildcard_may_be_empty() {
        check(Match::Wildcard, UriRule::Loose, &["", ".", "..", "a..b", ".a.", "a"], &["a. .b", "a.#.b"]);
    }

    #[test]
    fn a_strict_uri_has_lower_case_letters_digits_and_underscores() {
        check(Match::Exact, UriRule::Strict, &["com.my_app.t1"], &["com.MyApp", "com.my-app", "", "a..b"]);
        check(Match::Wildcard, UriRule::Strict, &["a..b", ""], &["A..b"]);
        check(Match::Prefix, UriRule::Strict, &["a.b."], &["a..", "a.B"]);
    }

    #[test]
    fn a_long_uri_is_shown_cut_between_characters() {
        let shown = |length: usize| Uri::from(&*"ä".repeat(length)).to_string();
        assert_eq!(shown(255), "ä".repeat(255));
        assert_eq!(shown(256), "ä".repeat(255) + "…");
        assert_eq!(format!("{:?}", Uri::from("a\n")), r#""a\n""#);
        assert_eq!(format!("{:?}", Uri::from(&*"b".repeat(1000))), format!("\"{}…\"", "b".repeat(255)));
    }

    #[test]
    fn the_first_component_wamp_is_reserved() {
        for (uri, reserved) in
            [("wamp", true), ("wamp.", true), ("wamp.a", true), ("wam", false), ("wampum.a", false)]
        {
            assert_eq!(Uri::from(uri).is_reserved(), reserved, "{uri}");
        }
    }
}
