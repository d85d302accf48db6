//! What happens to a fleet in a run: work and faults drawn from the seed, one after the other.

mod attacks;
pub mod bodies;
mod config;
mod winners;

use std::collections::BTreeMap;

use regatta_protocol::catalog::{DocumentKey, Revision, RevisionSet};
use regatta_protocol::codec;
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Selector;

use crate::network::{NodeIndex, Weather};
use crate::plan::attacks::attack;
pub use crate::plan::winners::winners_differ;
use crate::pulled;
use crate::run::{document, is_writer};
use crate::world::World;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A manager writes a revision of a document.
    Write,
    /// A manager writes a revision for one device alone.
    WriteScoped,
    /// A manager writes revisions that count together.
    WriteSet,
    /// A manager testifies of its peers' heads.
    Testify,
    /// The fleet falls in two, or in three.
    Split,
    /// One direction between two nodes carries nothing.
    CutOneWay,
    /// A split with one node that hears both sides.
    Bridge,
    /// A node's link carries little.
    SlowLink,
    /// All cuts end, and slow links are fast again.
    Heal,
    /// Loss, delay, reordering, duplicates.
    FoulWeather,
    /// They end.
    FairWeather,
    /// A node stops between two effects.
    Crash,
    /// Nodes that are down start.
    Restart,
    /// A manager's disk is put aside.
    Backup,
    /// A manager goes back to it.
    RestoreBackup,
    /// A manager loses its disk and keeps its key.
    Wipe,
    /// An agent's disk is put aside, an agent goes back to it, or loses what it had.
    AgentDisk,
    /// An agent's store runs short of room.
    SpaceShort,
    /// A clock is set.
    SetClock,
    /// A member sends entries that nobody signed.
    Forge,
    /// A member sends what was recorded before.
    Replay,
    /// A member asks for a body that is not for it.
    Pry,
    /// A member hands out bytes that are not the body's.
    Lie,
}

/// How often each happens, of a hundred and some.
const WEIGHTS: [(Act, u64); 23] = [
    (Act::Write, 40),
    (Act::WriteScoped, 8),
    (Act::WriteSet, 4),
    (Act::Testify, 4),
    (Act::Split, 6),
    (Act::CutOneWay, 4),
    (Act::Bridge, 2),
    (Act::SlowLink, 2),
    (Act::Heal, 8),
    (Act::FoulWeather, 3),
    (Act::FairWeather, 5),
    (Act::Crash, 7),
    (Act::Restart, 12),
    (Act::Backup, 2),
    (Act::RestoreBackup, 1),
    (Act::Wipe, 1),
    (Act::AgentDisk, 5),
    (Act::SpaceShort, 4),
    (Act::SetClock, 3),
    (Act::Forge, 3),
    (Act::Replay, 2),
    (Act::Pry, 3),
    (Act::Lie, 1),
];

/// Names that are written over and over.
const NAMES: [&str; 6] = ["base", "nav", "lidar", "dock", "wifi", "fleet/map"];

fn draw(world: &mut World) -> Act {
    let total: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut at = world.prng().below(total);
    for (act, weight) in WEIGHTS {
        if at < weight {
            return act;
        }
        at -= weight;
    }
    Act::Write
}

/// Works and hurts until `until`; gives how often each thing happened.
pub fn storm(world: &mut World, until: Millis) -> BTreeMap<&'static str, u64> {
    let mut happened: BTreeMap<&'static str, u64> = BTreeMap::new();
    // As many acts a minute whatever the size of the fleet.
    while world.now < until {
        let pause = 200 + world.prng().below(5_000);
        world.run_until(world.now.plus(pause));
        pulled::produce(world);
        if let Some(what) = config::turn(world) {
            *happened.entry(what).or_default() += 1;
        }
        let act = draw(world);
        *happened.entry(act_name(act)).or_default() += 1;
        carry_out(world, act);
    }
    happened
}

/// Ends every fault.
pub fn calm(world: &mut World) {
    world.network.heal();
    world.network.set_weather(Weather::FAIR);
    world.links_changed();
    for index in 0..world.nodes.len() as NodeIndex {
        bodies::lie(world, index, false);
        let node = &mut world.nodes[index as usize];
        node.crash_after = None;
        let off = node.clock_off_ms;
        if !node.is_up() {
            world.start(index);
        }
        if off != 0 {
            world.set_clock(index, 0);
        }
    }
}

