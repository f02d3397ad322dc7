//! The table of features is what WELCOME announces, and each row names a transcript that there is.

use crate::support::{Peer, Router};
use realmkeeper_actors::codec::Serializer;
use serde_json::json;
use std::{collections::BTreeSet, path::Path};

const TABLE: &str = include_str!("../actors/src/message/feature.rs");

#[test]
fn the_table_of_features_is_what_welcome_announces() {
    let mut documented = Vec::new();
    for row in TABLE.lines().filter_map(|line| line.strip_prefix("//! | `")) {
        let cells = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>();
        let [feature, roles, transcript, ""] = cells[..] else { panic!("{row} has three cells") };
        let file = format!("{}/tests/transcripts/{transcript}.txt", env!("CARGO_MANIFEST_DIR"));
        assert!(Path::new(&file).exists(), "{feature}: there is no transcript {transcript}");
        documented.push((feature.to_owned(), roles.to_owned()));
    }
    assert!(documented.is_sorted(), "the rows are sorted: {documented:?}");

    let router = Router::start();
    let mut peer = Peer::connect(&router, Serializer::Json);
    peer.send(&json!([1, "realm1", {"roles": {"caller": {}}}]));
    let welcome = peer.message();
    let roles = welcome[2]["roles"].as_object().expect("WELCOME tells the roles of the router");
    let announced = |role: &str, feature: &str| roles[role]["features"][feature] == json!(true);
    let features = roles.values().filter_map(|role| role["features"].as_object());
    let features = features.flat_map(|features| features.keys()).collect::<BTreeSet<_>>();
    let found = features.iter().map(|feature| {
        let by = roles.keys().filter(|role| announced(role, feature)).map(String::as_str);
        ((*feature).clone(), by.collect::<Vec<_>>().join(", "))
    });
    assert_eq!(found.collect::<Vec<_>>(), documented);
}
