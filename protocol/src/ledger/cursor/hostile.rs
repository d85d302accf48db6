//! Whatever a peer says, neither machine panics, and the sums hold.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::Config;

use crate::codec;
use crate::crypto::sign::{PublicKey, Signature};
use crate::ident::{Hash, Incarnation, NodeId};
use crate::ledger::cursor::CursorEvent;
use crate::ledger::cursor::fixture::{Cheap, DEVICE, FLEET, KEY, LEDGER, manager};
use crate::ledger::cursor::harness::World;
use crate::ledger::entry::Parcel;
use crate::ledger::spool::SpoolEvent;
use crate::ledger::spool::message::{Item, PullMessage};
use crate::ledger::spool::position::{Extent, Life, Position, Starts};
use crate::ledger::spool::statement::{Gap, GapReason, Standing, Statement, Word};

/// Numbers near what exists, and far beyond.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..12_u64,
        Just(u64::MAX),
        Just(u64::MAX / 2),
        Just(u64::MAX / 2 - 1)
    ]
}

/// Positions of the device's real incarnation (the zero one is put right later) and of others.
fn position() -> impl Strategy<Value = Position> {
    (0..3_u8, number(), 0..3_u8).prop_map(|(incarnation, number, hash)| Position {
        incarnation: Incarnation([incarnation; 8]),
        number,
        hash: Hash([hash; 32]),
    })
}

/// Lives near the present one, and far beyond.
fn life() -> impl Strategy<Value = Life> {
    prop_oneof![(0..3_u64).prop_map(Life), number().prop_map(Life)]
}

fn signed(word: &Word) -> Statement {
    Statement::write(word, &FLEET, &Cheap(KEY))
}

fn statement() -> impl Strategy<Value = Statement> {
    let gap = (number(), position()).prop_map(|(from, last)| {
        Word::Gap(Gap {
            ledger: LEDGER,
            from,
            previous: Hash::ZERO,
            last,
            reason: GapReason::Corrupt,
        })
    });
    let standing = (life(), position(), position(), position(), position()).prop_map(
        |(life, asked, floor, head, continues)| {
            let mut starts = Starts::default();
            starts.note(Incarnation([1; 8]), Position::START);
            starts.note(Incarnation([2; 8]), continues);
            let extent = Extent {
                floor,
                head,
                starts,
            };
            Word::Standing(Standing {
                ledger: LEDGER,
                asked,
                life,
                extent,
            })
        },
    );
    let thief = Cheap(PublicKey(Hash([3; 32])));
    prop_oneof![gap, standing].prop_flat_map(move |word| {
        let forged = Statement::write(&word, &FLEET, &thief);
        prop_oneof![4 => Just(signed(&word)), 1 => Just(forged)]
    })
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let garbage = prop::collection::vec(any::<u8>(), 0..64).prop_map(|bytes| {
        Item::Entry(Parcel {
            header: bytes.into(),
            signature: Signature(Hash::ZERO, Hash::ZERO),
            body: None,
        })
    });
    prop::collection::vec(prop_oneof![statement().prop_map(Item::Gap), garbage], 0..3)
}

fn message() -> impl Strategy<Value = PullMessage> {
    let ledger = LEDGER;
    let holders = || prop::collection::vec((0..4_usize).prop_map(manager), 0..10);
    prop_oneof![
        (life(), position(), holders()).prop_map(move |(life, cursor, holders)| {
            PullMessage::Pull {
                ledger,
                life,
                cursor,
                holders,
            }
        }),
        (position(), position(), items()).prop_map(move |(after, head, items)| {
            PullMessage::Batch {
                ledger,
                after,
                head,
                items,
            }
        }),
        statement().prop_map(move |statement| PullMessage::Standing { ledger, statement }),
        (life(), position(), holders()).prop_map(move |(life, head, holders)| {
            PullMessage::Acknowledge {
                ledger,
                life,
                head,
                holders,
            }
        }),
        position().prop_map(move |head| PullMessage::News { ledger, head }),
        (life(), position(), prop::option::of(statement())).prop_map(
            move |(life, head, standing)| PullMessage::Offer {
                ledger,
                life,
                head,
                standing,
            }
        ),
        (life(), position(), number(), number()).prop_map(move |(life, anchor, from, to)| {
            PullMessage::Fetch {
                ledger,
                life,
                anchor,
                from,
                to,
            }
        }),
        (life(), number(), items()).prop_map(move |(life, from, items)| PullMessage::Copy {
            ledger,
            life,
            from,
            items
        }),
        (life(), position()).prop_map(move |(life, head)| PullMessage::Copied {
            ledger,
            life,
            head
        }),
        (life(), position()).prop_map(move |(life, cursor)| PullMessage::Inquire {
            ledger,
            life,
            cursor
        }),
    ]
}

/// Puts the reader's cursor, or the device's head, where a message has the zero incarnation: so
/// that it passes the first doors.
fn aim(message: PullMessage, real: Position) -> PullMessage {
    let put = |position: Position| match position.incarnation.0 {
        [0, ..] if position.number.is_multiple_of(2) => real,
        [0, ..] => Position {
            incarnation: real.incarnation,
            ..position
        },
        _ => position,
    };
    match message {
        PullMessage::Pull {
            ledger,
            life,
            cursor,
            holders,
        } => PullMessage::Pull {
            ledger,
            life,
            cursor: put(cursor),
            holders,
        },
        PullMessage::Acknowledge {
            ledger,
            life,
            head,
            holders,
        } => PullMessage::Acknowledge {
            ledger,
            life,
            head: put(head),
            holders,
        },
        PullMessage::Batch {
            ledger,
            after,
            head,
            items,
        } => PullMessage::Batch {
            ledger,
            after: put(after),
            head: put(head),
            items,
        },
        PullMessage::Standing { ledger, statement } => {
            let statement = match codec::decode::<Word>(&statement.bytes) {
                Ok(Word::Standing(standing)) => signed(&Word::Standing(Standing {
                    asked: real,
                    ..standing
                })),
                _ => statement,
            };
            PullMessage::Standing { ledger, statement }
        }
        PullMessage::Copied { ledger, life, head } => PullMessage::Copied {
            ledger,
            life,
            head: put(head),
        },
        other => other,
    }
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_message_breaks_a_machine(messages in prop::collection::vec((0..3_u8, message()), 1..24)) {
        let mut world = World::new(1, 2);
        world.faults.lies = true;
        (0..5).for_each(|_| world.append(100));
        world.run(500);
        for (peer, message) in messages {
            let from: NodeId = if peer == 2 { DEVICE } else { manager(usize::from(peer)) };
            let cursor = world.readers[0].cursor.stream(&LEDGER)
                .map_or(Position::START, |state| state.timeline.cursor());
            let to_manager = Box::new(aim(message.clone(), cursor));
            let head = world.spool.state().extent.head;
            let to_device = Box::new(aim(message, head));
            world.tell_device(SpoolEvent::Received { from, message: to_device });
            world.tell_manager(0, CursorEvent::Received { from, message: to_manager });
            // What was stored last must be readable by a restart.
            world.run(30);
        }
        world.start_device();
        world.start_manager(0);
        world.run(60_000);
        for reader in &world.readers {
            let state = reader.cursor.stream(&LEDGER).expect("an open stream");
            let _ = state.timeline.totals();
        }
    }
}
