//! What a fleet must come to once nothing hurts it: homes, one puller each, presence that managers
//! agree on, and few copies of each entry.

use std::collections::BTreeSet;

use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::selector::Selector;

use crate::network::NodeIndex;
use crate::plan::bodies::Body;
use crate::run::document;
use crate::world::World;
use crate::{plan, run};

/// Homes that every agent is to have, where so many managers are there.
const HOMES: usize = 2;

/// How long after the storm each thing was as it must be; none where it never was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calm {
    /// All hold the same entries.
    pub equal_ms: Option<u64>,
    /// Every agent has its homes.
    pub homes_ms: Option<u64>,
    /// Exactly the manager that each agent names pulls from it.
    pub pulls_ms: Option<u64>,
    /// Managers agree that everybody is there.
    pub presence_ms: Option<u64>,
    /// Everybody has the bodies that it is to have, counted from when all drew the same state.
    pub bodies_ms: Option<u64>,
    /// All draw the same state.
    pub converged_ms: Option<u64>,
    /// Every device has its configuration, and managers know, counted from when the rest was done.
    pub settled_ms: Option<u64>,
    /// All that was produced is with managers, counted from when the rest was done.
    pub drained_ms: Option<u64>,
    /// Copies of entries in the calm, where any were written for it.
    pub copies: Copies,
}

/// How often agents got what was written in the calm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Entries that were new.
    pub taken: u64,
    /// Entries that came once more.
    pub duplicates: u64,
}

/// More copies of each entry than this, in thousandths, are too many where nothing is lost.
const COPIES_PER_MILLE_MAX: u64 = 1_300;
/// The same over a transport that loses for good: what is pulled in place of a push is there twice
/// when that push is only late.
const COPIES_OF_LOSSY_PER_MILLE_MAX: u64 = 1_700;

impl Copies {
    /// What is wrong with so many, over streams or over what loses for good.
    #[must_use]
    pub fn complaint(self, streams: bool) -> Option<String> {
        let max = if streams {
            COPIES_PER_MILLE_MAX
        } else {
            COPIES_OF_LOSSY_PER_MILLE_MAX
        };
        let found = self.per_mille().filter(|found| *found > max)?;
        Some(format!(
            "I6: {found} copies of a thousand entries in the calm, {max} at most"
        ))
    }

    /// Copies for each entry, in thousandths.
    #[must_use]
    pub fn per_mille(self) -> Option<u64> {
        ((self.taken + self.duplicates) * 1000).checked_div(self.taken)
    }
}

/// Agents that are up and lack a home that they could have.
#[must_use]
pub fn homes_missing(world: &World) -> Vec<NodeIndex> {
    let managers = world.managers().into_iter();
    let up = managers
        .filter(|index| world.nodes[*index as usize].is_up())
        .count();
    let numbered = world.nodes.iter().zip(0..);
    let lacks = |membership: &regatta_protocol::membership::Membership| {
        membership.homes().len() < HOMES.min(up)
    };
    numbered
        .filter(|(node, _)| !node.is_manager() && node.membership.as_ref().is_some_and(lacks))
        .map(|(_, index)| index)
        .collect()
}

/// Agents that are up and not pulled by exactly the manager that they name.
#[must_use]
pub fn pulls_wrong(world: &World) -> Vec<NodeIndex> {
    let by_device = world.invariants.pulls.by_device();
    let none = BTreeSet::new();
    let numbered = world.nodes.iter().zip(0..);
    numbered
        .filter(|(node, _)| {
            let Some(membership) = node.membership.as_ref().filter(|_| !node.is_manager()) else {
                return false;
            };
            let named: BTreeSet<NodeId> = membership.puller().into_iter().collect();
            named.is_empty() || *by_device.get(&node.identity.node).unwrap_or(&none) != named
        })
        .map(|(_, index)| index)
        .collect()
}

/// The first manager that does not take somebody who is up for ready, or a node of its own for what it
/// says of itself. Of others' nodes whose clocks went back it may hold an earlier word: no harm.
#[must_use]
pub fn presence_wrong(world: &World) -> Option<(NodeIndex, NodeIndex)> {
    for manager in world.managers() {
        let Some(membership) = &world.nodes[manager as usize].membership else {
            continue;
        };
        for (node, index) in world.nodes.iter().zip(0..) {
            let Some(own) = node.membership.as_ref() else {
                continue;
            };
            let view = membership.state_of(node.identity.node, world.now);
            let same = view.state == PresenceState::Ready
                && (!node.links.contains_key(&manager)
                    || node.is_manager()
                    || view.puller == own.puller());
            if !same {
                return Some((manager, index));
            }
        }
    }
    None
}

