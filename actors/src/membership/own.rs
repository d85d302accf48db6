//! Where this node itself can be reached, best first.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::ident::NodeId;
use regatta_protocol::limits::ADDRESSES_MAX;

use crate::network::Address;

/// The node's own addresses.
#[derive(Clone, Debug, Default)]
pub struct OwnAddresses {
    /// As the operator says: behind a forwarded port, say.
    pub external: Vec<Address>,
    /// Where it listens.
    pub listening: BTreeSet<Address>,
    /// Through which relays it can be reached, and where.
    pub reserved: BTreeMap<NodeId, BTreeSet<Address>>,
}

impl OwnAddresses {
    /// All that are worth telling. Loopback is told only where there is nothing else, as in a fleet
    /// on one machine.
    #[must_use]
    pub fn worth_telling(&self) -> Vec<Address> {
        let reachable = self.listening.iter().filter(|it| !it.is_link_local());
        let (loopback, mut direct): (Vec<Address>, Vec<Address>) =
            reachable.cloned().partition(Address::is_loopback);
        if direct.is_empty() && self.external.is_empty() {
            direct = loopback;
        }
        direct.sort_by_key(|address| !address.is_quic());
        let mut told = self.external.clone();
        told.extend(direct);
        // However many interfaces there are, the way through a relay is told as well.
        let relayed: Vec<Address> = self.reserved.values().filter_map(best).cloned().collect();
        told.truncate(ADDRESSES_MAX.saturating_sub(relayed.len()));
        told.extend(relayed);
        told
    }
}

/// Of a relay's addresses the one that most others can use.
fn best(addresses: &BTreeSet<Address>) -> Option<&Address> {
    addresses
        .iter()
        .min_by_key(|it| (it.is_link_local(), it.is_loopback(), !it.is_quic()))
}

#[cfg(test)]
mod tests {
    use super::OwnAddresses;
    use crate::network::Address;
    use regatta_protocol::ident::NodeId;
    use regatta_protocol::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX};

    fn told(listening: &[&str], external: &[&str]) -> Vec<String> {
        let parse = |text: &&str| text.parse::<Address>().expect("an address");
        let own = OwnAddresses {
            external: external.iter().map(parse).collect(),
            listening: listening.iter().map(parse).collect(),
            ..OwnAddresses::default()
        };
        let told = own.worth_telling();
        told.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_is_told_only_where_there_is_nothing_else() {
        let alone = "/ip4/127.0.0.1/udp/4700/quic-v1";
        assert_eq!(told(&[alone], &[]), [alone]);
        let wired = "/ip4/192.0.2.7/tcp/4700";
        assert_eq!(told(&[alone, wired], &[]), [wired]);
        assert_eq!(told(&[alone], &[wired]), [wired]);
    }

    #[test]
    fn the_way_through_a_relay_is_told_whatever_else_there_is() {
        let key = "12D3KooWH2DxthSFdisUMys1gBxinzrBQ3SRjyVnCJH9Zh5z4v6P";
        let host = "2001:db8:1234:5678:9abc:def0:1234:5678";
        let relayed = format!("/ip6/{host}/udp/47000/quic-v1/p2p/{key}/p2p-circuit/p2p/{key}");
        let relayed: Address = relayed.parse().expect("an address");
        assert!(relayed.to_string().len() <= ADDRESS_BYTES_MAX, "it is told");
        let many = (1..=20).map(|host| format!("/ip4/192.0.2.{host}/tcp/4700"));
        let own = OwnAddresses {
            listening: many.map(|it| it.parse().expect("an address")).collect(),
            reserved: [(NodeId([1; 16]), [relayed.clone()].into())].into(),
            ..OwnAddresses::default()
        };
        let told = own.worth_telling();
        assert_eq!((told.len(), told.last()), (ADDRESSES_MAX, Some(&relayed)));
    }

    #[test]
    fn quic_comes_first_and_link_local_never() {
        let told = told(
            &[
                "/ip4/192.0.2.7/tcp/4700",
                "/ip4/192.0.2.7/udp/4700/quic-v1",
                "/ip6/fe80::1/tcp/4700",
                "/ip4/169.254.1.1/tcp/4700",
            ],
            &["/dns4/m1.example/tcp/443"],
        );
        assert_eq!(
            told,
            [
                "/dns4/m1.example/tcp/443",
                "/ip4/192.0.2.7/udp/4700/quic-v1",
                "/ip4/192.0.2.7/tcp/4700"
            ]
        );
    }
}
