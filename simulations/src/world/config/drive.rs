//! Rollouts: what the manager does whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::catalog::{CONFIG, ROLLOUT, RevisionId};
use regatta_protocol::codec::Name;
use regatta_protocol::config::rollout::{
    Advance, DeviceFacts, RolloutDocument, RolloutState, Unread, advance, can, turn,
};
use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::Capability;
use regatta_protocol::trust::roll::Roll;

use crate::network::NodeIndex;
use crate::world::World;
use crate::world::config::of;
use crate::world::config::put::word_on;

/// How long a manager listens after its start before it drives anything.
pub const LISTENS_MS: u64 = 10_000;
/// How often a rollout is looked at that nothing else moves.
pub const LOOK_MS: u64 = 5_000;

/// A change that goes out in waves.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Its revision.
    pub of: RevisionId,
    /// Its document.
    pub name: Name,
    /// Whom it selects.
    pub select: Selector,
    /// What it takes the place of.
    pub base: Option<RevisionId>,
}

/// Who is heard.
#[derive(Clone, Debug)]
struct Hearing {
    managers: BTreeSet<NodeId>,
    nodes: BTreeMap<NodeId, (bool, Option<Millis>)>,
    now: Millis,
}

impl World {
    /// The changes that go out in waves, as a node's ledgers have them, and every word on them.
    #[must_use]
    pub fn going(&self, index: NodeIndex) -> (Vec<Staged>, Unread) {
        let (mut going, mut words) = (Vec::new(), Unread::new());
        let Some(replica) = self.nodes[index as usize].replica.as_ref() else {
            return (going, words);
        };
        let catalog = replica.holdings().catalog();
        for (key, heads) in catalog.documents() {
            if key.kind == ROLLOUT {
                let ids = std::iter::once(&heads.winner).chain(&heads.conflicts);
                words.extend(ids.filter_map(|id| Some((*id, catalog.revision(id)?.body?))));
                continue;
            }
            let Some(held) = catalog.revision(&heads.winner) else {
                continue;
            };
            let staged = held.revision.staged && !held.revision.deletes;
            if key.kind == CONFIG && staged && held.body.is_some() {
                going.push(Staged {
                    of: heads.winner,
                    name: held.revision.name.clone(),
                    select: held.revision.select.clone(),
                    base: held.revision.replaces.first().copied(),
                });
            }
        }
        (going, words)
    }

    /// Reads the words on rollouts that were not read yet.
    pub fn learn_rollouts(&mut self, index: NodeIndex) -> Vec<Staged> {
        let (going, words) = self.going(index);
        let Some(config) = self.nodes[index as usize].place.config.as_mut() else {
            return going;
        };
        let rollouts = &mut config.known.rollouts;
        rollouts.keep_only(words.iter().map(|(id, _)| *id));
        let new = words.into_iter().filter(|(id, _)| !rollouts.has_read(id));
        let new: Unread = new.collect();
        self.learn(index, new);
        going
    }

    /// What follows for the rollouts that a manager drives.
    pub(super) fn drive(&mut self, index: NodeIndex) {
        let Some(begun) = of(&self.nodes[index as usize]).map(|config| config.begun) else {
            return;
        };
        if self.going(index).0.is_empty() {
            return;
        }
        let going = self.learn_rollouts(index);
        let listens = begun.plus(LISTENS_MS);
        if self.now < listens {
            return self.drive_after(index, listens.since(self.now));
        }
        let Some(hearing) = self.hear(index) else {
            return;
        };
        let mut next_look: Option<u64> = None;
        let mut wrote = false;
        for staged in going {
            let (look, written) = self.drive_one(index, &staged, &hearing);
            next_look = next_look.into_iter().chain(look).min();
            wrote |= written;
        }
        if wrote {
            self.drive_soon(index);
        } else if let Some(after_ms) = next_look {
            self.drive_after(index, after_ms);
        }
    }

