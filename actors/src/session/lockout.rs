//! Who has failed to prove who it is so often that it has to wait.
//!
//! Failures count by realm, address and authid, be it known or not. The more there are, the longer is what follows: the
//! time in which nothing is asked, and the time after which they are forgotten. Of one address some logins count by
//! themselves, and all others in as many groups, each with a share of them by chance: whoever fails under very many names
//! has no failures forgotten, and slows down those of its own address alone.

use crate::{collections::Map, shared::Shared, transport::sockets::Network};
use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

/// How many logins and groups are remembered by their failures.
const MOST_LOGINS: usize = 1 << 17;

/// How many of one network are remembered before others count in groups, and how many groups there are.
const MOST_OF_NETWORK: u32 = 1 << 10;

/// Up to how many failures each makes the others be remembered for longer.
const MOST_COUNTED: u32 = 16;

/// How often somebody may fail, and how long it has to wait then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutOptions {
    /// After how many failures it has to wait.
    pub failures: NonZeroU32,
    /// How long it has to wait then. Every further failure doubles the time.
    pub delay: Duration,
    /// How long it has to wait at most.
    pub most: Duration,
}

impl Default for LockoutOptions {
    fn default() -> Self {
        let failures = NonZeroU32::MIN.saturating_add(4);
        Self { failures, delay: Duration::from_secs(1), most: Duration::from_secs(300) }
    }
}

/// The failures of all who wanted to join, shared by the sessions.
#[derive(Clone, Debug, Default)]
pub struct Lockout {
    hasher: RandomState,
    failures: Shared<Failures>,
}

/// Somebody who wants to prove who it is; nothing for who names nobody, and can be mistaken for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login(Option<Name>);

/// A login or a group of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name {
    /// A digest of the network.
    network: u64,
    /// A digest of the realm, the network and the authid; of a group what is left of it by the number of groups.
    login: u64,
}

#[derive(Debug, Default)]
struct Failures {
    options: LockoutOptions,
    by_name: Map<Name, Failed>,
    /// How many there are of each network.
    by_network: Map<u64, u32>,
    /// The names in the order in which they are forgotten.
    order: BTreeSet<(SystemTime, Name)>,
}

/// The failures of a login or a group.
#[derive(Clone, Copy, Debug)]
struct Failed {
    count: u32,
    locked_until: SystemTime,
    forgotten_at: SystemTime,
}

impl Lockout {
    /// A lockout with these options, to which nobody has failed yet.
    pub fn new(options: LockoutOptions) -> Self {
        let lockout = Self::default();
        lockout.configure(options);
        lockout
    }

    /// Has these options hold for failures that come.
    pub fn configure(&self, options: LockoutOptions) {
        self.failures.change(|failures| failures.options = options);
    }

    /// Who wants to join a realm under this name from this address; without one it comes from this machine.
    pub(crate) fn login(&self, realm: &str, address: Option<IpAddr>, authid: Option<&str>) -> Login {
        let network = address.map(Network::from);
        Login(authid.map(|authid| Name {
            network: self.hasher.hash_one(network),
            login: self.hasher.hash_one((realm, network, authid)),
        }))
    }

    /// Whether it has to wait.
    pub(crate) fn is_locked(&self, login: Login, now: SystemTime) -> bool {
        self.failures.look(|failures| {
            let failed = login.0.and_then(|login| failures.by_name.get(&failures.counts_as(login)));
            // A clock that was set back locks nobody for longer.
            failed.is_some_and(|failed| {
                now < failed.locked_until && failed.locked_until <= now + failures.options.most
            })
        })
    }

    /// Notes that it has failed.
    pub(crate) fn fail(&self, login: Login, now: SystemTime) {
        if let Some(login) = login.0 {
            self.failures.change(|failures| failures.note(login, now));
        }
    }

    /// Notes that it has proved who it is. In a group it does not speak for the others.
    pub(crate) fn succeed(&self, login: Login) {
        if let Some(login) = login.0
            && self.failures.look(|failures| failures.by_name.contains_key(&login))
        {
            self.failures.change(|failures| failures.forget(login));
        }
    }
}

