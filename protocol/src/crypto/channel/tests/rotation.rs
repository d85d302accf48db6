//! Keys change under traffic: in time, both ways at once, in any interleaving, or the channel closes.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::super::{
    CloseReason, Direction, Effect, Event, REJECTED_IN_A_ROW_MAX, REKEY_MS, RENEW_MS,
};
use super::pair::{Pair, T0, closed, keys};
use crate::machine::{Machine, Millis};

fn done(direction: Direction, epoch: u64) -> Effect {
    Effect::RekeyDone { direction, epoch }
}

#[test]
fn a_key_is_changed_after_ten_minutes_of_use() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    let renewal = T0.plus(RENEW_MS);
    assert_eq!(pair.left.channel.wake_at(), Some(renewal));
    // An unused key does not age.
    let first_use = T0.plus(1_000_000);
    pair.left.send(first_use, b"one");
    let due = first_use.plus(REKEY_MS);
    assert_eq!(pair.left.channel.wake_at(), Some(due));
    assert_eq!(pair.right.channel.wake_at(), Some(renewal));
    pair.left.send(due, b"two");
    assert_eq!(pair.left.sent.len(), 3, "one, Rekey, two");
    assert_eq!(pair.left.seen, [done(Direction::Sending, 1)]);
    pair.settle(due);
    assert_eq!(
        pair.right.seen,
        [
            Effect::Message(b"one"[..].into()),
            done(Direction::Receiving, 1),
            Effect::Message(b"two"[..].into()),
        ]
    );
    let later = due.plus(5);
    let key = pair.right.channel.receiving(later).expect("open");
    assert_eq!((key.epoch, key.age_ms, key.frames), (1, 5, 1));
    let key = pair.right.channel.sending(later).expect("open");
    assert_eq!(key.epoch, 0, "each direction by itself");
}

#[test]
fn a_quiet_channel_is_woken_to_change_its_key() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    pair.left.send(T0, b"one");
    let due = pair.left.channel.wake_at().expect("a key in use");
    pair.left.handle(due, Event::Wake);
    assert_eq!(pair.left.seen, [done(Direction::Sending, 1)]);
    assert_eq!(pair.left.channel.wake_at(), Some(T0.plus(RENEW_MS)));
    pair.settle(due);
    assert_eq!(
        pair.right.channel.receiving(due).map(|key| key.epoch),
        Some(1)
    );
}

#[test]
fn a_key_that_sealed_enough_is_changed_at_once() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    pair.left.send(T0, b"one");
    pair.left.channel.wear_out_key();
    assert_eq!(pair.left.channel.wake_at(), Some(T0));
    pair.left.send(T0, b"two");
    pair.settle(T0);
    assert_eq!(pair.left.seen, [done(Direction::Sending, 1)]);
    assert_eq!(pair.right.messages().len(), 2);
}

#[test]
fn both_ends_may_change_their_keys_at_once() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    for round in 0..5_u8 {
        pair.left.send(T0, &[b'l', round]);
        pair.left.rekey(T0);
        pair.left.send(T0, &[b'L', round]);
        pair.right.send(T0, &[b'r', round]);
        pair.right.rekey(T0);
        pair.right.send(T0, &[b'R', round]);
        pair.settle(T0);
    }
    assert_eq!(pair.left.messages().len(), 10);
    assert_eq!(pair.right.messages().len(), 10);
    assert_eq!(pair.left.channel.rejected(), 0);
    assert_eq!(
        pair.left.channel.receiving(T0).map(|key| key.epoch),
        Some(5)
    );
}

#[test]
fn after_a_lost_rekey_nothing_opens_and_the_channel_closes() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    pair.left.rekey(T0);
    pair.left.sent.clear();
    for _ in 0..REJECTED_IN_A_ROW_MAX {
        assert!(pair.right.channel.is_open());
        pair.left.send(T0, b"lost");
        pair.settle(T0);
    }
    assert_eq!(closed(&pair.right.seen), Some(CloseReason::Unreadable));
    assert_eq!(pair.right.messages().len(), 0);
    assert_eq!(
        pair.right.channel.rejected(),
        u64::from(REJECTED_IN_A_ROW_MAX)
    );
    let before = pair.right.seen.len();
    pair.left.send(T0, b"lost");
    pair.settle(T0);
    assert_eq!(pair.right.seen.len(), before, "what is closed is silent");
}

#[test]
fn a_new_handshake_is_due_once_an_hour() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    let due = pair.left.channel.wake_at().expect("a renewal");
    assert_eq!(due, T0.plus(RENEW_MS));
    pair.left.handle(due, Event::Wake);
    assert_eq!(pair.left.seen, [Effect::RenewalDue]);
    pair.left.handle(due.plus(1), Event::Wake);
    assert_eq!(pair.left.seen.len(), 1);
    assert_eq!(pair.left.channel.wake_at(), None);
    pair.left.send(due, b"still open");
    pair.left.handle(due, Event::Close);
    pair.left.handle(due, Event::Close);
    assert_eq!(closed(&pair.left.seen), Some(CloseReason::Asked));
    assert_eq!(pair.left.seen.len(), 2);
}

proptest! {
    #[test]
    fn every_interleaving_delivers_in_order(acts in vec((0_u8..8, any::<u8>()), 0..60)) {
        let (a, b) = keys();
        let mut pair = Pair::acquainted(&a, &b, 3);
        let (mut to_right, mut to_left) = (Vec::new(), Vec::new());
        let mut now = T0;
        for (act, byte) in acts {
            match act {
                0 | 1 => {
                    let message = vec![byte; usize::from(byte) + 1];
                    let (end, sent) = if act == 0 {
                        (&mut pair.left, &mut to_right)
                    } else {
                        (&mut pair.right, &mut to_left)
                    };
                    end.send(now, &message);
                    sent.push(message);
                }
                2 => pair.left.rekey(now),
                3 => pair.right.rekey(now),
                4 => { pair.step(now, true); }
                5 => { pair.step(now, false); }
                6 => now = now.plus(u64::from(byte) * 5_000),
                _ => {
                    pair.left.handle(now, Event::Wake);
                    pair.right.handle(now, Event::Wake);
                }
            }
        }
        pair.settle(now);
        prop_assert_eq!(pair.right.messages(), to_right);
        prop_assert_eq!(pair.left.messages(), to_left);
        prop_assert_eq!(pair.left.channel.rejected() + pair.right.channel.rejected(), 0);
        let epochs = |end: &super::pair::End| {
            let channel = &end.channel;
            (channel.sending(now).map(|key| key.epoch), channel.receiving(now).map(|key| key.epoch))
        };
        let (left, right) = (epochs(&pair.left), epochs(&pair.right));
        prop_assert_eq!(left, (right.1, right.0));
    }

    #[test]
    fn junk_between_genuine_frames_does_no_harm(
        junk in vec(vec(any::<u8>(), 0..80), 0..15),
        place in 0_usize..4,
    ) {
        let (a, b) = keys();
        let mut pair = Pair::acquainted(&a, &b, 4);
        for index in 0_usize..4 {
            if index == place {
                for bytes in &junk {
                    pair.right.handle(T0, Event::Frame(bytes.clone()));
                }
            }
            pair.left.send(T0, b"on");
            pair.left.rekey(T0);
            pair.settle(Millis(2000));
        }
        prop_assert_eq!(pair.right.messages().len(), 4);
        prop_assert!(pair.right.channel.is_open());
    }
}
