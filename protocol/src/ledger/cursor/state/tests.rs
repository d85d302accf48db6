//! Which words of a device decide, what opens a generation, and where the missing is found.

use super::{ELSEWHERE_MAX, PAST_MAX, StreamState, Verdict};
use crate::codec;
use crate::ident::{Hash, Incarnation};
use crate::ledger::cursor::fixture::{Cheap, FLEET, KEY, LEDGER};
use crate::ledger::spool::position::{Extent, Life, Position, Span, Starts};
use crate::ledger::spool::statement::{Standing, Statement, Word};
use crate::limits::SPOOL_STARTS_MAX;

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

/// A reader that has read all of `runs`, in life 2.
fn reader(runs: &[(u8, u64)]) -> StreamState {
    let mut state = StreamState::new(LEDGER);
    state.life = Life(2);
    state.timeline.extent = extent(runs);
    state.timeline.delivered = state.timeline.cursor().number;
    state
}

fn judged(state: &StreamState, life: u64, device: Extent) -> Verdict {
    let word = Standing {
        ledger: LEDGER,
        asked: state.timeline.cursor(),
        life: Life(life),
        extent: device,
    };
    let signed = Statement::write(&Word::Standing(word.clone()), &FLEET, &Cheap(KEY));
    state.judge(&word, &signed)
}

/// What a device has that let go of everything up to `floor`.
fn released(floor: u64, runs: &[(u8, u64)]) -> Extent {
    let whole = extent(runs);
    let floor = Position {
        incarnation: whole.starts.at(floor).expect("a number of it"),
        number: floor,
        hash: Hash([9; 32]),
    };
    Extent { floor, ..whole }
}

#[test]
fn the_word_of_a_later_life_decides_and_that_of_an_earlier_one_never() {
    let state = reader(&[(1, 37)]);
    let wiped = || extent(&[(2, 3)]);
    let same = || extent(&[(1, 40)]);
    let ahead = || released(39, &[(1, 40)]);
    for (life, device, expected) in [
        (1, wiped(), "Nothing"),
        (2, wiped(), "Nothing"),
        (3, wiped(), "Lost"),
        (1, same(), "Nothing"),
        (2, same(), "Nothing"),
        (3, same(), "Renamed"),
        (1, ahead(), "Nothing"),
        (2, ahead(), "Behind"),
        (3, ahead(), "Behind"),
    ] {
        let verdict = judged(&state, life, device.clone());
        let found = format!("{verdict:?}");
        assert!(
            found.starts_with(expected),
            "life {life}, {device:?}: {found}"
        );
    }
}

#[test]
fn another_life_in_which_nothing_is_lost_opens_no_generation() {
    let state = reader(&[(1, 37)]);
    let Verdict::Renamed(next) = judged(&state, 7, extent(&[(1, 37), (3, 40)])) else {
        panic!("nothing is lost");
    };
    assert_eq!((next.life, next.generation), (Life(7), 0));
    assert_eq!(next.timeline, state.timeline);
    assert!(next.past.is_empty());
}

#[test]
fn what_came_back_is_found_in_the_generation_that_read_it() {
    let state = reader(&[(1, 37)]);
    let Verdict::Lost(wiped, _) = judged(&state, 3, extent(&[(2, 3)])) else {
        panic!("a wiped device opens a generation");
    };
    // An image from before the wipe is back, and let go of what it knows to be held.
    let Verdict::Behind(back) = judged(&wiped, 4, released(9, &[(1, 20), (3, 22)])) else {
        panic!("nothing was read since the wipe");
    };
    let first = Incarnation([1; 8]);
    let all = Span { from: 1, to: 9 };
    assert_eq!(back.timeline.missing(), [(first, all)]);
    assert_eq!(back.first_of(first, all), Some((0, all)));
    assert_eq!(back.first_of(Incarnation([2; 8]), all), None);
}

#[test]
fn what_is_missing_is_asked_for_by_incarnation() {
    let state = reader(&[(1, 4)]);
    let device = released(12, &[(1, 6), (2, 9), (3, 15)]);
    let Verdict::Behind(next) = judged(&state, 2, device) else {
        panic!("it goes on after what others hold");
    };
    let piece = |id: u8, from, to| (Incarnation([id; 8]), Span { from, to });
    assert_eq!(
        next.timeline.missing(),
        [piece(1, 5, 6), piece(2, 7, 9), piece(3, 10, 12)]
    );
}

#[test]
fn a_state_with_all_that_it_may_remember_can_be_stored() {
    let lives = u8::try_from(2 * PAST_MAX).unwrap_or(u8::MAX);
    let mut state = StreamState::new(LEDGER);
    for life in 1..=lives {
        let runs: Vec<(u8, u64)> = (0..u8::try_from(SPOOL_STARTS_MAX).unwrap_or(u8::MAX))
            .map(|run| {
                (
                    run.wrapping_mul(3).wrapping_add(life),
                    1_000 * (u64::from(run) + 1),
                )
            })
            .collect();
        let mut device = extent(&runs);
        for start in 0..ELSEWHERE_MAX as u64 {
            device.floor = Position {
                number: 10 * (start + 1),
                ..device.head
            };
            state = match judged(&state, 2 + u64::from(life), device.clone()) {
                Verdict::Behind(next) | Verdict::Lost(next, _) | Verdict::Renamed(next) => *next,
                Verdict::Nothing => state,
            };
            state.timeline.extent.head.number += 1;
            state.timeline.delivered += 1;
        }
    }
    assert_eq!(state.past.len(), PAST_MAX);
    assert!(codec::fits(&state), "{} bytes", codec::encoded_len(&state));
}
