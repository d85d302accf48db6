//! Scenes of pulled ledgers: a device that was away for a month, a day without managers, a liar.

use std::fmt;

use regatta_protocol::clock::Stamp;
use regatta_protocol::crypto::sign::Sign;
use regatta_protocol::ident::{Incarnation, Serial};
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerId, LedgerKind};
use regatta_protocol::ledger::spool::message::{Item, PullMessage};
use regatta_protocol::ledger::spool::position::{Extent, Life, Position};
use regatta_protocol::ledger::spool::statement::{Gap, GapReason, Standing, Statement, Word};
use regatta_protocol::limits::DAY_MS;

use crate::forge::{self, Forged};
use crate::invariants::Violation;
use crate::network::NodeIndex;
use crate::pulled::verdict::{self, Figures};
use crate::pulled::{KINDS, append, ledger};
use crate::run::{self, Spec};
use crate::world::World;
use crate::{fleet, plan};

/// Time that a scene may take until all is through.
const WITHIN_MS: u64 = 60 * 60_000;
const MINUTE_MS: u64 = 60_000;

/// What came of a scene.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its name.
    pub name: &'static str,
    /// What became of the numbers.
    pub figures: Figures,
    /// From contact until the device has every change, where any were made.
    pub config_ms: Option<u64>,
    /// From contact until managers have every report.
    pub report_ms: Option<u64>,
    /// From contact until managers have everything.
    pub drained_ms: Option<u64>,
    /// What was refused as no honest member's doing.
    pub refused: u64,
    /// What was broken.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Played {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:<14} {}; from contact:", self.name, self.figures)?;
        for (what, ms) in [
            ("changes", self.config_ms),
            ("reports", self.report_ms),
            ("all", self.drained_ms),
        ] {
            match ms {
                Some(ms) => write!(out, " {what} {ms} ms,")?,
                None => write!(out, " {what} -,")?,
            }
        }
        write!(out, " {} lies refused", self.refused)?;
        for violation in &self.violations {
            let (at, node, what) = (violation.at.0, violation.node, &violation.what);
            write!(out, "\n  BROKEN at {at} ms, node {node}: {what}")?;
        }
        Ok(())
    }
}

/// How long a device is away, and what happens meanwhile: a chunk of samples a minute, a report an
/// hour.
#[derive(Clone, Copy, Debug)]
pub struct Absence {
    /// Minutes.
    pub minutes: u64,
    /// Changes that managers make.
    pub changes: u64,
}

/// Thirty days: 43,200 chunks of a minute's 60 samples, 2.6 million in all, and 10,000 changes.
pub const THIRTY_DAYS: Absence = Absence {
    minutes: 30 * 24 * 60,
    changes: 10_000,
};

fn launch(seed: u64, managers: usize, agents: usize) -> World {
    let spec = Spec {
        managers,
        pulled: true,
        bodies: false,
        config: false,
        push: true,
        ..Spec::of_seed(seed, managers + agents)
    };
    let mut world = run::launch(&spec);
    world.run_until(world.now.plus(30_000));
    world
}

/// A device comes back after thirty days.
#[must_use]
pub fn thirty_days(seed: u64) -> Played {
    away(seed, THIRTY_DAYS)
}

/// A device is away for a while, and comes back.
#[must_use]
pub fn away(seed: u64, absence: Absence) -> Played {
    let mut world = launch(seed, 2, 1);
    let (manager, device) = (0, 2);
    world.network.set_side(device, 1);
    world.links_changed();
    world.run_until(world.now.plus(MINUTE_MS));
    let mut written = 0;
    for minute in 0..absence.minutes {
        append(&mut world, device, LedgerKind::Telemetry(0), 200);
        if minute % 60 == 0 {
            append(&mut world, device, LedgerKind::Report, 100);
        }
        while written * absence.minutes < (minute + 1) * absence.changes {
            let name = format!("doc-{}", written % 100);
            if let Some(draft) = plan::revision_draft(&world, manager, &run::document(&name)) {
                world.write(manager, draft);
            }
            written += 1;
        }
        world.run_until(world.now.plus(MINUTE_MS));
    }
    world.network.heal();
    world.links_changed();
    // Contact is when a connection carries again; dialling until then is membership's.
    while world.nodes[device as usize].links.is_empty() && world.now.0 < 40 * DAY_MS {
        world.run_until(world.now.plus(100));
    }
    append(&mut world, device, LedgerKind::Report, 100);
    finish(world, "thirty days", true)
}

