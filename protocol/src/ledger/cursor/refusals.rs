//! What neither side takes from the other: acknowledgements of what is not there, forged entries,
//! batches beyond every bound.

use crate::crypto::sign::{PublicKey, Sign};
use crate::ident::{Hash, Incarnation, NodeId};
use crate::ledger::cursor::CursorEvent;
use crate::ledger::cursor::fixture::{Cheap, DEVICE, FLEET, KEY, LEDGER, manager};
use crate::ledger::cursor::harness::World;
use crate::ledger::cursor::tests::{MINUTE_MS, totals, whole};
use crate::ledger::entry::{Entry, Header, LedgerId};
use crate::ledger::spool::SpoolEvent;
use crate::ledger::spool::message::{Item, PullMessage};
use crate::ledger::spool::position::{Life, Position};

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
    let (ledger, life) = (LEDGER, Life::default());
    let acknowledge = |head, holders| PullMessage::Acknowledge {
        ledger,
        life,
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
        (
            manager(0),
            PullMessage::Inquire {
                ledger,
                life: Life(u64::MAX),
                cursor: head,
            },
            "reason: Future",
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

#[test]
fn acknowledgement_of_what_was_lost_begins_another_life() {
    let mut world = World::new(17, 2);
    world.cut_off(DEVICE);
    (0..5).for_each(|_| world.append(1_000));
    let head = world.spool.state().extent.head;
    let acknowledge = |life, head| PullMessage::Acknowledge {
        ledger: LEDGER,
        life,
        head,
        holders: vec![manager(1)],
    };
    let lost = acknowledge(Life::default(), at(Incarnation([8; 8]), 3));
    say_to_device(&mut world, manager(0), lost);
    assert!(world.has_told("KnownFurther"), "{:?}", world.told);
    assert_eq!(world.spool.state().life, Life(1));
    world.faults.lies = true;
    // What was read before that was perhaps another entry of this number.
    say_to_device(&mut world, manager(0), acknowledge(Life::default(), head));
    assert_eq!(world.spool.totals().delivered, 0);
    say_to_device(&mut world, manager(0), acknowledge(Life(1), head));
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
