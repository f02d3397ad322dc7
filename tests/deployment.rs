//! What is shipped to run the router: the unit of systemd, the image, and the Compose file.

use crate::support::{
    Peer, Router,
    http::plain,
    program::{Serving, program},
    prometheus::until,
    scrape::Samples,
};
use realmkeeper_actors::{codec::Serializer, session::SessionSettings};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_realmkeeper");

/// Where the program and its configuration are once they are installed.
const INSTALLED: &str = "/usr/local/bin/realmkeeper";
const CONFIGURATION: &str = "/etc/realmkeeper/realmkeeper.toml";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file for one test.
fn write(name: &str, text: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, text).expect("the folder of tests can be written to");
    file
}

/// The lines of the unit that give this key a value.
fn unit(key: &str) -> Vec<String> {
    let text = read("config/realmkeeper.service");
    let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// The first command of the unit with this key, to be run here with this file.
fn command(key: &str, file: &Path) -> Command {
    let lines = unit(key);
    let line = lines.first().unwrap_or_else(|| panic!("the unit has no {key}"));
    let line = line.strip_prefix(INSTALLED).expect("it runs the installed program");
    assert!(line.contains(CONFIGURATION), "{key} names the configuration");
    let file = file.to_str().expect("the path is UTF-8");
    let arguments = line.split_whitespace().map(|word| if word == CONFIGURATION { file } else { word });
    program(&arguments.collect::<Vec<_>>())
}

/// The example for production on free ports.
fn production() -> String {
    let text = read("config/production.toml");
    let free = text.replace("0.0.0.0:8080", "127.0.0.1:0").replace("127.0.0.1:9464", "127.0.0.1:0");
    assert_eq!(free.matches("127.0.0.1:0").count(), 2, "{text}");
    free
}

/// What the example for production says.
fn example() -> toml::Table {
    toml::from_str(&read("config/production.toml")).expect("it is TOML")
}

/// The port of its listener.
fn listener_port() -> u16 {
    let address = example()["listeners"][0]["address"].as_str().and_then(|text| text.parse().ok());
    address.map(|address: SocketAddr| address.port()).expect("it is an address")
}

/// The variables that the example for production takes tickets from.
fn variables() -> Vec<String> {
    let example = example();
    let principals = example["realms"][0]["principals"].as_array().expect("there are principals");
    let variables = principals.iter().filter_map(|principal| principal.get("ticket_env")?.as_str());
    variables.map(str::to_owned).collect()
}

#[test]
fn nothing_else_is_shipped_to_run_the_router() {
    let folder = fs::read_dir(Path::new(ROOT).join("config")).expect("the folder can be read");
    let names = folder.map(|entry| entry.expect("the entry can be read").file_name());
    let names = names.map(|name| name.into_string().expect("names are UTF-8"));
    let mut names = names.filter(|name| !name.ends_with(".toml")).collect::<Vec<_>>();
    names.sort();
    assert_eq!(
        names,
        ["Dockerfile", "compose.yaml", "haproxy.cfg", "nginx.conf", "prometheus.yml", "realmkeeper.service"]
    );
}

#[test]
fn the_unit_is_well_formed_and_hardened() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unit");
    fs::create_dir_all(&folder).expect("the folder of tests can be written to");
    let file = folder.join("realmkeeper.service");
    let text = read("config/realmkeeper.service").replace(INSTALLED, PROGRAM);
    fs::write(&file, text).expect("the folder of tests can be written to");
    for arguments in [&["verify", "--man=no"][..], &["security", "--offline=true", "--threshold=20"]] {
        let output = Command::new("systemd-analyze").args(arguments).arg(&file).output();
        let output = output.expect("systemd-analyze is installed, of the Debian package systemd");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {printed}{errors}");
    }
}

#[test]
fn the_commands_of_the_unit_run() {
    let good = write("good.toml", &production());
    let with_tickets = |key| {
        let mut command = command(key, &good);
        command.envs(variables().into_iter().map(|variable| (variable, "secret")));
        command
    };
    let checked = with_tickets("ExecStartPre").output().expect("the program starts");
    assert!(checked.status.success(), "{checked:?}");
    let mut serving = Serving::run(&mut with_tickets("ExecStart"));
    let admin = serving.admin();
    let checked = with_tickets("ExecReload").output().expect("the program starts");
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(unit("ExecReload")[1..], ["/bin/kill -HUP $MAINPID"]);
    serving.signal("HUP");
    let reloads = "realmkeeper_config_reloads_total{result=\"success\"}";
    until("the configuration is read again", || Samples::at(admin).value(reloads) == 1.0);
    serving.signal("TERM");
    assert_eq!(serving.wait().0, Some(0), "a stop is no failure");

    let bad = write("bad.toml", "realms = []");
    for key in ["ExecStartPre", "ExecStart", "ExecReload"] {
        let output = command(key, &bad).output().expect("the program starts");
        assert_eq!(output.status.code().map(|code| code.to_string()), unit("RestartPreventExitStatus").pop());
    }
}

