//! Who a node is: what founding or joining a fleet left on its disk, keys included.

use std::fmt;
use std::sync::Arc;

use regatta_protocol::codec::{Bytes, DecodeError};
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::crypto::sign::{Ed25519, SecretKey, Sign};
use regatta_protocol::ident::{FleetId, NodeId, Serial};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::ledger::replica::Role;
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::trust::certificate::{
    Capability, Certificate, NodeKeys, Rank, SignedCertificate,
};
use regatta_protocol::trust::papers::Greeting;
use regatta_protocol::trust::record::Record;
use regatta_protocol::trust::root::{RootError, SignedRoot};
use regatta_protocol::trust::statement::Statement;

use crate::network::NetworkKeys;

/// A node's secret keys.
pub struct NodeSecrets {
    /// Signs.
    pub sign: SecretKey,
    /// Opens what is sealed to the node, and names it in channels.
    pub seal: BoxSecret,
}

impl NodeSecrets {
    /// What others know of them.
    #[must_use]
    pub fn public(&self) -> NodeKeys {
        NodeKeys {
            sign: self.sign.public(),
            seal: self.seal.public(),
        }
    }

    /// For the network, which keeps its own.
    pub(crate) fn for_network(&self) -> NetworkKeys {
        NetworkKeys {
            sign: SecretKey::from_bytes(&self.sign.to_bytes()),
            seal: BoxSecret::from_bytes(&self.seal.to_bytes()),
        }
    }
}

impl fmt::Debug for NodeSecrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "NodeSecrets(of {:?})", self.sign.public())
    }
}

/// What a node knows of itself and of its fleet's root when it starts.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// The fleet.
    pub fleet: FleetId,
    /// The first root document, which the fleet's id pins.
    pub root: SignedRoot,
    /// What the root had said when this node joined.
    pub statements: Vec<Statement>,
    /// Its certificate; a later one may be in its store.
    pub certificate: SignedCertificate,
    /// Its keys.
    pub secrets: Arc<NodeSecrets>,
}

impl NodeIdentity {
    /// What it holds before it has read anything else.
    ///
    /// # Errors
    /// When the root document is not the one that the fleet's id pins.
    pub fn holdings(&self) -> Result<Holdings, RootError> {
        let mut record = Record::begin(self.fleet, self.root.clone(), Arc::new(Ed25519))?;
        // In whatever order they were kept: each round takes one more, or nothing is left to take.
        while self
            .statements
            .iter()
            .any(|statement| record.take_statement(statement))
        {}
        Ok(Holdings::new(record))
    }
}

/// A node's certificate as it is used now, and what follows from it.
#[derive(Clone, Debug)]
pub struct Papers {
    /// As it is shown.
    pub signed: SignedCertificate,
    /// What it says.
    pub certificate: Certificate,
    /// Its name.
    pub serial: Serial,
    greeting: Bytes,
    secrets: Arc<NodeSecrets>,
}

impl Papers {
    /// Reads a certificate of one's own.
    ///
    /// # Errors
    /// When it does not decode, or is too long to be shown.
    pub fn read(
        signed: SignedCertificate,
        secrets: &Arc<NodeSecrets>,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            certificate: signed.decode()?,
            serial: signed.serial(),
            greeting: Greeting(vec![signed.clone()]).to_bytes()?.into(),
            signed,
            secrets: Arc::clone(secrets),
        })
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.certificate.node
    }

    /// Whether it makes its holder a manager.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        self.certificate.rank == Rank::Manager
    }

    /// Whether it has a capability, on whatever devices.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        let mut grants = self.certificate.grants.iter();
        grants.any(|grant| grant.capability == capability)
    }

    /// Signs with the certificate's key.
    #[must_use]
    pub fn signer(&self) -> Arc<dyn Sign> {
        Arc::new(SecretKey::from_bytes(&self.secrets.sign.to_bytes()))
    }

    /// The keys.
    #[must_use]
    pub fn secrets(&self) -> &Arc<NodeSecrets> {
        &self.secrets
    }

    /// Who writes, for the replica.
    #[must_use]
    pub fn author(&self) -> Identity {
        Identity {
            node: self.node(),
            role: if self.is_manager() {
                Role::Manager
            } else {
                Role::Agent
            },
            serial: self.serial,
            signer: self.signer(),
            not_before: self.certificate.window.from,
            tells_time: self.is_manager() && self.can(Capability::Time),
            carries: self.can(Capability::Carry),
        }
    }

    /// What it says of itself in every handshake.
    #[must_use]
    pub fn greeting(&self) -> Bytes {
        self.greeting.clone()
    }
}
