//! Configuration files: what is wrong with them is told whole and at its place, and what is right means what it says.

use crate::support::program::program;
use realmkeeper::{
    Settings,
    config::{self, Config, Overrides},
};
use realmkeeper_actors::{message::uri::Match, realm::HistoryOptions};
use serde_json::Value;
use std::{fs, path::Path};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The exit code, the output and the errors of the program at the top of the repository.
fn run(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = program(args).envs(variables.iter().copied()).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program prints text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What the program says and answers about a file that it can use.
fn succeed(args: &[&str]) -> (String, String) {
    let (code, output, errors) = run(args, &[]);
    assert_eq!(code, Some(0), "{errors}");
    (output, errors)
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).expect("the file can be read")
}

fn parse(text: &str) -> Config {
    toml::from_str(text).expect("the text is a configuration")
}

#[test]
fn a_wrong_file_is_told_all_that_is_wrong_with_it() {
    let folder = Path::new(ROOT).join("tests/config/wrong");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        let expected = read(&format!("tests/config/wrong/{}", name.replace(".toml", ".txt")));
        for args in
            [&["check", "--config", name][..], &["check", "--print", "--config", name], &["--config", name]]
        {
            let mut command = program(args);
            let output = command.current_dir(path.parent().expect("it is in a folder")).output();
            let output = output.expect("the program starts");
            assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{name}");
            let told = String::from_utf8(output.stderr).expect("the program prints text");
            assert_eq!(told, expected, "{name}");
            assert!(
                !told.contains("s3cret") && !told.contains("53637"),
                "{name} gives a secret away: {told}"
            );
        }
        count += 1;
    }
    assert!(count > 10, "only {count} files were found");
}

