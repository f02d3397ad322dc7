//! From a configuration to the settings of a service, and from the defaults of the service to those of the format.

use super::{
    Loaded,
    format::{
        Admin, Authenticators, Ban, Certificate, Config, Disclose, History, Limits, Listener, Lockout, Log,
        Permission, Rate, Realm, RealmLimits, Role, SessionLimits, Shutdown, Tls, UnixSocket,
    },
    validate::{Admitted, Known},
    value::{Address, Network, Octets, Origin, Time},
    word::{ChannelBinding, ClientCertificates, ListenerKind, Match, RequestIds, SessionDetails, UriRule},
};
use crate::{CertificateFiles, NodeLimits, RealmSettings, Settings, ShutdownTimes, TlsFiles};
use realmkeeper_actors::{
    ban::{self, Banned},
    message::uri::Uri,
    permission::{self, Disclosure, Permissions},
    realm::{self, HistoryOptions, RealmOptions},
    session::{
        self, SessionSettings,
        access::{
            Door, Principal,
            jwt::{Grant, Rules},
        },
        lockout::LockoutOptions,
    },
};
use std::{path::Path, sync::Arc, time::Duration};

impl Config {
    /// The settings that it stands for, with those who are admitted to its realms. `folder` is where the file lies.
    pub(super) fn settings(&self, folder: &Path, admitted: Vec<Admitted>) -> Settings {
        let realms = self.realms.iter().zip(admitted);
        Settings {
            listeners: self.listeners.iter().map(|listener| listener.settings(folder)).collect(),
            admin: self.admin.address.map(|address| address.0),
            realms: realms.map(|(realm, admitted)| realm.settings(admitted)).collect(),
            limits: self.limits.settings(),
            lockout: self.lockout.settings(),
            shutdown: self.shutdown.settings(),
        }
    }
}

impl Loaded {
    /// What a service takes over that runs by another configuration, and what it is as a configuration: all of this
    /// but what [`Config::take_over`] says.
    pub fn taken_over_by(self, running: &Config) -> (Config, Settings) {
        let config = running.take_over(&self.config);
        let listeners = config.listeners.iter().map(|listener| listener.settings(&self.folder)).collect();
        (config, Settings { listeners, ..self.settings })
    }
}

impl Shutdown {
    fn settings(&self) -> ShutdownTimes {
        let time = |time: Option<Time>| time.map_or(Duration::ZERO, |time| time.0);
        ShutdownTimes { wait: time(self.wait), calls: time(self.calls), spread: time(self.spread) }
    }
}

impl Lockout {
    fn settings(&self) -> LockoutOptions {
        LockoutOptions { failures: self.failures, delay: self.delay.0, most: self.most.0 }
    }
}

impl Default for Lockout {
    fn default() -> Self {
        let LockoutOptions { failures, delay, most } = LockoutOptions::default();
        Self { failures, delay: Time(delay), most: Time(most) }
    }
}

impl Limits {
    fn settings(&self) -> NodeLimits {
        NodeLimits {
            sessions: self.sessions,
            sessions_per_address: self.sessions_per_address,
            connection_rate: self.connection_rate.map(Into::into),
        }
    }
}

impl Tls {
    /// The files, with their places seen from `folder`.
    pub(super) fn settings(&self, folder: &Path) -> TlsFiles {
        let Self { certificate, key, client_ca, client_certificates, more } = self;
        let first = Certificate { certificate: certificate.clone(), key: key.clone() };
        let certificates = [&first].into_iter().chain(more).map(|Certificate { certificate, key }| {
            CertificateFiles { certificate: folder.join(certificate), key: folder.join(key) }
        });
        TlsFiles {
            certificates: certificates.collect(),
            client_ca: client_ca.as_ref().map(|file| folder.join(file)),
            allows_no_client_certificate: *client_certificates == ClientCertificates::Optional,
        }
    }
}

impl Listener {
    fn settings(&self, folder: &Path) -> crate::Listener {
        crate::Listener {
            kind: self.kind.into(),
            address: self.address.0,
            unix: self.unix.as_ref().map(|unix| unix.settings(folder)),
            proxy_protocol: self.proxy_protocol,
            trusted_proxies: self.trusted_proxies.iter().map(|network| network.0).collect(),
            tls: self.tls.as_ref().map(|tls| tls.settings(folder)),
            path: self.path.clone(),
            allowed_origins: self.allowed_origins.iter().map(|origin| origin.0.clone()).collect(),
            serializers: self.serializers.iter().copied().map(Into::into).collect(),
            session: self.limits.settings(self.pings.unwrap_or(self.kind == ListenerKind::WebSocket)),
        }
    }
}

