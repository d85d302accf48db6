//! What counts of the managers' ledgers: of devices enrolled, relabelled and forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::sign::PublicKey;
use crate::ident::Serial;
use crate::ledger::holdings::Holdings;
use crate::selector::Labels;
use crate::trust::certificate::{Certificate, Issuer, Rank};
use crate::trust::enrolment::asked::may_invite;
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
                Rank::Device => {
                    self.may_enrol(&held.written, &certificate.labels) && self.is_asked(held)
                }
                Rank::Operator => self.has_signed_operator(held),
                // It becomes one by the root's signature, whoever wrote it down.
                Rank::Manager => self.is_certified(certificate) || self.is_asked(held),
                Rank::Root => false,
            }
    }

    /// Whether it is what the joiner asked for itself, by an invite of who may give such a one.
    fn is_asked(&self, held: &HeldEnrolment) -> bool {
        let asked = held.asked.as_ref();
        asked.is_some_and(|asked| asked.is_invited(&self.record))
    }

    /// An operator's is its author's own: who has `delegate` speaks of nobody else's, and of no more
    /// than he may sign. By an invite, or under its own name.
    fn has_signed_operator(&self, held: &HeldEnrolment) -> bool {
        let serial = self.signed_under(&held.written);
        let is_own = serial.map(Issuer::Certificate) == Some(held.certificate.issuer);
        let is_named = held.asked.is_none() && held.enrolment.invite == InviteId(held.serial);
        let may = |writer: &Certificate| held.certificate.check_issued_by(writer).is_ok();
        is_own && (is_named || self.is_asked(held)) && self.writer(&held.written).is_some_and(may)
    }

    /// Whether the root made a manager of this node with these keys.
    fn is_certified(&self, certificate: &Certificate) -> bool {
        let mut managers = self.record.managers().values();
        managers.any(|it| it.node == certificate.node && it.keys == certificate.keys)
    }

    /// Whether an invite counts as given: in its issuer's own words, wherever they stand, who may
    /// give such a one.
    pub(crate) fn is_given(&self, held: &HeldInvite) -> bool {
        let record = &self.record;
        let is_signed = || match held.terms.issuer {
            Issuer::Root(number) => held.invite.is_signed_by_root(record, number),
            Issuer::Certificate(serial) => record.managers().get(&serial).is_some_and(|issuer| {
                let (key, fleet) = (&issuer.keys.sign, record.fleet());
                may_invite(issuer, &held.terms)
                    && held.invite.is_signed_by(key, &fleet, record.verify())
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
        held.certificate.rank == terms.rank && self.is_asked(held) && self.enrolled(held) && may()
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
        let uses = self.enrolments.of_invite(invite);
        // Who was enrolled without an invite has nothing to share.
        let uses = uses.filter(|held| self.is_asked(held) && self.enrolled(held));
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
            // All of them name the same signed terms.
            let allowed = crowd.first().map_or(0, |held| held.enrolment.uses);
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
