//! Who may open one more connection: the limits of the node, over all its listeners.

use crate::NodeLimits;
use arc_swap::{ArcSwap, ArcSwapOption};
use governor::{DefaultKeyedRateLimiter, clock::Clock};
use realmkeeper_actors::{
    limit::Limit,
    session::Rate,
    transport::sockets::{Full, MostSockets, Network, OpenSocket, OpenSockets},
};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How often networks are forgotten that have not connected for so long that they may do so freely again.
const SWEEP: Duration = Duration::from_secs(10);

/// Lets connections in, one by one.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    sockets: OpenSockets,
    most: ArcSwap<MostSockets>,
    pace: ArcSwapOption<Pace>,
}

/// How often a network connects.
#[derive(Debug)]
struct Pace {
    rate: Rate,
    limiter: DefaultKeyedRateLimiter<Network>,
}

/// Why a connection is not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Excess {
    /// There are as many as there may be.
    #[error("this router has as many connections as its limit sessions allows: {0}")]
    Sessions(usize),
    /// There are as many from this network as there may be.
    #[error("{network} has as many connections as the limit sessions_per_address allows: {count}")]
    SessionsPerAddress {
        /// The network.
        network: Network,
        /// How many it has.
        count: usize,
    },
    /// This network connects too often.
    #[error("{network} connects more often than the limit connection_rate allows: {rate}")]
    ConnectionRate {
        /// The network.
        network: Network,
        /// How often it may.
        rate: Rate,
        /// After how long it may again.
        wait: Duration,
    },
}

impl Excess {
    /// The limit that was run into.
    pub(super) fn limit(&self) -> Limit {
        match self {
            Self::Sessions(_) => Limit::Sessions,
            Self::SessionsPerAddress { .. } => Limit::SessionsPerAddress,
            Self::ConnectionRate { .. } => Limit::ConnectionRate,
        }
    }
}

impl Doorkeeper {
    /// A doorkeeper with these limits, who counts into `sockets`.
    pub(super) fn new(limits: &NodeLimits, sockets: OpenSockets) -> Self {
        let doorkeeper = Self { sockets, most: ArcSwap::default(), pace: ArcSwapOption::empty() };
        doorkeeper.reload(limits);
        doorkeeper
    }

    /// Keeps to these limits from now on. Who has connected too often is remembered only if the rate is the same.
    pub(super) fn reload(&self, limits: &NodeLimits) {
        let NodeLimits { sessions: all, sessions_per_address: by_network, connection_rate } = *limits;
        self.most.store(Arc::new(MostSockets { all, by_network }));
        if self.pace.load().as_ref().map(|pace| pace.rate) != connection_rate {
            let pace = connection_rate
                .map(|rate| Arc::new(Pace { rate, limiter: DefaultKeyedRateLimiter::keyed(rate.into()) }));
            self.pace.store(pace);
        }
    }

    /// Lets a connection in, which counts until its socket is dropped. Limits of an address are for who has one.
    pub(super) fn admit(&self, peer: Option<IpAddr>) -> Result<OpenSocket, Excess> {
        let network = peer.map(Network::from);
        if let (Some(Pace { rate, limiter }), Some(network)) = (self.pace.load().as_deref(), network)
            && let Err(until) = limiter.check_key(&network)
        {
            let wait = until.wait_time_from(limiter.clock().now());
            return Err(Excess::ConnectionRate { network, rate: *rate, wait });
        }
        self.sockets.open(network, **self.most.load()).map_err(|full| match full {
            Full::All(count) => Excess::Sessions(count),
            Full::Network(network, count) => Excess::SessionsPerAddress { network, count },
        })
    }

    /// Sweeps for as long as there is this doorkeeper. Has to be called on an arbiter.
    pub(super) fn keep_sweeping(self: &Arc<Self>) {
        let doorkeeper = Arc::downgrade(self);
        actix_rt::spawn(async move {
            while let Some(doorkeeper) = doorkeeper.upgrade() {
                doorkeeper.sweep();
                drop(doorkeeper);
                tokio::time::sleep(SWEEP).await;
            }
        });
    }

    /// Forgets the networks that may connect as if they never had.
    fn sweep(&self) {
        if let Some(Pace { limiter, .. }) = self.pace.load().as_deref() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, num::NonZeroU32, thread, time::Instant};

    fn doorkeeper(per_second: u32) -> Doorkeeper {
        let per_second = NonZeroU32::new(per_second).unwrap();
        let rate = Rate { per_second, burst: NonZeroU32::MIN };
        let limits = NodeLimits { connection_rate: Some(rate), ..NodeLimits::default() };
        Doorkeeper::new(&limits, OpenSockets::default())
    }

    /// How many networks are remembered.
    fn remembered(doorkeeper: &Doorkeeper) -> usize {
        doorkeeper.pace.load().as_ref().unwrap().limiter.len()
    }

    #[test]
    fn a_network_is_remembered_only_while_that_makes_a_difference() {
        let (slow, fast) = (doorkeeper(1), doorkeeper(1000));
        for number in 0..1000 {
            let address = Ipv4Addr::from_bits(number).into();
            assert!(slow.admit(Some(address)).is_ok() && fast.admit(Some(address)).is_ok());
        }
        slow.sweep();
        assert!(slow.admit(Some(Ipv4Addr::from_bits(999).into())).is_err());
        let start = Instant::now();
        while remembered(&fast) > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "{} are remembered", remembered(&fast));
            thread::yield_now();
            fast.sweep();
        }
    }
}
