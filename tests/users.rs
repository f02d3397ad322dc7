//! The command `user`: what it writes, and that a router takes what it has written.

use crate::support::{
    Peer,
    program::{Serving, program},
};
use realmkeeper::config::{self, Overrides, Users};
use realmkeeper_actors::{
    codec::Serializer,
    session::access::{
        cra::{self, Salting},
        cryptosign,
        scram::{self, Kdf, Told},
    },
};
use serde_json::json;
use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

/// An empty folder of this name.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("users-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder of tests can be written to");
    folder
}

/// The exit code of `user` in a folder, and all that it printed.
fn user(folder: &Path, args: &str, input: &str) -> (Option<i32>, String) {
    let args = ["user"].into_iter().chain(args.split(' ')).collect::<Vec<_>>();
    let mut command = program(&args);
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // It may not read it.
    let _ = child.stdin.take().expect("it is a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).expect("it prints text");
    (output.status.code(), printed)
}

fn succeed(folder: &Path, args: &str, input: &str) -> String {
    let (code, printed) = user(folder, args, input);
    assert_eq!(code, Some(0), "{printed}");
    printed
}

fn read(file: &Path) -> Users {
    let text = fs::read_to_string(file).expect("the file is there");
    toml::from_str(&text).expect("it is a users file")
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).expect("the file is there").permissions().mode() & 0o777
}

const KEY: &str = "1adfc8bfe1d35616e64dffbd900096f23b066f914c8c2ffbb66f6075b96e116d";
const OTHER_KEY: &str = "6ed32739ff04a6074044ff0b0e3bfc7c856bc9d5f1d25efc57363bda0af3a8b0";

#[test]
fn users_are_added_listed_changed_and_removed() {
    let folder = folder("changed");
    let file = folder.join("u.toml");
    let added = "u.toml: joe added with the role member\n";
    assert_eq!(succeed(&folder, "add joe --role member --file u.toml --stdin", "secret123\n"), added);
    assert_eq!(mode(&file), 0o600);
    let text = fs::read_to_string(&file).expect("the file is there");
    assert!(text.starts_with("# Written by `realmkeeper user`.") && !text.contains("secret123"), "{text}");
    succeed(&folder, &format!("add ann --role admin --file u.toml --public-key {KEY}"), "");
    succeed(&folder, "add sensor --role member --file u.toml --certificate dns:Sensor.example.com", "");
    let list = "joe\tmember\tticket, wampcra, wamp-scram\nann\tadmin\tcryptosign\nsensor\tmember\ttls\n";
    assert_eq!(succeed(&folder, "list --file u.toml", ""), list);

    let told = format!("u.toml: ann has the public key {OTHER_KEY}\n");
    assert_eq!(succeed(&folder, &format!("key ann --file u.toml --add {OTHER_KEY}"), ""), told);
    let told = format!("u.toml: ann has the public key {KEY} no more\n");
    assert_eq!(succeed(&folder, &format!("key ann --file u.toml --remove {KEY}"), ""), told);
    let before = read(&file);
    assert_eq!(before.principals[1].public_keys, [OTHER_KEY]);
    assert_eq!(before.principals[2].certificates, ["dns:sensor.example.com"]);
    let told = "u.toml: joe has a new password\n";
    assert_eq!(succeed(&folder, "passwd joe --file u.toml --stdin", "another"), told);
    let after = read(&file);
    assert_ne!(after.principals[0], before.principals[0]);
    assert_eq!(after.principals[1..], before.principals[1..]);
    assert_eq!(succeed(&folder, "remove joe --file u.toml", ""), "u.toml: joe removed\n");
    assert_eq!(read(&file).principals, after.principals[1..]);
    assert_eq!(mode(&file), 0o600);
    let left = fs::read_dir(&folder).expect("the folder is there").count();
    assert_eq!(left, 1, "no temporary file stays");
}

