//! What counts of the managers' ledgers: of devices enrolled, relabelled and forgotten.

use crate::ledger::holdings::Holdings;
use crate::selector::Labels;
use crate::trust::certificate::{Capability, Certificate, Rank};
use crate::trust::enrolment::{HeldEnrolment, Written};
use crate::trust::fold;

impl Holdings {
    /// Whether an enrolment counts; as of the last [`Self::settle`]. Its author must be one who may
    /// admit such a device, else any manager could take a device's place in the record.
    #[must_use]
    pub fn enrolled(&self, held: &HeldEnrolment) -> bool {
        let certificate = &held.certificate;
        self.counts_now(&held.written)
            && match certificate.rank {
                Rank::Device => self.may_enrol(&held.written, &certificate.labels),
                Rank::Operator => self.writer(&held.written).is_some_and(|writer| {
                    let mut grants = writer.grants.iter();
                    grants.any(|grant| grant.capability == Capability::Delegate)
                }),
                // It becomes one by the root's signature, whoever wrote it down.
                Rank::Manager => true,
                Rank::Root => false,
            }
    }

    /// Whether what was written somewhere counts and does not come from the future.
    pub(crate) fn counts_now(&self, written: &Written) -> bool {
        self.counts(&written.ledger, written.link)
            && !fold::is_held(written.stamp.wall, self.behind.reference)
    }

    /// Whether the author of something may admit devices with these labels.
    pub(crate) fn may_enrol(&self, written: &Written, labels: &Labels) -> bool {
        let writer = self.writer(written);
        writer.is_some_and(|writer| writer.may_enrol(labels))
    }

    /// The certificate under which something was written.
    fn writer(&self, written: &Written) -> Option<&Certificate> {
        let chain = self.chains.get(&written.ledger)?;
        let serial = &chain.signer(written.link).serial;
        self.record.managers().get(serial)
    }
}
