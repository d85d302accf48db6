//! What opens a generation, and what must not go on in one.

use super::{StreamState, Verdict};
use crate::ident::{Hash, Incarnation};
use crate::ledger::cursor::fixture::{Cheap, FLEET, KEY, LEDGER};
use crate::ledger::spool::position::{Extent, Position, Starts};
use crate::ledger::spool::statement::{Standing, Statement, Word};

fn extent(runs: &[(u8, u64)]) -> Extent {
    let mut extent = Extent::default();
    let mut starts = Starts::default();
    for (id, number) in runs {
        let incarnation = Incarnation([*id; 8]);
        starts.note(incarnation, extent.head);
        extent.head = Position {
            incarnation,
            number: *number,
            hash: Hash([*id; 32]),
        };
    }
    Extent { starts, ..extent }
}

#[test]
fn a_word_of_a_life_that_was_never_read_is_not_news_twice() {
    let mut state = StreamState::new(LEDGER);
    state.timeline.extent = extent(&[(1, 37)]);
    state.timeline.delivered = 37;
    // The device was wiped, and wrote something that nobody read.
    let wiped = Standing {
        ledger: LEDGER,
        asked: state.timeline.cursor(),
        extent: extent(&[(2, 3)]),
    };
    let signed = Statement::write(&Word::Standing(wiped.clone()), &FLEET, &Cheap(KEY));
    let Verdict::Lost(mut state, _) = state.judge(&wiped, &signed) else {
        panic!("a wiped device opens a generation");
    };
    // An image from before came back and goes on; another manager still has the old word.
    state.timeline.extent = extent(&[(1, 9), (3, 10)]);
    state.timeline.delivered = 10;
    state.overtake();
    assert!(matches!(state.judge(&wiped, &signed), Verdict::Nothing));
}

#[test]
fn an_incarnation_that_comes_back_after_another_is_mixed() {
    let mut state = StreamState::new(LEDGER);
    state.timeline.extent = extent(&[(1, 14), (2, 17)]);
    assert!(!state.is_mixed());
    state.timeline.extent = extent(&[(1, 14), (2, 17), (1, 35)]);
    assert!(state.is_mixed());
}