impl Failures {
    /// Under which name the failures of a login count: its own, or that of its group if that is remembered or the network
    /// has too many.
    fn counts_as(&self, login: Name) -> Name {
        let group = Name { login: login.login % u64::from(MOST_OF_NETWORK), ..login };
        let is_full = self.by_network.get(&login.network).is_some_and(|count| *count >= MOST_OF_NETWORK);
        let is_grouped = is_full || self.by_name.contains_key(&group);
        if is_grouped && !self.by_name.contains_key(&login) { group } else { login }
    }

    fn note(&mut self, login: Name, now: SystemTime) {
        let options = self.options;
        while let Some((_, name)) = self.order.first().copied().filter(|(end, _)| *end <= now) {
            self.forget(name);
        }
        let name = self.counts_as(login);
        let count = self.by_name.get(&name).map_or(0, |failed| failed.count).saturating_add(1);
        self.forget(name);
        let wait = match count.checked_sub(options.failures.get()) {
            None => Duration::ZERO,
            Some(more) => options.delay.saturating_mul(1 << more.min(30)).min(options.most),
        };
        let locked_until = now + wait;
        let forgotten_at = locked_until + options.most * count.min(MOST_COUNTED);
        self.by_name.insert(name, Failed { count, locked_until, forgotten_at });
        *self.by_network.entry(name.network).or_default() += 1;
        self.order.insert((forgotten_at, name));
        if self.by_name.len() > MOST_LOGINS
            && let Some((_, first)) = self.order.first().copied()
        {
            self.forget(first);
        }
    }

