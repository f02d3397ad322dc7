//! How many sockets of sessions are open, and how many of them from where.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
};
use tokio::sync::watch;

/// Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits, all of which whoever has one address
/// of it can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            address @ IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// The count of open sockets, shared by all who open and watch them.
#[derive(Clone, Debug, Default)]
pub struct OpenSockets(watch::Sender<Counts>);

/// How many sockets are open, all together and of each network that has one.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_network: HashMap<Network, usize>,
}

/// One open socket. It counts until it is dropped.
#[derive(Debug)]
pub struct OpenSocket {
    counts: watch::Sender<Counts>,
    network: Option<Network>,
}

/// How many sockets may be open; `None` for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MostSockets {
    /// All together.
    pub all: Option<usize>,
    /// Of one network.
    pub by_network: Option<usize>,
}

/// Why one more socket may not be open: so many are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All together.
    All(usize),
    /// Of this network.
    Network(Network, usize),
}

impl OpenSockets {
    /// Counts one more, unless there are as many as may be. What comes by no network counts for none.
    pub fn open(&self, network: Option<Network>, most: MostSockets) -> Result<OpenSocket, Full> {
        let mut full = None;
        self.0.send_if_modified(|counts| {
            let of_network = network.and_then(|network| counts.by_network.get(&network)).copied();
            let of_network = of_network.unwrap_or_default();
            full = if let Some(network) = network
                && most.by_network.is_some_and(|most| of_network >= most)
            {
                Some(Full::Network(network, of_network))
            } else if most.all.is_some_and(|most| counts.all >= most) {
                Some(Full::All(counts.all))
            } else {
                counts.all += 1;
                if let Some(network) = network {
                    counts.by_network.insert(network, of_network + 1);
                }
                None
            };
            full.is_none()
        });
        full.map_or_else(|| Ok(OpenSocket { counts: self.0.clone(), network }), Err)
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.borrow().all
    }

    /// Waits until none is open.
    pub async fn all_closed(&self) {
        // The sender is held here, so that waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|counts| counts.all == 0).await;
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| {
            counts.all -= 1;
            if let Some(network) = self.network
                && let Some(count) = counts.by_network.get_mut(&network)
            {
                *count -= 1;
                if *count == 0 {
                    counts.by_network.remove(&network);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn addresses_of_one_client_are_one_network() {
        for (address, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::1", "::/64"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ] {
            assert_eq!(network(address).to_string(), expected);
        }
    }

    #[test]
    fn a_socket_counts_for_its_network_until_it_is_dropped() {
        let sockets = OpenSockets::default();
        let most = MostSockets { all: Some(3), by_network: Some(2) };
        let open = |address| sockets.open(Some(network(address)), most);
        let (first, second) = (open("192.0.2.1").unwrap(), open("192.0.2.1").unwrap());
        assert_eq!(open("::ffff:192.0.2.1").unwrap_err(), Full::Network(network("192.0.2.1"), 2));
        let third = open("2001:db8::1").unwrap();
        assert_eq!(open("2001:db8::2").unwrap_err(), Full::All(3));
        assert_eq!(sockets.count(), 3);
        drop(first);
        assert_eq!(sockets.count(), 2);
        let local = sockets.open(None, MostSockets { all: Some(3), by_network: Some(0) }).unwrap();
        assert_eq!(sockets.open(None, most).unwrap_err(), Full::All(3));
        drop(local);
        let fourth = open("192.0.2.1").unwrap();
        drop((second, third, fourth));
        assert_eq!(sockets.count(), 0);
        assert!(sockets.0.borrow().by_network.is_empty());
    }
}
