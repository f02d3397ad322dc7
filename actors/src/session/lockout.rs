//! Who has failed to prove who it is so often that it has to wait.
//!
//! Failures count by realm, address and authid, be it known or not. The more there are, the longer is what follows: the
//! time in which nothing is asked, and the time after which they are forgotten. So whoever fails under other names, or
//! from other addresses, to have them forgotten sooner has to fail as often under each of very many.

use crate::{collections::Map, shared::Shared, transport::sockets::Network};
use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

/// How many logins are remembered by their failures.
const MOST_LOGINS: usize = 1 << 16;

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

/// Somebody who wants to prove who it is: a digest of the realm, the network and the authid; nothing for who names
/// nobody, and can be mistaken for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login(Option<u64>);

#[derive(Debug, Default)]
struct Failures {
    options: LockoutOptions,
    by_login: Map<u64, Failed>,
    /// The logins in the order in which they are forgotten.
    order: BTreeSet<(SystemTime, u64)>,
}

/// The failures of a login.
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
        Login(authid.map(|authid| self.hasher.hash_one((realm, address.map(Network::from), authid))))
    }

    /// Whether it has to wait.
    pub(crate) fn is_locked(&self, login: Login, now: SystemTime) -> bool {
        self.failures.look(|failures| {
            let failed = login.0.and_then(|login| failures.by_login.get(&login));
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

    /// Notes that it has proved who it is.
    pub(crate) fn succeed(&self, login: Login) {
        if let Some(login) = login.0
            && self.failures.look(|failures| failures.by_login.contains_key(&login))
        {
            self.failures.change(|failures| failures.forget(login));
        }
    }
}

impl Failures {
    fn note(&mut self, login: u64, now: SystemTime) {
        let options = self.options;
        while let Some((_, login)) = self.order.first().copied().filter(|(end, _)| *end <= now) {
            self.forget(login);
        }
        let count = self.by_login.get(&login).map_or(0, |failed| failed.count).saturating_add(1);
        self.forget(login);
        let wait = match count.checked_sub(options.failures.get()) {
            None => Duration::ZERO,
            Some(more) => options.delay.saturating_mul(1 << more.min(30)).min(options.most),
        };
        let locked_until = now + wait;
        let forgotten_at = locked_until + options.most * count.min(MOST_COUNTED);
        self.by_login.insert(login, Failed { count, locked_until, forgotten_at });
        self.order.insert((forgotten_at, login));
        if self.by_login.len() > MOST_LOGINS
            && let Some((_, first)) = self.order.first().copied()
        {
            self.forget(first);
        }
    }

    fn forget(&mut self, login: u64) {
        if let Some(failed) = self.by_login.swap_remove(&login) {
            self.order.remove(&(failed.forgotten_at, login));
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
    fn who_fails_under_other_names_is_not_forgotten_sooner_and_locks_out_nobody() {
        let lockout = lockout();
        let joe = login(&lockout, "192.0.2.1", "joe");
        for _ in 0..4 {
            lockout.fail(joe, at(0));
        }
        for number in 0..MOST_LOGINS + 100 {
            lockout.fail(login(&lockout, "192.0.2.1", &number.to_string()), at(1));
        }
        let remembered = lockout.failures.look(|failures| (failures.by_login.len(), failures.order.len()));
        assert_eq!(remembered, (MOST_LOGINS, MOST_LOGINS));
        assert!(lockout.is_locked(joe, at(1)));
        let stranger = login(&lockout, "198.51.100.1", "sue");
        assert!(!lockout.is_locked(stranger, at(1)));
        lockout.fail(joe, at(4));
        assert_eq!(locked_until(&lockout, joe, 4), 12, "the failures before count");
    }

    #[test]
    fn what_is_over_takes_no_memory() {
        let lockout = lockout();
        for number in 0..100 {
            lockout.fail(login(&lockout, "192.0.2.1", &number.to_string()), at(0));
        }
        lockout.fail(login(&lockout, "192.0.2.1", "joe"), at(10));
        assert_eq!(lockout.failures.look(|failures| failures.by_login.len()), 1);
    }
}
