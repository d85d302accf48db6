//! What counts of the managers' ledgers: of devices enrolled, relabelled and forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::sign::PublicKey;
use crate::ident::Serial;
use crate::ledger::holdings::Holdings;
use crate::selector::Labels;
use crate::trust::certificate::{Capability, Certificate, Issuer, Rank};
use crate::trust::enrolment::change::HeldInvite;
use crate::trust::enrolment::{Enrolments, HeldEnrolment, Written};
use crate::trust::fold;
use crate::trust::invite::InviteTerms;
use crate::trust::verdict::InviteId;

impl Holdings {
    /// Whether an enrolment counts; as of the last [`Self::settle`]. Its author must be one who may
    /// admit such a device, else any manager could take a device's place in the record.
    #[must_use]
    pub fn enrolled(&self, held: &HeldEnrolment) -> bool {
        let certificate = &held.certificate;
        self.counts_now(&held.written)
            && match certificate.rank {
                Rank::Device => self.may_enrol(&held.written, &certificate.labels),
                Rank::Operator => self.has_signed_operator(held),
                Rank::Manager => self.is_certified(certificate) || self.is_asked_by_root(held),
                Rank::Root => false,
            }
    }

    /// An operator's is its author's own: who has `delegate` speaks of nobody else's.
    fn has_signed_operator(&self, held: &HeldEnrolment) -> bool {
        let serial = self.signed_under(&held.written);
        let is_own = serial.map(Issuer::Certificate) == Some(held.certificate.issuer);
        is_own
            && self.writer(&held.written).is_some_and(|writer| {
                let mut grants = writer.grants.iter();
                grants.any(|grant| grant.capability == Capability::Delegate)
            })
    }

    /// Whether the root made a manager of this node with these keys.
    fn is_certified(&self, certificate: &Certificate) -> bool {
        let mut managers = self.record.managers().values();
        managers.any(|it| it.node == certificate.node && it.keys == certificate.keys)
    }

    /// Whether the root invited a manager so. It becomes one by the root's signature, whoever wrote
    /// it down.
    fn is_asked_by_root(&self, held: &HeldEnrolment) -> bool {
        let mut given = self.enrolments.given_of(&held.enrolment.invite);
        given.any(|invite| {
            let by_root = matches!(invite.terms.issuer, Issuer::Root(_));
            by_root && invite.terms.rank == Rank::Manager && self.is_given(invite)
        })
    }

    /// Whether an invite counts as given: in its issuer's own words, wherever they stand.
    pub(crate) fn is_given(&self, held: &HeldInvite) -> bool {
        let record = &self.record;
        let is_signed = || match held.terms.issuer {
            Issuer::Root(number) => held.invite.is_signed_by_root(record, number),
            Issuer::Certificate(serial) => record.managers().get(&serial).is_some_and(|issuer| {
                let (key, fleet) = (&issuer.keys.sign, record.fleet());
                held.invite.is_signed_by(key, &fleet, record.verify())
            }),
        };
        held.terms.fleet == record.fleet() && self.counts_now(&held.written) && is_signed()
    }

    /// Whether an enrolment is a use of the invite with these terms: others put their own devices
    /// under any invite that they have seen.
    pub(crate) fn is_use(&self, held: &HeldEnrolment, terms: &InviteTerms) -> bool {
        let may = || match terms.rank {
            Rank::Device => self.may_enrol(&held.written, &terms.labels),
            _ => true,
        };
        held.certificate.rank == terms.rank && self.enrolled(held) && may()
    }

    /// Enrolments of invites that more devices used than were allowed, as happens on two sides of a
    /// partition. All but the uses that nobody doubts are contested: of an invite for one, both.
    #[must_use]
    pub fn contested(&self) -> Vec<&HeldEnrolment> {
        let invites = self.enrolments.used();
        invites
            .flat_map(|invite| self.contested_of(invite))
            .collect()
    }

    /// Of the enrolments under one invite those that are contested. Only those throw doubt on one
    /// whose authors may admit it themselves.
    pub(crate) fn contested_of(&self, invite: &InviteId) -> Vec<&HeldEnrolment> {
        let terms = self.enrolments.terms_of(invite);
        let uses = self.enrolments.of_invite(invite);
        let uses = uses.filter(|held| self.enrolled(held));
        let uses: Vec<(&HeldEnrolment, Serial)> = uses
            .filter_map(|held| Some((held, self.signed_under(&held.written)?)))
            .collect();
        let authors: BTreeSet<Serial> = uses.iter().map(|(_, author)| *author).collect();
        let mut alike: BTreeMap<(Rank, Vec<Serial>), Vec<&HeldEnrolment>> = BTreeMap::new();
        for (held, author) in &uses {
            let rank = held.certificate.rank;
            let doubt = |by: &&Serial| match rank {
                Rank::Device => self.holder_may_enrol(by, &held.certificate.labels),
                Rank::Operator => *by == author,
                Rank::Manager | Rank::Root => true,
            };
            let doubters = authors.iter().filter(doubt).copied().collect();
            alike.entry((rank, doubters)).or_default().push(held);
        }
        let mut contested = Vec::new();
        for ((rank, doubters), group) in alike {
            let crowd = uses.iter().filter(|(held, author)| {
                held.certificate.rank == rank && doubters.binary_search(author).is_ok()
            });
            let crowd: Vec<&HeldEnrolment> = crowd.map(|(held, _)| *held).collect();
            let claimed = crowd.iter().map(|held| held.enrolment.uses).min();
            let allowed = terms.map_or(claimed.unwrap_or(0), |terms| terms.uses);
            let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
            let doubted: BTreeSet<&PublicKey> = Enrolments::contested_among(crowd, allowed)
                .into_iter()
                .map(HeldEnrolment::key)
                .collect();
            contested.extend(group.into_iter().filter(|it| doubted.contains(it.key())));
        }
        contested
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

    fn holder_may_enrol(&self, serial: &Serial, labels: &Labels) -> bool {
        let manager = self.record.managers().get(serial);
        manager.is_some_and(|manager| manager.may_enrol(labels))
    }

    /// The certificate under which something was written.
    fn writer(&self, written: &Written) -> Option<&Certificate> {
        self.record.managers().get(&self.signed_under(written)?)
    }

    fn signed_under(&self, written: &Written) -> Option<Serial> {
        let chain = self.chains.get(&written.ledger)?;
        Some(chain.signer(written.link).serial)
    }
}