#[test]
fn what_may_not_be_meant_so_is_told_but_can_be_used() {
    for name in ["warnings", "unusual"] {
        let (output, errors) = succeed(&["check", "--config", &format!("tests/config/{name}.toml")]);
        let told = errors + &output;
        assert_eq!(told.replace("tests/config/", ""), read(&format!("tests/config/{name}.txt")));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let refusal = (
        Some(2),
        String::new(),
        "realmkeeper: cannot read no/such.toml: No such file or directory (os error 2)\n".to_owned(),
    );
    assert_eq!(run(&["check", "--config", "no/such.toml"], &[]), refusal);
    assert_eq!(run(&["check"], &[("REALMKEEPER_CONFIG", "no/such.toml")]), refusal);
    assert_eq!(run(&["--config", "no/such.toml"], &[]), refusal);
}

#[test]
fn a_ticket_in_a_variable_is_taken_if_it_is_set() {
    let args = ["check", "--config", "config/production.toml"];
    let ok = "config/production.toml: ok: 1 listener, 1 realm, 3 roles, 2 principals\n".to_owned();
    assert_eq!(run(&args, &[("SHOP_BACKEND_TICKET", "s3cret")]), (Some(0), ok, String::new()));
    let place = "config/production.toml:104:14: realms[0].principals[0].ticket_env";
    let unset = format!(
        "{place}: names no environment variable that is set to a text; must be the name of one with the ticket\n"
    );
    assert_eq!(run(&args, &[]), (Some(2), String::new(), unset));
    let empty = format!("{place}: is an empty ticket; must have at least one character\n");
    assert_eq!(run(&args, &[("SHOP_BACKEND_TICKET", "")]), (Some(2), String::new(), empty));
}

#[test]
fn the_shipped_files_can_be_used() {
    let folder = fs::read_dir(Path::new(ROOT).join("config")).expect("the folder can be read");
    let names = folder.map(|entry| entry.expect("the entry can be read").file_name());
    let mut names = names.map(|name| name.into_string().expect("names are UTF-8")).collect::<Vec<_>>();
    names.retain(|name| name.ends_with(".toml"));
    names.sort();
    assert_eq!(names, ["demo.toml", "production.toml", "realmkeeper.toml"]);
    let ok = "config/realmkeeper.toml: ok: 1 listener, 1 realm, 1 role, 0 principals\n".to_owned();
    assert_eq!(succeed(&["check", "--config", "config/realmkeeper.toml"]), (ok, String::new()));
    let ok = "config/demo.toml: ok: 1 listener, 2 realms, 4 roles, 2 principals\n".to_owned();
    let warnings = "\
        config/demo.toml:@: warning: realms[0].principals[0].ticket: can be read in the file; use ticket_hash, \
        ticket_env or ticket_file\n\
        config/demo.toml:@: warning: realms[1].principals[0].ticket: can be read in the file; use ticket_hash, \
        ticket_env or ticket_file\n";
    let warnings = warnings.replacen('@', "51:10", 1).replacen('@', "96:10", 1);
    assert_eq!(succeed(&["check", "--config", "config/demo.toml"]), (ok, warnings));
}

#[test]
fn the_reference_is_what_there_is_without_a_file() {
    assert_eq!(parse(&read("config/realmkeeper.toml")), Config::default());
    let file = Path::new(ROOT).join("config/realmkeeper.toml");
    let loaded = config::load(&file, &Overrides::default()).expect("the reference can be used");
    let (_, alone) = Overrides::default().alone();
    let default = format!("{:?}", Settings::default());
    assert_eq!((format!("{:?}", loaded.settings), format!("{alone:?}")), (default.clone(), default));
}

#[test]
fn the_realms_of_the_demonstration_keep_a_history() {
    let file = Path::new(ROOT).join("config/demo.toml");
    let loaded = config::load(&file, &Overrides::default()).expect("the file can be used");
    let (topic, matching) = ("com.demo.history".into(), Match::Exact);
    let history = HistoryOptions { topic, matching, events: 1000, octets: 16 << 20, age: None };
    let found = loaded.settings.realms.iter().map(|realm| (&*realm.name, &realm.options.histories[..]));
    let expected = ["realm1", "realm2"].map(|name| (name, std::slice::from_ref(&history)));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

/// The reference with its commented keys.
fn whole_reference() -> String {
    let text = read("config/realmkeeper.toml");
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wrong_value_draws_no_other_errors_after_it() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("changed.toml");
    let errors = |text: &str| {
        fs::write(&file, text).expect("the file can be written");
        let result = config::load(&file, &Overrides::default());
        let told = result.err().map_or(String::new(), |error| error.to_string());
        let told = told.replace(&format!("{}:", file.display()), "");
        told.lines().filter(|line| !line.contains("warning: ")).map(String::from).collect::<Vec<_>>()
    };
    let mut count = 0;
    for text in [whole_reference(), read("config/demo.toml"), read("tests/config/served.toml")] {
        let usual = errors(&text);
        let lines = text.lines().collect::<Vec<_>>();
        for (index, line) in lines.iter().enumerate() {
            let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) else {
                continue;
            };
            // No key is a date.
            let changed = format!("{key} = 1979-05-27");
            let mut changed_lines = lines.clone();
            changed_lines[index] = &changed;
            let new = errors(&changed_lines.join("\n"));
            let new = new.iter().filter(|error| !usual.contains(error)).collect::<Vec<_>>();
            let place = format!("{}:{}: ", index + 1, key.len() + 4);
            assert!(matches!(&new[..], [only] if only.starts_with(&place)), "line {}: {new:?}", index + 1);
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
}

#[test]
fn the_reference_shows_every_key() {
    let uncommented = whole_reference();
    parse(&uncommented);
    let shown = toml::from_str::<toml::Table>(&uncommented).expect("the text is TOML");
    let shown = serde_json::to_value(shown).expect("it is data");
    let mut missing = Vec::new();
    look_for(&config::schema(), &[&shown], "", &mut missing);
    assert!(missing.is_empty(), "the reference does not show {missing:?}");
}

/// Values of which every key can have one at least.
const VALUES: [&str; 25] = [
    "true",
    "false",
    "77",
    "\"77s\"",
    "\"77KiB\"",
    "\"77days\"",
    "\"json\"",
    "\"strict\"",
    "\"exact\"",
    "\"warn\"",
    "\"optional\"",
    "\"required\"",
    "\"rawsocket\"",
    "\"600\"",
    "\"127.0.0.7:7\"",
    "\"2037-07-07T07:07:07Z\"",
    "\"ids\"",
    "\"refuse\"",
    "\"other\"",
    "[\"json\"]",
    "[\"call\"]",
    "[\"10.0.0.0/8\"]",
    "[]",
    "{ per_second = 7, burst = 7 }",
    "{ caller = false }",
];

#[test]
fn the_reference_tells_what_needs_a_restart() {
    let whole = whole_reference();
    let (running, lines) = (parse(&whole), whole.lines().collect::<Vec<_>>());
    let (mut fixed, mut free) = (Vec::new(), 0);
    let mut comment = String::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(text) = line.strip_prefix("# ") {
            comment = format!("{comment}{text} ");
            continue;
        }
        let comment = std::mem::take(&mut comment);
        let Some((key, value)) = line.split_once(" = ") else { continue };
        let with = |value: &str| {
            let mut lines = lines.clone();
            let line = format!("{key} = {value}");
            lines[index] = &line;
            toml::from_str::<Config>(&lines.join("\n")).ok().filter(|new| *new != running)
        };
        let other_numbers = [('1', "2"), ('4', "5")].map(|(digit, other)| value.replace(digit, other));
        let mut values = VALUES.into_iter().chain(other_numbers.iter().map(String::as_str));
        let new = values.find_map(with).unwrap_or_else(|| panic!("there is no other value for {key}"));
        let taken = running.take_over(&new);
        let (changes, rest) = (running.changes(&taken), taken.changes(&new));
        assert!(changes.is_empty() != rest.is_empty(), "{key}: {changes:?}, and not {rest:?}");
        assert_eq!(comment.contains("Needs a restart."), changes.is_empty(), "{key}: {comment}");
        if changes.is_empty() { fixed.push(key) } else { free += 1 }
    }
    let of_listeners = ["kind", "address", "proxy_protocol", "path", "handshake_timeout"];
    let of_sockets = ["path", "mode", "user", "group"];
    assert_eq!(fixed, [&["format", "address"], &of_listeners[..], &of_sockets].concat());
    assert!(free > 50, "{free}");
}

#[test]
fn a_running_router_keeps_what_needs_a_restart() {
    let text = |listeners: &str| format!("{listeners}\n[[realms]]\nname = \"realm1\"\n");
    let listener = |address: &str, rest: &str| format!("[[listeners]]\naddress = \"{address}\"\n{rest}\n");
    let tls = "[listeners.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n[[listeners.tls.more]]\ncertificate = \"b.pem\"\nkey = \"b.key\"";
    let (first, second) = ("127.0.0.1:1", "127.0.0.1:0");
    let running = parse(&text(&[listener(first, ""), listener(second, tls), listener(second, "")].concat()));
    let other = tls.replace("b.key", "c.key").replace("a.pem", "c.pem");
    let new = parse(&text(
        &[
            listener(second, &other),
            listener("127.0.0.1:2", ""),
            listener(second, "allowed_origins = []"),
            listener(first, tls),
        ]
        .concat(),
    ));
    let taken = running.take_over(&new);
    assert_eq!(
        running.changes(&taken),
        [
            "listener 127.0.0.1:0, tls.certificate: \"a.pem\" becomes \"c.pem\"",
            "listener 127.0.0.1:0, certificate b.pem, key: \"b.key\" becomes \"c.key\"",
            "listener 127.0.0.1:0 (2), allowed_origins: [\"loopback\"] becomes []",
        ]
    );
    assert_eq!(
        taken.changes(&new),
        [
            "listener 127.0.0.1:1, tls.certificate: none becomes \"a.pem\"",
            "listener 127.0.0.1:1, tls.key: none becomes \"a.key\"",
            "listener 127.0.0.1:1, certificate b.pem: added",
            "listener 127.0.0.1:2: added",
        ]
    );
    assert_eq!(new.take_over(&new), new);
    assert_eq!(new.changes(&new), [""; 0]);
}

/// Notes the keys of a schema that none of the values has.
fn look_for(schema: &Value, values: &[&Value], key: &str, missing: &mut Vec<String>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let key = format!("{key}.{name}");
        let found = values.iter().filter_map(|value| value.get(name)).collect::<Vec<_>>();
        if found.is_empty() {
            missing.push(key);
        } else {
            look_for(schema, &found, &key, missing);
        }
    }
    let items = values.iter().filter_map(|value| value.as_array()).flatten().collect::<Vec<_>>();
    if !items.is_empty() {
        look_for(&schema["items"], &items, key, missing);
    }
}

#[test]
fn every_key_has_a_description_in_the_schema() {
    let (output, errors) = succeed(&["schema"]);
    assert_eq!(errors, "");
    let schema: Value = serde_json::from_str(&output).expect("the schema is JSON");
    assert_eq!(schema, config::schema());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], serde_json::json!(["realms"]));
    let mut tables = vec![&schema];
    let mut keys = 0;
    while let Some(table) = tables.pop() {
        assert!(table["additionalProperties"] == false, "other keys are not allowed: {table}");
        for (name, key) in table["properties"].as_object().expect("a table has keys") {
            assert!(key["description"].as_str().is_some_and(|text| text.len() > 5), "{name}: {key}");
            assert!(!key.to_string().contains("null"), "{name} is never null: {key}");
            tables.extend([key, &key["items"]].into_iter().filter(|inner| inner["type"] == "object"));
            keys += 1;
        }
    }
    assert!(keys > 50, "{keys}");
    let ping =
        &schema["properties"]["listeners"]["items"]["properties"]["limits"]["properties"]["ping_interval"];
    let expected = serde_json::json!({
        "type": "string",
        "description": "After how long a silent client is sent a ping.",
        "default": "20s",
        "examples": ["10s"],
    });
    assert_eq!(*ping, expected);
}

