//! What a network is started with, and why it may not start.

use std::fmt;
use std::io;

use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::GREETING_BYTES_MAX;
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::crypto::sign::SecretKey;
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::prng::Prng;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::network::{Address, NetworkEvent, NetworkLimits, NetworkTransport};

/// A node's own keys.
#[derive(Debug)]
pub struct NetworkKeys {
    /// Who this node is when a connection is made.
    pub sign: SecretKey,
    /// Who it is in its channels.
    pub seal: BoxSecret,
}

/// What this node does besides talking to those whom it dials.
#[derive(Clone, Debug, Default)]
pub struct NetworkSettings {
    /// Where it listens from the start.
    pub listen: Vec<Address>,
    /// Where else it can be dialled, as the operator says: behind a forwarded port, say.
    pub external: Vec<Address>,
    /// Whether it looks for others on the LAN, and is found there.
    pub lan: bool,
    /// Whether it carries others' connections.
    pub relay: bool,
}

/// What a network is started with.
pub struct NetworkArguments {
    /// The fleet.
    pub fleet: FleetId,
    /// This node.
    pub node: NodeId,
    /// Its keys.
    pub keys: NetworkKeys,
    /// What it says of itself in every handshake: its certificate, at most 1 KiB.
    pub greeting: Bytes,
    /// Over what it reaches others.
    pub transport: NetworkTransport,
    /// What it does unasked.
    pub settings: NetworkSettings,
    /// Its bounds.
    pub limits: NetworkLimits,
    /// Randomness for handshakes, from the system; from a seed in simulations.
    pub prng: Prng,
    /// Where events go. Peers are read no faster than this is emptied.
    pub events: mpsc::Sender<NetworkEvent>,
}

impl fmt::Debug for NetworkArguments {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "NetworkArguments(of {})", self.node)
    }
}

/// Why a network does not start.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// The certificate does not fit into a handshake.
    #[error("network: a greeting of {length} bytes, at most 1024 are allowed")]
    Greeting {
        /// Bytes found.
        length: usize,
    },
    /// Encryption could not be set up.
    #[error("network: the transport cannot be set up: {0}")]
    Transport(#[source] io::Error),
    /// The system's name lookup could not be set up.
    #[error("network: names cannot be looked up: {0}; see /etc/resolv.conf")]
    Names(#[source] io::Error),
    /// The LAN cannot be looked at.
    #[error("network: no multicast on this machine: {0}; set lan = false")]
    Lan(#[source] io::Error),
}

impl NetworkArguments {
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let length = self.greeting.len();
        if length > GREETING_BYTES_MAX {
            return Err(NetworkError::Greeting { length });
        }
        Ok(())
    }
}
