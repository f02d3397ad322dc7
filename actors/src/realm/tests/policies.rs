//! How many sessions one authid may have in a role, and what happens to one more.

use super::TestRealm;
use crate::{
    cause::Cause,
    codec::Serializer,
    message::id::SessionId,
    permission::{Beyond, Role, SessionsPerAuthid},
    realm::{RealmLimits, RealmOptions},
    refusal::Refusal,
};
use std::time::Duration;

fn join(realm: &mut TestRealm, name: &str, most: usize, beyond: Beyond) -> Result<SessionId, Refusal> {
    realm.now += Duration::from_secs(1);
    let role =
        Role { sessions_per_authid: Some(SessionsPerAuthid { most, beyond }), ..Role::unrestricted("user") };
    realm.try_join(name, Some("joe"), role, Serializer::Json)
}

/// What was asked for, without the WELCOME of the newcomers.
fn lines(realm: &mut TestRealm) -> Vec<String> {
    let lines = std::mem::take(&mut realm.lines);
    let shown = lines.into_iter().map(|line| match line.find(",{\"roles\"") {
        Some(end) => line[..end].to_owned(),
        None => line,
    });
    shown.collect()
}

#[test]
fn one_session_too_many_is_refused_or_takes_the_place_of_the_oldest() {
    let mut realm = TestRealm::with(["ann"]);
    realm.receive("ann", r#"[32,1,{"match":"prefix"},"wamp.session."]"#);
    for name in ["one", "two"] {
        join(&mut realm, name, 2, Beyond::Reject).unwrap();
    }
    realm.receive("one", r#"[64,1,{},"a.procedure"]"#);
    realm.receive("two", r#"[48,1,{},"a.procedure"]"#);
    realm.lines.clear();
    let refused = join(&mut realm, "three", 2, Beyond::Reject).unwrap_err();
    assert_eq!(refused.uri(), "realmkeeper.error.limit_exceeded");
    assert_eq!(refused.to_string(), "the authid has too many sessions in its role: at most 2");
    realm.check([]);
    join(&mut realm, "three", 2, Beyond::Replace).unwrap();
    let left = r#"ann < [36,#1,#5,{"topic":"wamp.session.on_leave"},[one,"joe","user"]]"#;
    let found = lines(&mut realm);
    assert_eq!(
        found[..5],
        [
            r#"one < [6,{},"realmkeeper.close.replaced"]"#,
            "one left: replaced by three",
            r#"two < [8,48,1,{},"wamp.error.canceled",["the callee left before it answered"]]"#,
            left,
            "three < [2,three",
        ]
    );
    assert!(found[5].starts_with(r#"ann < [36,#1,#6,{"topic":"wamp.session.on_join"},[{"session":three,"#));
    assert_eq!(found.len(), 6);
    // Where fewer are allowed than there are, all that are too many go, the oldest first.
    join(&mut realm, "four", 1, Beyond::Replace).unwrap();
    let left = lines(&mut realm).into_iter().filter(|line| line.contains(" left: ")).collect::<Vec<_>>();
    assert_eq!(left, ["two left: replaced by four", "three left: replaced by four"]);
    realm.answers("ann", "wamp.session.count", "", "[2]");
}

#[test]
fn sessions_of_other_roles_and_authids_do_not_count() {
    let mut realm = TestRealm::with([]);
    realm.join_as("guest", Some("joe"), "guest", Serializer::Json);
    realm.join_as("sue", Some("sue"), "user", Serializer::Json);
    for beyond in [Beyond::Replace, Beyond::Replace] {
        join(&mut realm, "joe", 1, beyond).unwrap();
    }
    let left = realm.lines.iter().filter(|line| line.contains(" left: ")).count();
    assert_eq!(left, 1);
    realm.lines.clear();
    realm.answers("guest", "wamp.session.count", "", "[3]");
}

#[test]
fn who_takes_a_place_needs_no_other_and_ends_nobody_where_there_is_none() {
    let limits = RealmLimits { sessions: Some(2), sessions_per_authid: Some(1), ..RealmLimits::default() };
    let mut realm = TestRealm::with_options(RealmOptions { limits, ..RealmOptions::default() }, ["ann"]);
    join(&mut realm, "one", 1, Beyond::Replace).unwrap();
    join(&mut realm, "two", 1, Beyond::Replace).unwrap();
    realm.lines.clear();
    let refused = join(&mut realm, "three", 2, Beyond::Replace).unwrap_err();
    assert_eq!(refused.to_string(), "the realm has too many sessions: at most 2");
    realm.check([]);
    realm.leave("ann", Cause::Goodbye);
    realm.lines.clear();
    let refused = join(&mut realm, "three", 2, Beyond::Replace).unwrap_err();
    assert_eq!(refused.to_string(), "the authid has too many sessions in this realm: at most 1");
    realm.check([]);
}