    fn forget(&mut self, name: Name) {
        let Some(failed) = self.by_name.swap_remove(&name) else { return };
        self.order.remove(&(failed.forgotten_at, name));
        if let Some(count) = self.by_network.get_mut(&name.network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.swap_remove(&name.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn lockout() -> Lockout {
        Lockout::new(LockoutOptions {
            failures: NonZeroU32::new(3).unwrap(),
            delay: Duration::from_secs(2),
            most: Duration::from_secs(10),
        })
    }

    fn login(lockout: &Lockout, address: &str, authid: &str) -> Login {
        lockout.login("realm1", Some(address.parse().unwrap()), Some(authid))
    }

    /// Until which second it is locked from `now` on.
    fn locked_until(lockout: &Lockout, login: Login, now: u64) -> u64 {
        (now..).find(|second| !lockout.is_locked(login, at(*second))).unwrap()
    }

    #[test]
    fn each_further_failure_doubles_the_time_up_to_the_longest() {
        let lockout = lockout();
        let joe = login(&lockout, "192.0.2.1", "joe");
        let mut now = 0;
        for expected in [0, 0, 2, 4, 8, 10, 10] {
            lockout.fail(joe, at(now));
            assert_eq!(locked_until(&lockout, joe, now) - now, expected);
            now += expected;
        }
    }

    #[test]
    fn a_success_has_all_failures_forgotten_and_so_has_time() {
        let lockout = lockout();
        let joe = login(&lockout, "192.0.2.1", "joe");
        for _ in 0..2 {
            lockout.fail(joe, at(0));
        }
        lockout.succeed(joe);
        for _ in 0..2 {
            lockout.fail(joe, at(0));
        }
        assert!(!lockout.is_locked(joe, at(0)));
        // Two failures are remembered for twice the longest time.
        lockout.fail(joe, at(20));
        assert!(!lockout.is_locked(joe, at(20)));
        for _ in 0..2 {
            lockout.fail(joe, at(29));
        }
        assert!(lockout.is_locked(joe, at(29)));
    }

    #[test]
    fn another_address_authid_or_realm_is_not_locked() {
        let lockout = lockout();
        for _ in 0..3 {
            lockout.fail(login(&lockout, "2001:db8:1:2::3", "joe"), at(0));
        }
        for (address, authid, expected) in [
            ("2001:db8:1:2::3", "joe", true),
            ("2001:db8:1:2:ffff::", "joe", true),
            ("2001:db8:1:3::3", "joe", false),
            ("2001:db8:1:2::3", "Joe", false),
            ("2001:db8:1:2::3", "", false),
        ] {
            let login = login(&lockout, address, authid);
            assert_eq!(lockout.is_locked(login, at(0)), expected, "{address} {authid}");
        }
        let elsewhere = lockout.login("realm2", Some("2001:db8:1:2::3".parse().unwrap()), Some("joe"));
        assert!(!lockout.is_locked(elsewhere, at(0)));
        let unnamed = lockout.login("realm1", None, None);
        for _ in 0..9 {
            lockout.fail(unnamed, at(0));
        }
        assert!(!lockout.is_locked(unnamed, at(0)), "it could be anybody");
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_for_longer() {
        let lockout = lockout();
        let joe = login(&lockout, "192.0.2.1", "joe");
        for _ in 0..3 {
            lockout.fail(joe, at(1000));
        }
        assert!(lockout.is_locked(joe, at(1000)) && !lockout.is_locked(joe, at(500)));
    }

    #[test]
    fn who_fails_under_very_many_names_has_nobody_forgotten() {
        let lockout = lockout();
        let joe = login(&lockout, "192.0.2.1", "joe");
        for _ in 0..4 {
            lockout.fail(joe, at(0));
        }
        for number in 0..70_000 {
            for _ in 0..2 {
                lockout.fail(login(&lockout, "192.0.2.1", &number.to_string()), at(1));
            }
        }
        assert!(lockout.is_locked(joe, at(1)));
        lockout.fail(joe, at(4));
        assert_eq!(locked_until(&lockout, joe, 4), 12, "the failures before count");
        let ann = login(&lockout, "192.0.2.1", "ann");
        let sue = login(&lockout, "198.51.100.1", "sue");
        assert!(!lockout.is_locked(sue, at(4)));
        for login in [ann, sue] {
            for _ in 0..3 {
                lockout.fail(login, at(4));
            }
            assert!(lockout.is_locked(login, at(4)));
        }
    }

    #[test]
    fn most_others_of_a_network_are_not_locked_with_who_fails_under_many_names() {
        let lockout = lockout();
        let others = || (0..1000).map(|number| login(&lockout, "192.0.2.1", &format!("other {number}")));
        for number in 0..MOST_OF_NETWORK {
            lockout.fail(login(&lockout, "192.0.2.1", &number.to_string()), at(0));
        }
        let joe = login(&lockout, "192.0.2.1", "joe");
        for _ in 0..3 {
            lockout.fail(joe, at(0));
        }
        lockout.succeed(joe);
        assert!(lockout.is_locked(joe, at(0)), "it could be another of the group");
        assert!(others().filter(|login| lockout.is_locked(*login, at(0))).count() < 100);
        assert_eq!(locked_until(&lockout, joe, 0), 2);
        // The group is remembered for longer than the others.
        lockout.fail(joe, at(29));
        assert_eq!(locked_until(&lockout, joe, 29), 33, "the failures before count");
    }

    #[test]
    fn what_is_remembered_has_a_bound_for_each_network_and_for_all() {
        let lockout = lockout();
        let remembered = || lockout.failures.look(|failures| (failures.by_name.len(), failures.order.len()));
        let of_network = 2 * MOST_OF_NETWORK as usize;
        for number in 0..20 * MOST_OF_NETWORK {
            lockout.fail(login(&lockout, "192.0.2.1", &number.to_string()), at(0));
        }
        assert_eq!(remembered(), (of_network, of_network));
        for network in 0..u32::try_from(MOST_LOGINS).unwrap() {
            lockout
                .fail(lockout.login("realm1", Some(IpAddr::from(network.to_be_bytes())), Some("joe")), at(0));
        }
        assert_eq!(remembered(), (MOST_LOGINS, MOST_LOGINS));
    }

    #[test]
    fn what_is_over_takes_no_memory() {
        let lockout = lockout();
        for number in 0..100 {
            lockout.fail(login(&lockout, "192.0.2.1", &number.to_string()), at(0));
        }
        lockout.fail(login(&lockout, "192.0.2.1", "joe"), at(10));
        let remembered = |failures: &Failures| (failures.by_name.len(), failures.by_network.len());
        assert_eq!(lockout.failures.look(remembered), (1, 1));
    }
}
