//! What must hold of pulled ledgers once nothing hurts the fleet: delivered + gaps = produced, and every
//! number that was let go is on a manager's disk.

use std::fmt;

use regatta_protocol::ledger::entry::{LedgerId, LedgerKind};
use regatta_protocol::ledger::spool::Spool;

use crate::network::NodeIndex;
use crate::pulled::ledger;
use crate::world::World;

/// What became of the numbers of all spools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Numbers issued, in the present life of each device's disk.
    pub produced: u64,
    /// Those that managers hold and devices have let go.
    pub delivered: u64,
    /// Those of `delivered` that only one manager held when room was short.
    pub one_copy: u64,
    /// Those that devices dropped before anybody held them.
    pub gaps: u64,
    /// Those that devices still keep.
    pub held: u64,
    /// Entries that managers hold, each counted once.
    pub on_managers: u64,
    /// Copies of these.
    pub copies: u64,
}

/// What became of the numbers of all spools.
#[must_use]
pub fn figures(world: &World) -> Figures {
    let mut figures = Figures::default();
    (figures.on_managers, figures.copies) = world.invariants.pulls.streams.held();
    for node in &world.nodes {
        for spool in node.pulled.iter().flat_map(|pulled| pulled.spools.values()) {
            let totals = spool.totals();
            figures.produced += totals.produced;
            figures.delivered += totals.delivered;
            figures.one_copy += totals.one_copy;
            figures.gaps += totals.gaps;
            figures.held += spool.held();
        }
    }
    figures
}

/// Entries that devices still keep of one kind of ledger.
#[must_use]
pub fn held_of(world: &World, kind: LedgerKind) -> u64 {
    let pulled = world.nodes.iter().flat_map(|node| node.pulled.iter());
    let spools = pulled.filter_map(|pulled| pulled.spools.get(&kind));
    spools.map(Spool::held).sum()
}

/// The first stream that is not through yet: something is still held on the device, or a manager has
/// not read it to its end, or lacks what another one has.
#[must_use]
pub fn not_drained(world: &World) -> Option<String> {
    each_spool(world, |world, device, spool| {
        let stream = ledger(
            world.nodes[device as usize].identity.node,
            spool.state().ledger.kind,
        );
        if spool.held() > 0 {
            let held = spool.held();
            return Some(format!(
                "node {device} holds {held} entries of {:?}",
                stream.kind
            ));
        }
        let managers = world.managers().into_iter();
        managers
            .filter_map(|manager| {
                let what = behind(world, manager, &stream, spool)?;
                Some(format!(
                    "manager {manager}, node {device}, {:?}: {what}",
                    stream.kind
                ))
            })
            .next()
    })
}

fn behind(world: &World, manager: NodeIndex, stream: &LedgerId, spool: &Spool) -> Option<String> {
    let node = &world.nodes[manager as usize];
    let cursor = node.pulled.as_ref()?.cursor.as_ref()?;
    let head = spool.state().extent.head;
    let Some(state) = cursor.stream(stream) else {
        return (head.number > 0).then(|| "never read".to_owned());
    };
    let at = state.timeline.cursor();
    if at != head {
        return Some(format!("read up to {} of {}", at.number, head.number));
    }
    let disk = &world.nodes[device_of(world, stream)? as usize].disk.pulled;
    let issued = &disk.spools.get(stream)?.issued;
    let streams = &world.invariants.pulls.streams;
    let missing = state.timeline.elsewhere.iter();
    let mut missing = missing.flat_map(|range| range.span.from..=range.span.to);
    let found = missing.find(|number| {
        let hash = issued.get(*number as usize - 1);
        hash.is_some_and(|hash| streams.copies(hash).now != 0)
    })?;
    Some(format!("lacks {found}, which another manager has"))
}

fn device_of(world: &World, stream: &LedgerId) -> Option<NodeIndex> {
    world.place_of(&stream.author)
}

/// What is wrong with the sums and the disks; none where all of it holds.
#[must_use]
pub fn wrong(world: &World) -> Option<(NodeIndex, String)> {
    let mut at = 0;
    each_spool(world, |world, device, spool| {
        at = device;
        spool_wrong(world, device, spool)
    })
    .map(|what| (at, what))
}

fn spool_wrong(world: &World, device: NodeIndex, spool: &Spool) -> Option<String> {
    let stream = spool.state().ledger;
    let totals = spool.totals();
    let head = spool.state().extent.head.number;
    let sum = totals.delivered + totals.gaps + spool.held();
    if sum != totals.produced || head != totals.produced {
        return Some(format!(
            "I5: {sum} of {} numbers accounted for, head {head}",
            totals.produced
        ));
    }
    if head == 0 {
        return None;
    }
    let Some(disk) = world.nodes[device as usize].disk.pulled.spools.get(&stream) else {
        return Some("I1: a spool that is not on disk".to_owned());
    };
    if disk.entries.len() as u64 != spool.held() || disk.issued.len() as u64 != head {
        let (stored, held) = (disk.entries.len(), spool.held());
        return Some(format!(
            "I1: {stored} entries on the device's disk, {held} held"
        ));
    }
    let streams = &world.invariants.pulls.streams;
    for (hash, number) in disk.issued.iter().zip(1..) {
        let copies = streams.copies(hash);
        let kept = copies.now != 0
            || disk.entries.contains_key(&number)
            || streams.is_gap(&stream, number)
            // Those who had it lost their disks since.
            || copies.ever != 0;
        if !kept {
            return Some(format!("I5: number {number} of {:?} is lost", stream.kind));
        }
    }
    None
}

fn each_spool(
    world: &World,
    mut look: impl FnMut(&World, NodeIndex, &Spool) -> Option<String>,
) -> Option<String> {
    for (node, index) in world.nodes.iter().zip(0..) {
        for spool in node.pulled.iter().flat_map(|pulled| pulled.spools.values()) {
            if let Some(what) = look(world, index, spool) {
                return Some(what);
            }
        }
    }
    None
}

/// Waits until all streams are through; how long it took, or none within the time.
pub fn drain(world: &mut World, within_ms: u64) -> Option<u64> {
    let start = world.now;
    loop {
        if not_drained(world).is_none() {
            return Some(world.now.since(start));
        }
        if world.now.since(start) >= within_ms {
            return None;
        }
        world.run_until(world.now.plus(1_000));
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} produced, {} delivered ({} in one copy), {} gaps, {} held; managers have {} in {} copies",
            self.produced,
            self.delivered,
            self.one_copy,
            self.gaps,
            self.held,
            self.on_managers,
            self.copies
        )
    }
}
