//! The deterministic fold of entries into documents: heads, winner, conflict.
//!
//! A revision lists the heads that it replaces. What it replaced stays replaced, through revisions
//! that do not count as well, so a cut brings back only what nobody wrote over since.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::codec::{self, Name, Wire};
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::chain::LinkId;
use crate::ledger::entry::{Entry, EntryKind, LedgerId};
use crate::limits::{BODY_CARRIED_BYTES_MAX, ENTRY_HEADER_BYTES_MAX, REPLACES_MAX};
use crate::machine::Millis;
use crate::selector::Selector;
use crate::trust::certificate::Rank;
use crate::trust::record::content;

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
}

impl Wire for Revision {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = ENTRY_HEADER_BYTES_MAX;
    const WHAT: &'static str = "revision";
}

/// Revisions that count together: the manifest is the entry's carried body, so whoever holds the
/// entry holds them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionSet(pub Vec<Revision>);

impl Wire for RevisionSet {
    const VERSION: u8 = 1;
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
    /// What it says.
    pub revision: Revision,
}

impl HeldRevision {
    /// The document that it is of.
    #[must_use]
    pub fn key(&self) -> DocumentKey {
        DocumentKey {
            scope: self.place.ledger.scope,
            kind: self.revision.kind,
            name: self.revision.name.clone(),
        }
    }
}

/// Whether a revision has effect, and with which weight it meets its rivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts; its author has this rank.
    Counts(Rank),
    /// It does not: cut, forked, lapsed, held, expired, or its author may not.
    Waits,
}

/// A document's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The revision that holds.
    pub winner: RevisionId,
    /// Others that nobody replaced: made without seeing each other. Kept, and shown.
    pub conflicts: Vec<RevisionId>,
}

/// All documents.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    revisions: BTreeMap<RevisionId, HeldRevision>,
    documents: BTreeMap<DocumentKey, BTreeSet<RevisionId>>,
    heads: BTreeMap<DocumentKey, Heads>,
}

impl Catalog {
    /// Takes an appended entry; gives the documents that it speaks of.
    pub fn take(&mut self, entry: &Entry, link: LinkId) -> Vec<DocumentKey> {
        let place = Place {
            ledger: entry.header.ledger,
            link,
        };
        let mut touched = Vec::new();
        for (index, revision) in revisions_of(entry).into_iter().enumerate() {
            let Ok(index) = u16::try_from(index) else {
                break;
            };
            let id = RevisionId {
                entry: Serial(entry.hash.half()),
                place: index,
            };
            let key = DocumentKey {
                scope: place.ledger.scope,
                kind: revision.kind,
                name: revision.name.clone(),
            };
            self.documents.entry(key.clone()).or_default().insert(id);
            self.revisions.insert(
                id,
                HeldRevision {
                    place,
                    stamp: entry.header.stamp,
                    signer: entry.header.signer,
                    entry: entry.hash,
                    expires: entry.header.expires,
                    revision,
                },
            );
            touched.push(key);
        }
        touched
    }

    /// Decides a document anew.
    pub fn decide(&mut self, key: &DocumentKey, standing: impl Fn(&HeldRevision) -> Standing) {
        let Some(ids) = self.documents.get(key) else {
            return;
        };
        let counting: BTreeMap<RevisionId, Rank> = ids
            .iter()
            .filter_map(|id| match standing(self.revisions.get(id)?) {
                Standing::Counts(rank) => Some((*id, rank)),
                Standing::Waits => None,
            })
            .collect();
        let replaced = self.replaced_by(key, counting.keys());
        let mut heads: Vec<_> = counting
            .iter()
            .filter(|(id, _)| !replaced.contains(id))
            .filter_map(|(id, rank)| {
                let held = self.revisions.get(id)?;
                Some((*rank, held.stamp, held.place.ledger.author, *id))
            })
            .collect();
        heads.sort_unstable();
        match heads.pop() {
            None => {
                self.heads.remove(key);
            }
            Some((_, _, _, winner)) => {
                let conflicts = heads.iter().rev().map(|(_, _, _, id)| *id).collect();
                self.heads.insert(key.clone(), Heads { winner, conflicts });
            }
        }
    }

    /// What these revisions replace, and what those replaced, counting or not.
    fn replaced_by<'a>(
        &self,
        key: &DocumentKey,
        from: impl Iterator<Item = &'a RevisionId>,
    ) -> BTreeSet<RevisionId> {
        let mut replaced = BTreeSet::new();
        let mut open: Vec<RevisionId> = from.copied().collect();
        while let Some(id) = open.pop() {
            let Some(held) = self.revisions.get(&id).filter(|held| is_of(held, key)) else {
                continue;
            };
            for older in held.revision.replaces.iter().take(REPLACES_MAX) {
                if replaced.insert(*older) {
                    open.push(*older);
                }
            }
        }
        replaced
    }

    /// Decides every document anew.
    pub fn decide_all(&mut self, standing: impl Fn(&HeldRevision) -> Standing) {
        let keys: Vec<DocumentKey> = self.documents.keys().cloned().collect();
        for key in keys {
            self.decide(&key, &standing);
        }
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
        let ids = self.documents.get(key).into_iter().flatten();
        ids.filter_map(|id| self.revisions.get(id).map(|held| (id, held)))
    }

    /// Every revision that is held, with its document.
    pub fn held(&self) -> impl Iterator<Item = &HeldRevision> {
        self.revisions.values()
    }

    /// What a new revision of a document has to replace: every head, and whatever is held or cut
    /// that nobody replaced, so that it cannot come back later; the most recent first, 16 at most.
    #[must_use]
    pub fn to_replace(&self, key: &DocumentKey) -> Vec<RevisionId> {
        let Some(ids) = self.documents.get(key) else {
            return Vec::new();
        };
        let replaced = self.replaced_by(key, ids.iter());
        let winner = self.heads.get(key).map(|heads| heads.winner);
        let mut open: Vec<_> = ids
            .iter()
            .filter(|id| !replaced.contains(id))
            .filter_map(|id| self.revisions.get(id).map(|held| (held.stamp, *id)))
            .collect();
        open.sort_unstable();
        let mut ids: Vec<RevisionId> = winner.into_iter().collect();
        ids.extend(
            open.iter()
                .rev()
                .map(|(_, id)| *id)
                .filter(|id| Some(*id) != winner),
        );
        let conflicts = self
            .heads
            .get(key)
            .into_iter()
            .flat_map(|heads| heads.conflicts.iter());
        for id in conflicts {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids.truncate(REPLACES_MAX);
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

fn is_of(held: &HeldRevision, key: &DocumentKey) -> bool {
    held.revision.kind == key.kind
        && held.revision.name == key.name
        && held.place.ledger.scope == key.scope
}

fn revisions_of(entry: &Entry) -> Vec<Revision> {
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
