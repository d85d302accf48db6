//! All that a node holds of the gossiped ledgers, and what follows from it: a pure function of the
//! entries and of reference time, kept up as they come.

mod enrolled;
mod restored;
mod wraps;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, HeldRevision, Place, RevisionId, Standing};
use crate::crypto::sign::{Context, PublicKey};
use crate::ident::Hash;
use crate::ledger::bodies::library::Shelf;
use crate::ledger::chain::{Appended, Chain, LinkId};
use crate::ledger::digest::Digests;
use crate::ledger::entry::{BodyRef, Entry, LedgerId, LedgerKind};
use crate::ledger::message::Group;
use crate::limits::{FORKED_ENTRIES_MAX, HOLD_AHEAD_MS};
use crate::machine::Millis;
use crate::trust::certificate::Capability;
use crate::trust::counting::{self, Forks, Marks};
use crate::trust::enrolment::Enrolments;
use crate::trust::fold::{self, Judgement};
use crate::trust::record::Record;

/// What became of an entry that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is held now, and has to be stored.
    Added {
        /// It is one of two that one hand should not both have signed.
        forked: bool,
        /// Its author was restored from a backup, or cloned.
        restored: bool,
    },
    /// It was held already.
    Duplicate,
    /// What stands before it is missing.
    Orphan,
    /// The certificate that signed it is not known: trust has to be exchanged first.
    UnknownSigner,
    /// Somebody made it up, or broke a rule that every author keeps.
    Forged,
    /// Its ledger holds all that is kept of such a one.
    Saturated,
}

/// What a node holds, and what follows.
#[derive(Clone, Debug)]
pub struct Holdings {
    record: Record,
    judgement: Judgement,
    chains: BTreeMap<LedgerId, Chain>,
    /// Of ledgers that something speaks against; all of the others counts.
    marks: BTreeMap<LedgerId, Marks>,
    catalog: Catalog,
    enrolments: Enrolments,
    digests: Digests,
    shelf: Shelf,
    /// Entries of a critical kind that this build does not know.
    unknown_critical: BTreeSet<(LedgerId, LinkId)>,
    behind: Behind,
}

/// How far the fold is behind what is held.
#[derive(Clone, Debug, Default)]
struct Behind {
    reference: Millis,
    /// Something was said that bears on trust.
    trust: bool,
    /// What the root says changed: who is a manager, and what it ordered.
    root: bool,
    /// Ledgers whose marks have to be made anew.
    ledgers: BTreeSet<LedgerId>,
    /// Revisions that have to be weighed anew once reference time reaches a point.
    due: BTreeSet<(Millis, RevisionId)>,
}

impl Holdings {
    /// Nothing held but what was pinned at joining.
    #[must_use]
    pub fn new(record: Record) -> Self {
        Self {
            record,
            judgement: Judgement::default(),
            chains: BTreeMap::new(),
            marks: BTreeMap::new(),
            catalog: Catalog::default(),
            enrolments: Enrolments::default(),
            digests: Digests::default(),
            shelf: Shelf::default(),
            unknown_critical: BTreeSet::new(),
            behind: Behind {
                trust: true,
                ..Behind::default()
            },
        }
    }

    /// All that was said on trust.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What holds; as of the last [`Self::settle`].
    #[must_use]
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// The ledgers.
    #[must_use]
    pub fn chains(&self) -> &BTreeMap<LedgerId, Chain> {
        &self.chains
    }

    /// The documents; as of the last [`Self::settle`].
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Devices enrolled, invites given and used; those that count, [`Self::enrolled`] says.
    #[must_use]
    pub fn enrolments(&self) -> &Enrolments {
        &self.enrolments
    }

    /// Which entries name which bodies.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Notes the files that a revision's body names, once somebody has read it.
    pub fn take_files(&mut self, id: RevisionId, files: &[BodyRef]) {
        if let Some(document) = self.catalog.revision(&id) {
            for file in files {
                self.shelf.take_file(*file, document, id);
            }
        }
    }

    /// Whether privileged acts must wait for a newer build.
    #[must_use]
    pub fn has_unknown_critical(&self) -> bool {
        self.unknown_critical
            .iter()
            .any(|(ledger, link)| self.counts(ledger, *link))
    }

    /// The reference time of the last [`Self::settle`].
    #[must_use]
    pub fn reference(&self) -> Millis {
        self.behind.reference
    }

    /// The hash over a group's heads.
    pub fn digest(&mut self, group: Group) -> Hash {
        self.digests.of(group, &self.chains)
    }

    /// The tree of hashes over scopes.
    pub fn scopes(&mut self) -> (&mut Digests, &BTreeMap<LedgerId, Chain>) {
        (&mut self.digests, &self.chains)
    }

    /// What the root says, by another way than an entry: a joiner gets it with its certificate.
    pub fn take_statement(&mut self, statement: &crate::trust::statement::Statement) {
        self.behind.root |= self.record.take_statement(statement);
    }

