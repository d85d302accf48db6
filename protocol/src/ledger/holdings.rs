//! All that a node holds of the gossiped ledgers, and what follows from it: a pure function of the
//! entries and of reference time, kept up as they come.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, DocumentKey, HeldRevision, Standing};
use crate::crypto::sign::{Context, PublicKey};
use crate::ident::{Hash, Serial};
use crate::ledger::chain::{Appended, Chain, LinkId};
use crate::ledger::digest::Digests;
use crate::ledger::entry::{Entry, LedgerId, LedgerKind};
use crate::ledger::message::Group;
use crate::limits::{FORKED_ENTRIES_MAX, HOLD_AHEAD_MS};
use crate::machine::Millis;
use crate::trust::certificate::{Capability, Certificate};
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
    /// Documents that have to be decided anew once reference time reaches a point.
    due: BTreeSet<(Millis, DocumentKey)>,
    /// Ledgers where an entry of a critical kind that this build does not know is held.
    unknown_critical: BTreeSet<LedgerId>,
    state: FoldState,
}

/// How far the fold is behind what is held.
#[derive(Clone, Copy, Debug, Default)]
struct FoldState {
    reference: Millis,
    trust_changed: bool,
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
            due: BTreeSet::new(),
            unknown_critical: BTreeSet::new(),
            state: FoldState {
                reference: Millis(0),
                trust_changed: true,
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

    /// Devices enrolled, invites given and used.
    #[must_use]
    pub fn enrolments(&self) -> &Enrolments {
        &self.enrolments
    }

    /// Whether privileged acts must wait for a newer build.
    #[must_use]
    pub fn has_unknown_critical(&self) -> bool {
        !self.unknown_critical.is_empty()
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
        self.state.trust_changed |= self.record.take_statement(statement);
    }

    /// Takes an entry whose form is sound.
    pub fn offer(&mut self, entry: &Entry) -> Offered {
        let ledger = entry.header.ledger;
        if let Some(chain) = self.chains.get(&ledger) {
            if chain.find(&entry.hash).is_some() {
                return Offered::Duplicate;
            }
        }
        if ledger.kind == LedgerKind::Trust {
            // What the root says counts whoever carries it, and may be the carrier's certificate.
            self.state.trust_changed |= self.record.take_carried(entry);
        }
        let Some(certificate) = self.record.managers().get(&entry.header.signer) else {
            return Offered::UnknownSigner;
        };
        let key = certificate.keys.sign;
        if certificate.node != ledger.author
            || Group::of(&ledger).is_none()
            || !self.is_signed(entry, &key)
        {
            return Offered::Forged;
        }
        if self.is_full_of_refused(&ledger, &key) {
            return Offered::Saturated;
        }
        self.append(entry, key)
    }

    /// Takes back an entry that this node stored itself: its signature was checked then.
    pub fn restore(&mut self, entry: &Entry) -> Offered {
        if entry.header.ledger.kind == LedgerKind::Trust {
            self.state.trust_changed |= self.record.take_carried(entry);
        }
        match self.record.key_of(&entry.header.signer) {
            Some(key) => self.append(entry, key),
            None => Offered::UnknownSigner,
        }
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
                self.added(entry, link, forked);
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

    /// A stopped key goes on signing for ever; only so much of it is kept.
    fn is_full_of_refused(&self, ledger: &LedgerId, key: &PublicKey) -> bool {
        self.judgement.stopped_keys.contains(key)
            && self
                .marks
                .get(ledger)
                .is_some_and(|marks| marks.refused() >= FORKED_ENTRIES_MAX)
    }

    fn added(&mut self, entry: &Entry, link: LinkId, forked: bool) {
        let ledger = entry.header.ledger;
        if let Some(group) = Group::of(&ledger) {
            self.digests.touch(group);
        }
        if entry.header.kind.critical && !entry.header.kind.is_known() {
            self.unknown_critical.insert(ledger);
        }
        if ledger.kind == LedgerKind::Trust {
            self.state.trust_changed |= self.record.take_verdicts(entry, link);
            // A fork of a trust ledger silences testimony behind it.
            self.state.trust_changed |= forked;
        }
        self.mark(&ledger, link, forked);
        match ledger.kind {
            LedgerKind::Fleet => {
                let touched = self.catalog.take(entry, link);
                self.watch(entry, &touched);
                if forked {
                    self.decide_all();
                } else {
                    for key in &touched {
                        self.decide(key);
                    }
                }
            }
            LedgerKind::Managers => self.enrolments.take(entry, link),
            _ => {}
        }
    }

    /// Keeps the marks of a ledger up to a new link; most ledgers have none and need none.
    fn mark(&mut self, ledger: &LedgerId, link: LinkId, forked: bool) {
        let Some(chain) = self.chains.get(ledger) else {
            return;
        };
        let signer = *chain.signer(link);
        let within = self
            .record
            .managers()
            .get(&signer.serial)
            .is_some_and(|certificate| {
                let wall = chain.link(link).wall;
                counting::is_within_window(wall, certificate, &self.judgement, &signer.serial)
            });
        let free =
            !forked && counting::is_free(chain, &signer.serial, &signer.key, &self.judgement);
        match (free && within, self.marks.get_mut(ledger)) {
            (true, None) => {}
            (true, Some(marks)) => marks.push(true),
            (false, _) => self.mark_all(*ledger),
        }
    }

    fn mark_all(&mut self, ledger: LedgerId) {
        let Some(chain) = self.chains.get(&ledger) else {
            return;
        };
        let certificate = |serial: &Serial| self.record.managers().get(serial).cloned();
        let marks = counting::marks(
            &ledger,
            chain,
            &self.judgement,
            certificate,
            Forks::Followed,
        );
        let constrained = marks.refused() > 0
            || chain.signers().iter().any(|signer| {
                !counting::is_free(chain, &signer.serial, &signer.key, &self.judgement)
            });
        if constrained {
            self.marks.insert(ledger, marks);
        } else {
            self.marks.remove(&ledger);
        }
    }

    /// Remembers when an entry's effect changes by time alone.
    fn watch(&mut self, entry: &Entry, touched: &[DocumentKey]) {
        let times = changes(
            entry.header.stamp.wall,
            entry.header.expires,
            self.state.reference,
        );
        for at in times {
            self.due.extend(touched.iter().map(|key| (at, key.clone())));
        }
    }

    /// The same for everything that is held, after reference time went back.
    fn watch_all(&mut self) {
        self.due.clear();
        for held in self.catalog.held() {
            for at in changes(held.stamp.wall, held.expires, self.state.reference) {
                self.due.insert((at, held.key()));
            }
        }
    }

    /// Brings what follows up to date: after entries were offered, and when time has passed.
    /// Returns whether the judgement on somebody changed.
    pub fn settle(&mut self, reference: Millis) -> bool {
        let went_back = reference < self.state.reference;
        let stale = self.judgement.stale_at.is_some_and(|at| at <= reference);
        self.state.reference = reference;
        let mut changed = false;
        if self.state.trust_changed || stale || went_back {
            self.state.trust_changed = false;
            changed = self.judge_anew();
        }
        if went_back {
            self.watch_all();
            self.decide_all();
        }
        while let Some((at, key)) = self.due.first().cloned() {
            if at > reference {
                break;
            }
            self.due.remove(&(at, key.clone()));
            self.decide(&key);
        }
        changed
    }

    fn judge_anew(&mut self) -> bool {
        let judgement = fold::judge(&self.record, &self.chains, self.state.reference);
        let unchanged = judgement == self.judgement;
        self.judgement = judgement;
        if unchanged {
            return false;
        }
        let ledgers: Vec<LedgerId> = self.chains.keys().copied().collect();
        for ledger in ledgers {
            self.mark_all(ledger);
        }
        self.decide_all();
        true
    }

    /// When [`Self::settle`] would change something by time alone, in reference time.
    #[must_use]
    pub fn stale_at(&self) -> Option<Millis> {
        let due = self.due.first().map(|(at, _)| *at);
        self.judgement.stale_at.into_iter().chain(due).min()
    }

    fn decide(&mut self, key: &DocumentKey) {
        let (marks, record, reference) = (&self.marks, &self.record, self.state.reference);
        self.catalog
            .decide(key, |held| standing(held, marks, record, reference));
    }

    fn decide_all(&mut self) {
        let (marks, record, reference) = (&self.marks, &self.record, self.state.reference);
        self.catalog
            .decide_all(|held| standing(held, marks, record, reference));
    }

    /// Whether the entry at a place counts, stamps from the future aside.
    #[must_use]
    pub fn counts(&self, ledger: &LedgerId, link: LinkId) -> bool {
        self.marks
            .get(ledger)
            .is_none_or(|marks| marks.counts(link))
    }

    /// How many managers may tell time: neither stopped nor lapsed.
    #[must_use]
    pub fn tellers(&self) -> usize {
        let judgement = &self.judgement;
        let tells = |certificate: &Certificate| {
            certificate
                .grants
                .iter()
                .any(|grant| grant.capability == Capability::Time)
                && !judgement.stopped_keys.contains(&certificate.keys.sign)
        };
        let managers = self.record.managers().iter();
        let nodes: BTreeSet<_> = managers
            .filter(|(serial, certificate)| {
                tells(certificate) && !judgement.lapsed.contains_key(serial)
            })
            .map(|(_, certificate)| certificate.node)
            .collect();
        nodes.len()
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
        for key in &self.judgement.stopped_keys {
            hasher.update(&key.0.0);
        }
        for node in &self.judgement.stopped_nodes {
            hasher.update(&node.0);
        }
        for invite in &self.judgement.stopped_invites {
            hasher.update(&invite.0.0);
        }
        for serial in self.record.managers().keys() {
            hasher.update(&serial.0);
        }
        Hash(*hasher.finalize().as_bytes())
    }
}

/// When an entry stops waiting and when it expires, as far as that lies ahead.
fn changes(
    wall: Millis,
    expires: Option<Millis>,
    reference: Millis,
) -> impl Iterator<Item = Millis> {
    let release =
        fold::is_held(wall, reference).then(|| Millis(wall.0.saturating_sub(HOLD_AHEAD_MS)));
    let expiry = expires
        .filter(|expires| *expires >= reference)
        .map(|expires| expires.plus(1));
    release.into_iter().chain(expiry)
}

fn standing(
    held: &HeldRevision,
    marks: &BTreeMap<LedgerId, Marks>,
    record: &Record,
    reference: Millis,
) -> Standing {
    let counts = marks
        .get(&held.place.ledger)
        .is_none_or(|marks| marks.counts(held.place.link));
    let expired = held.expires.is_some_and(|expires| expires < reference);
    let may_write = |certificate: &&Certificate| {
        certificate
            .grants
            .iter()
            .any(|grant| grant.capability == Capability::ConfigWrite)
    };
    let author = record.managers().get(&held.signer).filter(may_write);
    match author {
        Some(author) if counts && !expired && !fold::is_held(held.stamp.wall, reference) => {
            Standing::Counts(author.rank)
        }
        _ => Standing::Waits,
    }
}
