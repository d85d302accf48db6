//! The bytes of everything that pulled ledgers store or send; a change here is a new version.

use crate::codec::{self, Wire};
use crate::crypto::sign::Signature;
use crate::ident::{Hash, Incarnation, NodeId};
use crate::ledger::cursor::state::{Elsewhere, GapSpan, Past, StreamState, StreamTotals, Timeline};
use crate::ledger::entry::{LedgerId, LedgerKind, Parcel};
use crate::ledger::spool::message::{Item, PullMessage};
use crate::ledger::spool::position::{Extent, Life, Position, Span, Starts};
use crate::ledger::spool::state::{GapRecord, SpoolState, Totals};
use crate::ledger::spool::statement::{Gap, GapReason, Standing, Statement, Word};

const LEDGER: LedgerId = LedgerId {
    kind: LedgerKind::Telemetry(2),
    scope: None,
    author: NodeId([1; 16]),
};

fn position(number: u64) -> Position {
    Position {
        incarnation: Incarnation([2; 8]),
        number,
        hash: Hash([u8::try_from(number).unwrap_or(0); 32]),
    }
}

fn extent() -> Extent {
    let mut starts = Starts::default();
    starts.note(Incarnation([2; 8]), Position::START);
    Extent {
        floor: position(3),
        head: position(9),
        starts,
    }
}

fn gap() -> Gap {
    Gap {
        ledger: LEDGER,
        from: 4,
        previous: Hash([3; 32]),
        last: position(6),
        reason: GapReason::Corrupt,
    }
}

fn statement(word: &Word) -> Statement {
    Statement {
        bytes: codec::encode(word).into(),
        signature: Signature(Hash([8; 32]), Hash([9; 32])),
    }
}

fn items() -> Vec<Item> {
    vec![
        Item::Entry(Parcel {
            header: vec![0xaa; 4].into(),
            signature: Signature(Hash([8; 32]), Hash([9; 32])),
            body: Some(vec![0xbb; 3].into()),
        }),
        Item::Gap(statement(&Word::Gap(gap()))),
    ]
}

fn messages() -> Vec<PullMessage> {
    let (ledger, life, head) = (LEDGER, Life(2), position(9));
    let standing = statement(&Word::Standing(Standing {
        ledger,
        life,
        asked: position(12),
        extent: extent(),
    }));
    let holders = vec![NodeId([4; 16])];
    vec![
        PullMessage::Pull {
            ledger,
            life,
            cursor: position(2),
            holders: holders.clone(),
        },
        PullMessage::Batch {
            ledger,
            after: position(2),
            head,
            items: items(),
        },
        PullMessage::Standing {
            ledger,
            statement: standing.clone(),
        },
        PullMessage::Acknowledge {
            ledger,
            life,
            head,
            holders,
        },
        PullMessage::News { ledger, head },
        PullMessage::Offer {
            ledger,
            life,
            head,
            standing: Some(standing),
        },
        PullMessage::Fetch {
            ledger,
            life,
            anchor: position(2),
            from: 3,
            to: 7,
        },
        PullMessage::Copy {
            ledger,
            life,
            from: 3,
            items: items(),
        },
        PullMessage::Copied { ledger, life, head },
        PullMessage::Inquire {
            ledger,
            life,
            cursor: head,
        },
    ]
}

fn spool_state() -> SpoolState {
    SpoolState {
        ledger: LEDGER,
        life: Life(2),
        extent: extent(),
        totals: Totals {
            produced: 9,
            delivered: 3,
            one_copy: 1,
            gaps: 3,
        },
        gaps: vec![GapRecord {
            gap: gap(),
            statement: statement(&Word::Gap(gap())),
        }],
        acknowledged: [(NodeId([4; 16]), 3)].into(),
    }
}

fn stream_state() -> StreamState {
    let span = Span { from: 4, to: 6 };
    let reason = GapReason::SpaceShort;
    StreamState {
        ledger: LEDGER,
        life: Life(2),
        generation: 1,
        timeline: Timeline {
            extent: extent(),
            delivered: 1,
            gaps: 3,
            recent_gaps: vec![GapSpan { span, reason }],
            elsewhere: vec![Elsewhere {
                span: Span { from: 7, to: 8 },
                after: Some(Hash([6; 32])),
                until: Hash([8; 32]),
            }],
        },
        past: vec![Past {
            generation: 0,
            extent: extent(),
            totals: StreamTotals {
                produced: 5,
                delivered: 4,
                gaps: 0,
                elsewhere: 1,
            },
            elsewhere: vec![Span { from: 2, to: 2 }],
        }],
        standing: Some(statement(&Word::Gap(gap()))),
    }
}

/// Length and hash of the encoding, and that it reads back.
fn check<T: Wire + PartialEq + std::fmt::Debug>(value: &T, length: usize, hash: &str) {
    let bytes = codec::encode(value);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value));
    let found = Hash::of(&bytes).to_string();
    assert_eq!((bytes.len(), &found[..16]), (length, hash), "{}", T::WHAT);
}

#[test]
fn messages_keep_their_bytes() {
    let expected: [(usize, &str); 10] = [
        (107, "0e610b9105fa6e92"),
        (418, "55f122955d56ca14"),
        (342, "017dd671526e65eb"),
        (107, "cbc10484e85b0f64"),
        (75, "a86a3ece1dc07718"),
        (399, "9f52a021852aff15"),
        (99, "ec635ef276ec5896"),
        (338, "a156b42b618bc8b4"),
        (83, "ba1b66c33fb8eb5b"),
        (83, "6aedc686a40d2baf"),
    ];
    for (message, (length, hash)) in messages().iter().zip(expected) {
        check(message, length, hash);
    }
}

#[test]
fn a_message_in_full() {
    let bytes = codec::encode(&PullMessage::News {
        ledger: LEDGER,
        head: position(9),
    });
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "01",         // version
            "04000000",   // News
            "0400000002", // telemetry, class 2
            "00",         // no scope
            "01010101010101010101010101010101",
            "0202020202020202", // incarnation
            "0900000000000000", // number
            "0909090909090909090909090909090909090909090909090909090909090909",
        )
    );
}

#[test]
fn statements_keep_their_bytes() {
    check(&Word::Gap(gap()), 119, "0a02501aead65194");
    let standing = Standing {
        ledger: LEDGER,
        asked: position(12),
        life: Life(2),
        extent: extent(),
    };
    check(&Word::Standing(standing), 243, "4d53534c2c60a7f5");
}

#[test]
fn stored_states_keep_their_bytes() {
    check(&spool_state(), 568, "8b7045c3c1ea3f5f");
    check(&stream_state(), 748, "01b1e4bbd0c3917d");
}
