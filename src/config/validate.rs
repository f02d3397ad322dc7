//! What has to hold between the values of a configuration, and what may not be meant as it stands.

use super::{
    format::{Config, History, Listener, Permission, Realm, Role, Tls, UnixSocket},
    problem::Problems,
    schema::one_of,
    structure::nearest,
    ticket::{NoTicket, SOURCES},
    tree::Place,
    value::{Octets, Origin},
    word::{Action, ListenerKind},
};
use crate::{
    AllowedOrigin,
    server::certificates::{Certificate, read_authorities},
};
use realmkeeper_actors::{
    message::uri::{Match, Uri, UriRule},
    permission,
    session::access::Ticket,
    transport::rawsocket::Length,
};
use std::{collections::HashMap, hash::Hash, path::Path};

/// The paths that the router itself answers.
const TAKEN_PATHS: [&str; 4] = ["/metrics", "/healthz", "/readyz", "/livez"];

/// The procedures by which a session ends others, or what they hold.
const ENDING: [&str; 5] = [
    "wamp.session.kill",
    "wamp.session.kill_by_authid",
    "wamp.session.kill_by_authrole",
    "wamp.session.kill_all",
    "wamp.subscription.remove_subscriber",
];

/// The least size of what holds whole messages.
const LEAST_SIZE: Octets = Octets(1024);

/// How many octets the path of a Unix domain socket can have.
const LONGEST_PATH: usize = 107;

/// The tickets of the principals, by realm.
pub(super) type Tickets = Vec<Vec<Ticket>>;

/// Checks a configuration at its place in the file; gives the tickets, all of them if there is no error.
/// `folder` is where the file lies.
pub(super) fn validate(
    config: &Config,
    folder: &Path,
    root: &Place<'_, '_>,
    problems: &mut Problems<'_>,
) -> Tickets {
    let mut validation = Validation { config, folder, problems };
    validation.listeners(&root.at("listeners"));
    if let Some(address) = config.admin.address
        && address.0.port() != 0
        && config.listeners.iter().any(|listener| listener.has_address() && listener.address == address)
    {
        validation.error(&root.at("admin").at("address"), "is the address of a listener; must be another");
    }
    let is_http = |listener: &Listener| listener.kind == ListenerKind::WebSocket;
    if config.admin.address.is_none() && !config.listeners.iter().any(is_http) {
        let text = format!(
            "nobody answers {}: no listener is of the kind \"websocket\"; give admin an address",
            one_of(&TAKEN_PATHS)
        );
        validation.warning(&root.at("listeners"), text);
    }
    validation.realms(&root.at("realms"))
}

impl Listener {
    /// Whether it listens at its address.
    fn has_address(&self) -> bool {
        self.unix.is_none()
    }
}

struct Validation<'c, 'p, 'a> {
    config: &'c Config,
    folder: &'c Path,
    problems: &'p mut Problems<'a>,
}

