//! Rollouts as a node knows them: which word on each counts, for whom, and whose turn it is to go on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, DocumentKey, HeldRevision, ROLLOUT, Revision, RevisionId};
use crate::codec::Name;
use crate::config::rollout::{RolloutDocument, RolloutState, effective};
use crate::config::selection::{Reach, Selection, WALK_MAX, may_write};
use crate::ident::{Hash, NodeId};
use crate::ledger::entry::BodyRef;
use crate::ledger::holdings::Holdings;
use crate::selector::{Labels, Selector};
use crate::trust::certificate::Capability;

/// The words of rollouts that were read, by the revision that says them.
#[derive(Clone, Debug, Default)]
pub struct Rollouts {
    read: BTreeMap<RevisionId, RolloutDocument>,
}

/// Words that have to be read first: which, and where they are.
pub type Unread = Vec<(RevisionId, BodyRef)>;

/// The name of a revision's rollout: each has its own, so that what went out long ago stays known.
#[must_use]
pub fn key_of(of: &RevisionId) -> DocumentKey {
    let name = format!("{}-{}", of.entry, of.place);
    DocumentKey {
        scope: None,
        kind: ROLLOUT,
        name: Name::new(&name).expect("digits and a dash are a name"),
    }
}

/// The next word on a revision's rollout, in the place of all that are held of it.
///
/// It is for every device: whoever the revision selects no more keeps what it has until the rollout comes to
/// it as well, and could not tell when it might not read this.
#[must_use]
pub fn next_word(catalog: &Catalog, of: &RevisionId) -> Revision {
    let key = key_of(of);
    let replaces = catalog.to_replace(&key);
    let versions = replaces.iter().filter_map(|id| catalog.revision(id));
    let last = versions.map(|held| held.revision.version).max();
    Revision {
        kind: ROLLOUT,
        name: key.name,
        replaces,
        select: Selector::everything(),
        deletes: false,
        version: last.unwrap_or(0).saturating_add(1),
        staged: false,
        body: None,
    }
}

/// The words that are to be heard on a rollout by devices with these labels: its heads, and in the place of
/// one whose author may not write for all of them what that one replaced, and so on.
fn heard(holdings: &Holdings, of: &RevisionId, devices: &[Labels]) -> Unread {
    let catalog = holdings.catalog();
    let may = |held: &HeldRevision| {
        devices
            .iter()
            .all(|labels| may_write(holdings, held, labels))
    };
    let heads = catalog.heads(&key_of(of)).into_iter();
    let heads = heads.flat_map(|heads| std::iter::once(&heads.winner).chain(&heads.conflicts));
    let mut heard = Unread::new();
    for head in heads {
        let mut next = Some(*head);
        for _ in 0..WALK_MAX {
            let Some((id, held)) = next.and_then(|id| Some((id, catalog.revision(&id)?))) else {
                break;
            };
            if may(held) {
                let body = held
                    .body
                    .filter(|_| !heard.iter().any(|(known, _)| *known == id));
                heard.extend(body.map(|body| (id, body)));
                break;
            }
            next = held.revision.replaces.first().copied();
        }
    }
    heard
}

impl Rollouts {
    /// A revision's rollout as it is in effect for devices with these labels: none where none is held.
    ///
    /// # Errors
    /// Words on it that were not read yet.
    pub fn of(
        &self,
        holdings: &Holdings,
        of: &RevisionId,
        devices: &[Labels],
    ) -> Result<Option<RolloutDocument>, Unread> {
        let heard = heard(holdings, of, devices);
        let lacks = |(id, _): &&(RevisionId, BodyRef)| !self.read.contains_key(id);
        let unread: Unread = heard.iter().filter(lacks).copied().collect();
        if !unread.is_empty() {
            return Err(unread);
        }
        let words = heard.iter().filter_map(|(id, _)| self.read.get(id));
        let words: Vec<RolloutDocument> = words.filter(|it| it.of == *of).cloned().collect();
        Ok(effective(&words))
    }

    /// How far a revision has come for a device.
    #[must_use]
    pub fn reach(
        &self,
        holdings: &Holdings,
        of: &RevisionId,
        (node, labels): (&NodeId, &Labels),
    ) -> Reach {
        match self.of(holdings, of, std::slice::from_ref(labels)) {
            Err(_) => Reach::Unknown,
            Ok(Some(rollout)) if rollout.is_open(node, labels) => Reach::Here,
            Ok(Some(rollout)) => Reach::NotYet { base: rollout.base },
            Ok(None) => {
                let base = replaced(holdings, of);
                Reach::NotYet { base }
            }
        }
    }

