//! What pulled ledgers promise, under faults.

use crate::ledger::cursor::fixture::{DEVICE, DeviceDisk, LEDGER, manager};
use crate::ledger::cursor::harness::World;
use crate::ledger::cursor::state::StreamTotals;
use crate::ledger::cursor::torture::check_union;
use crate::ledger::entry::{LedgerId, LedgerKind};
use crate::ledger::spool::position::Life;
use crate::ledger::spool::{Pressure, SpoolEvent};

pub(super) const MINUTE_MS: u64 = 60_000;

pub(super) fn totals(world: &World, index: usize) -> StreamTotals {
    world.readers[index]
        .cursor
        .stream(&LEDGER)
        .map(|state| state.timeline.totals())
        .expect("an open stream")
}

pub(super) fn whole(delivered: u64) -> StreamTotals {
    StreamTotals {
        produced: delivered,
        delivered,
        ..StreamTotals::default()
    }
}

#[test]
fn a_batch_reaches_every_manager_and_is_released_at_two_copies() {
    let mut world = World::new(1, 2);
    (0..40).for_each(|_| world.append(16_000));
    world.cut_off(manager(1));
    world.run(MINUTE_MS);
    assert_eq!(totals(&world, 0), whole(40));
    assert_eq!(world.spool.totals().delivered, 0, "one copy is not enough");
    world.cut.clear();
    world.run(10 * MINUTE_MS);
    assert_eq!(totals(&world, 1), whole(40));
    assert_eq!(world.spool.totals().delivered, 40);
    assert_eq!(world.spool.totals().one_copy, 0);
    assert!(world.device.entries.is_empty());
}

#[test]
fn news_are_pulled_at_once() {
    let mut world = World::new(2, 1);
    world.append(10);
    world.run(MINUTE_MS);
    world.append(10);
    world.run(1_000);
    assert_eq!(totals(&world, 0), whole(2));
}

#[test]
fn pull_that_loses_its_manager_between_store_and_acknowledgement() {
    let mut world = World::new(3, 2);
    world.readers[1].pulls = true;
    world.cut_off(manager(1));
    (0..10).for_each(|_| world.append(1_000));
    while world.readers[0].disk.items.is_empty() {
        world.run(1);
    }
    // Stored, not acknowledged: the manager is gone for good, another takes over.
    world.cut.clear();
    world.cut_off(manager(0));
    world.start_manager(1);
    world.run(5 * MINUTE_MS);
    assert_eq!(totals(&world, 1), whole(10));
    assert_eq!(
        world.spool.totals().delivered,
        0,
        "only one is known to hold it"
    );
    // It comes back, with its disk: nothing is counted twice.
    world.cut.clear();
    world.start_manager(0);
    world.run(10 * MINUTE_MS);
    assert_eq!(totals(&world, 0), whole(10));
    assert_eq!(world.spool.totals().delivered, 10);
    check_union(&world, 3);
}

#[test]
fn full_disk_makes_a_gap_with_its_reason() {
    let mut world = World::new(4, 1);
    world.cut_off(manager(0));
    (0..20).for_each(|_| world.append(1_000));
    world.space_short(5_000);
    world.run(1_000);
    assert_eq!(world.spool.totals().gaps, 4);
    assert!(world.has_told("reason: SpaceShort"), "{:?}", world.told);
    assert!(world.has_told("Freed"));
    world.cut.clear();
    world.run(10 * MINUTE_MS);
    let expected = StreamTotals {
        produced: 20,
        delivered: 16,
        gaps: 4,
        elsewhere: 0,
    };
    assert_eq!(totals(&world, 0), expected);
    let device = world.spool.totals();
    assert_eq!((device.delivered, device.gaps), (16, 4));
}

#[test]
fn what_one_manager_holds_goes_before_what_nobody_holds() {
    let mut world = World::new(5, 2);
    world.cut_off(manager(1));
    (0..10).for_each(|_| world.append(1_000));
    world.run(MINUTE_MS);
    world.cut_off(manager(0));
    (0..10).for_each(|_| world.append(1_000));
    world.space_short(3_000);
    world.run(1_000);
    let device = world.spool.totals();
    assert_eq!((device.one_copy, device.gaps), (3, 0));
    world.space_short(12_000);
    world.run(1_000);
    let device = world.spool.totals();
    assert_eq!(device.one_copy, 10);
    assert!((1..10).contains(&device.gaps), "{device:?}");
}

#[test]
fn a_report_is_dropped_only_under_the_last_pressure() {
    let mut world = World::new(6, 1);
    let report = LedgerId {
        kind: LedgerKind::Report,
        ..LEDGER
    };
    world.make_ledger(report);
    world.cut_off(manager(0));
    (0..10).for_each(|_| world.append(1_000));
    world.space_short(3_000);
    world.run(100);
    assert_eq!(world.spool.totals().gaps, 0);
    world.tell_device(SpoolEvent::SpaceShort {
        bytes: 3_000,
        pressure: Pressure::DropReport,
    });
    world.run(100);
    assert_eq!(world.spool.totals().gaps, 3);
}