#[test]
fn what_somebody_has_written_stays_as_it_was() {
    let folder = folder("comments");
    let text = format!(
        "# Those of the office.\n\n[[principals]] # the first\nauthid = 'joe'\nrole   = \"member\" # for now\n\
         ticket_env = \"JOE\"\n\n# And she.\n[[principals]]\nauthid = \"ann\"\nrole = \"member\"\n\
         public_keys = [\n  \"{KEY}\", # at home\n]\n"
    );
    let real = folder.join("real.toml");
    fs::write(&real, &text).expect("the file can be written");
    symlink("real.toml", folder.join("u.toml")).expect("the link can be made");
    let environment = |args: &str| {
        let args = ["user"].into_iter().chain(args.split(' ')).collect::<Vec<_>>();
        let output =
            program(&args).current_dir(&folder).env("JOE", "x").output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    environment(&format!("key joe --file u.toml --add {OTHER_KEY}"));
    let expected = text.replace(
        "ticket_env = \"JOE\"\n",
        &format!("ticket_env = \"JOE\"\npublic_keys = [\"{OTHER_KEY}\"]\n"),
    );
    assert_eq!(fs::read_to_string(&real).expect("the file is there"), expected);
    assert!(fs::symlink_metadata(folder.join("u.toml")).expect("it is there").is_symlink());
    environment(&format!("key joe --file u.toml --remove {OTHER_KEY}"));
    assert_eq!(fs::read_to_string(&real).expect("the file is there"), text);
}

#[test]
fn commands_at_the_same_time_lose_nothing_of_each_other() {
    let folder = folder("at-once");
    fs::create_dir(folder.join("elsewhere")).expect("the folder can be made");
    symlink("../u.toml", folder.join("elsewhere/u.toml")).expect("the link can be made");
    succeed(&folder, &format!("add first --role member --file u.toml --public-key {KEY}"), "");
    let names: Vec<_> = (0..16).map(|number| format!("user{number}")).collect();
    let children = names.iter().zip(["u.toml", "elsewhere/u.toml"].iter().cycle()).map(|(name, file)| {
        let certificate = format!("cn:{name}");
        let args = ["user", "add", name, "--role", "member", "--file", file, "--certificate", &certificate];
        program(&args).current_dir(&folder).stdout(Stdio::null()).spawn().expect("the program starts")
    });
    for mut child in children.collect::<Vec<_>>() {
        assert!(child.wait().expect("the program ends").success());
    }
    let mut found: Vec<_> =
        read(&folder.join("u.toml")).principals.into_iter().map(|user| user.authid).collect();
    found.sort();
    let mut expected = [&["first".to_owned()], &names[..]].concat();
    expected.sort();
    assert_eq!(found, expected);
    let left = fs::read_dir(&folder).expect("the folder is there").count();
    assert_eq!(left, 2, "no other file stays");
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let folder = folder("refused");
    let file = folder.join("u.toml");
    succeed(&folder, &format!("add ann --role member --file u.toml --public-key {KEY}"), "");
    fs::write(folder.join("wrong.toml"), "[[principals]]\nauthid = \"joe\"\npasword = \"secret123\"\n")
        .expect("the file can be written");
    let before = fs::read_to_string(&file).expect("the file is there");
    let nothing_left = "u.toml:3:1: principals[0]: has nothing to prove who it is by; must have one of ticket, \
                        ticket_hash, ticket_env, ticket_file, secret, secret_env, secret_file, cra, scram, \
                        public_keys or certificates\n";
    let known = "authid, certificates, cra, public_keys, role, scram, secret, secret_env, secret_file, ticket, \
                 ticket_env, ticket_file, ticket_hash";
    let wrong = format!(
        "wrong.toml:1:1: principals[0].role: is missing; must be a string\n\
         wrong.toml:3:1: principals[0].pasword: unknown key; known here: {known}\n"
    );
    let other = format!("realmkeeper: \"ann\" does not have the public key {OTHER_KEY}\n");
    let twice = format!(
        "u.toml:11:16: principals[1].public_keys[0]: is \"{KEY}\", as principals[0].public_keys[0] is; must differ\n"
    );
    for (args, input, expected) in [
        (&*format!("key ann --file u.toml --remove {KEY}"), "", nothing_left),
        (&format!("key ann --file u.toml --remove {OTHER_KEY}"), "", &other),
        (&format!("add joe --role member --file u.toml --public-key {KEY}"), "", &twice),
        ("add ann --role member --file u.toml --stdin", "x", "realmkeeper: \"ann\" is in u.toml already\n"),
        (
            "add joe --role member --file u.toml --stdin",
            "\n",
            "realmkeeper: the password is empty; must have at least one character\n",
        ),
        (
            "passwd ann --file u.toml --stdin",
            "a\u{7}b",
            "realmkeeper: the password holds characters that no password can have, such as control characters\n",
        ),
        ("passwd joe --file u.toml --stdin", "x", "realmkeeper: there is no \"joe\" in u.toml\n"),
        ("remove joe --file u.toml", "", "realmkeeper: there is no \"joe\" in u.toml\n"),
        ("list --file wrong.toml", "", &wrong),
        ("remove joe --file wrong.toml", "", &wrong),
        (
            "list --file none.toml",
            "",
            "realmkeeper: cannot read none.toml: No such file or directory (os error 2)\n",
        ),
        (
            "key ann --file u.toml --generate --private-key wrong.toml",
            "",
            "realmkeeper: cannot write wrong.toml: File exists (os error 17)\n",
        ),
    ] {
        assert_eq!(user(&folder, args, input), (Some(2), expected.to_owned()), "{args}");
        assert_eq!(fs::read_to_string(&file).expect("the file is there"), before, "{args}");
    }
}

#[test]
fn one_password_serves_every_method_that_takes_one() {
    let folder = folder("served");
    succeed(&folder, "add joe --role member --file u.toml --stdin", "secret123\r\n");
    let private = folder.join("joe.key");
    let printed = succeed(&folder, "key joe --file u.toml --generate --private-key joe.key", "");
    assert_eq!(printed.lines().last(), Some("the private key is in joe.key"));
    assert_eq!(mode(&private), 0o600);
    let file = folder.join("router.toml");
    let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[realms]]\nname = \"realm1\"\nusers = \"u.toml\"\n\
                [[realms.roles]]\nname = \"member\"\n";
    fs::write(&file, text).expect("the file can be written");
    let loaded = config::load(&file, &Overrides::default()).expect("the file can be used");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);

    let program = Serving::run(program(&["--config"]).arg(&file));
    for serializer in Serializer::ALL {
        let begin = |method: &str, authextra: &serde_json::Value| {
            let mut peer = Peer::connect_to(program.address(), serializer);
            let details = json!({
                "roles": {"caller": {}}, "authmethods": [method], "authid": "joe", "authextra": authextra
            });
            peer.send(&json!([1, "realm1", details]));
            let challenge = peer.message();
            assert_eq!((&challenge[0], &challenge[1]), (&json!(4), &json!(method)), "{challenge}");
            (peer, challenge[2].clone())
        };
        let finish = |mut peer: Peer, signature: &str, extra: &serde_json::Value| {
            peer.send(&json!([5, signature, extra]));
            let welcome = peer.message();
            assert_eq!(welcome[2]["authid"], "joe", "{welcome}");
        };
        let text = |extra: &serde_json::Value, key: &str| extra[key].as_str().expect("a text").to_owned();
        let none = json!({});
        finish(begin("ticket", &none).0, "secret123", &none);
        let (peer, extra) = begin("wampcra", &none);
        let salting = Salting { salt: text(&extra, "salt").into(), iterations: 100_000, key_length: 32 };
        let key = cra::derive("secret123", &salting);
        finish(peer, &cra::sign(&key, &text(&extra, "challenge")), &none);
        let (peer, extra) = begin("wamp-scram", &json!({"nonce": "abc"}));
        let (nonce, salt) = (text(&extra, "nonce"), text(&extra, "salt"));
        let told =
            Told { authid: "joe", client_nonce: "abc", nonce: &nonce, salt: &salt, kdf: Kdf::default() };
        let proof = scram::prove("secret123", &told).expect("it is a password").expect("it is a salt");
        finish(peer, &proof.signature, &json!({"nonce": nonce}));
        let key = fs::read_to_string(&private).expect("the file is there");
        let octets = (0..32).map(|index| u8::from_str_radix(&key[2 * index..2 * index + 2], 16));
        let key: Vec<_> = octets.collect::<Result<_, _>>().expect("it is hexadecimal");
        let key: [u8; 32] = key.try_into().expect("it has 32 octets");
        let public = cryptosign::public_key(&key).to_string();
        let (peer, extra) = begin("cryptosign", &json!({"pubkey": public}));
        finish(peer, &cryptosign::sign(&key, &text(&extra, "challenge")).expect("it is one"), &none);
    }
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
}
