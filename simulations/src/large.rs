//! One very large fleet: an entry to all of it, a partition, and its healing.

use std::time::{Duration, Instant};

use regatta_protocol::ident::Hash;

use crate::network::NodeIndex;
use crate::run::{self, Spec, document};
use crate::world::World;
use crate::{plan, steady};

/// A part of the run that is over.
#[derive(Clone, Debug)]
pub struct Phase {
    /// What was done.
    pub name: &'static str,
    /// Virtual time until it was so everywhere; none where it never was.
    pub took_ms: Option<u64>,
    /// Events that machines handled in it.
    pub events: u64,
    /// Wall time.
    pub wall: Duration,
}

/// How long each phase may take.
const WITHIN_MS: u64 = 120_000;

/// Runs all phases and tells of each when it is over.
pub fn run(spec: &Spec, tell: &mut dyn FnMut(&Phase)) -> bool {
    let mut begun = (Instant::now(), 0);
    let mut world = run::launch(spec);
    let homes = |world: &World| steady::homes_missing(world).is_empty();
    let mut good = phase(&mut world, "homes found", begun, tell, &homes);
    // Neighbours find each other; then the partition is through both kinds of links.
    world.run_until(world.now.plus(30_000));
    begun = (Instant::now(), world.done.events);
    let entry = write(&mut world, 0);
    good &= phase(&mut world, "one entry to all", begun, tell, &held(&[entry]));
    for index in 0..world.nodes.len() as NodeIndex {
        world.network.set_side(index, (index % 2) as u8);
    }
    world.links_changed();
    begun = (Instant::now(), world.done.events);
    world.run_until(world.now.plus(30_000));
    let entries = [write(&mut world, 0), write(&mut world, 1)];
    world.run_until(world.now.plus(10_000));
    good &= phase(&mut world, "a partition of 40 s", begun, tell, &|_| true);
    world.network.heal();
    world.links_changed();
    begun = (Instant::now(), world.done.events);
    good &= phase(
        &mut world,
        "healed, both sides' entries at all",
        begun,
        tell,
        &held(&entries),
    );
    good && world.invariants.violations.is_empty()
}

fn write(world: &mut World, manager: NodeIndex) -> Option<Hash> {
    let draft = plan::revision_draft(world, manager, &document("base"))?;
    world.write(manager, draft);
    let entries = world.nodes[manager as usize].disk.entries();
    entries.last().map(|entry| entry.hash)
}

fn held(entries: &[Option<Hash>]) -> impl Fn(&World) -> bool {
    let entries: Vec<Hash> = entries.iter().flatten().copied().collect();
    move |world| {
        world
            .nodes
            .iter()
            .all(|node| entries.iter().all(|hash| node.disk.has(hash)))
    }
}

fn phase(
    world: &mut World,
    name: &'static str,
    (started, events): (Instant, u64),
    tell: &mut dyn FnMut(&Phase),
    done: &dyn Fn(&World) -> bool,
) -> bool {
    let from = world.now;
    while !done(world) && world.now.since(from) < WITHIN_MS {
        world.run_until(world.now.plus(100));
    }
    let took_ms = done(world).then(|| world.now.since(from));
    let wall = started.elapsed();
    let events = world.done.events - events;
    tell(&Phase {
        name,
        took_ms,
        events,
        wall,
    });
    took_ms.is_some()
}