/// Waits until entries, homes, pulls and presence are as they must be, and notes when each was first
/// so; a thing that breaks again counts anew.
pub fn wait(world: &mut World, within_ms: u64) -> Calm {
    let start = world.now;
    let step_ms = if world.nodes.len() > 2_000 {
        1_000
    } else {
        250
    };
    let mut calm = Calm::default();
    loop {
        let after = world.now.since(start);
        let note = |since: &mut Option<u64>, holds: bool| match holds {
            true => *since = since.or(Some(after)),
            false => *since = None,
        };
        let equal = calm.equal_ms.is_some() || !run::differ(world, false);
        note(&mut calm.equal_ms, equal);
        note(&mut calm.homes_ms, homes_missing(world).is_empty());
        note(&mut calm.pulls_ms, pulls_wrong(world).is_empty());
        note(&mut calm.presence_ms, presence_wrong(world).is_none());
        let all = [
            calm.equal_ms,
            calm.homes_ms,
            calm.pulls_ms,
            calm.presence_ms,
        ];
        if all.iter().all(Option::is_some) || after >= within_ms {
            return calm;
        }
        world.run_until(world.now.plus(step_ms));
    }
}

/// What is still wrong after so long does not mend itself.
const MENDED_WITHIN_MS: u64 = 10_000;
/// Time for feeders to form after the storm.
const FORMED_MS: u64 = 45_000;
/// Entries that are written in the calm, one a second.
const WRITTEN: u64 = 12;

/// Work without faults: what is written reaches every agent, in few copies.
pub fn work(world: &mut World) -> Copies {
    world.run_until(world.now.plus(FORMED_MS));
    let before = counted(world);
    for turn in 0..WRITTEN {
        let managers = world.managers();
        let manager = managers[turn as usize % managers.len()];
        if let Some(mut draft) = plan::revision_draft(world, manager, &document("base")) {
            if turn % 4 == 1 && world.manner().bodies {
                draft = with_body(world, manager, draft, turn);
            }
            world.write(manager, draft);
        }
        world.run_until(world.now.plus(1_000));
    }
    world.run_until(world.now.plus(5_000));
    let after = counted(world);
    Copies {
        taken: after.taken.saturating_sub(before.taken),
        duplicates: after.duplicates.saturating_sub(before.duplicates),
    }
}

/// One that rides along, one that is fetched, and one of several pieces, for everybody.
fn with_body(world: &mut World, manager: NodeIndex, draft: Draft, turn: u64) -> Draft {
    let bytes = plan::bodies::bytes(world, [500, 5_000, 40_000][turn as usize / 4 % 3]);
    let body = Body {
        bytes,
        select: Selector::everything(),
        rides: turn < 4,
    };
    plan::bodies::give(world, manager, draft, body)
}

/// Who lacks a body in the calm, after so long; and who got one more often than once.
pub fn bodies_lacking(world: &mut World, within_ms: u64) -> Option<String> {
    let found = world.wait_for_bodies(within_ms);
    if let Some((node, what)) = world.invariants.bodies().too_often() {
        let index = world.place_of(&node).unwrap_or(0);
        world.invariants.broken(world.now, index, what);
    }
    let lacking = world.body_missing().filter(|_| found.is_none());
    lacking.map(|(node, hash)| format!("node {node} lacks the body {hash:?}"))
}

fn counted(world: &World) -> Copies {
    let mut copies = Copies::default();
    for node in world.nodes.iter().filter(|node| !node.is_manager()) {
        if let Some(replica) = &node.replica {
            copies.taken += replica.counters().taken;
            copies.duplicates += replica.counters().duplicates;
        }
    }
    copies
}

/// The same, but for what mends itself: a session from which a cut took something ends seconds after
/// the cut, and whoever had its home over it is without one until it has dialled again.
pub fn lasting_complaints(world: &mut World) -> Vec<String> {
    if complaints(world).is_empty() {
        return Vec::new();
    }
    world.run_until(world.now.plus(MENDED_WITHIN_MS));
    complaints(world)
}

/// What is not as it must be in the calm, one line each.
#[must_use]
pub fn complaints(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for index in homes_missing(world).into_iter().take(4) {
        let homes = world.nodes[index as usize]
            .membership
            .as_ref()
            .map(|m| m.homes().len());
        lines.push(format!("node {index} has {} homes", homes.unwrap_or(0)));
    }
    for index in pulls_wrong(world).into_iter().take(4) {
        let node = &world.nodes[index as usize];
        let named = node.membership.as_ref().and_then(|m| m.puller());
        let named = named.and_then(|id| world.place_of(&id));
        let pulled = world
            .invariants
            .pulls
            .by_device()
            .remove(&node.identity.node);
        let pulled: Vec<_> = pulled
            .into_iter()
            .flatten()
            .filter_map(|id| world.place_of(&id))
            .collect();
        lines.push(format!(
            "node {index} names {named:?} its puller, {pulled:?} pull"
        ));
    }
    if let Some((manager, of)) = presence_wrong(world) {
        let id = world.nodes[of as usize].identity.node;
        let membership = world.nodes[manager as usize].membership.as_ref();
        let view = membership.map(|m| m.state_of(id, world.now));
        lines.push(format!("manager {manager} says of node {of}: {view:?}"));
        for other in world.managers() {
            let membership = world.nodes[other as usize].membership.as_ref();
            let view = membership.map(|m| m.state_of(id, world.now));
            let puller = view.and_then(|view| world.place_of(&view.puller?));
            let own = world.nodes[of as usize]
                .membership
                .as_ref()
                .and_then(|m| m.puller());
            let own = own.and_then(|own| world.place_of(&own));
            lines.push(format!(
                "manager {other} takes {puller:?} for its puller, it names {own:?}"
            ));
        }
    }
    lines
}