/// All managers are gone for a day, while four devices write a chunk a minute and a report an hour.
#[must_use]
pub fn managers_gone(seed: u64) -> Played {
    let mut world = launch(seed, 2, 4);
    let devices = 2..6;
    (0..2).for_each(|manager| world.crash(manager));
    for minute in 0..24 * 60 {
        for device in devices.clone() {
            append(&mut world, device, LedgerKind::Telemetry(0), 200);
            if minute % 60 == 0 {
                append(&mut world, device, LedgerKind::Report, 100);
            }
        }
        world.run_until(world.now.plus(MINUTE_MS));
    }
    (0..2).for_each(|manager| world.start(manager));
    finish(world, "managers gone", false)
}

/// Waits from contact until all is through, and judges.
fn finish(mut world: World, name: &'static str, config: bool) -> Played {
    let contact = world.now;
    let (mut config_ms, mut report_ms, mut drained_ms) = (None, None, None);
    while drained_ms.is_none() && world.now.since(contact) < WITHIN_MS {
        world.run_until(world.now.plus(100));
        let after = world.now.since(contact);
        if config && config_ms.is_none() && !run::differ(&mut world, true) {
            config_ms = Some(after);
        }
        if verdict::held_of(&world, LedgerKind::Report) == 0 {
            report_ms = report_ms.or(Some(after));
        }
        if verdict::not_drained(&world).is_none() && (!config || config_ms.is_some()) {
            drained_ms = Some(after);
        }
    }
    if let Some(what) = verdict::not_drained(&world) {
        world.invariants.broken(world.now, 0, what);
    }
    if let Some((node, what)) = verdict::wrong(&world) {
        world.invariants.broken(world.now, node, what);
    }
    Played {
        name,
        figures: verdict::figures(&world),
        config_ms,
        report_ms,
        drained_ms,
        refused: world.invariants.pulls.streams.told.misbehaved,
        violations: std::mem::take(&mut world.invariants.violations),
    }
}

/// An agent sends managers entries, gaps and standings of another device, and tells that device that
/// it holds what nobody holds; nothing of it may count.
#[must_use]
pub fn liar(seed: u64) -> Played {
    let mut world = launch(seed, 2, 3);
    let (victim, liar) = (2, 4);
    let id = world.nodes[liar as usize].identity.node;
    world.invariants.hostile.insert(id);
    // Managers hear the liar and not the victim, whose entries therefore wait.
    for manager in 0..2 {
        world.network.cut(manager, victim);
        world.network.cut(victim, manager);
    }
    world.links_changed();
    world.run_until(world.now.plus(MINUTE_MS));
    for turn in 0..50 {
        for kind in KINDS {
            append(&mut world, victim, kind, 100);
            let lies = lies(&world, victim, liar, kind);
            for lie in lies {
                for to in [0, 1, victim] {
                    world.inject_pull(liar, to, lie.clone());
                }
            }
        }
        world.run_until(world.now.plus(500));
        let held = verdict::held_of(&world, KINDS[0]) + verdict::held_of(&world, KINDS[1]);
        if held != 2 * (turn + 1) {
            let what = format!("I5: {held} entries held, a lie released the others");
            world.invariants.broken(world.now, victim, what);
        }
    }
    world.network.heal();
    world.links_changed();
    finish(world, "liar", false)
}

