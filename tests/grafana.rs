//! What is shipped for Prometheus and Grafana: it names only what there is, and it shows what happens.

use crate::support::{
    Peer, Router,
    certificate::certificate,
    http,
    principal::backend,
    prometheus::{self, Prometheus, promtool, until},
    scrape::{self, Samples},
};
use realmkeeper::Listener;
use realmkeeper_actors::{
    codec::Serializer,
    permission::Role,
    session::access::{Principal, Ticket},
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Shutdown,
    path::Path,
    time::Instant,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = include_str!("../README.md");

/// What Prometheus itself knows of each target and of alerts, with the labels that matter here.
const OF_PROMETHEUS: [(&str, &[&str]); 2] =
    [("up", &["job", "instance"]), ("ALERTS", &["alertname", "alertstate"])];

/// The units that panels use, as Grafana names them.
const UNITS: [&str; 13] = [
    "none",
    "short",
    "s",
    "dtdurations",
    "bytes",
    "binBps",
    "percentunit",
    "ops",
    "reqps",
    "eps",
    "mps",
    "suffix: /s",
    "suffix: /min",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Json {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("{json} is no text"))
}

fn list(json: &Json) -> &[Json] {
    json.as_array().unwrap_or_else(|| panic!("{json} is no list"))
}

/// The dashboards, by the names of their files.
fn dashboards() -> BTreeMap<String, Json> {
    let folder = fs::read_dir(Path::new(ROOT).join("grafana/dashboards")).expect("the folder is there");
    let names = folder.map(|entry| entry.expect("the entry can be read").file_name());
    let names = names.map(|name| name.into_string().expect("names are UTF-8"));
    names
        .map(|name| {
            let json = serde_json::from_str(&read(&format!("grafana/dashboards/{name}")));
            (name.clone(), json.unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect()
}

/// The panels of a dashboard but for the headings of its rows.
fn panels(dashboard: &Json) -> impl Iterator<Item = &Json> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row")
}

/// A query of a panel.
struct Query {
    /// Such as `overview.json: Sessions`.
    panel: String,
    expression: String,
}

/// All queries of all panels.
fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            queries.extend(list(&panel["targets"]).iter().map(|target| Query {
                panel: format!("{file}: {}", text(&panel["title"])),
                expression: text(&target["expr"]).to_owned(),
            }));
        }
    }
    assert_eq!(queries.len(), 75, "the queries of all panels");
    queries
}

/// The queries of the alerts, by their names.
fn alerts() -> BTreeMap<String, Json> {
    let groups = yaml("grafana/alerts.yaml");
    let rules = list(&groups["groups"]).iter().flat_map(|group| list(&group["rules"]));
    rules.map(|rule| (text(&rule["alert"]).to_owned(), rule.clone())).collect()
}

#[test]
fn every_panel_says_what_it_shows() {
    let dashboards = dashboards();
    assert_eq!(dashboards.keys().collect::<Vec<_>>(), ["overview.json", "realm.json", "sessions.json"]);
    for key in ["uid", "title"] {
        let values = dashboards.values().map(|dashboard| text(&dashboard[key])).collect::<BTreeSet<_>>();
        assert_eq!(values.len(), dashboards.len(), "each has its own {key}: {values:?}");
    }
    for (file, dashboard) in &dashboards {
        let of_all = list(&dashboard["panels"]);
        for key in ["id", "title"] {
            let values = of_all.iter().map(|panel| panel[key].to_string()).collect::<BTreeSet<_>>();
            assert_eq!(values.len(), of_all.len(), "{file}: each panel has its own {key}");
        }
        let mut taken = BTreeSet::new();
        for panel in of_all {
            let side = |side: &str| panel["gridPos"][side].as_u64().expect("a panel has a place");
            assert!(side("x") + side("w") <= 24, "{file}: {panel} is too wide");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{file}: {} lies on another", panel["title"]);
                }
            }
        }
        for panel in panels(dashboard) {
            let place = format!("{file}: {}", text(&panel["title"]));
            assert!(text(&panel["description"]).len() > 20, "{place} has no description");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(UNITS.contains(&text(&defaults["unit"])), "{place}: unit {}", defaults["unit"]);
            assert_eq!(panel["datasource"], json!({"type": "prometheus", "uid": "${datasource}"}), "{place}");
            let targets = list(&panel["targets"]);
            assert!(!targets.is_empty(), "{place} has no query");
            let legends: BTreeSet<_> = targets.iter().map(|target| target["legendFormat"].as_str()).collect();
            match text(&panel["type"]) {
                "stat" => assert_eq!(targets.len(), 1, "{place} shows one value"),
                "timeseries" => {
                    assert!(
                        !legends.contains(&None) && legends.len() == targets.len(),
                        "{place}: {legends:?}"
                    );
                    assert_eq!(panel["options"]["legend"]["showLegend"], true, "{place}");
                }
                "heatmap" => assert_eq!(panel["options"]["legend"]["show"], true, "{place}"),
                other => panic!("{place} is a {other}"),
            }
            if let Some(steps) = defaults["thresholds"]["steps"].as_array() {
                let values = steps.iter().map(|step| step["value"].as_f64()).collect::<Vec<_>>();
                assert!(values[0].is_none() && values.is_sorted(), "{place}: thresholds {values:?}");
            }
        }
    }
}