#[test]
fn there_is_time_for_an_orderly_stop() {
    let example = example();
    let times = example["shutdown"].as_table().expect("the example stops in steps").values();
    let seconds = |text: &str| text.strip_suffix('s').and_then(|text| text.parse::<u64>().ok());
    let needed = times.map(|time| time.as_str().and_then(seconds).expect("it is in seconds")).sum::<u64>();
    let linger = SessionSettings::default().linger.as_secs();
    let of_compose = compose()["services"]["realmkeeper"]["stop_grace_period"].as_str().and_then(seconds);
    let of_unit = unit("TimeoutStopSec").pop().and_then(|time| seconds(&time));
    for limit in [of_compose, of_unit] {
        assert!(limit.is_some_and(|limit| limit > needed + linger), "{limit:?} for {needed}");
    }
}

#[test]
fn there_are_file_descriptors_for_all_sessions() {
    let sessions = example()["limits"]["sessions"].as_integer().expect("the example limits sessions");
    let of_compose = compose()["services"]["realmkeeper"]["ulimits"]["nofile"].as_i64();
    let of_unit = unit("LimitNOFILE").pop().and_then(|limit| limit.parse().ok());
    for limit in [of_compose, of_unit] {
        assert!(limit.is_some_and(|limit| limit > sessions), "{limit:?} for {sessions} sessions");
    }
}

/// The instructions of the image, each with what follows its name.
fn instructions() -> Vec<(String, String)> {
    let text = read("config/Dockerfile").replace("\\\n", "");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, rest) = line.split_once(' ').expect("an instruction has a value");
        (name.to_owned(), rest.trim().to_owned())
    };
    lines.map(split).collect()
}

/// What the last instruction with this name says.
fn instruction(name: &str) -> String {
    let found = instructions().into_iter().rfind(|(found, _)| found == name);
    found.unwrap_or_else(|| panic!("the image has no {name}")).1
}

/// Whether the image gets a file at this path.
fn has_copy_at(path: &str) -> bool {
    instructions().iter().any(|(name, rest)| name == "COPY" && rest.ends_with(&format!(" {path}")))
}

/// The words of a command that is written as a list.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn the_image_is_made_of_what_there_is() {
    let ignored = read(".dockerignore");
    let kept = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect::<Vec<_>>();
    let mut copied = Vec::new();
    for (name, rest) in instructions() {
        if name == "COPY" && !rest.starts_with("--from=build") {
            let paths = rest.split(' ').collect::<Vec<_>>();
            copied.extend(paths[..paths.len() - 1].iter().map(|path| (*path).to_owned()));
        }
    }
    for path in &copied {
        assert!(Path::new(ROOT).join(path).exists(), "there is no {path}");
    }
    copied.sort();
    let mut kept = kept.into_iter().map(str::to_owned).collect::<Vec<_>>();
    kept.sort();
    assert_eq!(copied, kept, "what is sent to the builder is what it copies");

    let metadata = cargo_metadata::MetadataCommand::new().current_dir(ROOT).no_deps().exec();
    for package in metadata.expect("cargo answers").packages {
        for target in package.targets.iter().filter(|target| target.is_bin() || target.is_lib()) {
            let source = target.src_path.strip_prefix(ROOT).expect("it is in the repository");
            assert!(copied.iter().any(|path| source.starts_with(path)), "{source} is not copied");
        }
    }
    let bases = instructions().into_iter().filter(|(name, _)| name == "FROM").map(|(_, base)| base);
    let bases = bases.collect::<Vec<_>>();
    assert!(
        bases.len() == 2 && bases.iter().all(|base| base.contains("bookworm")),
        "one C library: {bases:?}"
    );
    let user = instruction("USER");
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "not root: {user}");
}

