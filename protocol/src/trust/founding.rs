//! Founding a fleet, and what is done with the root's keys where they are kept, off line.

use crate::codec::{self, Bytes, Name};
use crate::crypto::sign::{Context, SecretKey, Sign};
use crate::ident::{FleetId, Hash, NodeId};
use crate::limits::DAY_MS;
use crate::machine::Millis;
use crate::prng::Prng;
use crate::selector::Labels;
use crate::trust::certificate::{
    Capability, Certificate, Grant, Issuer, KeySignature, NodeKeys, Rank, SignedCertificate, Window,
};
use crate::trust::root::{KeySet, RootChain, RootDocument, SignedRoot};
use crate::trust::statement::Statement;

/// How long the root lets a manager's certificate last.
pub const MANAGER_CERTIFICATE_MS: u64 = 365 * DAY_MS;
/// How far clocks may be apart where a new certificate is to be valid at once.
pub const EARLY_MS: u64 = 5 * 60 * 1000;

/// A new fleet's root: the document, its key, and the key that will follow.
#[derive(Debug)]
pub struct Founded {
    /// The fleet's id: the hash of the document.
    pub fleet: FleetId,
    /// The first root document.
    pub root: SignedRoot,
    /// Speaks for the root.
    pub key: SecretKey,
    /// Will speak for it after the next rotation; kept apart, so that no thief gets both.
    pub next: SecretKey,
}

/// Founds a fleet with one root key.
#[must_use]
pub fn found(name: Name, at: Millis, prng: &mut Prng) -> Founded {
    let (key, next) = (SecretKey::generate(prng), SecretKey::generate(prng));
    let document = RootDocument {
        number: 1,
        previous: Hash::ZERO,
        name,
        created: at,
        keys: KeySet::single(key.public()),
        next: KeySet::single(next.public()).commitment(),
        keeps: Vec::new(),
    };
    let bytes = Bytes::from(codec::encode(&document));
    // The fleet's id is this document's own hash, so it cannot be inside the signature.
    let own = by_one(&key, Context::Root, &FleetId::ZERO, &bytes);
    let root = SignedRoot {
        bytes,
        own,
        before: Vec::new(),
    };
    let fleet = RootChain::fleet_of(&root);
    Founded {
        fleet,
        root,
        key,
        next,
    }
}

/// Everything that there is for a manager to do.
#[must_use]
pub fn manager_grants() -> Vec<Grant> {
    [
        Capability::ConfigWrite,
        Capability::Delegate,
        Capability::DeviceEnrol,
        Capability::ExecRun,
        Capability::Hold,
        Capability::Relay,
        Capability::SecretWrap,
        Capability::ShellOpen,
        Capability::Stop,
        Capability::TelemetryRead,
        Capability::Time,
    ]
    .map(Grant::everywhere)
    .to_vec()
}

/// The certificate of a manager, for the root of this number to sign.
#[must_use]
pub fn manager_certificate(
    root: u32,
    node: NodeId,
    name: Name,
    keys: NodeKeys,
    at: Millis,
) -> Certificate {
    let from = Millis(at.0.saturating_sub(EARLY_MS));
    Certificate {
        issuer: Issuer::Root(root),
        node,
        name,
        rank: Rank::Manager,
        keys,
        labels: Labels::none(),
        grants: manager_grants(),
        window: Window {
            from,
            to: from.plus(MANAGER_CERTIFICATE_MS),
        },
    }
}

/// Signs a manager's certificate with the root's one key.
#[must_use]
pub fn certify(certificate: &Certificate, fleet: &FleetId, key: &dyn Sign) -> SignedCertificate {
    let bytes = Bytes::from(codec::encode(certificate));
    let signatures = by_one(key, Context::Certificate, fleet, &bytes);
    SignedCertificate { bytes, signatures }
}

/// The document that follows `current`: its keys are those to which that one committed, and it
/// commits to `after`. What `keeps` names still counts.
#[must_use]
pub fn rotate(
    current: &SignedRoot,
    document: &RootDocument,
    (key, next, after): (&SecretKey, &SecretKey, &SecretKey),
    keeps: Vec<[u8; 16]>,
    (fleet, at): (&FleetId, Millis),
) -> Statement {
    let follows = RootDocument {
        number: document.number + 1,
        previous: Hash::of(&current.bytes),
        name: document.name.clone(),
        created: at,
        keys: KeySet::single(next.public()),
        next: KeySet::single(after.public()).commitment(),
        keeps,
    };
    let bytes = Bytes::from(codec::encode(&follows));
    Statement::Rotate(SignedRoot {
        own: by_one(next, Context::Root, fleet, &bytes),
        before: by_one(key, Context::Root, fleet, &bytes),
        bytes,
    })
}

fn by_one(key: &dyn Sign, context: Context, fleet: &FleetId, bytes: &[u8]) -> Vec<KeySignature> {
    vec![KeySignature {
        key: 0,
        signature: key.sign(context, fleet, bytes),
    }]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{certify, found, manager_certificate, rotate};
    use crate::codec::{self, Name};
    use crate::crypto::seal::BoxSecret;
    use crate::crypto::sign::{Ed25519, SecretKey, Sign};
    use crate::ident::NodeId;
    use crate::machine::Millis;
    use crate::prng::Prng;
    use crate::trust::certificate::NodeKeys;
    use crate::trust::record::Record;
    use crate::trust::statement::Statement;

    const NOW: Millis = Millis(1_795_132_800_000);

    #[test]
    fn a_founded_root_certifies_and_rotates() {
        let mut prng = Prng::from_number(1);
        let founded = found(Name::new("acme").expect("a name"), NOW, &mut prng);
        let verify = Arc::new(Ed25519);
        let mut record =
            Record::begin(founded.fleet, founded.root.clone(), verify).expect("a sound root");
        let keys = NodeKeys {
            sign: SecretKey::generate(&mut prng).public(),
            seal: BoxSecret::generate(&mut prng).public(),
        };
        let name = Name::new("m1").expect("a name");
        let certificate = manager_certificate(1, NodeId(prng.bytes()), name, keys, NOW);
        let signed = certify(&certificate, &founded.fleet, &founded.key);
        assert!(record.take_statement(&Statement::Certify(signed.clone())));
        assert!(record.managers().contains_key(&signed.serial()));

        let after = SecretKey::generate(&mut prng);
        let document = codec::decode(&founded.root.bytes).expect("our own document");
        let keeps = vec![signed.serial().0];
        let turn = |next: &SecretKey| {
            rotate(
                &founded.root,
                &document,
                (&founded.key, next, &after),
                keeps.clone(),
                (&founded.fleet, NOW),
            )
        };
        assert!(
            !record.take_statement(&turn(&after)),
            "not the key that was committed to"
        );
        assert!(record.take_statement(&turn(&founded.next)));
        assert_eq!(record.roots().current().number, 2);
        assert!(
            record.managers().contains_key(&signed.serial()),
            "it is kept"
        );
    }
}
