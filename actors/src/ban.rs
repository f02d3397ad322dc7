//! Who may not join a realm, for a time or for good.

use crate::{collections::Map, shared::Shared, transport::sockets::Network};
use ipnet::IpNet;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The longest time for which the procedures that kill sessions ban them: a year.
pub const LONGEST_BAN: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A ban that the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who may not join.
    pub whom: Banned,
    /// When it ends; `None` if it does not.
    pub until: Option<SystemTime>,
}

/// Who may not join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banned {
    /// Whoever has this authid.
    Authid(Arc<str>),
    /// Whoever connects from this network.
    Network(IpNet),
}

/// The bans of a realm, shared by the realm, which makes them, and by the sessions that want to join it. They outlive
/// the realm's actor, not the program.
#[derive(Clone, Debug, Default)]
pub struct BanList(Shared<Bans>);

/// Who is banned, and until when.
#[derive(Debug, Default)]
struct Bans {
    /// What the configuration says: no end is for good.
    configured: Vec<Ban>,
    authids: Map<Arc<str>, SystemTime>,
    networks: Map<Network, SystemTime>,
    /// How many there can be besides the configured ones.
    most: usize,
}

/// Somebody who is to be banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Culprit {
    /// Who has a name of its own.
    Authid(Arc<str>),
    /// Who is anonymous, and has another name the next time.
    Network(Network),
}

impl BanList {
    /// Has these bans last, besides those that were made since the program began, of which there can be `most`.
    pub(crate) fn configure(&self, configured: Vec<Ban>, most: usize) {
        self.0.change(|bans| (bans.configured, bans.most) = (configured, most));
    }

    /// Bans somebody; gives whether there are so many bans that the one that ends first has ended at once.
    pub(crate) fn ban(&self, culprit: Culprit, until: SystemTime, now: SystemTime) -> bool {
        self.0.change(|bans| bans.ban(culprit, until, now))
    }

    /// Whether somebody may not join now who has this authid, as far as it is known, and this address, if it has one.
    pub(crate) fn holds(&self, authid: Option<&str>, address: Option<IpAddr>, now: SystemTime) -> bool {
        self.0.look(|bans| bans.holds(authid, address, now))
    }
}

impl Bans {
    fn ban(&mut self, culprit: Culprit, until: SystemTime, now: SystemTime) -> bool {
        // A later ban that is shorter takes nothing from an earlier one.
        let end = match culprit {
            Culprit::Authid(authid) => self.authids.entry(authid).or_insert(until),
            Culprit::Network(network) => self.networks.entry(network).or_insert(until),
        };
        *end = until.max(*end);
        if self.count() > self.most {
            self.authids.retain(|_, until| *until > now);
            self.networks.retain(|_, until| *until > now);
        }
        let is_full = self.count() > self.most;
        if is_full {
            self.drop_first();
        }
        is_full
    }

    fn count(&self) -> usize {
        self.authids.len() + self.networks.len()
    }

    /// Ends the ban that would end first.
    fn drop_first(&mut self) {
        let authid = self.authids.iter().min_by_key(|(_, until)| **until);
        let network = self.networks.iter().min_by_key(|(_, until)| **until);
        match (authid, network) {
            (Some((authid, end)), other) if other.is_none_or(|(_, other)| end <= other) => {
                let authid = authid.clone();
                self.authids.swap_remove(&authid);
            }
            (_, Some((network, _))) => {
                let network = *network;
                self.networks.swap_remove(&network);
            }
            (_, None) => {}
        }
    }

