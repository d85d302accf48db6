//! What a joiner asked for, as its enrolment proves it: a manager may admit, but not invent who asks.

use crate::codec;
use crate::ident::Serial;
use crate::trust::certificate::{Capability, Certificate, Issuer, Rank};
use crate::trust::enrolment::Enrolment;
use crate::trust::invite::join::{JoinRequest, check_signatures, is_called};
use crate::trust::invite::{InviteTerms, SignedInvite};
use crate::trust::record::Record;

/// A request that its joiner signed, with the invite's one-time key and with its own, for what its
/// enrolment says that it got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The terms of its invite.
    pub terms: InviteTerms,
    word: Word,
}

/// Whether the invite is its issuer's.
#[derive(Clone, Debug)]
enum Word {
    /// A manager signed it, who may invite so: what the certificate of this serial says for ever.
    Manager(Serial),
    /// Nobody did who might.
    Nobody,
    /// The root, which may take its word back, or somebody who is not known here yet.
    Open(SignedInvite),
}

impl Asked {
    /// The request in an enrolment; none where it is not the joiner's, or for something else.
    pub(super) fn of(
        record: &Record,
        enrolment: &Enrolment,
        certificate: &Certificate,
    ) -> Option<Self> {
        let request = enrolment.request.as_ref()?;
        let asked: JoinRequest = codec::decode(&request.bytes).ok()?;
        let terms = asked.invite.decode().ok()?;
        let fits = asked.invite.id() == enrolment.invite
            && asked.keys == certificate.keys
            && terms.rank == certificate.rank
            && terms.labels == certificate.labels
            && terms.grants == certificate.grants
            && terms.uses == enrolment.uses
            && terms.replaces == enrolment.replaces
            && is_called(
                &certificate.name,
                terms.name.as_ref().unwrap_or(&asked.name),
            );
        if !fits || check_signatures(record, request, &asked, &terms).is_err() {
            return None;
        }
        let mut asked = Self {
            terms,
            word: Word::Open(asked.invite),
        };
        asked.look(record);
        Some(asked)
    }

    /// Whether its issuer may have become known.
    pub(super) fn is_open(&self) -> bool {
        matches!(
            (&self.word, self.terms.issuer),
            (Word::Open(_), Issuer::Certificate(_))
        )
    }

    /// Looks for its issuer again. Whatever his certificate says it says for ever, so what is found
    /// here stays.
    pub(super) fn look(&mut self, record: &Record) {
        let (Word::Open(invite), Issuer::Certificate(serial)) = (&self.word, self.terms.issuer)
        else {
            return;
        };
        let Some(issuer) = record.certified().get(&serial) else {
            return;
        };
        let (key, fleet) = (&issuer.keys.sign, record.fleet());
        let is_his =
            may_invite(issuer, &self.terms) && invite.is_signed_by(key, &fleet, record.verify());
        self.word = match is_his {
            true => Word::Manager(serial),
            false => Word::Nobody,
        };
    }

    /// Whether its invite counts as its issuer's today.
    #[must_use]
    pub fn is_invited(&self, record: &Record) -> bool {
        match (&self.word, self.terms.issuer) {
            (Word::Manager(serial), _) => record.managers().contains_key(serial),
            (Word::Open(invite), Issuer::Root(number)) => invite.is_signed_by_root(record, number),
            (Word::Open(_) | Word::Nobody, _) => false,
        }
    }
}

/// Whether the holder of a certificate may sign an invite on these terms at all: managers are invited
/// by the root alone.
#[must_use]
pub(crate) fn may_invite(issuer: &Certificate, terms: &InviteTerms) -> bool {
    let mut grants = issuer.grants.iter();
    issuer.rank == Rank::Manager
        && match terms.rank {
            Rank::Device => issuer.may_enrol(&terms.labels),
            Rank::Operator => grants.any(|grant| grant.capability == Capability::Delegate),
            Rank::Manager | Rank::Root => false,
        }
}
