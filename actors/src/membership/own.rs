//! Where this node itself can be reached, best first.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::ident::NodeId;

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
        told.extend(self.reserved.values().filter_map(best).cloned());
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
