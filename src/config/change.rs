//! What changes from one configuration to another, in words for those who run the router, and what of it a router can
//! take over that runs.

use super::format::{Config, Listener, Principal};
use serde_json::{Map, Value as Json};
use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs,
    hash::{BuildHasher, RandomState},
    iter,
    path::{Path, PathBuf},
};

/// The lists whose elements have names: the key, what one element is, and the keys that name it.
const NAMED: [(&str, &str, &[&str]); 7] = [
    ("listeners", "listener", &["address"]),
    ("more", "certificate", &["certificate"]),
    ("realms", "realm", &["name"]),
    ("history", "history", &["topic", "match"]),
    ("roles", "role", &["name"]),
    ("permissions", "permission", &["uri", "match"]),
    ("principals", "principal", &["authid"]),
];

impl Config {
    /// What a router can go on with that runs by this configuration and is given another: all of that but what needs
    /// a restart, which stays as it is. Listeners are told apart by where they listen.
    pub fn take_over(&self, new: &Self) -> Self {
        let (mut admin, mut log) = (new.admin.clone(), new.log.clone());
        admin.address = self.admin.address;
        log.format = self.log.format;
        let mut rest = new.listeners.iter().collect::<Vec<_>>();
        let place = |listener: &Listener| match &listener.unix {
            Some(unix) => Err(unix.path.clone()),
            None => Ok(listener.address),
        };
        let listeners = self.listeners.iter().map(|running| {
            match rest.iter().position(|new| place(new) == place(running)) {
                Some(place) => running.take_over(rest.remove(place)),
                None => running.clone(),
            }
        });
        Self { admin, log, listeners: listeners.collect(), ..new.clone() }
    }

    /// What is other in another configuration, a line each; nothing that is secret.
    ///
    /// ```text
    /// log.level: "info" becomes "debug"
    /// realm com.example.shop, role guest: added
    /// realm com.example.shop, principal joe, ticket: changed
    /// ```
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let [before, after] =
            [self, new].map(|config| Seen { all: json(config), shown: json(&config.masked()) });
        compare(&Place::default(), &before, &after, &mut changes);
        changes
    }
}

/// What the files hold that the realms of a configuration name, told apart without being kept: by what each is, as
/// [`Config::changes`] calls it.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    hasher: RandomState,
    found: BTreeMap<String, u64>,
}

impl Contents {
    /// Looks at the files of another configuration, which lies in this folder; gives those that hold something else
    /// now, a line each.
    pub(crate) fn look(&mut self, config: &Config, folder: &Path) -> Vec<String> {
        let hash = |files: &[&PathBuf]| {
            let read = |file: &&PathBuf| fs::read(folder.join(file)).ok();
            self.hasher.hash_one(files.iter().map(read).collect::<Vec<_>>())
        };
        let mut found = BTreeMap::new();
        for realm in &config.realms {
            let mut note = |what: &str, files: &[&PathBuf]| {
                if !files.is_empty() {
                    found.insert(format!("realm {}, {what}", realm.name), hash(files));
                }
            };
            note("users", &realm.users.iter().collect::<Vec<_>>());
            if let Some(jwt) = &realm.jwt {
                note("jwt.keys", &jwt.keys.iter().collect::<Vec<_>>());
                note("jwt.secret", &jwt.secret_file.iter().collect::<Vec<_>>());
            }
            for Principal { authid, ticket_file, secret_file, .. } in &realm.principals {
                note(&format!("principal {authid}, ticket"), &ticket_file.iter().collect::<Vec<_>>());
                note(&format!("principal {authid}, secret"), &secret_file.iter().collect::<Vec<_>>());
            }
        }
        let before = std::mem::replace(&mut self.found, found);
        let is_other = |(place, now): &(&String, &u64)| before.get(*place).is_some_and(|then| then != *now);
        self.found.iter().filter(is_other).map(|(place, _)| format!("{place}: changed")).collect()
    }
}

impl Listener {
    fn take_over(&self, new: &Self) -> Self {
        let mut taken = new.clone();
        taken.kind = self.kind;
        taken.address = self.address;
        taken.unix = self.unix.clone();
        taken.path = self.path.clone();
        taken.proxy_protocol = self.proxy_protocol;
        taken.limits.handshake_timeout = self.limits.handshake_timeout;
        if self.tls.is_some() != new.tls.is_some() {
            taken.tls = self.tls.clone();
        }
        taken
    }
}

