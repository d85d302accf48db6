//! Which revisions of which documents a device is to take, as the ledgers that it holds say.
//!
//! Of each document that is the winner of its heads; where its author may not write for this device, or
//! its rollout has not come to it, the revision that it took the place of, and so on.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{CONFIG, Catalog, HeldRevision, RevisionId};
use crate::codec::Name;
use crate::config::adoption::{Choice, Chosen};
use crate::crypto::seal::BoxKey;
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::entry::BodyRef;
use crate::ledger::holdings::Holdings;
use crate::selector::{Labels, Selector};
use crate::trust::certificate::{Capability, Certificate};
use crate::trust::roll::Roll;

/// How far back a device looks for a revision that it may take.
pub const WALK_MAX: usize = 64;

/// How far a revision has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is for this device by now.
    Here,
    /// It is not; until then this one is.
    NotYet {
        /// What its rollout says that it takes the place of; none where that is nothing.
        base: Option<RevisionId>,
    },
    /// The word on it is not here yet: what holds is kept.
    Unknown,
}

/// A revision that a device is to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Its document's name.
    pub name: Name,
    /// Which it is.
    pub chosen: Chosen,
    /// Where its words are.
    pub body: BodyRef,
    /// Under which certificate it was written.
    pub signer: Serial,
    /// For whom it is.
    pub select: Selector,
}

/// A revision that a device does not take, though it is the one that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Its document's name.
    pub name: Name,
    /// Which it is.
    pub revision: RevisionId,
    /// That one's number for people.
    pub version: u32,
}

/// What follows for one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What it is to take, by name.
    pub take: Vec<Selected>,
    /// What an entry ended for it: a deletion, or another selector.
    pub ended: BTreeMap<Name, Hash>,
    /// What it refuses, because its author may not write for it.
    pub denied: Vec<Denied>,
    /// Documents of which it cannot be said yet: of these what holds is kept.
    pub unknown: Vec<Name>,
}

impl Selection {
    /// For a device with these labels, its name among them.
    pub fn of(
        holdings: &Holdings,
        labels: &Labels,
        reach: impl Fn(&Name, &RevisionId) -> Reach,
    ) -> Self {
        let mut selection = Self::default();
        let catalog = holdings.catalog();
        for (key, heads) in catalog.documents() {
            if key.kind == CONFIG && key.scope.is_none() {
                let document = Document {
                    holdings,
                    labels,
                    name: &key.name,
                };
                document.choose(heads.winner, &reach, &mut selection);
            }
        }
        selection
    }
}

impl Selection {
    /// What is to be wanted. Of what is not all here yet the revision that was wanted last stays so, with all
    /// that stands in one entry with it; `waiting` are entries of which something is not here.
    #[must_use]
    pub fn with_what_holds(
        &self,
        last: &Choice,
        (ready, waiting): (&Choice, &BTreeSet<Hash>),
    ) -> Choice {
        let mut choice = Choice::new();
        let keep = |choice: &mut Choice, name: &Name| {
            choice.extend(last.get(name).map(|chosen| (name.clone(), *chosen)));
        };
        for selected in &self.take {
            let name = &selected.name;
            let whole = !waiting.contains(&selected.chosen.entry);
            match ready.get(name).filter(|_| whole) {
                Some(chosen) => drop(choice.insert(name.clone(), *chosen)),
                None => keep(&mut choice, name),
            }
        }
        for name in &self.unknown {
            keep(&mut choice, name);
        }
        for (name, by) in &self.ended {
            if waiting.contains(by) {
                keep(&mut choice, name);
            }
        }
        choice
    }
}

struct Document<'a> {
    holdings: &'a Holdings,
    labels: &'a Labels,
    name: &'a Name,
}