#[test]
fn cursor_behind_a_release_fetches_from_the_other_manager() {
    let mut world = World::new(7, 2);
    world.cut_off(manager(1));
    (0..30).for_each(|_| world.append(1_000));
    world.run(MINUTE_MS);
    world.space_short(1_000_000);
    world.run(1_000);
    assert_eq!(world.spool.totals().one_copy, 30);
    (0..5).for_each(|_| world.append(1_000));
    // The first is away, the second pulls: it goes on, and lists what it lacks.
    world.cut.clear();
    world.cut_off(manager(0));
    world.readers[1].pulls = true;
    world.start_manager(1);
    world.run(MINUTE_MS);
    let lacking = StreamTotals {
        produced: 35,
        delivered: 5,
        gaps: 0,
        elsewhere: 30,
    };
    assert_eq!(totals(&world, 1), lacking);
    assert!(world.has_told("MissingElsewhere"));
    world.cut.clear();
    world.start_manager(0);
    world.run(10 * MINUTE_MS);
    assert_eq!(totals(&world, 1), whole(35));
    assert_eq!(totals(&world, 0), whole(35));
}

#[test]
fn wiped_device_opens_a_generation() {
    let mut world = World::new(8, 2);
    (0..10).for_each(|_| world.append(1_000));
    world.run(MINUTE_MS);
    assert_eq!(world.spool.totals().delivered, 10);
    world.device = DeviceDisk::default();
    world.start_device();
    (0..3).for_each(|_| world.append(1_000));
    world.run(30 * MINUTE_MS);
    assert!(world.has_told("cause: Restarted"));
    assert!(world.has_told("KnownFurther"));
    for index in 0..2 {
        assert_eq!(totals(&world, index), whole(3), "manager {index}");
        let state = world.readers[index].disk.state().expect("a state");
        assert_eq!((state.generation, state.life), (1, Life(1)));
        assert_eq!(state.past.first().map(|past| past.totals), Some(whole(10)));
        assert_eq!(world.readers[index].disk.items.len(), 13, "all is kept");
    }
    assert_eq!(world.spool.totals().delivered, 3);
    assert!(!world.has_told("Misbehaved"), "{:?}", world.told);
}

#[test]
fn restored_device_goes_on_from_common_ground() {
    let mut world = World::new(9, 2);
    (0..6).for_each(|_| world.append(1_000));
    world.cut_off(DEVICE);
    world.run(MINUTE_MS);
    let image = world.device.clone();
    world.cut.clear();
    world.start_device();
    (0..4).for_each(|_| world.append(1_000));
    world.run(10 * MINUTE_MS);
    assert_eq!(totals(&world, 0), whole(10));
    world.device = image;
    world.start_device();
    (0..3).for_each(|_| world.append(1_000));
    world.run(30 * MINUTE_MS);
    assert!(world.has_told("cause: Restored"));
    for index in 0..2 {
        let state = world.readers[index].disk.state().expect("a state");
        assert_eq!(state.timeline.extent.floor.number, 6, "manager {index}");
        assert_eq!(totals(&world, index), whole(3));
    }
}

#[test]
fn a_manager_restored_from_a_backup_is_filled_again() {
    let mut world = World::new(10, 2);
    (0..5).for_each(|_| world.append(1_000));
    world.run(MINUTE_MS);
    let backup = world.readers[0].disk.clone();
    (0..5).for_each(|_| world.append(1_000));
    world.run(MINUTE_MS);
    world.readers[0].disk = backup;
    world.start_manager(0);
    world.run(10 * MINUTE_MS);
    assert_eq!(totals(&world, 0), whole(10));
    check_union(&world, 10);
}

#[test]
fn a_hole_found_at_restart_becomes_a_gap() {
    let mut world = World::new(15, 1);
    world.cut_off(DEVICE);
    (0..9).for_each(|_| world.append(1_000));
    let incarnation = world.spool.state().extent.head.incarnation;
    (4..=6).for_each(|number| drop(world.device.entries.remove(&number)));
    world.start_device();
    assert_eq!(world.spool.totals().gaps, 3);
    world.append(1_000);
    let head = world.spool.state().extent.head;
    assert_ne!(head.incarnation, incarnation, "each start opens its own");
    world.cut.clear();
    world.run(10 * MINUTE_MS);
    let expected = StreamTotals {
        produced: 10,
        delivered: 7,
        gaps: 3,
        elsewhere: 0,
    };
    assert_eq!(totals(&world, 0), expected);
}

#[test]
fn thirty_days_drain_in_bounded_batches() {
    let mut world = World::new(16, 1);
    // Nobody lies; with so many numbers the costly check of each release is left out.
    world.faults.lies = true;
    world.cut_off(DEVICE);
    (0..43_200).for_each(|_| world.append(60));
    world.cut.clear();
    world.start_manager(0);
    world.run(MINUTE_MS);
    assert_eq!(totals(&world, 0), whole(43_200));
    assert_eq!(world.spool.held(), 0);
}

#[test]
fn lagging_duplicates_are_taken_once() {
    let mut world = World::new(13, 3);
    world.faults.double = 900_000;
    world.faults.delay_ms = 5_000;
    world
        .readers
        .iter_mut()
        .for_each(|reader| reader.pulls = true);
    (0..3).for_each(|index| world.open(index));
    for _ in 0..50 {
        world.append(2_000);
        world.run(500);
    }
    world.run(30 * MINUTE_MS);
    for index in 0..3 {
        assert_eq!(totals(&world, index), whole(50), "manager {index}");
    }
    assert!(world.told.is_empty(), "{:?}", world.told);
}
