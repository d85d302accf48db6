//! Who may read which body: what the machine asks, and the answer that the ledgers give.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{HeldRevision, RevisionId, revisions_of};
use crate::crypto::sign::Verify;
use crate::ident::{FleetId, Hash, Serial};
use crate::ledger::bodies::sealing::{Noise, SealPart};
use crate::ledger::entry::{BodyRef, Entry, EntryKind, LedgerId, LedgerKind};
use crate::ledger::holdings::Holdings;
use crate::limits::BODY_CARRIED_BYTES_MAX;
use crate::machine::Millis;
use crate::trust::authority::{self, Credentials, Denial};
use crate::trust::certificate::{Capability, Certificate, Rank, SignedCertificate};
use crate::trust::fold;

/// What the machine has to know of the fleet, as it stands at this moment.
pub trait Library {
    /// The fleet.
    fn fleet(&self) -> FleetId;

    /// What time it is for everybody.
    fn reference(&self) -> Millis;

    /// How signatures are checked.
    fn verify(&self) -> &dyn Verify;

    /// How parts are sealed to a requester.
    fn sealing(&self) -> &dyn SealPart {
        &Noise
    }

    /// Reads presented certificates.
    ///
    /// # Errors
    /// Why they are not those of a member.
    fn recognise(&self, presented: &[SignedCertificate]) -> Result<Credentials, Denial>;

    /// Whether they still hold: not stopped, not lapsed.
    fn stands(&self, who: &Credentials) -> bool;

    /// Whether an entry that is held names a body of this hash and length.
    fn is_named(&self, hash: &Hash, bytes: u64) -> bool;

    /// Whether somebody may read a body.
    fn may_read(&self, hash: &Hash, who: &Credentials) -> bool;
}

/// An entry that names a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Naming {
    ledger: LedgerId,
    entry: Hash,
    /// The length that it gives; the name of a body binds its length, so only one can be right.
    bytes: u64,
    expires: Option<Millis>,
    /// Which of the entry's revisions; none where it has none.
    revision: Option<u16>,
}

impl Naming {
    fn of(entry: &Entry, bytes: u64, revision: Option<u16>) -> Self {
        Self {
            ledger: entry.header.ledger,
            entry: entry.hash,
            bytes,
            expires: entry.header.expires,
            revision,
        }
    }
}

/// Which entries name which bodies; rebuilt from the entries at a start, as the catalog is.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    named: BTreeMap<Hash, BTreeSet<Naming>>,
}

impl Shelf {
    /// Notes an entry that is held; only a body that is not carried along has readers to choose.
    pub fn take(&mut self, entry: &Entry) {
        let kind = entry.header.kind.code;
        let own = entry.header.body.filter(|body| !body.carried);
        if let Some(body) = own {
            let revision = (kind == EntryKind::REVISION.code).then_some(0);
            self.note(body, Naming::of(entry, body.bytes, revision));
        }
        if kind == EntryKind::SET.code {
            for (place, revision) in (0..).zip(revisions_of(entry)) {
                if let Some(body) = revision.body {
                    self.note(body, Naming::of(entry, body.bytes, Some(place)));
                }
            }
        }
    }

    /// Notes a file that a document's body names: whoever may read the document may read the file.
    pub fn take_file(&mut self, file: BodyRef, document: &HeldRevision, id: RevisionId) {
        let naming = Naming {
            ledger: document.place.ledger,
            entry: document.entry,
            bytes: file.bytes,
            expires: document.expires,
            revision: Some(id.place),
        };
        self.note(file, naming);
    }

    fn note(&mut self, body: BodyRef, naming: Naming) {
        self.named.entry(body.hash).or_default().insert(naming);
    }
}

/// The ledgers as the library of bodies.
///
/// A body is for the devices that a revision naming it selects, by the labels and the name in their
/// certificate; one in a device's scope is for that device alone; managers with `config.write` or
/// `hold` may have all. A revision opens a body only while it counts and its author may write, else
/// anybody with a ledger could name another's body and select himself. One that was replaced goes
/// on opening it: rollouts and the way back need the older body, and its readers had it already.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// What is held.
    pub holdings: &'a Holdings,
    /// Which entries name which bodies.
    pub shelf: &'a Shelf,
    /// Reference time.
    pub reference: Millis,
}

impl Reading<'_> {
    /// Whether an entry's private body may go along with it to a peer: it is short enough, and the
    /// peer may read it.
    #[must_use]
    pub fn may_ride(&self, entry: &Entry, peer: &Credentials) -> bool {
        entry.header.body.is_some_and(|body| {
            !body.carried
                && body.bytes <= BODY_CARRIED_BYTES_MAX as u64
                && self.may_read(&body.hash, peer)
        })
    }

    /// Whether the entry counts now and its author may write.
    fn counts(&self, naming: &Naming) -> bool {
        let Some(chain) = self.holdings.chains().get(&naming.ledger) else {
            return false;
        };
        let Some(link) = chain.find(&naming.entry) else {
            return false;
        };
        let managers = self.holdings.record().managers();
        let author = managers.get(&chain.signer(link).serial);
        let held = fold::is_held(chain.link(link).wall, self.reference);
        let expired = naming.expires.is_some_and(|end| end < self.reference);
        self.holdings.counts(&naming.ledger, link)
            && !held
            && !expired
            && author.is_some_and(|author| has(author, Capability::ConfigWrite))
    }

    fn selects(&self, naming: &Naming, reader: &Certificate) -> bool {
        let in_scope = naming
            .ledger
            .scope
            .is_none_or(|device| device == reader.node);
        if !in_scope || naming.ledger.kind != LedgerKind::Fleet || !self.counts(naming) {
            return false;
        }
        let Some(place) = naming.revision else {
            // What says no selector is for the device in whose scope it stands.
            return naming.ledger.scope.is_some();
        };
        let id = RevisionId {
            entry: Serial(naming.entry.half()),
            place,
        };
        let held = self.holdings.catalog().revision(&id);
        held.is_some_and(|held| {
            held.entry == naming.entry
                && held
                    .revision
                    .select
                    .matches(&reader.labels.with_name(&reader.name))
        })
    }
}

fn has(certificate: &Certificate, capability: Capability) -> bool {
    let mut grants = certificate.grants.iter();
    grants.any(|grant| grant.capability == capability)
}

impl Library for Reading<'_> {
    fn fleet(&self) -> FleetId {
        self.holdings.record().fleet()
    }

    fn reference(&self) -> Millis {
        self.reference
    }

    fn verify(&self) -> &dyn Verify {
        self.holdings.record().verify()
    }

    fn recognise(&self, presented: &[SignedCertificate]) -> Result<Credentials, Denial> {
        authority::recognise(self.holdings.record(), presented)
    }

    fn stands(&self, who: &Credentials) -> bool {
        authority::stands(self.holdings.judgement(), who, self.reference).is_ok()
    }

    fn is_named(&self, hash: &Hash, bytes: u64) -> bool {
        let mut namings = self.shelf.named.get(hash).into_iter().flatten();
        namings.any(|naming| naming.bytes == bytes)
    }

    fn may_read(&self, hash: &Hash, who: &Credentials) -> bool {
        let reader = who.own();
        if !self.stands(who) || reader.rank == Rank::Operator {
            return false;
        }
        if reader.rank == Rank::Manager
            && (has(reader, Capability::ConfigWrite) || has(reader, Capability::Hold))
        {
            return true;
        }
        let mut namings = self.shelf.named.get(hash).into_iter().flatten();
        namings.any(|naming| self.selects(naming, reader))
    }
}