/// A metric in a query, with its matchers: the label and the values it names.
#[derive(Debug, PartialEq)]
struct Selector {
    metric: String,
    matchers: Vec<(String, Vec<String>)>,
}

/// The metrics of a query. A name is a metric if labels or a time follow it, or if it has a `_` and is no function.
fn selectors(query: &str) -> Vec<Selector> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut selectors = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(is_name) {
        let found = &rest[start..];
        let (name, after) = found.split_at(found.find(|letter| !is_name(letter)).unwrap_or(found.len()));
        rest = after.trim_start();
        let until = |bracket| rest.split_once(bracket).unwrap_or_else(|| panic!("no {bracket} in {query}"));
        if ["by", "on", "without", "ignoring"].contains(&name) {
            rest = until(')').1;
            continue;
        }
        if rest.starts_with(['{', '[']) || name.contains('_') && !rest.starts_with('(') {
            let mut matchers = Vec::new();
            if rest.starts_with('{') {
                let (inside, after) = until('}');
                matchers.extend(inside[1..].split(", ").map(matcher));
                rest = after;
            }
            if let Some((_, after)) = rest.strip_prefix('[').and_then(|time| time.split_once(']')) {
                rest = after;
            }
            selectors.push(Selector { metric: name.to_owned(), matchers });
        }
    }
    selectors
}

/// The label of a matcher such as `cause=~"a|b"`, and the values that it names.
fn matcher(text: &str) -> (String, Vec<String>) {
    let (label, values) = text.split_once(['=', '!']).unwrap_or_else(|| panic!("{text} is no matcher"));
    let values = values.trim_matches(['=', '~', '"']).split('|');
    (label.to_owned(), values.map(str::to_owned).collect())
}

