//! Which of the data keys that were handed to a device count.

use crate::catalog::wraps::DeviceWrap;
use crate::ident::{Hash, NodeId};
use crate::ledger::holdings::Holdings;
use crate::trust::certificate::Capability;
use crate::trust::fold;

impl Holdings {
    /// The data keys of a revision's values that were handed to a device, by those who may hand them
    /// over; as of the last [`Self::settle`].
    pub fn wraps(&self, revision: &Hash, node: &NodeId) -> impl Iterator<Item = &DeviceWrap> {
        let wraps = self.catalog.wraps().of(revision, node);
        let counting = wraps.filter(|held| {
            let signer = self.record.managers().get(&held.signer);
            let may = signer.is_some_and(|signer| {
                let mut grants = signer.grants.iter();
                grants.any(|grant| grant.capability == Capability::SecretWrap)
            });
            may && self.counts(&held.place.ledger, held.place.link)
                && !fold::is_held(held.stamp.wall, self.behind.reference)
        });
        counting.map(|held| &held.wrap)
    }
}
