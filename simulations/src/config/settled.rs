//! What configuration must come to once nothing hurts the fleet.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::catalog::{CONFIG, DocumentKey, RevisionId};
use regatta_protocol::codec::Name;
use regatta_protocol::config::adoption::Change;
use regatta_protocol::config::rollout::Rollouts;
use regatta_protocol::config::standing::Standing;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::LedgerKind;
use regatta_protocol::ledger::replica::Replica;

use crate::config::labels_of;
use crate::network::NodeIndex;
use crate::run;
use crate::world::World;
use crate::world::config::of;

/// How often it is looked whether all is as it must be.
const STEP_MS: u64 = 250;

/// The revision of a document that holds by a node's ledgers, and those that it was in conflict with.
#[must_use]
pub fn heads(replica: &Replica, name: &Name) -> Option<(RevisionId, Vec<RevisionId>)> {
    let key = DocumentKey {
        scope: None,
        kind: CONFIG,
        name: name.clone(),
    };
    let heads = replica.holdings().catalog().heads(&key)?;
    Some((heads.winner, heads.conflicts.clone()))
}

/// What holds of a document on a device that is up, as its machine knows it.
#[must_use]
pub fn holds(world: &World, device: NodeIndex, name: &Name) -> Option<RevisionId> {
    let machine = of(&world.nodes[device as usize])?.machine.as_ref()?;
    Some(machine.state().good.get(name)?.revision)
}

/// The first thing about a device that is up that is not as its ledgers say, with all rollouts known.
#[must_use]
pub fn device_wrong(world: &World, index: NodeIndex, rollouts: &Rollouts) -> Option<String> {
    let node = &world.nodes[index as usize];
    let (replica, papers) = (node.replica.as_ref()?, node.place.papers.as_ref()?);
    let machine = of(node)?.machine.as_ref()?;
    let labels = labels_of(papers);
    let (selection, unread) = rollouts.select(replica.holdings(), (&node.identity.node, &labels));
    let is_lost = |hash: &Hash| !world.nodes.iter().any(|it| it.disk.bodies.has(hash));
    if let Some((id, _)) = unread.iter().find(|(_, body)| !is_lost(&body.hash)) {
        return Some(format!("the words {id:?} on a rollout are missing"));
    }
    let state = machine.state();
    if let Some(attempt) = &state.attempt {
        return Some(format!("attempt {} is at {}", attempt.number, attempt.step));
    }
    if !state.reports.is_empty() {
        return Some("an outcome is not told yet".to_owned());
    }
    let device = &node.disk.config.device;
    if let Some(what) = device.differs(&state.good) {
        return Some(what);
    }
    // Words that were lost with the only disk that had them are nobody's to show.
    let lost = selection.take.iter().filter(|it| is_lost(&it.body.hash));
    let lost: BTreeSet<Hash> = lost.map(|selected| selected.chosen.entry).collect();
    let found = selection.take.iter();
    for selected in found.filter(|it| !lost.contains(&it.chosen.entry)) {
        let (name, id) = (&selected.name, selected.chosen.revision);
        let refused = state.refused.get(name).is_some_and(
            |refusal| matches!(refusal.change, Change::Take(chosen) if chosen.revision == id),
        );
        if device.shows(name) != Some(id) && !refused {
            let found = device.shows(name);
            return Some(format!("shows {found:?} of {name}, and is to show {id:?}"));
        }
        if device.shows(name) == Some(id) && refused {
            return Some(format!("{name} is refused and shown"));
        }
    }
    let taken = |name: &Name| selection.take.iter().any(|it| it.name == *name);
    let waits = |name: &Name| {
        let ended = selection.ended.get(name);
        selection.unknown.contains(name) || ended.is_some_and(|by| lost.contains(by))
    };
    let mut left = state
        .good
        .keys()
        .filter(|name| !taken(name) && !waits(name));
    let left = left.find(|name| !state.refused.contains_key(*name));
    left.map(|name| format!("still shows {name}, which is not for it"))
}

/// What a manager knows of a device that differs from what the device holds.
#[must_use]
pub fn report_wrong(world: &World, manager: NodeIndex, device: NodeIndex) -> Option<String> {
    let (node, at) = (
        &world.nodes[device as usize],
        &world.nodes[manager as usize],
    );
    let (machine, manager) = (of(node)?.machine.as_ref()?, of(at)?);
    let told = told(&manager.known.reports, &node.identity.node);
    let state = machine.state();
    for (name, chosen) in &state.good {
        let holds = told.get(name).and_then(|standing| standing.holds);
        if holds.map(|(revision, _)| revision) != Some(chosen.revision) {
            return Some(format!(
                "{name} is told to be {holds:?}, and {:?} holds",
                chosen.revision
            ));
        }
    }
    for (name, standing) in &told {
        if !state.good.contains_key(*name) && standing.holds.is_some() {
            return Some(format!("{name} is told to hold, and nothing of it does"));
        }
    }
    for (name, refusal) in &state.refused {
        let last = told.get(name).map(|standing| standing.last.revision);
        let tried = match refusal.change {
            Change::Take(chosen) => Some(chosen.revision),
            Change::Leave { .. } => None,
        };
        if last != Some(tried) {
            return Some(format!("that {name} is refused was not told: {last:?}"));
        }
    }
    None
}

