//! Labels: the fixed names by which logs and metrics tell the variants of an enum apart.

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
