//! Configuration in a storm: documents, words of operators, and what devices are asked to try again.

use regatta_protocol::catalog::{CONFIG, RevisionId};
use regatta_protocol::config::adoption::Event;
use regatta_protocol::config::document::{RolloutSpec, Wave};
use regatta_protocol::selector::Selector;

use crate::bodies::papers::device_name;
use crate::config::words::{Goes, words};
use crate::fleet::name;
use crate::network::NodeIndex;
use crate::plan::writer;
use crate::pulled::agents;
use crate::world::World;
use crate::world::config::put::{Put, Said, put, say};

/// Documents that are written over and over; the last of them others write too, without words.
const NAMES: [&str; 4] = ["amr", "arm", "cart", "nav"];
/// In a million: whether something is written at one turn of the storm.
const WRITES: u32 = 250_000;
/// In a million: whether an operator says something of a rollout.
const SAYS: u32 = 30_000;
/// In a million: whether a device is asked to try again what it refused.
const RETRIES: u32 = 20_000;

/// In a million: whether a device is killed soon after something was written.
const KILLS: u32 = 400_000;

/// What happens to configuration at one turn of the storm; what it is called, where something does.
pub fn turn(world: &mut World) -> Option<&'static str> {
    if !world.manner().config {
        return None;
    }
    if world.prng().chance(SAYS) {
        return spoken(world).then_some("words on rollouts");
    }
    if world.prng().chance(RETRIES) {
        let agents = agents(world);
        let at = world.prng().below(agents.len().max(1) as u64) as usize;
        let agent = *agents.get(at)?;
        let up = world.nodes[agent as usize].is_up();
        if up {
            world.tell_config(agent, Event::Retry(None));
        }
        return up.then_some("retries");
    }
    if !world.prng().chance(WRITES) {
        return None;
    }
    let manager = writer(world)?;
    let several = world.prng().chance(200_000);
    let first = world.prng().below(NAMES.len() as u64) as usize;
    let count = if several { 2 } else { 1 };
    let puts: Vec<Put> = (first..first + count)
        .map(|at| drawn(world, NAMES[at % NAMES.len()]))
        .collect();
    let written = put(world, manager, &puts);
    if world.prng().chance(KILLS) {
        kill(world);
    }
    written.then_some("configurations written")
}

/// Some device is killed at one of its next effects: most likely it adopts something.
fn kill(world: &mut World) {
    let agents = agents(world);
    let at = world.prng().below(agents.len().max(1) as u64) as usize;
    let after = world.prng().below(80) as u32;
    if let Some(agent) = agents.get(at) {
        world.nodes[*agent as usize].crash_after = Some(after);
    }
}

fn drawn(world: &mut World, document: &str) -> Put {
    let nodes = world.nodes.len() as u64;
    let device = device_name(world.prng().below(nodes) as usize);
    let select = match world.prng().below(5) {
        0 => format!("name={device}"),
        1 => format!("site=site-{}", world.prng().below(nodes.div_ceil(8))),
        _ => String::new(),
    };
    let goes = match world.prng().below(16) {
        0 => Goes::Unchecked,
        1 => Goes::Wrong,
        2 => Goes::WrongOn(vec![device]),
        3 => Goes::Unwell,
        4 => Goes::Confirmed(1_000 + world.prng().below(60_000)),
        5..8 => Goes::Thoroughly,
        _ => Goes::Well,
    };
    let rollout = world.prng().chance(250_000).then(|| spec(world));
    let deleted = world.prng().chance(100_000);
    let number = world.prng().below(u64::MAX);
    Put {
        name: name(document),
        select: Selector::parse(&select).unwrap_or_else(|_| Selector::everything()),
        words: (!deleted).then(|| words(number, &goes, rollout)),
    }
}

fn spec(world: &mut World) -> RolloutSpec {
    let first = match world.prng().below(3) {
        0 => Wave::Percent(10 + world.prng().below(50) as u8),
        1 => Wave::Count(1 + world.prng().below(3) as u32),
        _ => Wave::Percent(100),
    };
    let spare = world.prng().chance(300_000).then_some(1);
    RolloutSpec {
        waves: vec![first, Wave::Percent(100)],
        success_percent: 50 + world.prng().below(51) as u8,
        pause_ms: 1_000 + world.prng().below(10_000),
        min_available: spare
            .map(|least| (name("site"), least))
            .into_iter()
            .collect(),
    }
}

/// Somebody at some manager says something of some change that goes out in waves.
fn spoken(world: &mut World) -> bool {
    let Some(manager) = writer(world) else {
        return false;
    };
    let going = staged(world, manager);
    if going.is_empty() {
        return false;
    }
    let of = going[world.prng().below(going.len() as u64) as usize];
    let said = match world.prng().below(4) {
        0 => Said::Pause,
        1 => Said::Abort,
        _ => Said::Resume,
    };
    say(world, manager, &of, said)
}

fn staged(world: &World, manager: NodeIndex) -> Vec<RevisionId> {
    let replica = world.nodes[manager as usize].replica.as_ref();
    let catalog = replica.map(|replica| replica.holdings().catalog());
    let documents = catalog.into_iter().flat_map(|it| it.documents());
    let winners = documents
        .filter(|(key, _)| key.kind == CONFIG)
        .map(|(_, heads)| heads.winner);
    let is_staged = |id: &RevisionId| {
        let held = catalog.and_then(|catalog| catalog.revision(id));
        held.is_some_and(|held| held.revision.staged)
    };
    winners.filter(is_staged).collect()
}
