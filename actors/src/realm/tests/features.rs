//! What WELCOME announces is what the docs of `message/feature.rs` say.

use crate::{
    message::feature::{Feature, Features},
    realm::{BROKER_FEATURES, DEALER_FEATURES},
};
use std::path::Path;

/// The rows of the table: a feature, the role that announces it, and the tests that show it.
fn table() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let docs = include_str!("../../message/feature.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let rows = docs.filter_map(|line| line.trim().strip_prefix("| `"));
    let cells = |row: &'static str| {
        let mut cells = row.trim_end_matches('|').split('|').map(str::trim);
        let feature = cells.next()?.trim_end_matches('`');
        Some((feature, cells.next()?, cells.next()?.split('`').skip(1).step_by(2).collect()))
    };
    rows.filter_map(cells).collect()
}

fn names(features: Features) -> Vec<&'static str> {
    Feature::ALL.iter().filter(|feature| features.contains(**feature)).map(|feature| feature.name()).collect()
}

#[test]
fn the_table_of_features_has_what_welcome_announces() {
    for (role, features) in [("dealer", DEALER_FEATURES), ("broker", BROKER_FEATURES)] {
        let rows = table().into_iter().filter(|(_, announced_by, _)| announced_by.contains(role));
        let mut rows: Vec<_> = rows.map(|(feature, ..)| feature).collect();
        let mut names = names(features);
        rows.sort_unstable();
        names.sort_unstable();
        assert_eq!(rows, names, "{role}");
    }
}

#[test]
fn the_tests_in_the_table_of_features_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (feature, _, tests) in table() {
        assert!(!tests.is_empty(), "nothing shows {feature}");
        for test in tests {
            let core = root.join("actors/src/realm/tests").join(test).with_extension("rs");
            let transcript = root.join("tests/transcripts").join(test).with_extension("txt");
            assert!(core.exists() || transcript.exists(), "there is no test {test} for {feature}");
        }
    }
}
