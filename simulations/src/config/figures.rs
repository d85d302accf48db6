//! How long an edit takes to all devices of a large fleet over slow links, and what it costs.

use std::fmt;

use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Selector;

use crate::config::settled;
use crate::config::words::{Goes, words};
use crate::fleet::name;
use crate::network::{Carried, NodeIndex, Weather};
use crate::pulled::agents;
use crate::run::{self, Spec};
use crate::world::World;
use crate::world::config::put::{Put, put};

/// Every link: 50 ms one way, give or take two.
const LINKS: Weather = Weather {
    delay_ms: 49,
    jitter_ms: 2,
    loss: 0,
    doubled: 0,
};
/// How long anything may take.
const WITHIN_MS: u64 = 300_000;
/// How long a quiet fleet is watched, to know what it says without an edit.
const QUIET_MS: u64 = 20_000;

/// What one edit took.
#[derive(Clone, Debug)]
pub struct Edit {
    /// What was done.
    pub name: &'static str,
    /// Virtual milliseconds until each device had applied it, the fastest first; those that never did are
    /// missing.
    pub applied_ms: Vec<u64>,
    /// Devices.
    pub devices: usize,
    /// What the network carried meanwhile, but for what it carries anyway.
    pub carried: Carried,
    /// Virtual milliseconds until every manager knew of every device.
    pub known_ms: Option<u64>,
    /// Nodes.
    pub nodes: usize,
}

impl fmt::Display for Edit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.applied_ms.len();
        let at = |per_cent: usize| {
            let place = (count * per_cent).div_ceil(100).max(1) - 1;
            self.applied_ms
                .get(place)
                .map_or("never".to_owned(), |ms| format!("{ms} ms"))
        };
        let all = match count == self.devices {
            true => at(100),
            false => format!("NEVER ({count} of {})", self.devices),
        };
        let nodes = self.nodes as f64;
        let known = self
            .known_ms
            .map_or("NEVER".to_owned(), |ms| format!("{ms} ms"));
        write!(
            out,
            "{:<46} p50 {}, p99 {}, all {all}; known to managers {known}; {:.1} messages and {:.0} bytes a node",
            self.name,
            at(50),
            at(99),
            self.carried.messages as f64 / nodes,
            self.carried.bytes as f64 / nodes,
        )
    }
}

impl Edit {
    /// Whether it came to everybody, and managers know.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.applied_ms.len() == self.devices && self.known_ms.is_some()
    }
}

/// One edit in a quiet fleet, then one while a third of it is cut off, counted from the healing; what was
/// broken.
pub fn run(spec: &Spec, tell: &mut dyn FnMut(&Edit)) -> Vec<String> {
    let mut world = run::launch(spec);
    world.network.set_weather(LINKS);
    world.run_until(Millis(60_000));
    write(&mut world, 1);
    settled::wait(&mut world, WITHIN_MS);
    world.run_until(world.now.plus(60_000));
    let quiet = quiet(&mut world);
    let begun = (world.now, world.network.carried);
    write(&mut world, 2);
    let devices = agents(&world);
    let edit = watch(&mut world, "one edit to all", &devices, begun, quiet);
    tell(&edit);
    let mut good = edit.is_good();

    let cut: Vec<NodeIndex> = devices.iter().copied().filter(|it| it % 3 == 0).collect();
    for device in &cut {
        world.network.set_side(*device, 1);
    }
    world.links_changed();
    world.run_until(world.now.plus(30_000));
    write(&mut world, 3);
    world.run_until(world.now.plus(60_000));
    world.network.heal();
    world.links_changed();
    let begun = (world.now, world.network.carried);
    let edit = watch(
        &mut world,
        "to a third that was cut off, after the healing",
        &cut,
        begun,
        quiet,
    );
    tell(&edit);
    good &= edit.is_good();
    let violations = world.invariants.violations.iter();
    let mut broken: Vec<String> = violations.map(|it| it.what.clone()).collect();
    if !good {
        broken.extend(settled::complaints(&world).into_iter().take(4));
    }
    broken
}

/// What the network carries in a second without any edit.
fn quiet(world: &mut World) -> Carried {
    let before = world.network.carried;
    world.run_until(world.now.plus(QUIET_MS));
    less(world.network.carried, before)
}

fn less(now: Carried, before: Carried) -> Carried {
    Carried {
        messages: now.messages.saturating_sub(before.messages),
        bytes: now.bytes.saturating_sub(before.bytes),
        lost: now.lost.saturating_sub(before.lost),
    }
}

fn write(world: &mut World, number: u64) {
    let document = Put {
        name: name("nav"),
        select: Selector::everything(),
        words: Some(words(number, &Goes::Well, None)),
    };
    put(world, 0, &[document]);
}

/// Waits until these devices hold what was written last, and managers know that they do.
fn watch(
    world: &mut World,
    name: &'static str,
    devices: &[NodeIndex],
    (begun, carried): (Millis, Carried),
    quiet: Carried,
) -> Edit {
    let replica = world.nodes[0].replica.as_ref();
    let wanted = replica.and_then(|it| settled::heads(it, &crate::fleet::name("nav")));
    let wanted = wanted.map(|(winner, _)| winner);
    let mut waiting: Vec<NodeIndex> = devices.to_vec();
    let mut applied_ms = Vec::new();
    while !waiting.is_empty() && world.now.since(begun) < WITHIN_MS {
        world.run_until(world.now.plus(1));
        let took = world.now.since(begun);
        waiting.retain(|device| {
            let holds = settled::holds(world, *device, &crate::fleet::name("nav"));
            if holds == wanted {
                applied_ms.push(took);
            }
            holds != wanted
        });
    }
    while !settled::complaints(world).is_empty() && world.now.since(begun) < WITHIN_MS {
        world.run_until(world.now.plus(50));
    }
    let known = settled::complaints(world).is_empty();
    let known_ms = known.then(|| world.now.since(begun));
    let passed = world.now.since(begun);
    let all = less(world.network.carried, carried);
    let anyway = |each: u64| each * passed / QUIET_MS;
    Edit {
        name,
        applied_ms,
        devices: devices.len(),
        carried: Carried {
            messages: all.messages.saturating_sub(anyway(quiet.messages)),
            bytes: all.bytes.saturating_sub(anyway(quiet.bytes)),
            lost: all.lost,
        },
        known_ms,
        nodes: world.nodes.len(),
    }
}
