//! The deterministic fold of entries into documents: heads, winner, conflict.
//!
//! A revision lists the heads that it replaces. What it replaced stays replaced, through revisions
//! that do not count as well, so a cut brings back only what nobody wrote over since.

pub mod wraps;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalog::wraps::Wraps;
use crate::clock::Stamp;
use crate::codec::{self, Name, Wire};
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::chain::LinkId;
use crate::ledger::entry::{BodyRef, Entry, EntryKind, LedgerId};
use crate::limits::{BODY_CARRIED_BYTES_MAX, ENTRY_HEADER_BYTES_MAX, REPLACES_MAX};
use crate::machine::Millis;
use crate::selector::Selector;
use crate::trust::certificate::Rank;
use crate::trust::record::content;

/// Configuration, as a kind of document.
pub const CONFIG: u16 = 1;
/// How far a change of configuration has gone out; its name is that of the configuration.
pub const ROLLOUT: u16 = 2;

/// Which document: its kind is a number that the features hand out, its name is for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentKey {
    /// The device that it is for alone; none for the fleet.
    pub scope: Option<NodeId>,
    /// Its kind.
    pub kind: u16,
    /// Its name.
    pub name: Name,
}

/// A revision's name: the first half of its entry's hash and its place in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RevisionId {
    /// The first half of the entry's hash.
    pub entry: Serial,
    /// Its place in a set; 0 where it stands alone.
    pub place: u16,
}

/// What a revision entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The document's kind.
    pub kind: u16,
    /// The document's name.
    pub name: Name,
    /// The heads that it takes the place of, those that do not count too; at most 16.
    pub replaces: Vec<RevisionId>,
    /// Which devices it is for.
    pub select: Selector,
    /// Whether it deletes the document.
    pub deletes: bool,
    /// One more than the greatest of those that it replaces: how people name it.
    pub version: u32,
    /// Whether a device takes it only once a rollout has come to it.
    pub staged: bool,
    /// What it says, where it is one of a set; the body of one that stands alone is its entry's.
    pub body: Option<BodyRef>,
}

impl Wire for Revision {
    const VERSION: u8 = 2;
    const BYTES_MAX: usize = ENTRY_HEADER_BYTES_MAX;
    const WHAT: &'static str = "revision";
}

/// Revisions that count together: the manifest is the entry's carried body, so whoever holds the
/// entry holds them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionSet(pub Vec<Revision>);

impl Wire for RevisionSet {
    const VERSION: u8 = 2;
    const BYTES_MAX: usize = BODY_CARRIED_BYTES_MAX;
    const WHAT: &'static str = "set of revisions";
}

/// Where an entry stands, for whoever decides whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its link there.
    pub link: LinkId,
}

/// A revision as it is held.
#[derive(Clone, Debug)]
pub struct HeldRevision {
    /// Where it stands.
    pub place: Place,
    /// When it was written.
    pub stamp: Stamp,
    /// The certificate that signed it.
    pub signer: Serial,
    /// The entry's hash.
    pub entry: Hash,
    /// When it stops meaning anything.
    pub expires: Option<Millis>,
    /// Where its words are, of one that has any.
    pub body: Option<BodyRef>,
    /// What it says.
    pub revision: Revision,
}

/// Whether a revision has effect, and with which weight it meets its rivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts; its author has this rank.
    Counts(Rank),
    /// It does not: cut, forked, lapsed, held, expired, or its author may not. What it replaced
    /// stays replaced where it is replaced itself.
    Waits,
    /// As if it were not held: other nodes refuse to take it.
    Absent,
}

/// A document's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The revision that holds.
    pub winner: RevisionId,
    /// Others that nobody replaced: made without seeing each other. Kept, and shown.
    pub conflicts: Vec<RevisionId>,
}

/// How a head is weighed against its rivals; the greatest wins.
type Weight = (Rank, Stamp, NodeId, RevisionId);

/// One document, kept up link by link: a revision *casts* where it counts or is replaced by one that
/// casts, and whatever a casting revision replaces is replaced. So each change walks only as far as
/// it reaches, and 10,000 revisions of one name cost no more each than the first ones.
#[derive(Clone, Debug, Default)]
struct Document {
    standings: BTreeMap<RevisionId, Standing>,
    /// How many casting revisions name a revision, held or not, as replaced.
    shadows: BTreeMap<RevisionId, u32>,
    /// How many revisions that are there at all do.
    named: BTreeMap<RevisionId, u32>,
    /// Heads: what counts and nobody replaced.
    weights: BTreeSet<Weight>,
    /// What nobody replaced, counting or not.
    open: BTreeSet<(Stamp, RevisionId)>,
}

/// All documents.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    revisions: BTreeMap<RevisionId, HeldRevision>,
    documents: BTreeMap<DocumentKey, Document>,
    heads: BTreeMap<DocumentKey, Heads>,
    /// Documents whose heads are still to be read from what was weighed.
    undecided: BTreeSet<DocumentKey>,
    wraps: Wraps,
}

