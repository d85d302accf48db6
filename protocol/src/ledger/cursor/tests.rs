//! What pulled ledgers promise, under faults.

use crate::crypto::sign::{PublicKey, Sign};
use crate::ident::{Hash, Incarnation, NodeId};
use crate::ledger::cursor::CursorEvent;
use crate::ledger::cursor::fixture::{Cheap, DEVICE, DeviceDisk, FLEET, KEY, LEDGER, manager};
use crate::ledger::cursor::harness::World;
use crate::ledger::cursor::state::StreamTotals;
use crate::ledger::cursor::torture::check_union;
use crate::ledger::entry::{Entry, Header, LedgerId, LedgerKind};
use crate::ledger::spool::message::{Item, PullMessage};
use crate::ledger::spool::position::Position;
use crate::ledger::spool::{Pressure, SpoolEvent};

const MINUTE_MS: u64 = 60_000;

fn totals(world: &World, index: usize) -> StreamTotals {
    world.readers[index]
        .cursor
        .stream(&LEDGER)
        .map(|state| state.timeline.totals())
        .expect("an open stream")
}

fn whole(delivered: u64) -> StreamTotals {
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
        assert_eq!(state.generation, 1);
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

fn at(incarnation: Incarnation, number: u64) -> Position {
    Position {
        incarnation,
        number,
        hash: Hash::of(b"anything"),
    }
}

fn say_to_device(world: &mut World, from: NodeId, message: PullMessage) {
    let message = Box::new(message);
    world.tell_device(SpoolEvent::Received { from, message });
}

#[test]
fn acknowledgement_of_the_future_is_refused() {
    let mut world = World::new(11, 2);
    world.cut_off(DEVICE);
    (0..5).for_each(|_| world.append(1_000));
    let head = world.spool.state().extent.head;
    let ledger = LEDGER;
    let acknowledge = |head, holders| PullMessage::Acknowledge {
        ledger,
        head,
        holders,
    };
    for (from, message, reason) in [
        (
            manager(0),
            acknowledge(at(head.incarnation, 6), vec![]),
            "reason: Future",
        ),
        (
            manager(0),
            acknowledge(at(Incarnation([8; 8]), 3), vec![]),
            "KnownFurther",
        ),
        (
            manager(0),
            acknowledge(at(head.incarnation, 5), vec![]),
            "reason: Unknown",
        ),
        (
            manager(0),
            acknowledge(head, vec![manager(1); 9]),
            "reason: Holders",
        ),
        (manager(7), acknowledge(head, vec![]), "reason: Stranger"),
        (
            manager(0),
            PullMessage::News { ledger, head },
            "reason: Role",
        ),
    ] {
        world.told.clear();
        say_to_device(&mut world, from, message);
        assert!(world.has_told(reason), "{reason}: {:?}", world.told);
    }
    world.faults.lies = true;
    // Many names for one manager, and names that nobody knows, are still one copy.
    let claimed = vec![manager(0), manager(5), manager(6)];
    say_to_device(&mut world, manager(0), acknowledge(head, claimed));
    assert_eq!(world.spool.totals().delivered, 0);
    say_to_device(&mut world, manager(0), acknowledge(head, vec![manager(1)]));
    assert_eq!(world.spool.totals().delivered, 5);
}

/// A world in which one manager has read 3 entries, and the header of a fourth that would follow.
fn before_a_forgery(seed: u64) -> (World, Header) {
    let mut world = World::new(seed, 1);
    (0..3).for_each(|_| world.append(100));
    let parcel = world.device.entries[&3].clone();
    world.run(MINUTE_MS);
    world.cut_off(DEVICE);
    let last = Entry::open(parcel).expect("own entry");
    let header = Header {
        number: 4,
        previous: last.hash,
        body: None,
        ..last.header
    };
    (world, header)
}

fn give(world: &mut World, header: &Header, signer: &dyn Sign) {
    let after = world.readers[0]
        .disk
        .state()
        .expect("a state")
        .timeline
        .cursor();
    let entry = Entry::write(header, None, &FLEET, signer).expect("sound form");
    let message = Box::new(PullMessage::Batch {
        ledger: LEDGER,
        after,
        head: after,
        items: vec![Item::Entry(entry.parcel)],
    });
    world.tell_manager(
        0,
        CursorEvent::Received {
            from: DEVICE,
            message,
        },
    );
}

#[test]
fn forged_entry_is_refused() {
    let (mut world, sound) = before_a_forgery(12);
    let thief = Cheap(PublicKey(Hash([66; 32])));
    let owner = Cheap(KEY);
    let other = LedgerId {
        author: NodeId([2; 16]),
        ..LEDGER
    };
    for (header, signer, reason) in [
        (sound.clone(), thief, "Forged"),
        (
            Header {
                ledger: other,
                ..sound.clone()
            },
            owner,
            "Foreign",
        ),
        (
            Header {
                number: 5,
                ..sound.clone()
            },
            owner,
            "Skipped",
        ),
        (
            Header {
                previous: Hash([5; 32]),
                ..sound.clone()
            },
            owner,
            "Unlinked",
        ),
    ] {
        world.told.clear();
        give(&mut world, &header, &signer);
        assert!(
            world.has_told(&format!("reason: {reason}")),
            "{reason}: {:?}",
            world.told
        );
        assert_eq!(totals(&world, 0), whole(3), "{reason}");
    }
    give(&mut world, &sound, &owner);
    world.run(100);
    assert_eq!(totals(&world, 0), whole(4), "the sound one is taken");
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

#[test]
fn an_oversized_batch_is_refused() {
    let (mut world, header) = before_a_forgery(14);
    let entry = Entry::write(&header, None, &FLEET, &Cheap(KEY)).expect("sound form");
    let after = world.readers[0]
        .disk
        .state()
        .expect("a state")
        .timeline
        .cursor();
    let message = Box::new(PullMessage::Batch {
        ledger: LEDGER,
        after,
        head: after,
        items: vec![Item::Entry(entry.parcel); 2_000],
    });
    world.tell_manager(
        0,
        CursorEvent::Received {
            from: DEVICE,
            message,
        },
    );
    assert!(world.has_told("reason: Oversized"));
}