#[test]
fn the_metrics_of_a_query_are_found() {
    let query = r#"sum by (k_l) (rate(a_total{b=~"c|d", e!="f"}[5m])) > 0.5 and on (g) time() - h_seconds > up{i="j"}"#;
    let found = selectors(query);
    let matcher = |label: &str, values: &[&str]| {
        (label.to_owned(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    };
    let selector = |metric: &str, matchers: Vec<_>| Selector { metric: metric.to_owned(), matchers };
    assert_eq!(
        found,
        [
            selector("a_total", vec![matcher("b", &["c", "d"]), matcher("e", &["f"])]),
            selector("h_seconds", vec![]),
            selector("up", vec![matcher("i", &["j"])]),
        ]
    );
}

/// The labels of each metric that the README lists, by the names that queries use.
fn listed() -> BTreeMap<String, Vec<String>> {
    let (_, section) = README.split_once("\n### Metrics\n").expect("the README has a section about metrics");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut listed = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let columns = row.split('|').map(str::trim).collect::<Vec<_>>();
        let name = columns[1].trim_matches('`');
        let labels = columns[4].split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels = labels.chain(["job".into(), "instance".into()]).collect::<Vec<_>>();
        let suffixes: &[&str] =
            if columns[2] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        listed.extend(suffixes.iter().map(|suffix| (format!("{name}{suffix}"), labels.clone())));
    }
    assert!(listed.len() > 30, "the table was found");
    let own = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    listed.extend(OF_PROMETHEUS.map(|(name, labels)| (name.to_owned(), own(labels))));
    listed
}

#[test]
fn queries_name_only_metrics_and_labels_that_there_are() {
    let listed = listed();
    let samples = scrape::text(&Router::start());
    let of_alerts = alerts().into_iter().map(|(name, rule)| (name, text(&rule["expr"]).to_owned()));
    let of_panels = queries().into_iter().map(|query| (query.panel, query.expression));
    let mut used = BTreeSet::new();
    let mut checked = 0;
    for (place, query) in of_panels.chain(of_alerts) {
        let selectors = selectors(&query);
        assert!(!selectors.is_empty(), "{place}: no metric in {query}");
        for Selector { metric, matchers } in selectors {
            let labels = listed.get(&metric).unwrap_or_else(|| panic!("{place}: there is no {metric}"));
            for (label, values) in matchers {
                assert!(labels.contains(&label), "{place}: {metric} has no {label}");
                if !metric.starts_with("realmkeeper_") || values[0].starts_with('$') {
                    continue;
                }
                for value in values {
                    let begins = format!("{label}=\"{}", value.trim_end_matches(".+"));
                    let sample = if value.ends_with(".+") { begins } else { format!("{begins}\"") };
                    let is_of = |line: &&str| line.starts_with(&metric) && line.contains(&sample);
                    assert!(samples.lines().any(|line| is_of(&line)), "{place}: no {metric} with {sample}");
                    checked += 1;
                }
            }
            used.insert(metric);
        }
    }
    assert!(checked > 40, "only {checked} values of labels were found");
    let unused = listed.keys().filter(|name| name.starts_with("realmkeeper_") && !used.contains(*name));
    assert_eq!(unused.collect::<Vec<_>>(), [""; 0], "every metric is on a dashboard or in an alert");
}

/// What the variables of a dashboard stand for in this test.
fn substituted(query: &str) -> String {
    let query = query.replace("$instance", ".+").replace("$realm", ".+");
    let query = query.replace("$__rate_interval", "30s").replace("$__range", "1m");
    assert!(!query.contains('$'), "{query} has another variable");
    query
}

/// What is zero as long as all goes well.
const USUALLY_ZERO: [&str; 6] = [
    "overview.json: Routers down",
    "overview.json: Stale scrapes",
    "overview.json: Certificates read again",
    "overview.json: Configurations refused",
    "overview.json: Configuration read again",
    "realm.json: Mailbox",
];

#[test]
fn every_panel_shows_what_happens() {
    let router = Router::with(|settings| {
        let ticket = Ticket::plain("secret123");
        let authorizer = Some("com.example.nobody".into());
        let asked = Role { authorizer, ..Role::unrestricted("asked") };
        let ann = Principal { role: asked.into(), ..backend("ann", ticket.clone()) };
        settings.realms[0].door.principals.extend([backend("joe", ticket), ann]);
        settings.listeners[0].session.outbox_limit = 1 << 20;
        let tls = Some(certificate("panels", &["localhost"]).files);
        settings.listeners.push(Listener { address: ([127, 0, 0, 1], 0).into(), tls, ..Listener::default() });
    });
    let config = prometheus::config();
    for expected in ["realmkeeper:9464", " 15s"] {
        assert!(config.contains(expected), "{config}");
    }
    let config = config.replace("realmkeeper:9464", &router.address().to_string()).replace(" 15s", " 500ms");
    let prometheus = Prometheus::start(&config);
    until("the router is scraped", || prometheus.values("realmkeeper_build_info") == [1.0]);

    let mut pending = queries();
    let look = |pending: &mut Vec<Query>| {
        let received = "realmkeeper_bytes_total{direction=\"received\"}";
        let so_far = Samples::of(&router).value(received);
        until("the work is scraped", || prometheus.values(received).iter().any(|value| *value >= so_far));
        pending.retain(|query| {
            let values = prometheus.values(&substituted(&query.expression));
            let zero_will_do = USUALLY_ZERO.contains(&query.panel.as_str());
            !values.iter().any(|value| zero_will_do || *value > 0.0)
        });
    };
    let start = Instant::now();
    while !pending.is_empty() {
        let mut work = Work::start(&router);
        look(&mut pending);
        work.fail(&router);
        look(&mut pending);
        let left = pending.iter().map(|query| format!("{}: {}", query.panel, query.expression));
        let left = left.collect::<Vec<_>>().join("\n");
        assert!(start.elapsed() < prometheus::PATIENCE, "these show nothing:\n{left}");
    }

    for (file, dashboard) in dashboards() {
        for variable in list(&dashboard["templating"]["list"]) {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let values = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
            let (metric, label) = values.and_then(|query| query.rsplit_once(", ")).expect("label_values");
            let values =
                prometheus.get(&format!("label/{label}/values"), &[("match[]", &substituted(metric))]);
            assert_eq!(list(&values).len(), 1, "{file}: {query} gives {values}");
        }
    }

    let rules = prometheus.get("rules", &[]);
    let rules = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])).collect::<Vec<_>>();
    assert_eq!(rules.len(), alerts().len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let firing = prometheus.get("alerts", &[]);
    let firing = list(&firing["alerts"]).iter().filter(|alert| alert["state"] == "firing");
    let annotations = firing.map(|alert| (text(&alert["labels"]["alertname"]), &alert["annotations"]));
    let annotations = annotations.collect::<BTreeMap<_, _>>();
    let realm = annotations["RealmkeeperRealmRestarted"];
    assert_eq!(realm["summary"], "Realm realm1 failed and was started again");
    for (name, annotations) in &annotations {
        let told = annotations.to_string();
        assert!(!told.contains("<no value>") && !told.contains("error expanding"), "{name}: {told}");
    }
}

