//! The rules of the house: what never depends on what, what the top of the repository holds, and licences.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every Rust file below a folder of the repository.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "there is no source in {folder}");
    found
}

/// The code of a file without its comments and its tests, line by line.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("the source can be read");
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    before_tests.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}

/// Where a file of the crate `actors` stands in it, such as `realm/actor.rs`.
fn place(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(ROOT).join("actors/src")).expect("the file is in actors/src");
    inside.to_str().expect("paths are UTF-8").to_owned()
}

/// Asserts that none of `words` stands in the files of `actors/src` for which `may` is false.
fn only_in(words: &[&str], may: impl Fn(&str) -> bool) {
    let mut broken = Vec::new();
    for path in sources("actors/src") {
        let place = place(&path);
        if may(&place) || place.split('/').any(|part| part == "tests" || part == "tests.rs") {
            continue;
        }
        for (number, line) in code(&path).iter().enumerate() {
            broken.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("actors/src/{place}:{}: {word} has no place here", number + 1)),
            );
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn is_actor(place: &str) -> bool {
    place.ends_with("/actor.rs")
}

#[test]
fn actix_is_known_only_to_files_named_actor() {
    only_in(&["actix::", "actix_rt"], is_actor);
    only_in(&["actix_http"], |place| place == "transport/websocket.rs");
}

#[test]
fn the_clock_and_chance_enter_only_in_actors() {
    only_in(&["SystemTime::now", "Instant::now", "tokio::time", "rand::rng(", "RateLimiter"], is_actor);
}

#[test]
fn the_only_lock_is_in_the_outbox() {
    only_in(&["Mutex", "RwLock"], |place| place == "transport/outbox.rs");
}

#[test]
fn metrics_are_counted_only_in_actors() {
    only_in(&["prometheus"], |place| place == "metrics.rs");
    // What is delivered is noted down for the actor.
    let notes = |place: &str| matches!(place, "lib.rs" | "metrics.rs" | "realm/delivery.rs");
    only_in(&["metrics"], |place| is_actor(place) || notes(place));
}

#[test]
fn only_the_codec_encodes_and_decodes() {
    only_in(&["serde_json", "rmp_serde", "cbor4ii"], |place| place.starts_with("codec/"));
}

#[test]
fn sockets_are_known_only_to_the_transport_and_the_session() {
    let is_session = |place: &str| place == "session/actor.rs";
    only_in(&["AsyncRead", "AsyncWrite"], |place| place.starts_with("transport/") || is_session(place));
    only_in(&["tokio::"], |place| {
        place.starts_with("transport/")
            || is_session(place)
            || matches!(place, "session/verification.rs" | "shared.rs" | "turn.rs")
    });
}

#[test]
fn only_authentication_knows_cryptography() {
    let crates = [
        "argon2::",
        "ed25519_dalek",
        "hmac::{",
        "jsonwebtoken",
        "pbkdf2::",
        "use ring",
        "sha2",
        "stringprep",
        "subtle",
    ];
    only_in(&crates, |place| place.starts_with("session/auth/"));
}

/// What the broker and the dealer may use.
const ROUTING: &[&str] = &[
    "message",
    "codec",
    "collections",
    "limit",
    "pattern",
    "permission",
    "roster",
    "step",
    "refusal",
    "cause",
];

/// Which modules of the core each may use; `crate::` paths to others are refused.
const MAY_USE: &[(&str, &[&str])] = &[
    ("message/", &["message", "codec"]),
    ("codec/", &["message", "codec"]),
    ("collections.rs", &[]),
    ("label.rs", &[]),
    ("limit.rs", &["label"]),
    ("proxy.rs", &["label"]),
    ("pattern.rs", &["message", "collections"]),
    ("limit.rs", &[]),
    ("permission.rs", &["message", "pattern", "refusal"]),
    ("roster.rs", &["message", "codec", "collections", "permission", "refusal", "transport", "verdict"]),
    ("verdict.rs", &["message", "collections", "permission", "refusal"]),
    ("ban.rs", &["collections", "shared", "transport"]),
    ("shared.rs", &[]),
    ("refusal.rs", &["message", "codec", "limit"]),
    ("cause.rs", &["message", "codec", "refusal", "label"]),
    ("step.rs", &["message", "codec", "cause", "roster", "refusal", "label", "limit"]),
    ("broker/", ROUTING),
    ("dealer/", ROUTING),
    ("transport/", &["message", "codec", "refusal", "cause", "transport"]),
];

#[test]
fn the_core_depends_upwards_only() {
    let mut broken = Vec::new();
    for path in sources("actors/src") {
        let place = place(&path);
        let Some((_, allowed)) = MAY_USE.iter().find(|(prefix, _)| place.starts_with(prefix)) else {
            continue;
        };
        let text = code(&path).join("\n");
        for module in used_modules(&text) {
            if !allowed.contains(&module.as_str()) && !place.starts_with(&module) {
                broken.push(format!("actors/src/{place} uses crate::{module}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The first parts of all paths that begin with `crate::`, those in braces included.
fn used_modules(text: &str) -> Vec<String> {
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect::<String>()
    };
    let mut modules = Vec::new();
    for after in text.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => modules.push(word(after)),
            Some(list) => {
                let (mut depth, mut begins) = (1, true);
                for (at, letter) in list.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => begins = true,
                        letter if begins && depth == 1 && !letter.is_whitespace() => {
                            modules.push(word(&list[at..]));
                            begins = false;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    modules
}

#[test]
fn used_modules_are_found_in_braces_too() {
    let text = "use crate::{\n    codec::{Raw, x},\n    message,\n};\nlet a = crate::step::Step;";
    assert_eq!(used_modules(text), ["codec", "message", "step"]);
}

#[test]
fn the_broker_and_the_dealer_never_open_a_payload() {
    let mut broken = Vec::new();
    for path in sources("actors/src") {
        let place = place(&path);
        if place.starts_with("broker/") || place.starts_with("dealer/") {
            broken.extend(code(&path).iter().filter(|line| line.contains(".open()")).map(|_| place.clone()));
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn the_service_matches_on_no_message() {
    for path in sources("src") {
        for line in code(&path) {
            assert!(
                !line.contains("ClientMessage") && !line.contains("RouterMessage"),
                "{}: {line}",
                path.display()
            );
        }
    }
}

#[test]
fn the_commands_of_the_terminal_know_a_router_as_any_client_does() {
    for (folder, known) in [("src/client", &["client"][..]), ("src/terminal", &["client", "terminal"])] {
        for path in sources(folder) {
            let text = code(&path).join("\n");
            let unknown: Vec<_> =
                used_modules(&text).into_iter().filter(|module| !known.contains(&module.as_str())).collect();
            assert!(unknown.is_empty(), "{} uses {unknown:?}", path.display());
            // How to prove who somebody is, is computed on both sides by the same functions.
            let shared = text.matches("realmkeeper_actors::session::access::").count();
            let all = text.matches("realmkeeper_actors::").count();
            assert_eq!(all, shared, "{}", path.display());
        }
    }
}

#[test]
fn nothing_unfinished_stays() {
    // Written in two parts, so that this list does not find itself.
    let words =
        [("to", "do!("), ("unimple", "mented!("), ("FIX", "ME"), ("#[ig", "nore"), ("#[should_", "panic")];
    for folder in ["src", "actors", "tests"] {
        for path in sources(folder) {
            let text = fs::read_to_string(&path).expect("the source can be read");
            for (first, second) in words {
                let word = format!("{first}{second}");
                assert!(!text.contains(&word), "{}: {word}", path.display());
            }
        }
    }
}

#[test]
fn the_top_level_is_what_it_should_be() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "actors",
        "config",
        "tests",
        "grafana",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
    ];
    let listed = Command::new("git").args(["ls-tree", "--name-only", "HEAD"]).current_dir(ROOT).output();
    let listed = listed.expect("git is installed");
    assert!(listed.status.success(), "this is no git checkout");
    for name in String::from_utf8(listed.stdout).expect("names are UTF-8").lines() {
        assert!(name.starts_with('.') || known.contains(&name), "{name} has no place at the top");
    }
}

/// Licences under which a dependency may come, all of them free for every use.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether a licence expression can be met with the licences above.
fn is_acceptable(expression: &str) -> bool {
    let is_known = |licence: &str| LICENCES.contains(&licence.trim().trim_matches(['(', ')']));
    let any = |choice: &str| choice.split(" OR ").flat_map(|choice| choice.split('/')).any(is_known);
    match expression.split_once(" AND ") {
        Some((first, rest)) => any(first) && is_acceptable(rest),
        None => any(expression),
    }
}

#[test]
fn every_dependency_has_a_free_licence() {
    let mut command = cargo_metadata::MetadataCommand::new();
    let metadata =
        command.current_dir(ROOT).other_options(vec!["--locked".into()]).exec().expect("cargo answers");
    assert!(metadata.packages.len() > 100, "cargo names all dependencies");
    let unacceptable: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(is_acceptable))
        .map(|package| format!("{}: {:?}", package.name, package.license))
        .collect();
    assert!(unacceptable.is_empty(), "{}", unacceptable.join("\n"));
}

#[test]
fn a_licence_is_acceptable_if_one_of_each_choice_is() {
    for (expression, acceptable) in [
        ("MIT OR Apache-2.0", true),
        ("MIT/Apache-2.0", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0", false),
        ("MIT AND GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_acceptable(expression), acceptable, "{expression}");
    }
}
