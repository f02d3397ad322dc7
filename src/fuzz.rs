//! What must hold whatever comes, for fuzzers: each function takes octets and panics where a rule is broken. Only in
//! builds with the feature `fuzzing`.

pub use crate::server::fuzz::headers;
pub use realmkeeper_actors::fuzz::*;

use crate::{
    config::{ConfigError, Overrides, load_text},
    server::proxy_protocol,
};
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The keys by which a configuration names other files, variables, and users of the machine, which are looked up in
/// files too.
const ELSEWHERE: [&str; 11] = [
    "certificate",
    "client_ca",
    "group",
    "key",
    "keys",
    "secret_env",
    "secret_file",
    "ticket_env",
    "ticket_file",
    "user",
    "users",
];

/// Reads a configuration file. Each error has to name a line that the text has. What can be used has to be read as
/// the same from what is printed of it.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Other files are not looked for, whatever a fuzzer calls them.
    let (table, _) = DeTable::parse_recoverable(text);
    if points_elsewhere(table.get_ref()) {
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

fn points_elsewhere(table: &DeTable<'_>) -> bool {
    fn holds(value: &DeValue<'_>) -> bool {
        match value {
            DeValue::Table(table) => points_elsewhere(table),
            DeValue::Array(items) => items.iter().any(|item| holds(item.get_ref())),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => false,
        }
    }
    table.iter().any(|(key, value)| ELSEWHERE.contains(&&**key.get_ref()) || holds(value.get_ref()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_names_other_files_is_found_however_it_is_written() {
        let points = |text: &str| points_elsewhere(DeTable::parse_recoverable(text).0.get_ref());
        for text in [
            "[[realms]]\nusers = \"a\"",
            "[[realms]]\n\"us\\u0065rs\" = \"a\"",
            "realms = [{ jwt = { keys = [\"a\"] } }]",
            "[realms.jwt]\nsecret_env = \"A\"",
            "[[realms.principals]]\nticket_file = \"a\"",
            "listeners.tls.certificate = \"a\"",
            "[listeners.unix]\nuser = \"root\"",
        ] {
            assert!(points(text), "{text}");
        }
        assert!(!points("[[realms]]\nname = \"users\" # keys"));
    }
}
