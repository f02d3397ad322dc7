//! What the program prints when clients can connect.

use realmkeeper::{RealmSettings, Service};
use realmkeeper_actors::{
    message::uri::Match,
    permission::{Action, Role},
};
use std::{env, fmt::Write};

/// Where clients can connect, which realms they find there, and one line to try.
pub(crate) fn greeting(service: &Service, realms: &[RealmSettings]) -> String {
    let url = &service.urls()[0];
    let mut text = format!("realmkeeper {} listens on {url}\n", env!("CARGO_PKG_VERSION"));
    for url in &service.urls()[1..] {
        let _ = writeln!(text, "listens on {url}");
    }
    if let Some(address) = service.admin_address() {
        let _ = writeln!(text, "admin: http://{address}");
    }
    for realm in realms {
        let _ = writeln!(text, "realm: {}", welcome(realm));
    }
    // The name by which it was called works again, wherever the program lies.
    let program = env::args().next().unwrap_or_else(|| "realmkeeper".into());
    let line = match (service.plain_url(), realms.iter().find(|realm| is_open(realm))) {
        (Some(url), Some(RealmSettings { name, .. })) => {
            Some(format!("{program} bench rpc --url {url} --realm {name} --seconds 2"))
        }
        _ => service.pages_address().map(|address| format!("curl http://{address}/healthz")),
    };
    if let Some(line) = line {
        let _ = writeln!(text, "try: {line}");
    }
    text
}

/// Whether whoever comes may do everything in a realm.
fn is_open(realm: &RealmSettings) -> bool {
    let may =
        |role: &Role, action| role.permissions.decide_match(action, &"".into(), Match::Prefix).is_allowed;
    let anonymous = realm.door.anonymous.as_ref();
    anonymous.is_some_and(|role| Action::ALL.into_iter().all(|action| may(role, action)))
}

/// A realm, and how to join it.
fn welcome(realm: &RealmSettings) -> String {
    let anonymous = realm
        .door
        .anonymous
        .as_ref()
        .map_or("no anonymous".into(), |role| format!("anonymous as {}", role.name));
    let principals = match realm.door.principals.len() {
        0 => String::new(),
        1 => "; 1 principal".into(),
        number => format!("; {number} principals"),
    };
    format!("{} ({anonymous}{principals})", realm.name)
}