    fn holds(&self, authid: Option<&str>, address: Option<IpAddr>, now: SystemTime) -> bool {
        let address = address.map(|address| address.to_canonical());
        let lasts = |until: Option<&SystemTime>| until.is_some_and(|until| *until > now);
        let is_meant = |ban: &Ban| match &ban.whom {
            Banned::Authid(banned) => authid == Some(&**banned),
            Banned::Network(network) => address.is_some_and(|address| network.contains(&address)),
        };
        lasts(address.and_then(|address| self.networks.get(&Network::from(address))))
            || lasts(authid.and_then(|authid| self.authids.get(authid)))
            || self.configured.iter().any(|ban| ban.until.is_none_or(|until| until > now) && is_meant(ban))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn network(text: &str) -> Culprit {
        Culprit::Network(address(text).unwrap().into())
    }

    fn authid(text: &str) -> Culprit {
        Culprit::Authid(text.into())
    }

    fn list(most: usize) -> BanList {
        let list = BanList::default();
        list.configure(Vec::new(), most);
        list
    }

    #[test]
    fn a_ban_holds_until_it_ends() {
        let list = list(10);
        let one = address("192.0.2.1");
        list.ban(authid("joe"), at(10), at(0));
        for (name, second, expected) in
            [(Some("joe"), 9, true), (Some("joe"), 10, false), (Some("Joe"), 9, false), (None, 9, false)]
        {
            assert_eq!(list.holds(name, one, at(second)), expected, "{name:?} at {second}");
        }
        assert!(list.holds(Some("joe"), None, at(9)) && !list.holds(None, None, at(9)));
        list.ban(authid("joe"), at(5), at(0));
        assert!(list.holds(Some("joe"), one, at(9)), "a shorter ban does not shorten it");
        list.ban(authid("joe"), at(20), at(0));
        assert!(list.holds(Some("joe"), one, at(19)));
    }

    #[test]
    fn an_address_is_banned_with_all_that_its_client_can_use() {
        let list = list(10);
        list.ban(network("192.0.2.1"), at(10), at(0));
        list.ban(network("2001:db8:1:2::3"), at(10), at(0));
        for (text, expected) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8:1:2:ffff::1", true),
            ("2001:db8:1:3::3", false),
        ] {
            assert_eq!(list.holds(Some("joe"), address(text), at(0)), expected, "{text}");
        }
    }

    #[test]
    fn a_configured_ban_holds_for_good_or_until_it_ends() {
        let list = list(1);
        let ban = |whom, until| Ban { whom, until };
        let net = |text: &str| Banned::Network(text.parse().unwrap());
        list.ban(authid("joe"), at(10), at(0));
        list.configure(
            vec![
                ban(Banned::Authid("mallory".into()), None),
                ban(net("10.0.0.0/8"), Some(at(10))),
                ban(net("2001:db8::/32"), None),
            ],
            1,
        );
        for (name, text, second, expected) in [
            ("mallory", "192.0.2.1", 1 << 40, true),
            ("sue", "10.255.0.1", 9, true),
            ("sue", "::ffff:10.255.0.1", 9, true),
            ("sue", "10.255.0.1", 10, false),
            ("sue", "2001:db8:ffff::", 99, true),
            ("sue", "2001:db9::", 99, false),
            ("joe", "192.0.2.1", 9, true),
        ] {
            assert_eq!(list.holds(Some(name), address(text), at(second)), expected, "{name} {text} {second}");
        }
    }

    #[test]
    fn of_too_many_bans_those_that_are_over_go_and_then_the_one_that_ends_first() {
        let list = list(2);
        assert!(!list.ban(authid("over"), at(5), at(0)));
        assert!(!list.ban(network("192.0.2.1"), at(10), at(0)));
        assert!(!list.ban(authid("joe"), at(20), at(5)), "one is over");
        assert!(list.ban(authid("sue"), at(30), at(5)));
        let one = address("192.0.2.1");
        assert!(!list.holds(None, one, at(5)), "it would have ended first");
        assert!(list.holds(Some("joe"), one, at(5)) && list.holds(Some("sue"), one, at(5)));
        assert!(list.ban(network("192.0.2.1"), at(19), at(5)));
        assert!(!list.holds(None, one, at(5)), "it is the first to end itself");
        assert!(list.ban(network("192.0.2.1"), at(25), at(5)));
        assert!(list.holds(None, one, at(5)) && !list.holds(Some("joe"), address("192.0.2.2"), at(5)));
    }
}