impl UnixSocket {
    fn settings(&self, folder: &Path) -> crate::UnixSocket {
        let Self { path, mode, user, group } = self;
        crate::UnixSocket {
            path: folder.join(path),
            mode: mode.0,
            user: user.as_ref().map(|user| user.id),
            group: group.as_ref().map(|group| group.id),
        }
    }
}

impl SessionLimits {
    fn settings(&self, pings: bool) -> SessionSettings {
        SessionSettings {
            handshake_timeout: self.handshake_timeout.0,
            authentication_timeout: self.authentication_timeout.0,
            linger: self.linger.0,
            pings,
            ping_interval: self.ping_interval.0,
            ping_timeout: self.ping_timeout.0,
            write_stall: self.write_stall.0,
            message_limit: self.message_size.0,
            depth_limit: self.nesting_depth,
            outbox_limit: self.outbox.0,
            credit: self.credit.0,
            message_rate: self.message_rate.map(Into::into),
        }
    }
}

impl Realm {
    fn settings(&self, admitted: Admitted) -> RealmSettings {
        let roles = self.roles.iter().map(|role| {
            Arc::new(permission::Role {
                takes_over: role.force_reregister,
                session_details: role.session_details.into(),
                sessions_per_authid: role.sessions_per_authid.map(|limit| permission::SessionsPerAuthid {
                    most: limit.most,
                    beyond: limit.beyond.into(),
                }),
                authorizer: role.authorizer.as_deref().map(Into::into),
                is_trusted: role.trusted,
                ..permission::Role::new(&role.name, role.permissions())
            })
        });
        let roles = roles.collect::<Vec<_>>();
        let role = |name: &str| roles.iter().find(|role| &*role.name == name).cloned();
        let principals = admitted.principals.into_iter().filter_map(|known| {
            let Known { authid, role: name, credentials } = known;
            Some(Principal { authid: authid.into(), role: role(&name)?, credentials })
        });
        let jwt = self.jwt.as_ref().and_then(|rules| {
            let granted = match (&rules.role, &rules.role_claim) {
                (Some(name), _) => Grant::Fixed(role(name)?),
                (None, name) => Grant::Claim { name: name.as_deref()?.into(), roles: roles.clone() },
            };
            Some(Rules {
                keys: admitted.keys,
                issuer: rules.issuer.as_deref().map(Into::into),
                audience: rules.audience.as_deref().map(Into::into),
                authid: rules.authid_claim.as_str().into(),
                role: granted,
            })
        });
        let authenticators = self.authenticators.each();
        let authenticators: Vec<_> =
            authenticators.map(|(method, procedure)| (method, procedure.into())).collect();
        RealmSettings {
            name: self.name.as_str().into(),
            options: RealmOptions {
                uris: self.uris.into(),
                request_ids: self.request_ids.into(),
                session_meta_api: self.session_meta_api,
                components: self.components(),
                bans: self.bans.iter().filter_map(Ban::settings).collect(),
                histories: self.history.iter().map(History::settings).collect(),
                limits: self.limits.settings(),
            },
            door: Door {
                anonymous: self.anonymous.as_deref().and_then(role),
                principals: principals.collect(),
                // Nobody else gives roles.
                roles: if authenticators.is_empty() { Vec::new() } else { roles.clone() },
                authenticators,
                channel_binding: self.channel_binding.into(),
                jwt,
            },
        }
    }
}

impl Realm {
    /// The procedures that the router asks.
    fn components(&self) -> Vec<Uri> {
        let authorizers = self.roles.iter().filter_map(|role| role.authorizer.as_deref());
        let authenticators = self.authenticators.each().map(|(_, procedure)| procedure);
        let mut components: Vec<_> = authorizers.chain(authenticators).collect();
        components.sort_unstable();
        components.dedup();
        components.into_iter().map(Uri::from).collect()
    }
}

impl RealmLimits {
    fn settings(&self) -> realm::RealmLimits {
        realm::RealmLimits {
            sessions: self.sessions,
            sessions_per_authid: self.sessions_per_authid,
            subscriptions: self.subscriptions,
            registrations: self.registrations,
            calls: self.calls,
            component_timeout: self.component_timeout.0,
            bans: self.bans,
            retained: self.retained_events,
            retained_octets: self.retained_bytes.0,
            uri_length: self.uri_length,
        }
    }
}

impl Ban {
    /// `None` if it says not whom it means.
    fn settings(&self) -> Option<ban::Ban> {
        let authid = self.authid.as_deref().map(|authid| Banned::Authid(authid.into()));
        let whom = authid.or(self.network.map(|network| Banned::Network(network.0)))?;
        Some(ban::Ban { whom, until: self.until.map(|until| until.0) })
    }
}