    /// What a device is to take, and the words that have to be read before that can be said of all of it.
    #[must_use]
    pub fn select(
        &self,
        holdings: &Holdings,
        (node, labels): (&NodeId, &Labels),
    ) -> (Selection, Unread) {
        let unread = RefCell::new(BTreeSet::new());
        let selection = Selection::of(holdings, labels, |_, id| {
            if let Err(words) = self.of(holdings, id, std::slice::from_ref(labels)) {
                unread.borrow_mut().extend(words);
            }
            self.reach(holdings, id, (node, labels))
        });
        (selection, unread.into_inner().into_iter().collect())
    }

    /// A rollout, taken back: to the last revision before it that had gone out to everybody, for one that
    /// was stopped half its way may be one that devices refuse. None where it is over.
    ///
    /// # Errors
    /// Words on those before it that were not read yet.
    pub fn aborted(
        &self,
        holdings: &Holdings,
        rollout: &RolloutDocument,
        (by, devices): (&str, &[Labels]),
    ) -> Result<Option<RolloutDocument>, Unread> {
        let mut base = rollout.base;
        for _ in 0..WALK_MAX {
            let held = base.and_then(|id| Some((id, holdings.catalog().revision(&id)?)));
            let Some((id, held)) = held else { break };
            match self.of(holdings, &id, devices)? {
                Some(before) if before.state != RolloutState::Complete => base = before.base,
                None if held.revision.staged => base = replaced(holdings, &id),
                _ => break,
            }
        }
        let aborted = rollout.aborted(by);
        Ok(aborted.map(|aborted| RolloutDocument { base, ..aborted }))
    }

    /// The words of a revision were read.
    pub fn take(&mut self, id: RevisionId, document: RolloutDocument) {
        self.read.insert(id, document);
    }

    /// Whether the words of a revision were read.
    #[must_use]
    pub fn has_read(&self, id: &RevisionId) -> bool {
        self.read.contains_key(id)
    }

    /// Of what was replaced nothing is kept.
    pub fn keep_only(&mut self, held: impl IntoIterator<Item = RevisionId>) {
        let held: BTreeSet<RevisionId> = held.into_iter().collect();
        self.read.retain(|id, _| held.contains(id));
    }
}

fn replaced(holdings: &Holdings, id: &RevisionId) -> Option<RevisionId> {
    let held = holdings.catalog().revision(id)?;
    held.revision.replaces.first().copied()
}

/// Whose turn it is to do something for a revision: the same for everybody who hears the same managers.
#[must_use]
pub fn turn(of: &RevisionId, among: impl IntoIterator<Item = NodeId>) -> Option<NodeId> {
    let rank = |node: &NodeId| {
        let mut bytes = of.entry.0.to_vec();
        bytes.extend_from_slice(&of.place.to_le_bytes());
        bytes.extend_from_slice(&node.0);
        Hash::of(&bytes)
    };
    among.into_iter().min_by_key(rank)
}

/// Whether a manager has a capability for all devices with these labels.
#[must_use]
pub fn can(
    holdings: &Holdings,
    manager: &NodeId,
    capability: Capability,
    devices: &[Labels],
) -> bool {
    let (record, stopped) = (holdings.record(), &holdings.judgement().stopped_keys);
    let mut own = record.managers().values().filter(|it| it.node == *manager);
    own.any(|certificate| {
        let covers = |labels: &Labels| {
            let mut grants = certificate.grants.iter();
            grants.any(|it| it.capability == capability && it.selector.matches(labels))
        };
        let mut grants = certificate.grants.iter();
        let has = grants.any(|grant| grant.capability == capability);
        has && !stopped.contains(&certificate.keys.sign) && devices.iter().all(covers)
    })
}

#[cfg(test)]
mod tests {
    use super::next_word;
    use crate::catalog::{Catalog, RevisionId};
    use crate::ident::Serial;
    use crate::selector::Selector;

    #[test]
    fn whom_a_revision_selects_no_more_may_read_the_words_on_its_rollout() {
        let of = RevisionId {
            entry: Serial([7; 16]),
            place: 0,
        };
        let word = next_word(&Catalog::default(), &of);
        assert_eq!(word.select, Selector::everything());
        assert_eq!(word.version, 1);
    }
}
