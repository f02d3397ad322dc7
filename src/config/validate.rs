//! What has to hold between the values of a configuration, and what may not be meant as it stands.

use super::{
    credentials::{SECRETS, TICKETS, Wrong, from_environment, from_file},
    format::{
        Config, History, Jwt, Listener, Lockout, Permission, Principal, Realm, Role, Tls, UnixSocket, Users,
    },
    problem::Problems,
    schema::one_of,
    structure::{self, nearest},
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
    session::access::{CertificateName, Credentials, cryptosign::PublicKey, jwt},
    transport::rawsocket::Length,
};
use std::{collections::HashMap, fs, hash::Hash, path::Path};

/// The paths that the router itself answers.
const TAKEN_PATHS: [&str; 4] = ["/metrics", "/healthz", "/readyz", "/livez"];

/// The procedures by which a session ends others, or what they hold.
const ENDING: [&str; 6] = [
    "wamp.session.kill",
    "wamp.session.kill_by_authid",
    "wamp.session.kill_by_authrole",
    "wamp.session.kill_all",
    "wamp.subscription.remove_subscriber",
    "wamp.registration.remove_callee",
];

/// The least size of what holds whole messages.
const LEAST_SIZE: Octets = Octets(1024);

/// How many octets the path of a Unix domain socket can have.
const LONGEST_PATH: usize = 107;

/// Those who are admitted to a realm beside anonymous clients.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    /// The principals of the configuration and of the users file.
    pub(super) principals: Vec<Known>,
    /// The keys that check tokens.
    pub(super) keys: Vec<jwt::Key>,
}

/// A principal with what was read for it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) authid: String,
    /// The name of its role.
    pub(crate) role: String,
    pub(crate) credentials: Credentials,
}