    /// Takes an entry whose form is sound.
    pub fn offer(&mut self, entry: &Entry) -> Offered {
        let ledger = entry.header.ledger;
        if let Some(chain) = self.chains.get(&ledger)
            && chain.find(&entry.hash).is_some()
        {
            return Offered::Duplicate;
        }
        if ledger.kind == LedgerKind::Trust {
            // What the root says counts whoever carries it, and may be the carrier's certificate.
            self.behind.root |= self.record.take_carried(entry);
        }
        let Some(certificate) = self.record.certified().get(&entry.header.signer) else {
            return Offered::UnknownSigner;
        };
        let key = certificate.keys.sign;
        if certificate.node != ledger.author
            || Group::of(&ledger).is_none()
            || !self.is_signed(entry, &key)
        {
            return Offered::Forged;
        }
        if is_refused(&self.judgement, &ledger, &key, entry.header.number) {
            return Offered::Saturated;
        }
        self.append(entry, key)
    }

    fn append(&mut self, entry: &Entry, key: PublicKey) -> Offered {
        let ledger = entry.header.ledger;
        let chain = self.chains.entry(ledger).or_default();
        let appended = chain.append(&entry.header, entry.hash, key);
        let empty = chain.is_empty();
        match appended {
            Appended::Added {
                link,
                forked,
                restored,
            } => {
                self.added(entry, link);
                Offered::Added { forked, restored }
            }
            Appended::Duplicate => Offered::Duplicate,
            other => {
                if empty {
                    self.chains.remove(&ledger);
                }
                match other {
                    Appended::Orphan => Offered::Orphan,
                    Appended::Saturated => Offered::Saturated,
                    _ => Offered::Forged,
                }
            }
        }
    }

    fn is_signed(&self, entry: &Entry, key: &PublicKey) -> bool {
        self.record.verify().verify(
            key,
            Context::Entry,
            &self.record.fleet(),
            &entry.parcel.header,
            &entry.parcel.signature,
        )
    }

    fn added(&mut self, entry: &Entry, link: LinkId) {
        let ledger = entry.header.ledger;
        if let Some(group) = Group::of(&ledger) {
            self.digests.touch(group);
        }
        if entry.header.kind.critical && !entry.header.kind.is_known() {
            self.unknown_critical.insert((ledger, link));
        }
        if ledger.kind == LedgerKind::Trust {
            self.record.take_carrier(entry, link);
            self.record.take_verdicts(entry, link);
            // Whatever it says, it may be a fork, or a head that others testified before it came.
            self.behind.trust = true;
        }
        self.shelf.take(entry);
        self.mark(&ledger, link);
        match ledger.kind {
            LedgerKind::Fleet => {
                for id in self.catalog.take(entry, link) {
                    self.watch(id);
                    self.weigh(id);
                }
            }
            LedgerKind::Managers => self.enrolments.take(entry, link, &self.record),
            _ => {}
        }
    }

    fn is_constrained(&self, ledger: &LedgerId) -> bool {
        self.chains
            .get(ledger)
            .is_some_and(|chain| counting::is_constrained(chain, &self.judgement))
    }

    /// Keeps the marks of a ledger up to a new link. Most ledgers have none and need none; where
    /// something speaks against a hand, or a branch, all are made anew when things settle.
    fn mark(&mut self, ledger: &LedgerId, link: LinkId) {
        let Some(chain) = self.chains.get(ledger) else {
            return;
        };
        let serial = &chain.signer(link).serial;
        let within = self
            .record
            .managers()
            .get(serial)
            .is_some_and(|certificate| {
                let wall = chain.link(link).wall;
                counting::is_within_window(wall, certificate, &self.judgement, serial)
            });
        if self.is_constrained(ledger) || !within {
            self.behind.ledgers.insert(*ledger);
        }
        if let Some(marks) = self.marks.get_mut(ledger) {
            marks.push(within);
        }
    }

    /// Makes the marks of a ledger anew; true where they change.
    fn mark_all(&mut self, ledger: LedgerId) -> bool {
        let Some(chain) = self.chains.get(&ledger) else {
            return false;
        };
        let managers = self.record.managers();
        let marks = counting::marks(&ledger, chain, &self.judgement, managers, Forks::Followed);
        if marks.refused() > 0 {
            self.marks.insert(ledger, marks.clone()) != Some(marks)
        } else {
            self.marks.remove(&ledger).is_some()
        }
    }

    /// Remembers when a revision's effect changes by time alone.
    fn watch(&mut self, id: RevisionId) {
        let Some(held) = self.catalog.revision(&id) else {
            return;
        };
        let wall = held.stamp.wall;
        let release = Millis(wall.0.saturating_sub(HOLD_AHEAD_MS));
        let expiry = held.expires.map(|expires| expires.plus(1));
        let later = std::iter::once(release)
            .chain(expiry)
            .filter(|at| *at > self.behind.reference);
        self.behind.due.extend(later.map(|at| (at, id)));
    }