#[test]
fn the_image_serves_with_its_command_and_variables() {
    assert_eq!(words(&instruction("ENTRYPOINT")), ["realmkeeper"]);
    assert!(has_copy_at(INSTALLED));
    let setting = instruction("ENV");
    let (variable, address) = setting.split_once('=').expect("it sets a variable");
    let address: SocketAddr = address.parse().expect("it is an address");
    let file = write("image.toml", &production());
    let arguments = words(&instruction("CMD"));
    let arguments =
        arguments.iter().map(|word| if word == CONFIGURATION { file.to_str() } else { Some(word.as_str()) });
    let arguments = arguments.collect::<Option<Vec<_>>>().expect("the path is UTF-8");
    let mut command = program(&arguments);
    command.envs(variables().into_iter().map(|variable| (variable, "secret")));
    // Another address shows that the variable is heard. Nobody is given its port while that is taken on this one.
    let taken = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (taken, _listener) = taken.expect("a port is free");
    let free = SocketAddr::from(([127, 0, 0, 2], taken.port()));
    let serving = Serving::run(command.env(variable, free.to_string()));
    assert_eq!(plain(free, "GET /readyz").status, "200 ok");
    drop(serving);

    let targets = &yaml("config/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"];
    assert_eq!(targets[0], format!("realmkeeper:{}", address.port()), "Prometheus scrapes that port");
    assert!(compose()["services"]["realmkeeper"].is_object(), "the host has the name of the service");
    let exposed = instruction("EXPOSE");
    assert_eq!(exposed, format!("{} {}", listener_port(), address.port()));
}

#[test]
fn the_image_is_healthy_while_the_router_takes_sessions() {
    let check = instruction("HEALTHCHECK");
    let check = words(check.split_once("CMD ").expect("it runs a command").1);
    assert!(has_copy_at(&format!("/usr/local/bin/{}", check[0])));
    let variable = instruction("ENV");
    let port = variable.rsplit_once(':').expect("the variable has a port").1;
    let ask = |router: SocketAddr| {
        let at = format!("127.0.0.1:{port}");
        let words = check.iter().map(|word| word.replace(&at, &router.to_string())).collect::<Vec<_>>();
        assert_ne!(words, check, "it asks {at}");
        let output = Command::new(&words[0]).args(&words[1..]).output();
        output.expect("busybox is installed, of the Debian package").status.success()
    };
    let mut router = Router::with(|settings| settings.listeners[0].session.linger = Duration::from_secs(60));
    let address = router.address();
    let peer = Peer::join(&router, Serializer::Json);
    assert!(ask(address));
    router.stop();
    let is_stopping = || plain(address, "GET /readyz").status == "503 service unavailable";
    until("the router stops", is_stopping);
    assert!(!ask(address));
    assert!(is_stopping(), "it was asked while the router stopped");
    drop(peer);
}

fn yaml(path: &str) -> Json {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Json {
    yaml("config/compose.yaml")
}

/// The texts of a list, none if there is no list.
fn texts(json: &Json) -> Vec<&str> {
    json.as_array().into_iter().flatten().map(|item| item.as_str().expect("it is text")).collect()
}

#[test]
fn the_compose_file_names_what_there_is() {
    let compose = compose();
    let services = compose["services"].as_object().expect("there are services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["grafana", "prometheus", "realmkeeper"]);
    let folder = Path::new(ROOT).join("config");
    let mut mounted = BTreeMap::new();
    for (name, service) in services {
        for mount in texts(&service["volumes"]) {
            let parts = mount.split(':').collect::<Vec<_>>();
            if parts[0].starts_with('.') {
                assert!(folder.join(parts[0]).exists() && parts[2] == "ro", "{name}: {mount}");
                mounted.insert(parts[1].to_owned(), parts[0].to_owned());
            } else {
                assert!(
                    compose["volumes"].get(parts[0]).is_some(),
                    "{name}: there is no volume {}",
                    parts[0]
                );
            }
        }
        for other in texts(&service["depends_on"]) {
            assert!(services.contains_key(other), "{name} depends on {other}");
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is open to others: {port}");
        }
    }
    let realmkeeper = &services["realmkeeper"];
    let build = &realmkeeper["build"];
    let context = folder.join(build["context"].as_str().expect("it is built"));
    assert!(context.join(build["dockerfile"].as_str().expect("of a Dockerfile")).exists());
    assert_eq!(mounted[CONFIGURATION], "./production.toml");
    let port = listener_port();
    assert_eq!(texts(&realmkeeper["ports"]), [format!("127.0.0.1:{port}:{port}")]);
    let given = realmkeeper["environment"].as_object().expect("variables").keys().cloned();
    assert_eq!(given.collect::<Vec<_>>(), variables(), "the tickets that the configuration takes");

    assert_eq!(mounted["/etc/prometheus/prometheus.yml"], "./prometheus.yml");
    let prometheus = yaml("config/prometheus.yml");
    for rules in texts(&prometheus["rule_files"]) {
        assert_eq!(mounted[rules], "../grafana/alerts.yaml");
    }
    assert_eq!(mounted["/etc/grafana/provisioning"], "../grafana/provisioning");
}