fn carry_out(world: &mut World, act: Act) {
    match act {
        Act::Write | Act::WriteScoped | Act::WriteSet | Act::Testify => work(world, act),
        Act::Split | Act::CutOneWay | Act::Bridge | Act::Heal => cut(world, act),
        Act::SlowLink => {
            let node = any(world);
            let bytes_per_second = 1_000 + world.prng().below(19_000);
            world.network.slow(node, bytes_per_second);
        }
        Act::FoulWeather => world.network.set_weather(Weather::FOUL),
        Act::FairWeather => world.network.set_weather(Weather::FAIR),
        Act::Crash => {
            let node = any(world);
            if world.prng().chance(500_000) {
                world.crash(node);
            } else {
                let after = world.prng().below(12) as u32;
                world.nodes[node as usize].crash_after = Some(after);
            }
        }
        Act::Restart => {
            for index in 0..world.nodes.len() as NodeIndex {
                world.start(index);
            }
        }
        Act::Backup | Act::RestoreBackup | Act::Wipe => {
            if let Some(manager) = writer(world) {
                lose_disk(world, manager, act);
            }
        }
        Act::AgentDisk | Act::SpaceShort => {
            let agents = pulled::agents(world);
            if !world.manner().pulled || agents.is_empty() {
                return;
            }
            let agent = agents[world.prng().below(agents.len() as u64) as usize];
            match (act, world.prng().below(6)) {
                (Act::SpaceShort, _) => pulled::space_short(world, agent),
                (_, 0..3) => lose_disk(world, agent, Act::Backup),
                (_, 3..5) => lose_disk(world, agent, Act::RestoreBackup),
                _ => lose_disk(world, agent, Act::Wipe),
            }
        }
        Act::SetClock => {
            let node = any(world);
            let span = if world.prng().chance(200_000) {
                2 * 86_400_000
            } else {
                20 * 60_000
            };
            // Of managers' clocks only a minority is wrong at a time; else nobody knows the time.
            let wrong = |world: &World| {
                world
                    .managers()
                    .iter()
                    .filter(|m| world.nodes[**m as usize].clock_off_ms != 0)
                    .count()
            };
            let is_manager = world.nodes[node as usize].is_manager();
            let mended = world.nodes[node as usize].clock_off_ms != 0;
            if is_manager && !mended && 2 * (wrong(world) + 1) >= world.managers().len() {
                return;
            }
            if mended {
                world.set_clock(node, 0);
                return;
            }
            let off = i64::try_from(world.prng().below(2 * span)).unwrap_or(0)
                - i64::try_from(span).unwrap_or(0);
            world.set_clock(node, off);
        }
        Act::Forge | Act::Replay => attack(world, act),
        Act::Pry => bodies::pry(world),
        Act::Lie => {
            let node = any(world);
            bodies::lie(world, node, true);
        }
    }
}

pub(super) fn any(world: &mut World) -> NodeIndex {
    let nodes = world.nodes.len() as u64;
    // Managers are few and matter most.
    if world.prng().chance(400_000) {
        let managers = world.managers();
        let at = world.prng().below(managers.len() as u64) as usize;
        managers[at]
    } else {
        world.prng().below(nodes) as NodeIndex
    }
}

fn writer(world: &mut World) -> Option<NodeIndex> {
    let managers: Vec<NodeIndex> = world
        .managers()
        .into_iter()
        .filter(|index| is_writer(&world.nodes[*index as usize]))
        .collect();
    if managers.is_empty() {
        return None;
    }
    let at = world.prng().below(managers.len() as u64) as usize;
    Some(managers[at])
}

fn work(world: &mut World, act: Act) {
    let Some(manager) = writer(world) else { return };
    let draft = match act {
        Act::WriteScoped => {
            let devices = world.nodes.len() as u64;
            let at = world.prng().below(devices) as usize;
            let device = world.nodes[at].identity.node;
            let key = DocumentKey {
                scope: Some(device),
                ..document(NAMES[0])
            };
            revision_draft(world, manager, &key)
        }
        Act::WriteSet => set_draft(world, manager),
        Act::Testify => testimony_draft(world, manager),
        _ => {
            let at = world.prng().below(NAMES.len() as u64) as usize;
            Some(revision_draft(world, manager, &document(NAMES[at]))).flatten()
        }
    };
    if let Some(mut draft) = draft {
        if matches!(act, Act::Write | Act::WriteScoped) {
            draft = bodies::dress(world, manager, draft);
        }
        world.write(manager, draft);
    }
}

fn revision(world: &World, manager: NodeIndex, key: &DocumentKey) -> Option<Revision> {
    let replica = world.nodes[manager as usize].replica.as_ref()?;
    Some(Revision {
        kind: key.kind,
        name: key.name.clone(),
        replaces: replica.holdings().catalog().to_replace(key),
        select: Selector::everything(),
        deletes: false,
        version: 1,
        staged: false,
        body: None,
    })
}