    /// Brings what follows up to date: after entries were offered, and when time has passed.
    /// Returns whether the judgement on somebody changed.
    pub fn settle(&mut self, reference: Millis) -> bool {
        let went_back = reference < self.behind.reference;
        let stale = self.judgement.stale_at.is_some_and(|at| at <= reference);
        self.behind.reference = reference;
        let root = std::mem::take(&mut self.behind.root);
        let trust = std::mem::take(&mut self.behind.trust);
        let mut changed = false;
        if root {
            self.enrolments.look_again(&self.record);
        }
        if trust || root || stale || went_back {
            changed = self.judge_anew(root);
        }
        let mut marked = false;
        for ledger in std::mem::take(&mut self.behind.ledgers) {
            marked |= self.mark_all(ledger);
        }
        if marked || root || went_back {
            self.weigh_all(went_back);
        }
        while let Some((at, id)) = self.behind.due.first().copied() {
            if at > reference {
                break;
            }
            self.behind.due.pop_first();
            self.weigh(id);
        }
        self.catalog.decide();
        changed
    }

    /// Judges, and notes the ledgers on which it bears.
    fn judge_anew(&mut self, root: bool) -> bool {
        let mut judgement = fold::judge(&self.record, &self.chains, self.behind.reference);
        if judgement == self.judgement && !root {
            return false;
        }
        if judgement.cuts != self.judgement.cuts && self.hide(&judgement) {
            // What is hidden has no part in forks either; cuts are the root's and stay as they are.
            judgement = fold::judge(&self.record, &self.chains, self.behind.reference);
        }
        let before = std::mem::replace(&mut self.judgement, judgement);
        for (ledger, chain) in &self.chains {
            if root || counting::differ(ledger, chain, &before, &self.judgement) {
                self.behind.ledgers.insert(*ledger);
            }
        }
        true
    }

    /// Hides what nobody would take any more; true where that changes a ledger.
    fn hide(&mut self, judgement: &Judgement) -> bool {
        let mut changed = false;
        for (ledger, chain) in &mut self.chains {
            if chain.hide(|key, number| is_refused(judgement, ledger, key, number)) {
                changed = true;
                self.behind.ledgers.insert(*ledger);
                if let Some(group) = Group::of(ledger) {
                    self.digests.touch(group);
                }
            }
        }
        changed
    }

    /// When [`Self::settle`] would change something by time alone, in reference time.
    #[must_use]
    pub fn stale_at(&self) -> Option<Millis> {
        let due = self.behind.due.first().map(|(at, _)| *at);
        self.judgement.stale_at.into_iter().chain(due).min()
    }

    fn standing(&self, held: &HeldRevision) -> Standing {
        let Place { ledger, link } = held.place;
        let reference = self.behind.reference;
        if self
            .chains
            .get(&ledger)
            .is_none_or(|chain| chain.is_hidden(link))
        {
            return Standing::Absent;
        }
        let expired = held.expires.is_some_and(|expires| expires < reference);
        if expired || fold::is_held(held.stamp.wall, reference) || !self.counts(&ledger, link) {
            return Standing::Waits;
        }
        let author = self.record.managers().get(&held.signer);
        let may_write = author.is_some_and(|author| {
            let mut grants = author.grants.iter();
            grants.any(|grant| grant.capability == Capability::ConfigWrite)
        });
        match author {
            Some(author) if may_write => Standing::Counts(author.rank),
            _ => Standing::Waits,
        }
    }

    fn weigh(&mut self, id: RevisionId) {
        let Some(held) = self.catalog.revision(&id) else {
            return;
        };
        let standing = self.standing(held);
        self.catalog.weigh(id, standing);
    }

    fn weigh_all(&mut self, watch: bool) {
        let ids: Vec<RevisionId> = self.catalog.ids().copied().collect();
        for id in ids {
            if watch {
                self.watch(id);
            }
            self.weigh(id);
        }
    }

    /// Whether the entry at a place counts, stamps from the future aside.
    #[must_use]
    pub fn counts(&self, ledger: &LedgerId, link: LinkId) -> bool {
        self.marks
            .get(ledger)
            .is_none_or(|marks| marks.counts(link))
    }

    /// How many entries are held, of all ledgers.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.chains.values().map(Chain::len).sum()
    }

    /// One hash over everything that holds for the whole fleet: equal on nodes of equal state.
    #[must_use]
    pub fn state_digest(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.catalog.digest(|key| key.scope.is_none()).0);
        self.judgement.add_stopped(&mut hasher);
        hasher.update(&(self.record.managers().len() as u64).to_le_bytes());
        for serial in self.record.managers().keys() {
            hasher.update(&serial.0);
        }
        Hash(*hasher.finalize().as_bytes())
    }
}

/// A stopped hand goes on signing for ever: of each of its ledgers only so much is kept behind the
/// last number that an order lets count. What counts is always taken, in whatever order it comes.
fn is_refused(judgement: &Judgement, ledger: &LedgerId, key: &PublicKey, number: u64) -> bool {
    let Some(cut) = judgement.cuts.get(key).filter(|cut| cut.stopped) else {
        return false;
    };
    let limits = cut.ledgers.get(&(ledger.kind, ledger.scope));
    let last = limits
        .into_iter()
        .flatten()
        .flatten()
        .map(|head| head.number)
        .max();
    number > last.unwrap_or(0).saturating_add(FORKED_ENTRIES_MAX as u64)
}