impl History {
    fn settings(&self) -> HistoryOptions {
        HistoryOptions {
            topic: self.topic.as_str().into(),
            matching: self.matching.into(),
            events: self.events,
            octets: self.bytes.0,
            age: self.age.map(|age| age.0),
        }
    }
}

impl Role {
    /// Its permissions, indexed in the order of the file.
    pub(super) fn permissions(&self) -> Permissions {
        Permissions::new(self.permissions.iter().map(Permission::settings).collect())
    }
}

impl Permission {
    fn settings(&self) -> permission::Permission {
        let disclosure = |disclose: Option<bool>| match disclose {
            None => Disclosure::AsAsked,
            Some(true) => Disclosure::Always,
            Some(false) => Disclosure::Never,
        };
        permission::Permission {
            uri: self.uri.as_str().into(),
            matching: self.matching.into(),
            allow: self.allow.iter().copied().map(permission::Action::from).collect(),
            discloses_caller: disclosure(self.disclose.caller),
            discloses_publisher: disclosure(self.disclose.publisher),
            trustlevel: self.trustlevel.map(Into::into),
        }
    }
}

impl From<Rate> for session::Rate {
    fn from(rate: Rate) -> Self {
        let Rate { per_second, burst } = rate;
        Self { per_second, burst }
    }
}

impl Default for Config {
    /// What `Settings::default` stands for.
    fn default() -> Self {
        let everything = |uri: &str| Permission {
            uri: uri.into(),
            matching: Match::Prefix,
            allow: permission::Action::ALL.map(Into::into).into(),
            disclose: Disclose::default(),
            trustlevel: None,
        };
        let role = Role {
            name: "anonymous".into(),
            force_reregister: false,
            session_details: SessionDetails::Full,
            sessions_per_authid: None,
            authorizer: None,
            trusted: false,
            permissions: vec![everything(""), everything("wamp.")],
        };
        let realm = Realm {
            name: "realm1".into(),
            uris: UriRule::default(),
            request_ids: RequestIds::default(),
            session_meta_api: true,
            anonymous: Some(role.name.clone()),
            limits: RealmLimits::default(),
            authenticators: Authenticators::default(),
            channel_binding: ChannelBinding::default(),
            bans: Vec::new(),
            history: Vec::new(),
            roles: vec![role],
            principals: Vec::new(),
            users: None,
            jwt: None,
        };
        Self {
            log: Log::default(),
            admin: Admin::default(),
            limits: Limits::default(),
            lockout: Lockout::default(),
            shutdown: Shutdown::default(),
            listeners: vec![Listener::default()],
            realms: vec![realm],
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        let crate::Listener {
            kind,
            address,
            unix: _,
            proxy_protocol,
            trusted_proxies,
            tls: _,
            path,
            allowed_origins,
            serializers,
            session,
        } = crate::Listener::default();
        Self {
            kind: kind.into(),
            address: Address(address),
            unix: None,
            proxy_protocol,
            trusted_proxies: trusted_proxies.into_iter().map(Network).collect(),
            tls: None,
            path,
            allowed_origins: allowed_origins.into_iter().map(Origin).collect(),
            serializers: serializers.into_iter().map(Into::into).collect(),
            pings: None,
            limits: session.into(),
        }
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionSettings::default().into()
    }
}

impl From<SessionSettings> for SessionLimits {
    fn from(settings: SessionSettings) -> Self {
        Self {
            handshake_timeout: Time(settings.handshake_timeout),
            authentication_timeout: Time(settings.authentication_timeout),
            linger: Time(settings.linger),
            ping_interval: Time(settings.ping_interval),
            ping_timeout: Time(settings.ping_timeout),
            write_stall: Time(settings.write_stall),
            message_size: Octets(settings.message_limit),
            outbox: Octets(settings.outbox_limit),
            credit: Octets(settings.credit),
            nesting_depth: settings.depth_limit,
            message_rate: settings.message_rate.map(Into::into),
        }
    }
}

impl Default for RealmLimits {
    fn default() -> Self {
        let limits = realm::RealmLimits::default();
        Self {
            sessions: limits.sessions,
            sessions_per_authid: limits.sessions_per_authid,
            subscriptions: limits.subscriptions,
            registrations: limits.registrations,
            calls: limits.calls,
            component_timeout: Time(limits.component_timeout),
            bans: limits.bans,
            retained_events: limits.retained,
            retained_bytes: Octets(limits.retained_octets),
            uri_length: limits.uri_length,
        }
    }
}
