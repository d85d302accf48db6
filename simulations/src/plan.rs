//! What happens to a fleet in a run: work and faults drawn from the seed, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::catalog::{Catalog, DocumentKey, Revision, RevisionId, RevisionSet};
use regatta_protocol::clock::Stamp;
use regatta_protocol::codec;
use regatta_protocol::ident::{Hash, Incarnation, NodeId, Serial};
use regatta_protocol::ledger::entry::{EntryKind, LedgerId, LedgerKind};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::limits::HOLD_AHEAD_MS;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Selector;

use crate::fleet;
use crate::forge::{self, Forged};
use crate::network::{NodeIndex, Weather};
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
    /// All cuts end.
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
    /// A clock is set.
    SetClock,
    /// A member sends entries that nobody signed.
    Forge,
    /// A member sends what was recorded before.
    Replay,
}

/// How often each happens, of a hundred and some.
const WEIGHTS: [(Act, u64); 18] = [
    (Act::Write, 40),
    (Act::WriteScoped, 8),
    (Act::WriteSet, 4),
    (Act::Testify, 4),
    (Act::Split, 6),
    (Act::CutOneWay, 4),
    (Act::Bridge, 2),
    (Act::Heal, 8),
    (Act::FoulWeather, 3),
    (Act::FairWeather, 5),
    (Act::Crash, 7),
    (Act::Restart, 12),
    (Act::Backup, 2),
    (Act::RestoreBackup, 1),
    (Act::Wipe, 1),
    (Act::SetClock, 3),
    (Act::Forge, 3),
    (Act::Replay, 2),
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
        Act::Backup | Act::RestoreBackup | Act::Wipe => lose_disk(world, act),
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
    }
}

