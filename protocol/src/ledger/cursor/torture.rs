//! Seeds: faults for a while, then peace; every number is held or listed.

use crate::codec;
use crate::ident::Hash;
use crate::ledger::cursor::fixture::{DeviceDisk, LEDGER, manager};
use crate::ledger::cursor::harness::{Faults, World};
use crate::ledger::entry::Header;
use crate::ledger::spool::SpoolEvent;
use crate::ledger::spool::message::Item;
use crate::ledger::spool::position::Span;

const HOUR_MS: u64 = 60 * 60_000;

/// Every number is on some manager's disk, or listed as a gap; what the readers count is what they
/// have.
pub(super) fn check_union(world: &World, seed: u64) {
    let produced = world.spool.totals().produced;
    let mut told = 0;
    for number in 1..=produced {
        let held = world.is_held(number);
        let gap = world.readers.iter().any(|it| it.disk.has_gap(number));
        assert!(held || gap, "seed {seed}: {number} of {produced} is lost");
        told += u64::from(gap && !held);
    }
    let device = world.spool.totals();
    assert!(
        told <= device.gaps,
        "seed {seed}: a gap that the device does not list"
    );
    for (index, reader) in world.readers.iter().enumerate() {
        let stream = reader.cursor.stream(&LEDGER).expect("an open stream");
        let totals = stream.timeline.totals();
        let entries = reader.disk.items.values();
        let entries = entries.filter(|kept| matches!(kept.item, Item::Entry(_)));
        assert_eq!(entries.count() as u64, totals.delivered, "seed {seed}");
        assert_eq!(totals.produced, produced, "seed {seed}: manager {index}");
    }
    check_fetched(world, seed);
}

/// Nobody lacks what somebody has of the ledger as it is now.
fn check_fetched(world: &World, seed: u64) {
    for (index, reader) in world.readers.iter().enumerate() {
        let state = reader.disk.state().expect("a state");
        for range in &state.timeline.elsewhere {
            let mut numbers = range.span.from..=range.span.to;
            let found = numbers.find(|number| world.is_held(*number));
            assert_eq!(
                found,
                None,
                "seed {seed}: manager {index} did not fetch it{}",
                describe(world)
            );
        }
    }
}

/// Faults for a while, then an hour of peace.
fn torture(seed: u64, disks_fail: bool) -> World {
    let managers = 1 + usize::try_from(seed % 3).unwrap_or(0);
    let mut world = World::new(seed, managers);
    world.faults = Faults {
        loss: 200_000,
        double: 100_000,
        crash: 10_000,
        delay_ms: 300,
        lies: false,
    };
    let mut image = (world.device.clone(), world.issued.clone());
    for _ in 0..60 {
        for _ in 0..world.prng.below(6) {
            let bytes = 100 + usize::try_from(world.prng.below(20_000)).unwrap_or(0);
            world.append(bytes);
        }
        let index = usize::try_from(world.prng.below(managers as u64)).unwrap_or(0);
        match world.prng.below(if disks_fail { 18 } else { 14 }) {
            0 => world.cut_off(manager(index)),
            1 | 2 => world.cut.clear(),
            3 => {
                let bytes = world.prng.below(60_000);
                world.space_short(bytes);
            }
            4 => world.start_device(),
            5 => {
                world.readers[index].pulls ^= true;
                world.open(index);
            }
            6 => corrupt_one(&mut world),
            14 | 15 => image = (world.device.clone(), world.issued.clone()),
            16 => {
                (world.device, world.issued) = image.clone();
                world.start_device();
            }
            17 if world.prng.chance(300_000) => {
                world.device = DeviceDisk::default();
                world.start_device();
            }
            _ => {}
        }
        let pause = 1 + world.prng.below(2_000);
        world.run(pause);
    }
    world.faults = Faults {
        delay_ms: 20,
        ..Faults::default()
    };
    world.cut.clear();
    world.readers[0].pulls = true;
    world.open(0);
    world.append(100);
    world.run(HOUR_MS);
    let device = world.spool.totals();
    assert_eq!(
        world.spool.held(),
        0,
        "seed {seed}: not drained{}",
        describe(&world)
    );
    assert_eq!(device.delivered + device.gaps, device.produced);
    assert!(
        !world.has_told("Misbehaved"),
        "seed {seed}: {:?}",
        world.told
    );
    world
}

/// A few entries in the middle become unreadable.
fn corrupt_one(world: &mut World) {
    let numbers: Vec<u64> = world.device.entries.keys().copied().collect();
    let window = numbers
        .windows(3)
        .find(|window| matches!(window, [a, b, c] if b - a == 1 && c - b == 1));
    if let Some([before, bad, after]) = window.map(|window| [window[0], window[1], window[2]]) {
        let previous = Hash::of(&world.device.entries[&before].header);
        let next: Header = codec::decode(&world.device.entries[&after].header).expect("own header");
        world.tell_device(SpoolEvent::Corrupt {
            span: Span { from: bad, to: bad },
            previous,
            last: next.previous,
        });
    }
}

/// The device's disk survives.
fn check_steady(seed: u64) {
    let world = torture(seed, false);
    assert!(!world.has_told("Generation"), "seed {seed}");
    check_union(&world, seed);
}

/// The device is wiped, or put back to an image, every now and then.
fn check_unsteady(seed: u64) {
    let world = torture(seed, true);
    for number in 1..=world.spool.totals().produced {
        let mut readers = world.readers.iter();
        let listed = readers.any(|reader| reader.disk.has_gap(number));
        assert!(
            world.is_held(number) || listed,
            "seed {seed}: {number} is lost"
        );
    }
    let head = world.spool.state().extent.head;
    for reader in &world.readers {
        let state = reader.disk.state().expect("a state");
        let at = state.timeline.cursor();
        assert_eq!(at, head, "seed {seed}{}", describe(&world));
        let _ = state.timeline.totals();
    }
    check_fetched(&world, seed);
}

#[test]
fn every_number_is_held_or_listed_under_every_fault() {
    (0..300).for_each(check_steady);
}

#[test]
fn a_device_that_loses_its_disk_loses_nothing_that_managers_hold() {
    (0..200).for_each(check_unsteady);
}

#[test]
fn what_was_read_before_a_wipe_is_shared_when_an_image_from_before_it_comes_back() {
    let mut world = World::new(1, 2);
    let write = |world: &mut World, entries: u64| {
        (0..entries).for_each(|_| world.append(100));
        world.run(HOUR_MS);
    };
    write(&mut world, 7);
    let image = (world.device.clone(), world.issued.clone());
    write(&mut world, 4);
    world.device = DeviceDisk::default();
    world.start_device();
    write(&mut world, 15);
    (world.device, world.issued) = image;
    world.start_device();
    write(&mut world, 15);
    for reader in &world.readers {
        let stream = reader.cursor.stream(&LEDGER).expect("an open stream");
        assert_eq!(
            stream.timeline.totals().delivered,
            22,
            "{}",
            describe(&world)
        );
    }
}

#[test]
#[ignore = "as many seeds as REGATTA_SEEDS says, for when there is time"]
fn many_seeds() {
    let seeds = std::env::var("REGATTA_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(10_000);
    for seed in 0..seeds {
        check_steady(seed);
        check_unsteady(seed);
    }
}

fn describe(world: &World) -> String {
    let told = &world.told[world.told.len().saturating_sub(10)..];
    let mut text = format!(
        "\ndevice {:#?}\ntold {told:#?}\n",
        world.spool.state().extent
    );
    for reader in &world.readers {
        text += &format!("\nreader {:#?}\n", reader.cursor.stream(&LEDGER));
    }
    text
}
