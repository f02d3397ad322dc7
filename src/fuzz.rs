//! What must hold whatever comes, for fuzzers: each function takes octets and panics where a rule is broken. Only in
//! builds with the feature `fuzzing`.

pub use realmkeeper_actors::fuzz::*;

use crate::{
    config::{ConfigError, Overrides, load_text},
    server::proxy_protocol,
};
use std::path::Path;

/// Reads a configuration file. Each error has to name a line that the text has. What can be used has to be read as
/// the same from what is printed of it.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Other files are not looked for, whatever a fuzzer calls them.
    if ["_file", "_env", "tls", "users"].iter().any(|word| text.contains(word)) {
        return;
    }
    let parse = |text: &str| load_text(text, Path::new("fuzz.toml"), &Overrides::default());
    match parse(text) {
        Ok(loaded) => {
            let printed = toml::to_string(&loaded.config).expect("a configuration can be printed");
            let again = parse(&printed).unwrap_or_else(|error| panic!("{printed}\n{error}"));
            assert_eq!(again.config, loaded.config, "{printed}");
        }
        Err(ConfigError::Wrong(problems)) => {
            assert!(!problems.is_empty(), "what is wrong is named");
            let lines = text.split('\n').count();
            for problem in problems {
                let (line, column) = problem.position();
                assert!((1..=lines).contains(&line) && column >= 1, "{problem}");
            }
        }
        Err(error @ ConfigError::Unreadable { .. }) => panic!("nothing is read: {error}"),
    }
}

/// Reads a header of the PROXY protocol, and each beginning of it: one that is whole or broken stays what it is,
/// whatever comes behind it.
pub fn proxy_header(data: &[u8]) {
    let whole = proxy_protocol::parse(data);
    for end in 0..data.len() {
        match proxy_protocol::parse(&data[..end]) {
            Ok(None) => {}
            Ok(Some(header)) => assert_eq!(whole, Ok(Some(header)), "whole after {end}"),
            Err(broken) => assert_eq!(whole, Err(broken), "broken after {end}"),
        }
    }
}