/// A value, and the same as it may be shown.
#[derive(Clone, Debug, Default)]
struct Seen {
    all: Json,
    shown: Json,
}

impl Seen {
    /// What stands at a key, or that nothing does.
    fn at(&self, key: &str) -> Self {
        let at = |json: &Json| json.get(key).cloned().unwrap_or_default();
        Self { all: at(&self.all), shown: at(&self.shown) }
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.all.as_object().into_iter().flat_map(Map::keys)
    }

    /// The elements of a list by their names, of which a later one that is called like an earlier one has a number.
    fn elements(&self, names: &[&str]) -> Vec<(String, Self)> {
        let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
        let mut numbers = HashMap::<_, usize>::new();
        let elements = iter::zip(list(&self.all), list(&self.shown)).map(|(all, shown)| {
            let words = names.iter().filter_map(|key| shown[*key].as_str());
            let words = words.map(|word| if word.is_empty() { "\"\"" } else { word });
            // A listener on a Unix domain socket has an address that means nothing.
            let mut name = match shown.pointer("/unix/path").and_then(Json::as_str) {
                Some(path) => format!("unix:{path}"),
                None => words.collect::<Vec<_>>().join(" "),
            };
            let number = numbers.entry(name.clone()).or_default();
            *number += 1;
            if *number > 1 {
                name = format!("{name} ({number})");
            }
            (name, Self { all, shown })
        });
        elements.collect()
    }

    /// The value, if it may be shown.
    fn text(&self) -> Option<String> {
        let written = || if self.all.is_null() { "none".into() } else { self.all.to_string() };
        (self.all == self.shown).then(written)
    }
}

/// A configuration as values.
fn json(config: &Config) -> Json {
    // Nothing in a configuration is beyond JSON.
    serde_json::to_value(config).unwrap_or_default()
}

/// A place in a configuration: the names of what it is in, and the key from there.
#[derive(Clone, Debug, Default)]
struct Place {
    names: Vec<String>,
    keys: Vec<String>,
}

impl Place {
    fn key(&self, key: &str) -> Self {
        let mut place = self.clone();
        place.keys.push(key.to_owned());
        place
    }

    /// An element of a list, by what it is and its name.
    fn element(&self, what: &str, name: &str) -> Self {
        let mut names = self.names.clone();
        names.push(format!("{what} {name}"));
        Self { names, keys: Vec::new() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = Some(self.keys.join(".")).filter(|key| !key.is_empty());
        let parts = self.names.iter().cloned().chain(key).collect::<Vec<_>>();
        f.write_str(&parts.join(", "))
    }
}

/// Notes what differs at a place.
fn compare(place: &Place, before: &Seen, after: &Seen, changes: &mut Vec<String>) {
    if before.all == after.all {
        return;
    }
    if !before.all.is_object() && !after.all.is_object() {
        changes.push(match (before.text(), after.text()) {
            (Some(before), Some(after)) => format!("{place}: {before} becomes {after}"),
            _ => format!("{place}: changed"),
        });
        return;
    }
    let mut keys = before.keys().chain(after.keys()).collect::<Vec<_>>();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (before, after) = (before.at(key), after.at(key));
        match NAMED.iter().find(|(list, ..)| list == key) {
            Some((_, what, names)) => {
                let element = |name: &str| place.element(what, name);
                compare_elements(element, &before.elements(names), &after.elements(names), changes);
            }
            None => compare(&place.key(key), &before, &after, changes),
        }
    }
}

fn compare_elements(
    place: impl Fn(&str) -> Place,
    before: &[(String, Seen)],
    after: &[(String, Seen)],
    changes: &mut Vec<String>,
) {
    let [had, has] =
        [before, after].map(|all| all.iter().map(|(name, seen)| (name, seen)).collect::<HashMap<_, _>>());
    for (name, element) in before {
        match has.get(name) {
            Some(other) => compare(&place(name), element, other, changes),
            None => changes.push(format!("{}: removed", place(name))),
        }
    }
    let new = after.iter().filter(|(name, _)| !had.contains_key(name));
    changes.extend(new.map(|(name, _)| format!("{}: added", place(name))));
}