impl Document<'_> {
    fn catalog(&self) -> &Catalog {
        self.holdings.catalog()
    }

    fn choose(
        &self,
        winner: RevisionId,
        reach: &impl Fn(&Name, &RevisionId) -> Reach,
        selection: &mut Selection,
    ) {
        let mut next = Some(winner);
        for _ in 0..WALK_MAX {
            let Some(id) = next else { return };
            let Some(held) = self.catalog().revision(&id) else {
                return;
            };
            if !may_write(self.holdings, held, self.labels) {
                // Only what would have changed something for this device is worth a word.
                if held.revision.select.matches(self.labels) {
                    selection.denied.push(Denied {
                        name: self.name.clone(),
                        revision: id,
                        version: held.revision.version,
                    });
                }
                next = held.revision.replaces.first().copied();
                continue;
            }
            if held.revision.staged {
                match reach(self.name, &id) {
                    Reach::Here => {}
                    Reach::NotYet { base } => {
                        next = base;
                        continue;
                    }
                    Reach::Unknown => {
                        selection.unknown.push(self.name.clone());
                        return;
                    }
                }
            }
            self.take(id, held, selection);
            return;
        }
    }

    fn take(&self, id: RevisionId, held: &HeldRevision, selection: &mut Selection) {
        let selects = !held.revision.deletes && held.revision.select.matches(self.labels);
        match held.body.filter(|_| selects) {
            Some(body) => selection.take.push(Selected {
                name: self.name.clone(),
                chosen: chosen(id, held),
                body,
                signer: held.signer,
                select: held.revision.select.clone(),
            }),
            None => {
                selection.ended.insert(self.name.clone(), held.entry);
            }
        }
    }
}

fn chosen(revision: RevisionId, held: &HeldRevision) -> Chosen {
    Chosen {
        revision,
        entry: held.entry,
        version: held.revision.version,
    }
}

/// Who may have the keys of a revision's secrets, and the keys that those are sealed to: the devices that
/// it selects, and the managers that may hand them on.
#[must_use]
pub fn readers(holdings: &Holdings, held: &HeldRevision) -> Vec<(NodeId, BoxKey)> {
    let devices = Roll::of(holdings).devices().into_iter();
    let selected = devices.filter(|device| {
        device.is_live_device() && held.revision.select.matches(&device.seen_by_selectors())
    });
    let selected = selected.map(|device| (device.node, device.certificate.keys.seal));
    let stopped = &holdings.judgement().stopped_keys;
    let managers = holdings.record().managers().values().filter(|manager| {
        let mut grants = manager.grants.iter();
        let wraps = grants.any(|grant| grant.capability == Capability::SecretWrap);
        wraps && !stopped.contains(&manager.keys.sign)
    });
    let managers = managers.map(|manager| (manager.node, manager.keys.seal));
    selected.chain(managers).collect()
}

fn author<'a>(holdings: &'a Holdings, signer: &Serial) -> Option<&'a Certificate> {
    holdings.record().managers().get(signer)
}

/// Whether who wrote a revision may write for a device with these labels.
#[must_use]
pub fn may_write(holdings: &Holdings, held: &HeldRevision, labels: &Labels) -> bool {
    let author = author(holdings, &held.signer);
    author.is_some_and(|author| {
        let mut grants = author.grants.iter();
        grants.any(|grant| {
            grant.capability == Capability::ConfigWrite && grant.selector.matches(labels)
        })
    })
}

/// Whether who wrote under a certificate may have commands run as a user on a device with these labels;
/// none is the node's own user.
#[must_use]
pub fn may_run(holdings: &Holdings, signer: &Serial, labels: &Labels, user: Option<&Name>) -> bool {
    let author = author(holdings, signer);
    author.is_some_and(|author| {
        let mut grants = author.grants.iter();
        grants.any(|grant| {
            grant.capability == Capability::ExecRun
                && grant.selector.matches(labels)
                && (grant.run_as.is_empty() || user.is_some_and(|user| grant.run_as.contains(user)))
        })
    })
}