impl Document {
    fn casts(&self, id: &RevisionId) -> bool {
        match self.standings.get(id) {
            Some(Standing::Counts(_)) => true,
            Some(Standing::Waits) => self.shadows.contains_key(id),
            Some(Standing::Absent) | None => false,
        }
    }

    /// Sets how a revision stands and carries on what follows from it.
    fn weigh(
        &mut self,
        id: RevisionId,
        standing: Standing,
        revisions: &BTreeMap<RevisionId, HeldRevision>,
    ) {
        let was_there = self.is_there(&id);
        let cast = self.casts(&id);
        let before = self.standings.insert(id, standing);
        let is_there = self.is_there(&id);
        if was_there != is_there {
            for older in replaced_by(&id, revisions) {
                if count(&mut self.named, older, is_there) {
                    self.note_open(older, revisions);
                }
            }
        }
        self.note_open(id, revisions);
        self.note_weight(id, before, revisions);
        // Whoever begins or ceases to cast changes what it replaces, and they what they replace.
        let mut changed: Vec<(RevisionId, bool)> = Vec::new();
        if cast != self.casts(&id) {
            changed.push((id, !cast));
        }
        while let Some((id, casts)) = changed.pop() {
            for older in replaced_by(&id, revisions) {
                let cast = self.casts(&older);
                if !count(&mut self.shadows, older, casts) {
                    continue;
                }
                let standing = self.standings.get(&older).copied();
                self.note_weight(older, standing, revisions);
                if cast != self.casts(&older) {
                    changed.push((older, !cast));
                }
            }
        }
    }

    fn is_there(&self, id: &RevisionId) -> bool {
        !matches!(self.standings.get(id), None | Some(Standing::Absent))
    }

    fn note_open(&mut self, id: RevisionId, revisions: &BTreeMap<RevisionId, HeldRevision>) {
        let Some(held) = revisions.get(&id) else {
            return;
        };
        if self.is_there(&id) && !self.named.contains_key(&id) {
            self.open.insert((held.stamp, id));
        } else {
            self.open.remove(&(held.stamp, id));
        }
    }

    /// Sets whether a revision is a head; `before` is how it stood when that was last set.
    fn note_weight(
        &mut self,
        id: RevisionId,
        before: Option<Standing>,
        revisions: &BTreeMap<RevisionId, HeldRevision>,
    ) {
        let Some(held) = revisions.get(&id) else {
            return;
        };
        let author = held.place.ledger.author;
        if let Some(Standing::Counts(rank)) = before {
            self.weights.remove(&(rank, held.stamp, author, id));
        }
        if let Some(Standing::Counts(rank)) = self.standings.get(&id)
            && !self.shadows.contains_key(&id)
        {
            self.weights.insert((*rank, held.stamp, author, id));
        }
    }

    fn heads(&self) -> Option<Heads> {
        let mut ids = self.weights.iter().rev().map(|(_, _, _, id)| *id);
        Some(Heads {
            winner: ids.next()?,
            conflicts: ids.collect(),
        })
    }
}

/// Adds one to, or takes one from, a count that is there where it is not zero; tells whether it came
/// or went.
fn count(counts: &mut BTreeMap<RevisionId, u32>, id: RevisionId, up: bool) -> bool {
    let count = counts.entry(id).or_default();
    if up {
        *count += 1;
        return *count == 1;
    }
    assert!(*count > 0, "a revision is replaced less than never");
    *count -= 1;
    let gone = *count == 0;
    if gone {
        counts.remove(&id);
    }
    gone
}

/// What a revision says that it replaces: different ones in order, 16 at most.
fn replaced_by(id: &RevisionId, revisions: &BTreeMap<RevisionId, HeldRevision>) -> Vec<RevisionId> {
    let held = revisions.get(id).map(|held| &held.revision.replaces);
    let replaces = held.into_iter().flatten().take(REPLACES_MAX);
    let mut replaced: Vec<RevisionId> = replaces.copied().collect();
    replaced.sort_unstable();
    replaced.dedup();
    replaced
}

impl Catalog {
    /// Takes an appended entry; gives its revisions, of which each is still to be weighed.
    pub fn take(&mut self, entry: &Entry, link: LinkId) -> Vec<RevisionId> {
        let place = Place {
            ledger: entry.header.ledger,
            link,
        };
        self.wraps.take(entry, link);
        let mut taken = Vec::new();
        for (index, revision) in revisions_of(entry).into_iter().enumerate() {
            let Ok(index) = u16::try_from(index) else {
                break;
            };
            let id = RevisionId {
                entry: Serial(entry.hash.half()),
                place: index,
            };
            if self.revisions.contains_key(&id) {
                continue;
            }
            self.revisions.insert(
                id,
                HeldRevision {
                    place,
                    stamp: entry.header.stamp,
                    signer: entry.header.signer,
                    entry: entry.hash,
                    expires: entry.header.expires,
                    body: body_of(entry, &revision),
                    revision,
                },
            );
            taken.push(id);
        }
        taken
    }