impl Validation<'_, '_, '_> {
    fn error(&mut self, place: &Place<'_, '_>, text: impl Into<String>) {
        self.problems.error(place.span(), place.key(), text);
    }

    fn warning(&mut self, place: &Place<'_, '_>, text: impl Into<String>) {
        self.problems.warning(place.span(), place.key(), text);
    }

    /// Whether the values of these keys are those of the file.
    fn is_sound(&self, table: &Place<'_, '_>, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.problems.is_sound(table.at(key).key()))
    }

    /// Notes every thing that another before it equals.
    fn unique<'t, 'i: 't, T: Eq + Hash>(
        &mut self,
        things: impl IntoIterator<Item = (T, String, Place<'t, 'i>)>,
    ) {
        let mut first = HashMap::new();
        for (thing, what, place) in things {
            if let Some(other) = first.get(&thing) {
                self.error(&place, format!("is {what}, as {other} is; must differ"));
            } else {
                first.insert(thing, place.key().to_owned());
            }
        }
    }

    fn listeners(&mut self, place: &Place<'_, '_>) {
        let config = self.config;
        let listeners = || config.listeners.iter().enumerate();
        let fixed =
            listeners().filter(|(_, listener)| listener.has_address() && listener.address.0.port() != 0);
        self.unique(fixed.map(|(index, listener)| {
            let address = listener.address;
            (address.0, address.to_string(), place.item(index).at("address"))
        }));
        let unix = listeners().filter_map(|(index, listener)| Some((index, listener.unix.as_ref()?)));
        self.unique(unix.map(|(index, unix)| {
            let path = &unix.path;
            (path, format!("{:?}", path.display().to_string()), place.item(index).at("unix").at("path"))
        }));
        for (index, listener) in config.listeners.iter().enumerate() {
            self.listener(listener, &place.item(index));
        }
    }

    fn listener(&mut self, listener: &Listener, place: &Place<'_, '_>) {
        let path = &listener.path;
        let may_stand_in_path = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
        if !path.starts_with('/') || !path.chars().all(may_stand_in_path) {
            let text = format!("is {path:?}; must be the path of a URL, such as \"/ws\"");
            self.error(&place.at("path"), text);
        } else if TAKEN_PATHS.contains(&path.as_str()) {
            let text = format!("is {path:?}; must not be {}", one_of(&TAKEN_PATHS));
            self.error(&place.at("path"), text);
        }
        if listener.kind == ListenerKind::RawSocket {
            self.rawsocket(listener, place);
        }
        if let Some(unix) = &listener.unix {
            self.unix(unix, listener, place);
        }
        if listener.proxy_protocol
            && listener.trusted_proxies.is_empty()
            && self.is_sound(place, &["trusted_proxies"])
        {
            let text = "is true, but no balancer is believed; name the networks of yours in trusted_proxies";
            self.error(&place.at("proxy_protocol"), text);
        }
        if let Some(tls) = &listener.tls {
            self.tls(tls, &place.at("tls"));
        }
        let (limits, at) = (&listener.limits, place.at("limits"));
        for (key, size) in [("message_size", limits.message_size), ("credit", limits.credit)] {
            if size.0 < LEAST_SIZE.0 {
                self.error(&at.at(key), format!("is {size}; must be at least {LEAST_SIZE}"));
            }
        }
        if limits.outbox.0 < limits.message_size.0 && self.is_sound(&at, &["outbox", "message_size"]) {
            let text = format!(
                "is {}; must be at least message_size, which is {}",
                limits.outbox, limits.message_size
            );
            self.error(&at.at("outbox"), text);
        }
        if listener.allowed_origins.contains(&Origin(AllowedOrigin::Any))
            && !listener.address.0.ip().is_loopback()
        {
            let text = "pages of every origin can connect from every browser that reaches this listener; name the \
                        origins of your pages";
            self.warning(&place.at("allowed_origins"), text);
        }
    }

    fn rawsocket(&mut self, listener: &Listener, place: &Place<'_, '_>) {
        for key in ["path", "allowed_origins"] {
            let place = place.at(key);
            if place.is_given() {
                self.warning(&place, "has no effect, as kind is \"rawsocket\"");
            }
        }
        let size = listener.limits.message_size;
        let told = Octets(Length::within(size.0).octets());
        if told != size && size.0 >= LEAST_SIZE.0 {
            let text = format!("is {size}; over RawSocket {told} is the largest message that is taken");
            self.warning(&place.at("limits").at("message_size"), text);
        }
    }

    fn unix(&mut self, unix: &UnixSocket, listener: &Listener, place: &Place<'_, '_>) {
        if listener.kind != ListenerKind::RawSocket {
            self.error(&place.at("unix"), "is for kind = \"rawsocket\" only");
        }
        for (key, is_there) in [
            ("address", place.at("address").is_given()),
            ("tls", listener.tls.is_some()),
            ("proxy_protocol", listener.proxy_protocol),
        ] {
            if is_there {
                self.error(&place.at(key), "has no place besides unix");
            }
        }
        if unix.path.as_os_str().len() > LONGEST_PATH {
            let text = format!("is too long; must have at most {LONGEST_PATH} octets");
            self.error(&place.at("unix").at("path"), text);
        }
    }

    fn tls(&mut self, tls: &Tls, place: &Place<'_, '_>) {
        let files = tls.settings(self.folder);
        for (index, files) in files.certificates.iter().enumerate() {
            let place = index.checked_sub(1).map_or(place.clone(), |index| place.at("more").item(index));
            if let Err(unusable) = Certificate::read(files) {
                let text = format!("cannot use {unusable}; must be the name of a PEM file");
                self.error(&place.at(unusable.key), text);
            }
        }
        if let Some(Err(problem)) = files.client_ca.as_deref().map(read_authorities) {
            let text = format!("cannot use {problem}; must be the name of a PEM file");
            self.error(&place.at("client_ca"), text);
        }
    }

    fn realms(&mut self, place: &Place<'_, '_>) -> Tickets {
        let config = self.config;
        self.unique(config.realms.iter().enumerate().map(|(index, realm)| {
            (realm.name.as_str(), format!("{:?}", realm.name), place.item(index).at("name"))
        }));
        let realms = config.realms.iter().enumerate();
        realms.map(|(index, realm)| self.realm(realm, &place.item(index))).collect()
    }

    fn realm(&mut self, realm: &Realm, place: &Place<'_, '_>) -> Vec<Ticket> {
        if !Uri::from(realm.name.as_str()).is_valid(Match::Exact, UriRule::Loose) {
            let text =
                format!("is {:?}; must be a URI without empty components, white space and #", realm.name);
            self.error(&place.at("name"), text);
        }
        // Before the roles: what is found in them does not make one missing.
        let roles = place.at("roles");
        if let Some(anonymous) = &realm.anonymous {
            self.reference(anonymous, realm, &place.at("anonymous"), &roles);
            self.anonymous(anonymous, realm, &place.at("anonymous"));
        }
        let tickets = self.principals(realm, place);
        self.unique(realm.roles.iter().enumerate().map(|(index, role)| {
            (role.name.as_str(), format!("{:?}", role.name), roles.item(index).at("name"))
        }));
        for (index, role) in realm.roles.iter().enumerate() {
            self.role(role, realm, &roles.item(index));
        }
        self.histories(realm, &place.at("history"));
        // Where something has been taken out, it could be what is missed here.
        if self.problems.is_sound(place.key()) {
            self.nobody(realm, place);
        }
        tickets
    }

    fn histories(&mut self, realm: &Realm, place: &Place<'_, '_>) {
        let sound = realm.history.iter().enumerate().map(|(index, history)| (history, place.item(index)));
        let sound = sound.filter(|(_, place)| self.is_sound(place, &["match"])).collect::<Vec<_>>();
        self.unique(sound.iter().map(|(history, place)| {
            let History { topic, matching, .. } = history;
            ((topic.as_str(), *matching), format!("{topic:?} with the same match"), place.at("topic"))
        }));
        for (history, place) in sound {
            let (topic, rule) = (Uri::from(history.topic.as_str()), UriRule::from(realm.uris));
            if !topic.is_valid(history.matching.into(), rule) {
                let text = format!("is {:?}; {}", history.topic, valid_uri(history.matching.into(), rule));
                self.error(&place.at("topic"), text);
            } else if topic.is_reserved() {
                let text = format!(
                    "is {:?}; must not be below \"wamp.\": events of the router are not kept",
                    history.topic
                );
                self.error(&place.at("topic"), text);
            }
            if history.bytes.0 < LEAST_SIZE.0 {
                let text = format!("is {}; must be at least {LEAST_SIZE}", history.bytes);
                self.error(&place.at("bytes"), text);
            }
        }
    }

    /// Looks for what nobody can use.
    fn nobody(&mut self, realm: &Realm, place: &Place<'_, '_>) {
        if realm.anonymous.is_none() && realm.principals.is_empty() {
            self.warning(place, "nobody can join; name a role at anonymous, or principals");
        }
        for (index, role) in realm.roles.iter().enumerate() {
            let is_had = realm.anonymous.as_ref() == Some(&role.name)
                || realm.principals.iter().any(|principal| principal.role == role.name);
            if !is_had {
                let place = place.at("roles").item(index);
                self.warning(&place, format!("nobody can have the role {:?}", role.name));
            }
        }
    }

    fn principals(&mut self, realm: &Realm, place: &Place<'_, '_>) -> Vec<Ticket> {
        let (principals, roles) = (place.at("principals"), place.at("roles"));
        self.unique(realm.principals.iter().enumerate().map(|(index, principal)| {
            (
                principal.authid.as_str(),
                format!("{:?}", principal.authid),
                principals.item(index).at("authid"),
            )
        }));
        let mut tickets = Vec::new();
        for (index, principal) in realm.principals.iter().enumerate() {
            let place = principals.item(index);
            if principal.authid.is_empty() {
                self.error(&place.at("authid"), "is empty; must name somebody");
            }
            self.reference(&principal.role, realm, &place.at("role"), &roles);
            match principal.find_ticket(self.folder) {
                Ok(ticket) => {
                    tickets.push(ticket);
                    if principal.ticket.is_some() {
                        let text = format!("can be read in the file; use {}", one_of(&SOURCES[1..]));
                        self.warning(&place.at("ticket"), text);
                    }
                }
                Err(NoTicket { key: Some(key), text }) => self.error(&place.at(key), text),
                Err(NoTicket { key: None, text }) if self.problems.is_sound(place.key()) => {
                    self.error(&place, text);
                }
                // The key that could be the ticket has an error of its own.
                Err(NoTicket { key: None, .. }) => {}
            }
        }
        tickets
    }

    /// Checks that a role exists, unless one may be missing because of its own errors.
    fn reference(&mut self, name: &str, realm: &Realm, place: &Place<'_, '_>, roles: &Place<'_, '_>) {
        let names = realm.roles.iter().map(|role| role.name.as_str());
        let known = names.filter(|name| !name.is_empty()).collect::<Vec<_>>();
        if known.contains(&name) || !self.problems.has_sound_tables(roles.key()) {
            return;
        }
        let allowed = match nearest(name, &known) {
            Some(nearest) => format!("did you mean {nearest:?}?"),
            None if known.is_empty() => "the realm has no roles".into(),
            None => format!("known here: {}", known.join(", ")),
        };
        self.error(place, format!("is {name:?}, which is no role of the realm; {allowed}"));
    }

    fn anonymous(&mut self, name: &str, realm: &Realm, place: &Place<'_, '_>) {
        let Some(role) = realm.roles.iter().find(|role| role.name == name) else { return };
        let permissions = role.permissions();
        let may = |procedure: &&str| permissions.decide(permission::Action::Call, procedure).is_allowed;
        let open = self.config.listeners.iter().find(|listener| !listener.address.0.ip().is_loopback());
        if let (Some(listener), Some(procedure)) = (open, ENDING.iter().find(|procedure| may(procedure))) {
            let text = format!(
                "whoever reaches {} may call {procedure} without saying who they are; give anonymous clients another role",
                listener.address
            );
            self.warning(place, text);
        }
    }

    fn role(&mut self, role: &Role, realm: &Realm, place: &Place<'_, '_>) {
        if role.name.is_empty() {
            self.error(&place.at("name"), "is empty; must be a name");
        }
        let permissions = place.at("permissions");
        let sound = role.permissions.iter().enumerate();
        let sound = sound.map(|(index, permission)| (permission, permissions.item(index)));
        let sound = sound.filter(|(_, place)| self.is_sound(place, &["match"])).collect::<Vec<_>>();
        self.unique(sound.iter().map(|(permission, place)| {
            let Permission { uri, matching, .. } = permission;
            ((uri.as_str(), *matching), format!("{uri:?} with the same match"), place.at("uri"))
        }));
        for (permission, place) in sound {
            self.permission(permission, realm, &place);
        }
    }

    fn permission(&mut self, permission: &Permission, realm: &Realm, place: &Place<'_, '_>) {
        let (uri, rule) = (Uri::from(permission.uri.as_str()), UriRule::from(realm.uris));
        if !uri.is_valid(permission.matching.into(), rule) {
            let text = format!("is {:?}; {}", permission.uri, valid_uri(permission.matching.into(), rule));
            self.error(&place.at("uri"), text);
        }
        // Who allows everything does not mean these in particular.
        let allow = &permission.allow;
        let is_everything = permission::Action::ALL.iter().all(|action| allow.contains(&(*action).into()));
        let without_effect = |action: &Action| matches!(action, Action::Publish | Action::Register);
        if let Some(index) = allow.iter().position(without_effect)
            && uri.is_reserved()
            && !is_everything
        {
            let text = "has no effect below \"wamp.\": only the router publishes and registers there";
            self.warning(&place.at("allow").item(index), text);
        }
    }
}

/// What a URI must be, in words.
fn valid_uri(matching: Match, rule: UriRule) -> String {
    let empty = match matching {
        Match::Exact => "must be a URI without empty components, and have",
        Match::Prefix => "must be the beginning of a URI, with no empty component but the last, and have",
        Match::Wildcard => "must have",
    };
    let characters = match rule {
        UriRule::Loose => "no white space and no #",
        UriRule::Strict => "only a to z, 0 to 9 and _ in components, as uris is \"strict\"",
    };
    format!("{empty} {characters}")
}