#[test]
fn what_is_printed_is_the_configuration_without_secrets() {
    for file in [
        "config/realmkeeper.toml",
        "config/demo.toml",
        "tests/config/served.toml",
        "tests/config/unusual.toml",
    ] {
        let (printed, _) = succeed(&["check", "--print", "--config", file]);
        let mut expected = parse(&read(file));
        for principal in expected.realms.iter_mut().flat_map(|realm| &mut realm.principals) {
            principal.ticket = Some("********".into());
        }
        assert_eq!(parse(&printed), expected, "{file}");
        assert!(!printed.contains("secret123") && !printed.contains("s3cret"), "{printed}");
    }
    let args = ["check", "--print", "--config", "config/production.toml"];
    let (code, printed, _) = run(&args, &[("SHOP_BACKEND_TICKET", "s3cret")]);
    let tickets = printed.lines().filter(|line| line.starts_with("ticket")).collect::<Vec<_>>();
    let expected = ["ticket_env = \"SHOP_BACKEND_TICKET\"", "ticket_hash = \"********\""];
    assert_eq!((code, tickets), (Some(0), expected.to_vec()));
}

#[test]
fn what_decides_is_explained() {
    let check = |question: &str, code: i32, expected: &str| {
        let mut args =
            vec!["explain", "--config", "tests/config/served.toml", "--realm", "com.example.second"];
        args.extend(["--role", "guest"]);
        args.extend(question.split(' '));
        let (found, output, errors) = run(&args, &[]);
        assert_eq!((found, output + &errors), (Some(code), format!("{expected}\n")), "{question}");
    };
    check(
        "call com.example.sum",
        0,
        "allowed: call com.example.sum for role guest in realm com.example.second\n\
         tests/config/served.toml:26: uri = \"com.example.\", match = \"prefix\", allow = [\"call\", \"subscribe\"]",
    );
    check(
        "call com.example.secret",
        1,
        "denied: call com.example.secret for role guest in realm com.example.second\n\
         tests/config/served.toml:31: uri = \"com.example.secret\", match = \"exact\", allow = []",
    );
    check(
        "publish org.example",
        1,
        "denied: publish org.example for role guest in realm com.example.second\n\
         no permission covers it",
    );
    check(
        "register org..open --match wildcard",
        0,
        "allowed: register org..open as wildcard for role guest in realm com.example.second\n\
         tests/config/served.toml:35: uri = \"org..open\", match = \"wildcard\", allow = [\"register\"]",
    );
    check(
        "subscribe com.example. --match prefix",
        1,
        "denied: subscribe com.example. as prefix for role guest in realm com.example.second\n\
         tests/config/served.toml:31: uri = \"com.example.secret\", match = \"exact\", allow = []",
    );
    check(
        "call wamp.session.kill",
        0,
        "allowed: call wamp.session.kill for role guest in realm com.example.second\n\
         tests/config/served.toml:40: uri = \"wamp.\", match = \"prefix\", allow = [\"call\", \"register\", \
         \"publish\", \"subscribe\"]",
    );
    check(
        "publish wamp.session.on_join",
        1,
        "denied: publish wamp.session.on_join for role guest in realm com.example.second\n\
         only the router publishes and registers below wamp.",
    );
    check("call a..b", 2, "realmkeeper: \"a..b\" is no valid URI for this match in realm com.example.second");
    check(
        "call com. --match prefix",
        2,
        "realmkeeper: --match is for register and subscribe: a client cannot call a pattern",
    );
}