    /// Says how a revision stands; [`Self::decide`] says what follows.
    pub fn weigh(&mut self, id: RevisionId, standing: Standing) {
        let Some(held) = self.revisions.get(&id) else {
            return;
        };
        let key = held.document();
        if !self.documents.contains_key(&key) {
            self.documents.insert(key.clone(), Document::default());
        }
        let Some(document) = self.documents.get_mut(&key) else {
            return;
        };
        if document.standings.get(&id) != Some(&standing) {
            document.weigh(id, standing, &self.revisions);
            self.undecided.insert(key);
        }
    }

    /// Decides the documents of which something was weighed anew.
    pub fn decide(&mut self) {
        for key in std::mem::take(&mut self.undecided) {
            match self.documents.get(&key).and_then(Document::heads) {
                Some(heads) => self.heads.insert(key, heads),
                None => self.heads.remove(&key),
            };
        }
    }

    /// The names of all revisions that are held.
    pub fn ids(&self) -> impl Iterator<Item = &RevisionId> {
        self.revisions.keys()
    }

    /// A document's state; none where nothing counts.
    #[must_use]
    pub fn heads(&self, key: &DocumentKey) -> Option<&Heads> {
        self.heads.get(key)
    }

    /// All documents of which something counts, deleted ones too.
    pub fn documents(&self) -> impl Iterator<Item = (&DocumentKey, &Heads)> {
        self.heads.iter()
    }

    /// A revision that is held.
    #[must_use]
    pub fn revision(&self, id: &RevisionId) -> Option<&HeldRevision> {
        self.revisions.get(id)
    }

    /// All revisions that are held of a document.
    pub fn revisions(
        &self,
        key: &DocumentKey,
    ) -> impl Iterator<Item = (&RevisionId, &HeldRevision)> {
        let documents = self.documents.get(key).into_iter();
        let ids = documents.flat_map(|document| document.standings.keys());
        ids.filter_map(|id| self.revisions.get(id).map(|held| (id, held)))
    }

    /// Every revision that is held, with its document.
    pub fn held(&self) -> impl Iterator<Item = &HeldRevision> {
        self.revisions.values()
    }

    /// The data keys handed to devices, counting or not.
    #[must_use]
    pub fn wraps(&self) -> &Wraps {
        &self.wraps
    }

    /// What a new revision of a document has to replace: every head, and whatever is held or cut
    /// that nobody replaced, so that it cannot come back later; heads first, the most recent first,
    /// 16 at most.
    #[must_use]
    pub fn to_replace(&self, key: &DocumentKey) -> Vec<RevisionId> {
        let Some(document) = self.documents.get(key) else {
            return Vec::new();
        };
        let heads = document.weights.iter().rev().map(|(_, _, _, id)| *id);
        let mut ids: Vec<RevisionId> = heads.take(REPLACES_MAX).collect();
        let open = document.open.iter().rev().map(|(_, id)| *id);
        for id in open.take(2 * REPLACES_MAX) {
            if ids.len() < REPLACES_MAX && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// One hash over what holds: equal on nodes of equal state.
    #[must_use]
    pub fn digest(&self, of: impl Fn(&DocumentKey) -> bool) -> Hash {
        let mut hasher = blake3::Hasher::new();
        for (key, heads) in self.heads.iter().filter(|(key, _)| of(key)) {
            hasher
                .update(key.name.as_str().as_bytes())
                .update(&key.kind.to_le_bytes());
            for id in std::iter::once(&heads.winner).chain(&heads.conflicts) {
                hasher.update(&id.entry.0).update(&id.place.to_le_bytes());
            }
            hasher.update(&[0xff]);
        }
        Hash(*hasher.finalize().as_bytes())
    }
}

impl HeldRevision {
    /// The document that it is a revision of.
    #[must_use]
    pub fn document(&self) -> DocumentKey {
        DocumentKey {
            scope: self.place.ledger.scope,
            kind: self.revision.kind,
            name: self.revision.name.clone(),
        }
    }
}

/// The body of one of an entry's revisions: its own, or that of an entry which is this revision alone.
fn body_of(entry: &Entry, revision: &Revision) -> Option<BodyRef> {
    let of_entry = entry.header.body.filter(|body| !body.carried);
    revision.body.or(of_entry)
}

/// What an entry says of documents, in its order.
#[must_use]
pub fn revisions_of(entry: &Entry) -> Vec<Revision> {
    let Some(bytes) = content(entry) else {
        return Vec::new();
    };
    if entry.header.kind.code == EntryKind::REVISION.code {
        codec::decode(bytes)
            .map(|revision| vec![revision])
            .unwrap_or_default()
    } else if entry.header.kind.code == EntryKind::SET.code {
        codec::decode(bytes)
            .map(|RevisionSet(revisions)| revisions)
            .unwrap_or_default()
    } else {
        Vec::new()
    }
}
