//! Labels: the fixed names by which logs and metrics tell the variants of an enum apart; and what else log lines say.

use std::fmt::Display;

/// How many characters of a text a log line shows.
const MOST_SHOWN: usize = 500;

/// What a log line shows of a text that may be as long as a client likes.
pub(crate) fn shown(text: &impl Display) -> String {
    let mut text = text.to_string();
    if let Some((end, _)) = text.char_indices().nth(MOST_SHOWN) {
        text.truncate(end);
        text.push('\u{2026}');
    }
    text
}

/// Gives every variant of an enum its label, and the enum the list of all labels.
macro_rules! labels {
    ($vis:vis $name:ident { $($pattern:pat => $label:literal),+ $(,)? }) => {
        impl $name {
            /// All labels.
            $vis const LABELS: [&str; [$($label),+].len()] = [$($label),+];

            /// Its name in logs and metrics.
            $vis fn label(&self) -> &'static str {
                match self {
                    $($pattern => $label),+
                }
            }
        }
    };
}
pub(crate) use labels;

#[cfg(test)]
mod tests {
    use crate::{
        cause::Cause,
        limit::Limit,
        proxy::{Belief, ProxyHeader},
        session::{handshake::Outcome, refused::Refused},
        step::CallOutcome,
    };
    use std::collections::HashSet;

    #[test]
    fn a_long_text_is_shown_as_far_as_a_line_goes() {
        assert_eq!(super::shown(&"a".repeat(500)), "a".repeat(500));
        assert_eq!(super::shown(&"\u{e4}".repeat(501)), "\u{e4}".repeat(500) + "\u{2026}");
    }

    #[test]
    fn labels_are_words_and_differ() {
        for labels in [
            Cause::LABELS.to_vec(),
            CallOutcome::LABELS.to_vec(),
            Limit::LABELS.to_vec(),
            ProxyHeader::LABELS.to_vec(),
            Belief::LABELS.to_vec(),
            Outcome::LABELS.into_iter().chain(Refused::LABELS).collect(),
        ] {
            let is_word =
                |label: &&str| label.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'));
            assert!(labels.iter().all(is_word), "{labels:?}");
            assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len(), "{labels:?}");
        }
    }
}