/// Sessions at work, which show on every panel.
struct Work {
    caller: Peer,
    callee: Peer,
    subscriber: Peer,
    stalled: Peer,
}

impl Work {
    /// Has sessions call, publish, leave and be killed, and clients be turned away; leaves some at work.
    fn start(router: &Router) -> Self {
        let join = || Peer::join(router, Serializer::Json);
        let (mut caller, mut callee, mut subscriber, mut stalled) = (join(), join(), join(), join());
        callee.register("com.example.procedure", &json!({}));
        for outcome in ["answered", "error", "in flight"] {
            let request = caller.request();
            caller.send(&json!([48, request, {}, "com.example.procedure"]));
            let invocation = callee.message();
            match outcome {
                "answered" => callee.send(&json!([70, invocation[1], {}])),
                "error" => callee.send(&json!([8, 68, invocation[1], {}, "com.example.error"])),
                _ => continue,
            }
            caller.message();
        }
        assert_eq!(
            caller.call("com.example.nobody", &json!([]), &json!({}))[4],
            "wamp.error.no_such_procedure"
        );

        for subscriber in [&mut callee, &mut subscriber] {
            subscriber.subscribe("com.example.topic");
        }
        let publish = |publisher: &mut Peer, topic: &str, event: &str| {
            let request = publisher.request();
            publisher.send(&json!([16, request, {"acknowledge": true}, topic, [event]]));
            assert_eq!(publisher.message()[0], 17);
        };
        publish(&mut caller, "com.example.topic", "an event");
        // [16, 1, {}, "com.example.topic", [NaN]], for which JSON has no form.
        let mut nan = Peer::join(router, Serializer::MessagePack);
        let head = b"\x95\x10\x01\x80\xb1com.example.topic\x91\xcb";
        nan.send_bytes([&head[..], &f64::NAN.to_be_bytes()].concat());
        nan.leave();

        let mut victim = join();
        assert_eq!(caller.call("wamp.session.kill", &json!([victim.session]), &json!({}))[0], 50);
        victim.rest();
        let mut violating = join();
        violating.send(&json!([1, "realm1", {}]));
        violating.rest();
        join().socket().get_ref().shutdown(Shutdown::Both).expect("the socket is open");

        let told = [("X-Forwarded-For", Some("192.0.2.7"))];
        http::ask(router.address(), &http::upgrade("GET /ws", &told));
        let mut lost = Peer::connect(router, Serializer::Json);
        lost.send(&json!([1, "nowhere", {"roles": {"caller": {}}}]));
        lost.rest();
        let mut wrong = Peer::connect(router, Serializer::Json);
        let details = json!({"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe"});
        wrong.send(&json!([1, "realm1", details]));
        assert_eq!(wrong.message()[0], 4);
        wrong.send(&json!([5, "guessed", {}]));
        wrong.rest();

        // One consumer is too slow, the other is about to be.
        let event = "x".repeat(60_000);
        let mut slow = join();
        slow.subscribe("com.example.slow");
        let is_slow = "realmkeeper_sessions_left_total{cause=\"slow_consumer\",realm=\"realm1\"}";
        let before = Samples::of(router).value(is_slow);
        until("the consumer is too slow", || {
            publish(&mut caller, "com.example.slow", &event);
            Samples::of(router).value(is_slow) > before
        });
        stalled.subscribe("com.example.stalled");
        until("more waits for the reader than for others", || {
            publish(&mut caller, "com.example.stalled", &event);
            let waiting = "realmkeeper_outbox_bytes{realm=\"realm1\"}";
            Samples::of(router).value(waiting) > 5.0 * event.len() as f64
        });
        Self { caller, callee, subscriber, stalled }
    }