fn any(world: &mut World) -> NodeIndex {
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
    if let Some(draft) = draft {
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

fn lose_disk(world: &mut World, act: Act) {
    let Some(manager) = writer(world) else { return };
    let index = manager as usize;
    match act {
        Act::Backup => world.nodes[index].backup = Some(world.nodes[index].disk.clone()),
        Act::RestoreBackup => {
            if let Some(backup) = world.nodes[index].backup.take() {
                world.crash(manager);
                world.nodes[index].disk = backup;
                world.invariants.disk_lost(&world.nodes[index]);
                world.start(manager);
            }
        }
        _ => {
            world.crash(manager);
            world.nodes[index].disk = crate::disk::Disk::default();
            world.invariants.disk_lost(&world.nodes[index]);
            world.start(manager);
        }
    }
}

/// Entries that nobody signed, or that were sent long ago, from a member that went bad.
fn attack(world: &mut World, act: Act) {
    let from = any(world);
    let links: Vec<NodeIndex> = world.nodes[from as usize].links.keys().copied().collect();
    if links.is_empty() {
        return;
    }
    let at = world.prng().below(links.len() as u64) as usize;
    let to = links[at];
    let liar = world.nodes[from as usize].identity.node;
    world.invariants.hostile.insert(liar);
    let parcels = match act {
        Act::Forge => vec![forged(world).parcel],
        _ => world.nodes[from as usize]
            .disk
            .entries()
            .iter()
            .rev()
            .take(4)
            .map(|entry| entry.parcel.clone())
            .collect(),
    };
    world.inject(from, to, &Message::Push { hops: 0, parcels });
}

/// An entry in a manager's name, signed with another key.
fn forged(world: &mut World) -> regatta_protocol::ledger::entry::Entry {
    let managers = world.managers();
    let at = world.prng().below(managers.len() as u64) as usize;
    let victim = world.nodes[managers[at] as usize].identity.clone();
    let key = {
        let mut prng = world.prng().branch();
        world.root.new_key(&mut prng)
    };
    let ledger = LedgerId {
        kind: LedgerKind::Fleet,
        scope: None,
        author: victim.node,
    };
    let tip = world.nodes[managers[at] as usize]
        .replica
        .as_ref()
        .and_then(|replica| replica.holdings().chains().get(&ledger)?.tip());
    let forged = Forged {
        ledger,
        signer: victim.serial,
        incarnation: tip.map_or(Incarnation([7; 8]), |head| head.incarnation),
        before: tip,
        stamp: Stamp::at(fleet::EPOCH.plus(world.now.0)),
    };
    let revision = Revision {
        kind: 1,
        name: fleet::name(NAMES[0]),
        replaces: Vec::new(),
        select: Selector::everything(),
        deletes: true,
    };
    let fleet = world.root.fleet;
    forge::entry(
        &forged,
        EntryKind::REVISION,
        codec::encode(&revision),
        &fleet,
        key.as_ref(),
    )
}

/// The winners of every document as the entries on a manager's disk give them by the rule itself,
/// computed here without the catalog; what differs, if anything does.
#[must_use]
pub fn winners_differ(world: &World) -> Option<String> {
    let manager = world
        .managers()
        .into_iter()
        .find(|index| world.nodes[*index as usize].is_up())?;
    let node = &world.nodes[manager as usize];
    let replica = node.replica.as_ref()?;
    let reference = replica.reference(world.now);
    let expected = winners_by_rule(node, reference);
    let catalog: &Catalog = replica.holdings().catalog();
    let found: BTreeMap<DocumentKey, RevisionId> = catalog
        .documents()
        .map(|(key, heads)| (key.clone(), heads.winner))
        .collect();
    // Orders, forks and lapses are the fold's own business; scenarios say what they expect there.
    let undisturbed = replica.holdings().judgement().cuts.is_empty()
        && replica
            .holdings()
            .chains()
            .values()
            .all(|chain| chain.forked().is_empty());
    (undisturbed && expected != found)
        .then(|| "I2: the winners are not those that the rule gives".to_owned())
}

fn winners_by_rule(
    node: &crate::node::Node,
    reference: Millis,
) -> BTreeMap<DocumentKey, RevisionId> {
    struct Written {
        id: RevisionId,
        stamp: Stamp,
        author: NodeId,
        replaces: Vec<RevisionId>,
        waits: bool,
    }
    let mut documents: BTreeMap<DocumentKey, Vec<Written>> = BTreeMap::new();
    for entry in node.disk.entries() {
        let content = entry
            .parcel
            .body
            .as_deref()
            .unwrap_or(&entry.header.payload);
        let revisions: Vec<Revision> = match entry.header.kind {
            EntryKind::REVISION => codec::decode(content).into_iter().collect(),
            EntryKind::SET => codec::decode(content)
                .map(|RevisionSet(all)| all)
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        for (revision, place) in revisions.into_iter().zip(0..) {
            let key = DocumentKey {
                scope: entry.header.ledger.scope,
                kind: revision.kind,
                name: revision.name,
            };
            documents.entry(key).or_default().push(Written {
                id: RevisionId {
                    entry: Serial(half(&entry.hash)),
                    place,
                },
                stamp: entry.header.stamp,
                author: entry.header.ledger.author,
                replaces: revision.replaces,
                waits: entry.header.stamp.wall.0 > reference.0 + HOLD_AHEAD_MS,
            });
        }
    }
    let mut winners = BTreeMap::new();
    for (key, all) in documents {
        let mut replaced: BTreeSet<RevisionId> = BTreeSet::new();
        let mut open: Vec<&Written> = all.iter().filter(|written| !written.waits).collect();
        while let Some(written) = open.pop() {
            for older in &written.replaces {
                if replaced.insert(*older) {
                    open.extend(all.iter().find(|other| other.id == *older));
                }
            }
        }
        let heads = all
            .iter()
            .filter(|written| !written.waits && !replaced.contains(&written.id));
        let winner = heads.max_by_key(|written| (written.stamp, written.author, written.id));
        if let Some(winner) = winner {
            winners.insert(key, winner.id);
        }
    }
    winners
}

fn half(hash: &Hash) -> [u8; 16] {
    hash.half()
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
        Act::Heal => "heals",
        Act::FoulWeather => "foul weather",
        Act::FairWeather => "fair weather",
        Act::Crash => "crashes",
        Act::Restart => "restarts",
        Act::Backup => "backups",
        Act::RestoreBackup => "backups restored",
        Act::Wipe => "disks wiped",
        Act::SetClock => "clocks set",
        Act::Forge => "forgeries",
        Act::Replay => "replays",
    }
}