/// A draft of the next revision of a document, as its manager knows it.
#[must_use]
pub fn revision_draft(world: &World, manager: NodeIndex, key: &DocumentKey) -> Option<Draft> {
    let revision = revision(world, manager, key)?;
    let draft = Draft::new(
        0,
        LedgerKind::Fleet,
        EntryKind::REVISION,
        codec::encode(&revision),
    );
    Some(Draft {
        scope: key.scope,
        ..draft
    })
}

fn set_draft(world: &World, manager: NodeIndex) -> Option<Draft> {
    let revisions: Option<Vec<Revision>> = NAMES
        .iter()
        .take(3)
        .map(|name| revision(world, manager, &document(name)))
        .collect();
    let content = codec::encode(&RevisionSet(revisions?));
    Some(Draft::fitting(
        0,
        LedgerKind::Fleet,
        EntryKind::SET,
        content,
    ))
}

/// What a manager can say of its peers' heads.
#[must_use]
pub fn testimony_draft(world: &World, manager: NodeIndex) -> Option<Draft> {
    use regatta_protocol::trust::verdict::{JudgedLedger, Ruling, Subject, Verdict, Verdicts};
    let replica = world.nodes[manager as usize].replica.as_ref()?;
    let holdings = replica.holdings();
    let own = replica.identity().node;
    let peers = holdings.record().managers().iter();
    let verdicts = peers
        .filter(|(_, certificate)| certificate.node != own)
        .map(|(serial, certificate)| Verdict {
            subject: Subject::Holder {
                serial: *serial,
                node: certificate.node,
            },
            ruling: Ruling::Good,
            ledgers: holdings
                .chains()
                .iter()
                .filter(|(ledger, _)| ledger.author == certificate.node && ledger.scope.is_none())
                .filter_map(|(ledger, chain)| {
                    let heads = chain.tip().into_iter().collect::<Vec<_>>();
                    (!heads.is_empty()).then_some(JudgedLedger {
                        kind: ledger.kind,
                        scope: ledger.scope,
                        heads,
                    })
                })
                .collect(),
            replaces: Vec::new(),
            until: None,
            reason: String::new(),
        })
        .collect();
    let content = codec::encode(&Verdicts(verdicts));
    Some(Draft::fitting(
        0,
        LedgerKind::Trust,
        EntryKind::VERDICT,
        content,
    ))
}

fn cut(world: &mut World, act: Act) {
    let nodes = world.nodes.len() as NodeIndex;
    match act {
        Act::Split | Act::Bridge => {
            let sides = 2 + world.prng().below(2);
            for index in 0..nodes {
                let side = world.prng().below(sides) as u8;
                world.network.set_side(index, side);
            }
            if act == Act::Bridge {
                let bridge = any(world);
                world.network.set_bridge(Some(bridge));
            }
        }
        Act::CutOneWay => {
            let (from, to) = (any(world), any(world));
            world.network.cut(from, to);
        }
        _ => world.network.heal(),
    }
    world.links_changed();
}

fn lose_disk(world: &mut World, node: NodeIndex, act: Act) {
    let index = node as usize;
    match act {
        Act::Backup => world.nodes[index].place.backup = Some(world.nodes[index].disk.clone()),
        Act::RestoreBackup => {
            if let Some(backup) = world.nodes[index].place.backup.take() {
                world.crash(node);
                world.nodes[index].disk = backup;
                world.invariants.disk_lost(node, &world.nodes[index]);
                world.start(node);
            }
        }
        _ => {
            world.crash(node);
            world.nodes[index].disk = crate::disk::Disk::default();
            world.invariants.disk_lost(node, &world.nodes[index]);
            world.start(node);
        }
    }
}

fn act_name(act: Act) -> &'static str {
    match act {
        Act::Write => "writes",
        Act::WriteScoped => "writes for one device",
        Act::WriteSet => "sets written",
        Act::Testify => "testimonies",
        Act::Split => "splits",
        Act::CutOneWay => "one-way cuts",
        Act::Bridge => "bridges",
        Act::SlowLink => "slow links",
        Act::Heal => "heals",
        Act::FoulWeather => "foul weather",
        Act::FairWeather => "fair weather",
        Act::Crash => "crashes",
        Act::Restart => "restarts",
        Act::Backup => "backups",
        Act::RestoreBackup => "backups restored",
        Act::Wipe => "disks wiped",
        Act::AgentDisk => "agents' disks put aside, back or wiped",
        Act::SpaceShort => "shortages of room",
        Act::SetClock => "clocks set",
        Act::Forge => "forgeries",
        Act::Replay => "replays",
        Act::Pry => "bodies pried for",
        Act::Lie => "liars",
    }
}
