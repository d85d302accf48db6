//! Makes a fleet: its root, its managers' certificates, its devices.

use std::sync::Arc;

use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::crypto::sign::{Context, Sign, Verify};
use regatta_protocol::ident::{FleetId, Hash, NodeId, Serial};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::ledger::replica::Role;
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{
    Certificate, Grant, Issuer, KeySignature, NodeKeys, Rank, SignedCertificate, Window,
};
pub use regatta_protocol::trust::founding::manager_grants;
use regatta_protocol::trust::record::Record;
use regatta_protocol::trust::root::{KeySet, RootDocument, SignedRoot};
use regatta_protocol::trust::statement::{SignedOrder, Statement};
use regatta_protocol::trust::verdict::Verdict;

use crate::scheme::Scheme;

/// Wall time at the beginning of every run: 2026-11-20.
pub const EPOCH: Millis = Millis(1_795_132_800_000);

/// The root, off line in life, at hand here.
#[derive(Clone, Debug)]
pub struct Root {
    /// The fleet's id.
    pub fleet: FleetId,
    /// The first root document.
    pub first: SignedRoot,
    /// How signatures are checked.
    pub verify: Arc<dyn Verify>,
    scheme: Scheme,
    key: Arc<dyn Sign>,
}

impl Root {
    /// `regatta init`.
    #[must_use]
    pub fn found(scheme: Scheme, prng: &mut Prng) -> Self {
        let (key, next) = (scheme.key(prng), scheme.key(prng));
        let document = RootDocument {
            number: 1,
            previous: Hash::ZERO,
            name: name("fleet"),
            created: EPOCH,
            keys: KeySet::single(key.public()),
            next: KeySet::single(next.public()).commitment(),
            keeps: Vec::new(),
        };
        let bytes = Bytes::from(codec::encode(&document));
        let own = signatures(key.sign(Context::Root, &FleetId::ZERO, &bytes));
        let first = SignedRoot {
            bytes,
            own,
            before: Vec::new(),
        };
        let fleet = FleetId(Hash::of(&first.bytes).0);
        Self {
            fleet,
            first,
            verify: scheme.verify(),
            scheme,
            key,
        }
    }

    /// The fleet's scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// A new key of the fleet's scheme.
    #[must_use]
    pub fn new_key(&self, prng: &mut Prng) -> Arc<dyn Sign> {
        self.scheme.key(prng)
    }

    /// Signs a manager's certificate.
    #[must_use]
    pub fn certify(&self, node: NodeId, key: &dyn Sign, label: &str, window: Window) -> Statement {
        self.certify_for(node, key, label, window, manager_grants())
    }

    /// Signs the certificate of a manager who may do so much and no more.
    #[must_use]
    pub fn certify_for(
        &self,
        node: NodeId,
        key: &dyn Sign,
        label: &str,
        window: Window,
        grants: Vec<Grant>,
    ) -> Statement {
        let certificate = Certificate {
            issuer: Issuer::Root(1),
            node,
            name: name(label),
            rank: Rank::Manager,
            keys: NodeKeys {
                sign: key.public(),
                seal: self.scheme.seal_key(&key.public()),
            },
            labels: Labels::none(),
            grants,
            window,
        };
        Statement::Certify(self.sign_certificate(&certificate))
    }

    fn sign_certificate(&self, certificate: &Certificate) -> SignedCertificate {
        let bytes = Bytes::from(codec::encode(certificate));
        let signature = self.key.sign(Context::Certificate, &self.fleet, &bytes);
        SignedCertificate {
            bytes,
            signatures: signatures(signature),
        }
    }

    /// Signs an order.
    #[must_use]
    pub fn order(&self, verdict: &Verdict) -> Statement {
        let bytes = Bytes::from(codec::encode(verdict));
        let signature = self.key.sign(Context::Statement, &self.fleet, &bytes);
        Statement::Order(SignedOrder {
            root: 1,
            bytes,
            signatures: signatures(signature),
        })
    }

    /// What a node holds right after joining: the root, and what it says.
    ///
    /// # Panics
    /// When the root's own document is not sound.
    #[must_use]
    pub fn joined(&self, statements: &[Statement]) -> Holdings {
        let record = Record::begin(self.fleet, self.first.clone(), Arc::clone(&self.verify));
        let Ok(record) = record else {
            panic!("the simulated root is not sound")
        };
        let mut holdings = Holdings::new(record);
        statements
            .iter()
            .for_each(|statement| holdings.take_statement(statement));
        holdings.settle(EPOCH);
        holdings
    }
}

fn signatures(signature: regatta_protocol::crypto::sign::Signature) -> Vec<KeySignature> {
    vec![KeySignature { key: 0, signature }]
}

/// A name that is known to be sound.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn name(text: &str) -> Name {
    match Name::new(text) {
        Ok(name) => name,
        Err(error) => panic!("{text:?} is no name: {error}"),
    }
}

/// A year from the beginning of the run.
#[must_use]
pub fn year() -> Window {
    Window {
        from: EPOCH,
        to: EPOCH.plus(365 * DAY_MS),
    }
}

/// A manager: its identity and the statement that makes it one.
#[must_use]
pub fn manager(
    root: &Root,
    index: usize,
    window: Window,
    prng: &mut Prng,
) -> (Identity, Statement) {
    let (node, signer) = (NodeId(prng.bytes()), root.new_key(prng));
    let statement = root.certify(node, signer.as_ref(), &format!("m{}", index + 1), window);
    let identity = identity(node, signer, serial_of(&statement), Role::Manager);
    (identity, statement)
}

/// The serial of a certificate that the root signed.
#[must_use]
pub fn serial_of(statement: &Statement) -> Serial {
    match statement {
        Statement::Certify(signed) => signed.serial(),
        Statement::Rotate(_) | Statement::Order(_) => Serial::ZERO,
    }
}

/// A device: it signs nothing that is gossiped, so a serial of its own is enough.
#[must_use]
pub fn device(root: &Root, prng: &mut Prng) -> Identity {
    let node = NodeId(prng.bytes());
    identity(node, root.new_key(prng), Serial(prng.bytes()), Role::Agent)
}

/// An identity as certified at the beginning of the run.
#[must_use]
pub fn identity(node: NodeId, signer: Arc<dyn Sign>, serial: Serial, role: Role) -> Identity {
    Identity {
        node,
        role,
        serial,
        signer,
        not_before: EPOCH,
        tells_time: role == Role::Manager,
        carries: false,
    }
}