    fn hear(&self, index: NodeIndex) -> Option<Hearing> {
        let node = &self.nodes[index as usize];
        let (replica, membership) = (node.replica.as_ref()?, node.membership.as_ref()?);
        let now = replica.reference(self.now);
        let links = node.links.keys().map(|peer| &self.nodes[*peer as usize]);
        let managers = links.filter(|peer| peer.is_manager());
        let managers = managers.map(|peer| peer.identity.node);
        let devices = Roll::of(replica.holdings()).devices().into_iter();
        let nodes = devices.map(|device| {
            let seen = membership.state_of(device.node, self.now);
            let heard = seen
                .heard_ago_ms
                .map(|ago| Millis(now.0.saturating_sub(ago)));
            (device.node, (seen.state == PresenceState::Ready, heard))
        });
        Some(Hearing {
            managers: managers.chain([node.identity.node]).collect(),
            nodes: nodes.collect(),
            now,
        })
    }

    /// One rollout: after which time it is to be looked at again, and whether something was written.
    fn drive_one(
        &mut self,
        index: NodeIndex,
        staged: &Staged,
        hearing: &Hearing,
    ) -> (Option<u64>, bool) {
        let later = (Some(LOOK_MS), false);
        let (devices, found, mine) = loop {
            let node = &self.nodes[index as usize];
            let (Some(replica), Some(config)) = (node.replica.as_ref(), of(node)) else {
                return (None, false);
            };
            let holdings = replica.holdings();
            let devices = Roll::of(holdings).selected(&staged.select);
            let labels: Vec<Labels> = devices.values().cloned().collect();
            let may = |it: &NodeId| can(holdings, it, Capability::ConfigWrite, &labels);
            let managers = hearing.managers.iter().copied().filter(may);
            let mine = turn(&staged.of, managers) == Some(node.identity.node);
            match config.known.rollouts.of(holdings, &staged.of, &labels) {
                Ok(found) => break (devices, found, mine),
                Err(unread) => {
                    if !self.learn(index, unread) {
                        return later;
                    }
                }
            }
        };
        if !mine {
            return later;
        }
        let facts = self.facts(index, staged, devices, hearing);
        let Some(found) = found else {
            let words = self.words(index, &staged.of);
            let Some(spec) = words.and_then(|words| words.rollout) else {
                return later;
            };
            let begins = RolloutDocument::start(staged.of, staged.base, spec, hearing.now);
            let advanced = advance(&begins, &facts, hearing.now);
            let next = advanced.next.unwrap_or_else(|| begins.clone());
            self.write_word(index, staged, (&begins, &next), &facts);
            return (Some(LOOK_MS), true);
        };
        let Advance { next, wake_at, .. } = advance(&found, &facts, hearing.now);
        let wrote = next.is_some();
        if let Some(next) = next {
            self.write_word(index, staged, (&found, &next), &facts);
        }
        let wakes = wake_at.map(|at| at.since(hearing.now).max(1));
        let running = found.state == RolloutState::Running;
        let look = running.then(|| wakes.unwrap_or(LOOK_MS).min(LOOK_MS));
        (look, wrote)
    }

    fn facts(
        &self,
        index: NodeIndex,
        staged: &Staged,
        devices: BTreeMap<NodeId, Labels>,
        hearing: &Hearing,
    ) -> Vec<DeviceFacts> {
        let config = of(&self.nodes[index as usize]);
        let facts = devices.into_iter().map(|(node, labels)| {
            let (ready, heard) = hearing.nodes.get(&node).copied().unwrap_or((false, None));
            let standing =
                config.and_then(|config| config.known.reports.standing(&node, &staged.name));
            DeviceFacts {
                node,
                labels,
                ready,
                heard,
                outcome: standing.and_then(|standing| standing.found(&staged.of)),
            }
        });
        facts.collect()
    }

    fn write_word(
        &mut self,
        index: NodeIndex,
        staged: &Staged,
        (before, next): (&RolloutDocument, &RolloutDocument),
        facts: &[DeviceFacts],
    ) {
        let watch = self.invariants.config_mut();
        if let Some(what) = watch.word(before, next, facts) {
            self.invariants.broken(self.now, index, what);
        }
        word_on(self, index, &staged.of, next);
    }
}