#[test]
fn what_a_realm_without_the_session_meta_api_has_not_is_explained() {
    let text = r#"
        [[realms]]
        name = "realm1"
        session_meta_api = false
        [[realms.roles]]
        name = "guest"
        [[realms.roles.permissions]]
        uri = "wamp."
        match = "prefix"
        allow = ["call", "subscribe"]
    "#;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without_session_meta_api.toml");
    fs::write(&file, text).expect("the file can be written");
    let file = file.to_str().expect("the path is UTF-8");
    for (action, uri, is_there) in [
        ("call", "wamp.session.kill", false),
        ("call", "wamp.session.add_testament", true),
        ("subscribe", "wamp.session.on_join", false),
    ] {
        let mut expected = format!(
            "allowed: {action} {uri} for role guest in realm realm1\n\
             {file}:7: uri = \"wamp.\", match = \"prefix\", allow = [\"call\", \"subscribe\"]\n"
        );
        if !is_there {
            expected += &format!("there is no {uri} in this realm: it has session_meta_api = false\n");
        }
        let args = ["explain", "--config", file, "--realm", "realm1", "--role", "guest", action, uri];
        assert_eq!(run(&args, &[]), (Some(0), expected, String::new()));
    }
}

#[test]
fn what_a_component_decides_is_explained() {
    let text = r#"
        [[realms]]
        name = "realm1"
        roles = [
            { name = "asked", authorizer = "com.example.authorize" },
            { name = "user", permissions = [{ uri = "", match = "prefix", allow = ["call", "register"] }] },
            { name = "component", trusted = true,
              permissions = [{ uri = "com.example.authorize", allow = ["call", "register"] }] },
        ]
    "#;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("with_components.toml");
    fs::write(&file, text).expect("the file can be written");
    let file = file.to_str().expect("the path is UTF-8");
    let explain = |role: &str, question: [&str; 2]| {
        let args =
            ["explain", "--config", file, "--realm", "realm1", "--role", role, question[0], question[1]];
        let (code, output, errors) = run(&args, &[]);
        (code, output + &errors)
    };
    let text = "realmkeeper: the authorizer com.example.authorize decides about every action of role asked in realm \
                realm1\n";
    assert_eq!(explain("asked", ["call", "a.b"]), (Some(2), text.into()));
    for action in ["register", "call"] {
        let question = [action, "com.example.authorize"];
        let text = format!(
            "denied: {action} com.example.authorize for role user in realm realm1\n\
             only roles with trusted = true {action} what the router asks\n"
        );
        assert_eq!(explain("user", question), (Some(1), text));
        assert_eq!(explain("component", question).0, Some(0));
    }
}