/// Whether something that a device wrote into its report is on no manager's disk: it was dropped for want
/// of room, or the only manager that had read it lost its disk.
fn has_holes(world: &World, device: NodeIndex) -> bool {
    let node = &world.nodes[device as usize];
    let ledger = crate::pulled::ledger(node.identity.node, LedgerKind::Report);
    let Some(spool) = node.disk.pulled.spools.get(&ledger) else {
        return false;
    };
    let managers = world.managers();
    // What is still on the device is on its way.
    let waits = spool.entries.values();
    let waits: BTreeSet<Hash> = waits.map(|(_, indexed)| indexed.position.hash).collect();
    let mut issued = spool.issued.iter().filter(|hash| !waits.contains(*hash));
    issued.any(|hash| {
        let mut disks = managers
            .iter()
            .map(|it| &world.nodes[*it as usize].disk.pulled);
        !disks.any(|disk| disk.holds(&ledger, hash))
    })
}

fn told<'a>(
    reports: &'a regatta_protocol::config::standing::Reports,
    device: &NodeId,
) -> BTreeMap<&'a Name, &'a Standing> {
    reports.of_device(device).collect()
}

/// All that is not as it must be, one line each.
#[must_use]
pub fn complaints(world: &World) -> Vec<String> {
    if !world.manner().config {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let up = |index: &NodeIndex| world.nodes[*index as usize].is_up();
    let managers: Vec<NodeIndex> = world.managers().into_iter().filter(up).collect();
    for index in crate::pulled::agents(world).into_iter().filter(up) {
        let Some(config) = of(&world.nodes[index as usize]) else {
            continue;
        };
        if let Some(what) = device_wrong(world, index, &config.known.rollouts) {
            lines.push(format!("device {index}: {what}"));
            continue;
        }
        for manager in &managers {
            if let Some(what) = report_wrong(world, *manager, index)
                && !has_holes(world, index)
                // What a device said between an image of its disk and its return to it is taken back.
                && !world.invariants.suspects.contains(&world.nodes[index as usize].identity.node)
            {
                lines.push(format!("manager {manager} of device {index}: {what}"));
            }
        }
    }
    lines
}

/// Waits until all hold the same entries and all is as it must be; how long that took, or none within the
/// time.
pub fn wait(world: &mut World, within_ms: u64) -> Option<u64> {
    let start = world.now;
    while run::differ(world, true) || !complaints(world).is_empty() {
        if world.now.since(start) >= within_ms {
            return None;
        }
        world.run_until(world.now.plus(STEP_MS));
    }
    Some(world.now.since(start))
}

#[cfg(test)]
mod tests {
    use super::{complaints, wait};
    use crate::config::words::{Goes, words};
    use crate::fleet::name;
    use crate::run::{self, Spec};
    use crate::world::World;
    use crate::world::config::put::{Put, put};
    use regatta_protocol::machine::Millis;
    use regatta_protocol::selector::Selector;

    fn fleet(seed: u64) -> World {
        let spec = Spec {
            config: true,
            managers: 1,
            ..Spec::of_seed(seed, 5)
        };
        let mut world = run::launch(&spec);
        world.run_until(Millis(10_000));
        world
    }

    fn put_one(world: &mut World, number: u64, goes: &Goes) {
        let document = Put {
            name: name("nav"),
            select: Selector::everything(),
            words: Some(words(number, goes, None)),
        };
        assert!(put(world, 0, &[document]));
    }

    #[test]
    fn a_document_is_applied_everywhere_and_reported() {
        let mut world = fleet(1);
        put_one(&mut world, 1, &Goes::Thoroughly);
        assert_eq!(world.invariants.seen().config.applied, 0);
        let took = wait(&mut world, 60_000);
        assert!(took.is_some(), "{:#?}", complaints(&world));
        assert_eq!(world.invariants.seen().config.applied, 4);
        assert_eq!(world.invariants.violations, []);
    }

    #[test]
    fn a_document_whose_hook_fails_is_taken_back_everywhere_and_reported() {
        let mut world = fleet(2);
        put_one(&mut world, 1, &Goes::Well);
        assert!(wait(&mut world, 60_000).is_some());
        put_one(&mut world, 2, &Goes::Wrong);
        let took = wait(&mut world, 60_000);
        assert!(took.is_some(), "{:#?}", complaints(&world));
        let seen = world.invariants.seen().config;
        assert_eq!((seen.applied, seen.failed), (4, 4));
        assert_eq!(world.invariants.violations, []);
    }
}