/// All that a liar can say of another's ledger.
fn lies(world: &World, victim: NodeIndex, liar: NodeIndex, kind: LedgerKind) -> Vec<PullMessage> {
    let of = &world.nodes[victim as usize];
    let by = &world.nodes[liar as usize].identity;
    let stream = ledger(of.identity.node, kind);
    let spool = of.pulled.as_ref().and_then(|it| it.spools.get(&kind));
    let head = spool.map_or(Position::START, |spool| spool.state().extent.head);
    let life = spool.map_or(Life::default(), |spool| spool.state().life);
    let entry = forged(world, stream, by.signer.as_ref());
    let items = vec![Item::Entry(entry.parcel.clone())];
    let told = Position {
        incarnation: entry.header.incarnation,
        number: 1,
        hash: entry.hash,
    };
    let gap = Word::Gap(Gap {
        ledger: stream,
        from: 1,
        previous: Position::START.hash,
        last: head,
        reason: GapReason::SpaceShort,
    });
    let standing = Word::Standing(Standing {
        ledger: stream,
        asked: Position::START,
        life: life.after(life),
        extent: Extent {
            floor: head,
            head,
            ..Extent::default()
        },
    });
    let fleet = &world.root.fleet;
    let gap = Statement::write(&gap, fleet, by.signer.as_ref());
    let statement = Statement::write(&standing, fleet, by.signer.as_ref());
    let managers = world.managers().into_iter();
    let holders: Vec<_> = managers
        .map(|manager| world.nodes[manager as usize].identity.node)
        .collect();
    let batch = |items| PullMessage::Batch {
        ledger: stream,
        after: Position::START,
        head: told,
        items,
    };
    vec![
        batch(items.clone()),
        batch(vec![Item::Gap(gap)]),
        PullMessage::Standing {
            ledger: stream,
            statement: statement.clone(),
        },
        PullMessage::Copy {
            ledger: stream,
            life,
            from: 1,
            items,
        },
        PullMessage::Offer {
            ledger: stream,
            life: life.after(life),
            head,
            standing: Some(statement),
        },
        PullMessage::Copied {
            ledger: stream,
            life,
            head,
        },
        PullMessage::Pull {
            ledger: stream,
            life,
            cursor: head,
            holders: holders.clone(),
        },
        PullMessage::Acknowledge {
            ledger: stream,
            life,
            head,
            holders,
        },
    ]
}

/// An entry in another device's name, signed with the liar's key.
fn forged(world: &World, stream: LedgerId, key: &dyn Sign) -> Entry {
    let forged = Forged {
        ledger: stream,
        signer: Serial::ZERO,
        incarnation: Incarnation([7; 8]),
        before: None,
        stamp: Stamp::at(fleet::EPOCH.plus(world.now.0)),
    };
    let content = b"forged".to_vec();
    forge::entry(&forged, EntryKind::RECORD, content, &world.root.fleet, key)
}

#[cfg(test)]
mod tests {
    use super::{Absence, Played, away, liar, managers_gone};

    fn check(played: &Played) {
        let figures = played.figures;
        assert!(played.violations.is_empty(), "{played}");
        assert!(played.drained_ms.is_some(), "{played}");
        assert_eq!(figures.gaps, 0, "{played}");
        assert_eq!(figures.delivered, figures.produced, "{played}");
        assert_eq!(figures.on_managers, figures.produced, "{played}");
        assert_eq!(figures.copies, 2 * figures.produced, "{played}");
    }

    #[test]
    fn a_device_that_was_away_for_a_day_has_the_newest_changes_within_seconds() {
        let played = away(
            1,
            Absence {
                minutes: 24 * 60,
                changes: 300,
            },
        );
        check(&played);
        assert!(played.config_ms.is_some_and(|ms| ms <= 30_000), "{played}");
        assert!(played.report_ms <= played.drained_ms, "{played}");
    }

    #[test]
    fn no_sample_is_lost_in_a_day_without_managers() {
        check(&managers_gone(1));
    }

    #[test]
    fn nothing_counts_of_what_a_liar_says_of_anothers_ledgers() {
        for seed in 1..=4 {
            let played = liar(seed);
            check(&played);
            assert!(played.refused > 0, "{played}");
        }
    }
}
