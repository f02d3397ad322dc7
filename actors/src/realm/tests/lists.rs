//! Black- and whitelists: who receives a publication that names some.

use super::TestRealm;
use crate::codec::Serializer;

/// ann, a publisher, and four subscribers of `a.b`: bob and another bob, a guest, and dan.
fn listed() -> TestRealm {
    let mut realm = TestRealm::with(["ann"]);
    for (name, authid, authrole) in
        [("bob", "bob", "user"), ("bob2", "bob", "guest"), ("cid", "cid", "guest"), ("dan", "dan", "user")]
    {
        realm.join_as(name, Some(authid), authrole, Serializer::Json);
        realm.receive(name, r#"[32,1,{},"a.b"]"#);
    }
    realm.receive("ann", r#"[32,1,{},"a.b"]"#);
    realm.lines.clear();
    realm
}

/// Who receives a publication of ann with these options.
fn receivers(realm: &mut TestRealm, options: &str) -> Vec<String> {
    realm.receive("ann", &format!(r#"[16,2,{{{options}}},"a.b",[1]]"#));
    let lines = std::mem::take(&mut realm.lines);
    let receivers = lines.iter().map(|line| {
        let (name, message) = line.split_once(" < ").unwrap();
        // No list is told to anybody.
        assert!(message.starts_with("[36,#1,#") && message.ends_with(",{},[1]]"), "{line}");
        name.to_owned()
    });
    receivers.collect()
}

#[test]
fn a_publication_reaches_those_whom_all_its_lists_admit() {
    let mut realm = listed();
    for (options, expected) in [
        ("", vec!["bob", "bob2", "cid", "dan"]),
        (r#""exclude":[@bob,@dan]"#, vec!["bob2", "cid"]),
        (r#""exclude_authid":["bob"]"#, vec!["cid", "dan"]),
        (r#""exclude_authrole":["guest","nobody"]"#, vec!["bob", "dan"]),
        (r#""eligible":[@cid,@bob]"#, vec!["bob", "cid"]),
        (r#""eligible_authid":["bob","dan"]"#, vec!["bob", "bob2", "dan"]),
        (r#""eligible_authrole":["user"]"#, vec!["bob", "dan"]),
        (r#""eligible_authid":["bob"],"eligible_authrole":["user"]"#, vec!["bob"]),
        (r#""eligible":[@bob,@cid],"exclude":[@bob]"#, vec!["cid"]),
        (r#""eligible_authrole":["user"],"exclude_authid":["dan"],"exclude":[@cid]"#, vec!["bob"]),
        (r#""eligible":[7,@bob],"exclude":[8]"#, vec!["bob"]),
        (r#""eligible":null,"exclude_authid":null"#, vec!["bob", "bob2", "cid", "dan"]),
    ] {
        assert_eq!(receivers(&mut realm, options), expected, "{options}");
    }
}

#[test]
fn an_empty_list_of_the_eligible_reaches_nobody_and_an_empty_one_of_the_excluded_everybody() {
    let mut realm = listed();
    let nobody: [&str; 0] = [];
    for key in ["eligible", "eligible_authid", "eligible_authrole"] {
        assert_eq!(receivers(&mut realm, &format!(r#""{key}":[]"#)), nobody, "{key}");
    }
    for key in ["exclude", "exclude_authid", "exclude_authrole"] {
        let everybody = ["bob", "bob2", "cid", "dan"];
        assert_eq!(receivers(&mut realm, &format!(r#""{key}":[]"#)), everybody, "{key}");
    }
}

#[test]
fn the_publisher_receives_its_own_only_where_it_is_not_excluded_and_the_lists_admit_it() {
    let mut realm = listed();
    for (options, expected) in [
        (r#""eligible":[@ann,@bob]"#, vec!["bob"]),
        (r#""eligible":[@ann,@bob],"exclude_me":false"#, vec!["bob", "ann"]),
        (r#""eligible":[@bob],"exclude_me":false"#, vec!["bob"]),
        (r#""exclude_authid":["ann"],"exclude_me":false"#, vec!["bob", "bob2", "cid", "dan"]),
    ] {
        assert_eq!(receivers(&mut realm, options), expected, "{options}");
    }
}

#[test]
fn lists_are_applied_to_each_subscription_that_matches() {
    let mut realm = listed();
    realm.receive("bob", r#"[32,2,{"match":"prefix"},"a."]"#);
    realm.receive("cid", r#"[32,2,{"match":"prefix"},"a."]"#);
    realm.lines.clear();
    realm.expect(
        "ann",
        r#"[16,2,{"eligible_authid":["bob"]},"a.b"]"#,
        ["bob < [36,#1,#3,{}]", "bob2 < [36,#1,#3,{}]", r#"bob < [36,#2,#3,{"topic":"a.b"}]"#],
    );
}

#[test]
fn a_testament_keeps_to_its_lists() {
    let mut realm = listed();
    let options = r#"{"publish_options":{"exclude_authrole":["guest"],"eligible":[@bob,@cid]}}"#;
    let arguments = realm.written(&format!(r#"["a.b",["last"],{{}}],{options}"#));
    realm.answers("ann", "wamp.session.add_testament", &arguments, "");
    realm.receive("ann", r#"[3,{},"a.b"]"#);
    realm.check(["ann left: aborted", r#"bob < [36,#1,#2,{},["last"]]"#]);
}