#[test]
fn a_realm_or_role_that_is_not_there_is_told_those_that_are() {
    for (realm, role, expected) in [
        ("realm1", "guest", "there is no realm realm1; known here: com.example.first, com.example.second"),
        ("com.example.first", "guest", "there is no role guest; known here: member"),
    ] {
        let file = "tests/config/served.toml";
        let args = ["explain", "--config", file, "--realm", realm, "--role", role, "call", "a"];
        let refusal = format!("realmkeeper: {expected}\n");
        assert_eq!(run(&args, &[]), (Some(2), String::new(), refusal));
    }
}

/// The code block of a language in the section of the README about the configuration.
fn readme(language: &str) -> String {
    let readme = read("README.md");
    let (_, section) = readme.split_once("## Configure it\n").expect("the README has the section");
    let (section, _) = section.split_once("\n## ").expect("another follows");
    let (_, block) = section.split_once(&format!("\n```{language}\n")).expect("the section has the block");
    block.split_once("```\n").expect("a block has an end").0.to_owned()
}

/// What the program answers in a folder with this file `shop.toml`.
fn in_shop(file: &str, args: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join("shop.toml"), file).expect("the file can be written");
    let output = program(args).current_dir(folder).output().expect("the program starts");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("the program prints text")
}

#[test]
fn the_program_says_what_the_readme_says() {
    let file = readme("toml");
    let mut count = 0;
    for question in readme("console").split("$ realmkeeper ").skip(1) {
        let (args, expected) = question.split_once('\n').expect("an answer follows");
        assert_eq!(in_shop(&file, &args.split(' ').collect::<Vec<_>>()), expected, "{args}");
        count += 1;
    }
    assert_eq!(count, 3);
    let wrong = file.replace("anonymous", "anonymus").replace("\"prefix\"", "\"prefx\"");
    assert_eq!(in_shop(&wrong, &["check", "--config", "shop.toml"]), readme("text"));
}