    /// Has a session and then the realm fail, which ends all sessions.
    fn fail(&mut self, router: &Router) {
        let mut asked = Peer::connect(router, Serializer::Json);
        asked.prove("realm1", "ann", "secret123");
        asked.send(&json!([32, 1, {}, "a.b"]));
        assert_eq!(asked.message()[4], "wamp.error.authorization_failed");
        drop(asked);
        let mut session = Peer::join(router, Serializer::Json);
        session.send(&json!([16, 1, {}, "realmkeeper.fault.session"]));
        session.rest();
        self.caller.send(&json!([16, 1000, {}, "realmkeeper.fault.realm"]));
        for peer in [&mut self.caller, &mut self.callee, &mut self.subscriber, &mut self.stalled] {
            peer.rest();
        }
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let alerts = alerts();
    assert_eq!(alerts.len(), 14);
    for (name, rule) in &alerts {
        let severity = text(&rule["labels"]["severity"]);
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        assert!(README.contains(&format!("| `{name}` | {severity} |")), "the README does not explain {name}");
        assert!(text(&rule["annotations"]["summary"]).len() > 20, "{name}");
        assert!(text(&rule["annotations"]["description"]).len() > 100, "{name}");
    }
}

#[test]
fn every_alert_fires_when_it_should_and_else_does_not() {
    let cases = yaml("tests/grafana/alerts.yaml");
    let cases = list(&cases["tests"]).iter().map(|case| (text(&case["name"]).to_owned(), case.clone()));
    let cases = cases.collect::<BTreeMap<_, _>>();
    let alerts = alerts();
    assert_eq!(cases.keys().collect::<Vec<_>>(), alerts.keys().collect::<Vec<_>>());
    for (name, case) in &cases {
        let asked = list(&case["promql_expr_test"]);
        assert!(asked.iter().all(|asked| text(&asked["expr"]).contains(&format!("\"{name}\""))), "{name}");
        let fires = asked.iter().map(|asked| !list(&asked["exp_samples"]).is_empty());
        assert_eq!(fires.collect::<BTreeSet<_>>(), [false, true].into(), "{name}: it fires, and it does not");
    }
    promtool(&["check", "rules", "grafana/alerts.yaml"]);
    promtool(&["test", "rules", "tests/grafana/alerts.yaml"]);
}

#[test]
fn promtool_finds_nothing_wrong_with_the_configuration_of_prometheus() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus.yml");
    fs::write(&file, prometheus::config()).expect("the folder of tests can be written to");
    promtool(&["check", "config", file.to_str().expect("the path is UTF-8")]);
}

#[test]
fn grafana_finds_the_dashboards_and_prometheus() {
    let source = yaml("grafana/provisioning/datasources/prometheus.yaml");
    let source = &list(&source["datasources"])[0];
    let scraping = yaml("config/prometheus.yml");
    // Grafana makes `$__rate_interval` of it.
    assert_eq!(source["jsonData"]["timeInterval"], scraping["global"]["scrape_interval"]);
    assert_eq!(scraping["scrape_configs"][0]["job_name"], "realmkeeper", "queries name this job");

    let compose = yaml("config/compose.yaml");
    let services = &compose["services"];
    let url = text(&source["url"]).strip_prefix("http://").expect("a URL");
    let (host, port) = url.split_once(':').expect("it has a port");
    let ports = list(&services[host]["ports"]);
    assert!(ports.iter().any(|ports| text(ports).ends_with(&format!(":{port}"))), "{ports:?}");

    let provider = yaml("grafana/provisioning/dashboards/realmkeeper.yaml");
    let path = text(&provider["providers"][0]["options"]["path"]);
    let mounts = list(&services["grafana"]["volumes"]);
    assert!(mounts.contains(&json!(format!("../grafana/dashboards:{path}:ro"))), "{mounts:?}");
    let home = text(&services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]);
    let home = home.strip_prefix(&format!("{path}/")).expect("the home is one of the dashboards");
    assert!(dashboards().contains_key(home), "{home}");
}