/// Checks a configuration at its place in the file; gives who is admitted, by realm, all of them if there is no error.
/// `folder` is where the file lies.
pub(super) fn validate(
    config: &Config,
    folder: &Path,
    root: &Place<'_, '_>,
    problems: &mut Problems<'_>,
) -> Vec<Admitted> {
    let mut validation = Validation { config, folder, problems };
    validation.listeners(&root.at("listeners"));
    validation.lockout(&root.at("lockout"));
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

/// Checks the text of a users file, beside other principals of which it is known where they stand, and against these
/// roles if there are any to check against. Gives those in it.
pub(super) fn validate_users(
    text: &str,
    file: &Path,
    first: &mut HashMap<Identity, String>,
    roles: Option<&[&str]>,
    problems: &mut Problems<'_>,
) -> Vec<Known> {
    let Some(mut tree) = super::parse(text, problems) else { return Vec::new() };
    let Some(Users { principals }) = structure::read(&mut tree, problems) else { return Vec::new() };
    let list = tree.place().at("principals");
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut validation = Validation { config: &Config::default(), folder, problems };
    let known = validation.principals(&principals, &list, first);
    for (index, principal) in principals.iter().enumerate() {
        validation.one_of_roles(&principal.role, roles, &list.item(index).at("role"));
    }
    known
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
        self.unique_beside(&mut HashMap::new(), things);
    }

    /// The same, beside things of which it is known where they stand. The others are added.
    fn unique_beside<'t, 'i: 't, T: Eq + Hash>(
        &mut self,
        first: &mut HashMap<T, String>,
        things: impl IntoIterator<Item = (T, String, Place<'t, 'i>)>,
    ) {
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
        if listener.kind == ListenerKind::WebSocket
            && listener.allowed_origins.contains(&Origin(AllowedOrigin::Any))
            && !listener.address.0.ip().is_loopback()
        {
            let text = "pages of every origin can connect from every browser that reaches this listener; name the \
                        origins of your pages";
            self.warning(&place.at("allowed_origins"), text);
        }
    }

    fn lockout(&mut self, place: &Place<'_, '_>) {
        let Lockout { delay, most, .. } = &self.config.lockout;
        if most.0 < delay.0 && self.is_sound(place, &["delay", "most"]) {
            let text = format!("is {most}; must be at least delay, which is {delay}");
            self.error(&place.at("most"), text);
        }
    }

    fn rawsocket(&mut self, listener: &Listener, place: &Place<'_, '_>) {
        let usual = Listener::default();
        for (key, is_other) in [
            ("path", listener.path != usual.path),
            ("allowed_origins", listener.allowed_origins != usual.allowed_origins),
        ] {
            if is_other {
                self.warning(&place.at(key), "has no effect, as kind is \"rawsocket\"");
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
        if listener.kind != ListenerKind::RawSocket && self.is_sound(place, &["kind"]) {
            self.error(&place.at("unix"), "is for kind = \"rawsocket\" only");
        }
        for (key, is_there) in [
            ("address", listener.address != Listener::default().address),
            ("tls", listener.tls.is_some()),
            ("proxy_protocol", listener.proxy_protocol),
        ] {
            if is_there {
                self.error(&place.at(key), "has no place besides unix");
            }
        }
        if self.folder.join(&unix.path).as_os_str().len() > LONGEST_PATH {
            let text =
                format!("is too long; must have at most {LONGEST_PATH} octets with the folder of this file");
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
        let is_optional = files.allows_no_client_certificate;
        if is_optional && tls.client_ca.is_none() && self.is_sound(place, &["client_ca"]) {
            let text = "is \"optional\", but none would be taken; name their authorities in client_ca";
            self.error(&place.at("client_certificates"), text);
        }
        let authorities = files.client_ca.as_deref().map(|file| read_authorities(file, is_optional));
        if let Some(Err(problem)) = authorities {
            let text = format!("cannot use {problem}; must be the name of a PEM file");
            self.error(&place.at("client_ca"), text);
        }
    }

    fn realms(&mut self, place: &Place<'_, '_>) -> Vec<Admitted> {
        let config = self.config;
        self.unique(config.realms.iter().enumerate().map(|(index, realm)| {
            (realm.name.as_str(), format!("{:?}", realm.name), place.item(index).at("name"))
        }));
        let realms = config.realms.iter().enumerate();
        realms.map(|(index, realm)| self.realm(realm, &place.item(index))).collect()
    }

    fn realm(&mut self, realm: &Realm, place: &Place<'_, '_>) -> Admitted {
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
        let authenticators = place.at("authenticators");
        for (method, procedure) in realm.authenticators.each() {
            self.component(procedure, realm, &authenticators.at(method.name()));
        }
        if realm.anonymous.is_some() && realm.authenticators.anonymous.is_some() {
            let text = "is asked who joins without saying who it is, for whom there is anonymous; must be one of them";
            self.error(&authenticators.at("anonymous"), text);
        }
        let principals = place.at("principals");
        let mut first = HashMap::new();
        let mut known = self.principals(&realm.principals, &principals, &mut first);
        for (index, principal) in realm.principals.iter().enumerate() {
            self.reference(&principal.role, realm, &principals.item(index).at("role"), &roles);
        }
        if let Some(users) = &realm.users {
            known.extend(self.users(users, realm, place, first));
        }
        let keys = realm.jwt.as_ref().map(|jwt| self.jwt(jwt, realm, &place.at("jwt"), &roles));
        self.unique(realm.roles.iter().enumerate().map(|(index, role)| {
            (role.name.as_str(), format!("{:?}", role.name), roles.item(index).at("name"))
        }));
        for (index, role) in realm.roles.iter().enumerate() {
            self.role(role, realm, &roles.item(index));
        }
        self.bans(realm, &place.at("bans"));
        self.histories(realm, &place.at("history"));
        // Where something has been taken out, it could be what is missed here.
        if self.problems.is_sound(place.key()) {
            self.nobody(realm, &known, place);
        }
        Admitted { principals: known, keys: keys.unwrap_or_default() }
    }

    fn bans(&mut self, realm: &Realm, place: &Place<'_, '_>) {
        for (index, ban) in realm.bans.iter().enumerate() {
            let place = place.item(index);
            if !self.is_sound(&place, &["authid", "network"]) {
                continue;
            }
            match (&ban.authid, &ban.network) {
                (Some(_), Some(_)) => self.error(&place, "has authid and network; must have one of them"),
                (None, None) => self.error(&place, "has neither authid nor network; must have one of them"),
                (Some(authid), None) if authid.is_empty() => {
                    self.error(&place.at("authid"), "is empty; must name somebody");
                }
                (Some(_), None) | (None, Some(_)) => {}
            }
        }
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
    fn nobody(&mut self, realm: &Realm, known: &[Known], place: &Place<'_, '_>) {
        let Realm { anonymous, users, jwt, authenticators, .. } = realm;
        // Components can let everybody in, and name every role.
        if authenticators.each().next().is_some() {
            return;
        }
        if anonymous.is_none() && known.is_empty() && users.is_none() && jwt.is_none() {
            self.warning(place, "nobody can join; name a role at anonymous, or principals");
        }
        let by_token = jwt.as_ref().map(|jwt| jwt.role.as_ref());
        for (index, role) in realm.roles.iter().enumerate() {
            let is_had = anonymous.as_ref() == Some(&role.name)
                || known.iter().any(|known| known.role == role.name)
                // A claim can name every role.
                || by_token.is_some_and(|name| name.is_none_or(|name| *name == role.name));
            if !is_had {
                let place = place.at("roles").item(index);
                self.warning(&place, format!("nobody can have the role {:?}", role.name));
            }
        }
    }

    /// Checks principals, beside others of the realm of which it is known where they stand; gives their credentials.
    fn principals(
        &mut self,
        principals: &[Principal],
        list: &Place<'_, '_>,
        first: &mut HashMap<Identity, String>,
    ) -> Vec<Known> {
        let mut known = Vec::new();
        for (index, principal) in principals.iter().enumerate() {
            let place = list.item(index);
            if principal.authid.is_empty() {
                self.error(&place.at("authid"), "is empty; must name somebody");
            }
            let (credentials, wrong) = principal.credentials(self.folder);
            for Wrong { key, index, text } in wrong {
                let at = if key.is_empty() { place.clone() } else { place.at(key) };
                // Else a key that could be meant has an error of its own.
                if !key.is_empty() || self.problems.is_sound(place.key()) {
                    self.error(&index.map_or(at.clone(), |index| at.item(index)), text);
                }
            }
            for (key, secret, keys) in
                [("ticket", &principal.ticket, TICKETS), ("secret", &principal.secret, SECRETS)]
            {
                if secret.is_some() && self.problems.is_sound(place.key()) {
                    let text = format!("can be read in the file; use {}", one_of(&keys[1..]));
                    self.warning(&place.at(key), text);
                }
            }
            self.unique_beside(first, identities(principal, &credentials, &place));
            let Principal { authid, role, .. } = principal.clone();
            known.push(Known { authid, role, credentials });
        }
        known
    }

    /// Checks the users file of a realm; gives those in it.
    fn users(
        &mut self,
        file: &Path,
        realm: &Realm,
        place: &Place<'_, '_>,
        mut first: HashMap<Identity, String>,
    ) -> Vec<Known> {
        let path = self.folder.join(file);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let text =
                    format!("cannot read {}: {error}; must be the name of a users file", path.display());
                self.error(&place.at("users"), text);
                return Vec::new();
            }
        };
        let mut problems = Problems::new(path.display().to_string(), &text);
        let main = self.problems.file().to_owned();
        first.values_mut().for_each(|key| *key = format!("{key} of {main}"));
        let roles = self.known_roles(realm, &place.at("roles"));
        let known = validate_users(&text, &path, &mut first, roles.as_deref(), &mut problems);
        self.problems.include(problems);
        known
    }

    /// Checks by which tokens a realm is joined; gives the keys.
    fn jwt(
        &mut self,
        jwt: &Jwt,
        realm: &Realm,
        place: &Place<'_, '_>,
        roles: &Place<'_, '_>,
    ) -> Vec<jwt::Key> {
        let mut keys = Vec::new();
        for (index, file) in jwt.keys.iter().enumerate() {
            let file = self.folder.join(file);
            let read = fs::read_to_string(&file).map_err(|error| error.to_string());
            match read.and_then(|text| jwt::Key::read(&text).map_err(|error| error.to_string())) {
                Ok(found) => keys.extend(found),
                Err(problem) => {
                    let text = format!(
                        "cannot use {}: {problem}; must be the name of a file with public keys",
                        file.display()
                    );
                    self.error(&place.at("keys").item(index), text);
                }
            }
        }
        let secrets = [
            ("secret_env", jwt.secret_env.as_ref().map(|name| from_environment(name, "secret"))),
            (
                "secret_file",
                jwt.secret_file.as_ref().map(|file| from_file(&self.folder.join(file), "secret")),
            ),
        ];
        for (key, secret) in secrets {
            let Some(secret) = secret else { continue };
            let found = secret.and_then(|secret| {
                let short = "holds a secret that is too short; must be one of at least 32 octets";
                jwt::Key::secret(secret.as_bytes()).map_err(|_| short.to_owned())
            });
            match found {
                Ok(found) => keys.push(found),
                Err(text) => self.error(&place.at(key), text),
            }
        }
        if jwt.authid_claim.is_empty() {
            self.error(&place.at("authid_claim"), "is empty; must be the name of a claim");
        }
        if let Some(role) = &jwt.role {
            self.reference(role, realm, &place.at("role"), roles);
        }
        if self.problems.is_sound(place.key()) {
            if keys.is_empty() {
                self.error(place, "has no key; must have one of keys, secret_env or secret_file");
            }
            if jwt.role.is_some() == jwt.role_claim.is_some() {
                self.error(place, "must have exactly one of role or role_claim");
            }
        }
        keys
    }

    /// Checks that a role exists, unless one may be missing because of its own errors.
    fn reference(&mut self, name: &str, realm: &Realm, place: &Place<'_, '_>, roles: &Place<'_, '_>) {
        let known = self.known_roles(realm, roles);
        self.one_of_roles(name, known.as_deref(), place);
    }

    /// The names of the roles of a realm; `None` if one may be missing because of its own errors.
    fn known_roles<'r>(&self, realm: &'r Realm, roles: &Place<'_, '_>) -> Option<Vec<&'r str>> {
        let names = realm.roles.iter().map(|role| role.name.as_str());
        self.problems.has_sound_tables(roles.key()).then(|| names.filter(|name| !name.is_empty()).collect())
    }

    fn one_of_roles(&mut self, name: &str, known: Option<&[&str]>, place: &Place<'_, '_>) {
        let Some(known) = known.filter(|known| !known.contains(&name)) else { return };
        let allowed = match nearest(name, known) {
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
        if let Some(authorizer) = &role.authorizer {
            self.component(authorizer, realm, &place.at("authorizer"));
            if !role.permissions.is_empty() {
                let text = "is asked what this role may do, which has permissions; must have one of the two";
                self.error(&place.at("authorizer"), text);
            }
            if role.trusted {
                let text = "is true, but this role has an authorizer; who is asked is not asked about itself";
                self.error(&place.at("trusted"), text);
            }
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

    /// Checks a procedure that the router asks.
    fn component(&mut self, procedure: &str, realm: &Realm, place: &Place<'_, '_>) {
        let (uri, rule) = (Uri::from(procedure), UriRule::from(realm.uris));
        if !uri.is_valid(Match::Exact, rule) {
            self.error(place, format!("is {procedure:?}; {}", valid_uri(Match::Exact, rule)));
            return;
        }
        if uri.is_reserved() {
            self.error(
                place,
                format!("is {procedure:?}; must not be below \"wamp.\", where nobody registers"),
            );
            return;
        }
        let may = |role: &Role| {
            role.trusted && role.permissions().decide(permission::Action::Register, procedure).is_allowed
        };
        if !realm.roles.iter().any(may) {
            let text =
                format!("no role with trusted = true may register {procedure}, so that nobody is asked");
            self.warning(place, text);
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

/// What only one principal of a realm can have.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Authid(String),
    PublicKey(PublicKey),
    Certificate(CertificateName),
}

/// What nobody else can have than this principal, and where it stands. What is no key or name is left out.
fn identities<'t, 'i>(
    principal: &Principal,
    credentials: &Credentials,
    place: &Place<'t, 'i>,
) -> Vec<(Identity, String, Place<'t, 'i>)> {
    let Principal { authid, public_keys, certificates, .. } = principal;
    let mut found = vec![(Identity::Authid(authid.clone()), format!("{authid:?}"), place.at("authid"))];
    let is_whole = |texts: &[String], found: usize| texts.len() == found;
    if is_whole(public_keys, credentials.public_keys.len()) {
        let keys = credentials.public_keys.iter().enumerate();
        found.extend(keys.map(|(index, key)| {
            (Identity::PublicKey(*key), format!("\"{key}\""), place.at("public_keys").item(index))
        }));
    }
    if is_whole(certificates, credentials.certificates.len()) {
        let names = credentials.certificates.iter().enumerate();
        found.extend(names.map(|(index, name)| {
            let place = place.at("certificates").item(index);
            (Identity::Certificate(name.clone()), format!("\"{name}\""), place)
        }));
    }
    found
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
