//! Data keys handed to devices: a set that only grows, so that two managers who enrol two devices at
//! once lose nothing, and nobody's enrolment makes a revision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Place;
use crate::clock::Stamp;
use crate::codec::{self, Wire};
use crate::crypto::seal::{BoxKey, Wrap};
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::chain::LinkId;
use crate::ledger::entry::{Entry, EntryKind};
use crate::limits::ENTRY_HEADER_BYTES_MAX;
use crate::trust::record::content;

/// The data key of one sealed value, for one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWrap {
    /// The entry of the revision that holds the value.
    pub revision: Hash,
    /// Which of its values: the commitment to the key.
    pub commitment: Hash,
    /// For whom.
    pub node: NodeId,
    /// The device's key at that time; after a rotation it needs another wrap.
    pub key: BoxKey,
    /// The data key, sealed.
    pub wrap: Wrap,
}

impl Wire for DeviceWrap {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = ENTRY_HEADER_BYTES_MAX;
    const WHAT: &'static str = "wrap";
}

/// A wrap, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldWrap {
    /// Where.
    pub place: Place,
    /// When it was written.
    pub stamp: Stamp,
    /// Under which certificate.
    pub signer: Serial,
    /// What it says.
    pub wrap: DeviceWrap,
}

/// All wraps that are held. Which of them count, [`crate::ledger::holdings::Holdings::wraps`] says.
#[derive(Clone, Debug, Default)]
pub struct Wraps {
    /// By revision and device; of each the entries that hand a key over.
    of: BTreeMap<(Hash, NodeId), BTreeMap<Hash, HeldWrap>>,
}

impl Wraps {
    pub(super) fn take(&mut self, entry: &Entry, link: LinkId) {
        if entry.header.kind.code != EntryKind::WRAP.code {
            return;
        }
        let bytes = content(entry).unwrap_or_default();
        let Ok(wrap) = codec::decode::<DeviceWrap>(bytes) else {
            return;
        };
        // What is for one device may lie in its own scope, and in no other's.
        let ledger = entry.header.ledger;
        if ledger.scope.is_some_and(|scope| scope != wrap.node) {
            return;
        }
        let held = HeldWrap {
            place: Place { ledger, link },
            stamp: entry.header.stamp,
            signer: entry.header.signer,
            wrap,
        };
        let name = (held.wrap.revision, held.wrap.node);
        self.of.entry(name).or_default().insert(entry.hash, held);
    }

    /// Every wrap of a revision's values for a device.
    pub fn of(&self, revision: &Hash, node: &NodeId) -> impl Iterator<Item = &HeldWrap> {
        let held = self.of.get(&(*revision, *node));
        held.into_iter().flat_map(BTreeMap::values)
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceWrap;
    use crate::codec;
    use crate::crypto::seal::{BoxSecret, SealedValue, WrapPlace};
    use crate::ident::{FleetId, Hash, NodeId};
    use crate::prng::Prng;

    #[test]
    fn a_wrap_keeps_its_bytes_and_fits_an_entry() {
        let (fleet, revision, node) = (FleetId([1; 32]), Hash([2; 32]), NodeId([3; 16]));
        let (value, data_key) =
            SealedValue::seal(&fleet, b"psk", b"secret", &mut Prng::from_number(1));
        let key = BoxSecret::from_bytes(&[4; 32]).public();
        let place = WrapPlace {
            fleet: &fleet,
            revision: &revision,
            node: &node,
        };
        let wrap = data_key.wrap_for(&key, &place, &mut Prng::from_number(2));
        let wrap = DeviceWrap {
            revision,
            commitment: value.commitment(),
            node,
            key,
            wrap: wrap.expect("a usable key"),
        };
        let bytes = codec::encode(&wrap);
        assert_eq!(codec::decode::<DeviceWrap>(&bytes).as_ref(), Ok(&wrap));
        let hash = Hash::of(&bytes).to_string();
        assert_eq!((bytes.len(), &hash[..16]), (209, "a4c663d1d241b688"));
    }
}
