//! Addresses of nodes, as text of the form `/ip4/192.0.2.7/udp/4700/quic-v1`.

use std::fmt;
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use regatta_protocol::crypto::sign::PublicKey;
use thiserror::Error;

use crate::network::identity::sign_key;

/// Where a node can be reached; libp2p's form, checked when it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub(super) Multiaddr);

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no address ({detail}); write it like /ip4/192.0.2.7/tcp/4700")]
pub struct AddressError {
    text: String,
    detail: String,
}

impl Address {
    /// Whether the way leads through a relay.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Protocol::P2pCircuit))
    }

    /// The key of the relay through which the way leads.
    #[must_use]
    pub fn relay(&self) -> Option<PublicKey> {
        let mut before = None;
        for part in &self.0 {
            match part {
                Protocol::P2p(peer) => before = Some(peer),
                Protocol::P2pCircuit => return before.and_then(|peer| sign_key(&peer)),
                _ => {}
            }
        }
        None
    }

    /// Whether nobody but this machine reaches it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.iter().any(|part| match part {
            Protocol::Ip4(address) => address.is_loopback(),
            Protocol::Ip6(address) => address.is_loopback(),
            _ => false,
        })
    }

    /// Whether it means nothing beyond one link: others cannot say on which of theirs.
    #[must_use]
    pub fn is_link_local(&self) -> bool {
        self.0.iter().any(|part| match part {
            Protocol::Ip4(address) => address.is_link_local(),
            Protocol::Ip6(address) => address.is_unicast_link_local(),
            _ => false,
        })
    }

    /// Whether it is over QUIC, which gets through more NATs and needs fewer round trips.
    #[must_use]
    pub fn is_quic(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Protocol::QuicV1))
    }

    /// Whether it lies within the same machine's memory: a simulated node's.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        matches!(self.0.iter().next(), Some(Protocol::Memory(_)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parsed: Result<Multiaddr, _> = text.parse();
        parsed.map(Self).map_err(|error| AddressError {
            text: text.chars().take(80).collect(),
            detail: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_reads_back_as_written() {
        let text = "/ip4/192.0.2.7/udp/4700/quic-v1";
        let address: Address = text.parse().expect("is an address");
        assert_eq!(address.to_string(), text);
        assert!(!address.is_relayed());
    }

    #[test]
    fn what_is_none_is_refused_with_an_example() {
        let error = "192.0.2.7:4700".parse::<Address>().expect_err("no address");
        assert!(error.to_string().contains("/ip4/192.0.2.7/tcp/4700"));
    }
}
