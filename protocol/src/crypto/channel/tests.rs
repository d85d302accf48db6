//! Two ends, a stream between them, and what goes wrong on it.

mod pair;
mod rotation;

use super::{
    Channel, ChannelError, CloseReason, EARLY_REQUESTS_MAX, Early, EarlyError, EarlyWindow, Effect,
    HANDSHAKE_MS_MAX, Parties,
};
use crate::codec::Bytes;
use crate::crypto::seal::{BoxKey, BoxSecret};
use crate::ident::{FleetId, Hash, NodeId};
use crate::limits::CONTROL_FRAME_BYTES_MAX;
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

use self::pair::{A, B, Pair, T0, closed, frames, keys, parties};

fn intent(run_id: u128) -> Early {
    Early::Intent {
        run_id,
        intent: b"hoist"[..].into(),
    }
}

fn begin(parties: &Parties<'_>, early: Vec<Early>) -> (Channel, Vec<u8>) {
    let mut out = Vec::new();
    let greeting = Bytes::from(&b"from a"[..]);
    let channel = Channel::initiate(
        T0,
        parties,
        greeting,
        early,
        &mut Prng::from_number(1),
        &mut out,
    );
    (channel.expect("begins"), frames(&out).remove(0))
}

fn answer(parties: &Parties<'_>, first: &[u8], window: &mut EarlyWindow) -> (Channel, Vec<Effect>) {
    let mut out = Vec::new();
    let greeting = Bytes::from(&b"from b"[..]);
    let mut prng = Prng::from_number(2);
    let channel = Channel::respond(T0, parties, greeting, first, window, &mut prng, &mut out);
    (channel, out)
}

#[test]
fn early_requests_are_there_after_half_a_round_trip() {
    let (a, b) = keys();
    let asked = vec![Early::Read(b"status"[..].into()), intent(7)];
    let (mut left, first) = begin(&parties(A, B, &a, Some(b.public())), asked.clone());
    let window = &mut EarlyWindow::new(8);
    let (mut right, mut out) = answer(&parties(B, A, &b, Some(a.public())), &first, window);
    let early = Effect::Early {
        remote: a.public(),
        greeting: b"from a"[..].into(),
        requests: asked,
    };
    assert_eq!(out[1..], [early]);
    assert!(!right.is_open());
    // The answer to an early request leaves with the answer to the handshake.
    right.send(T0, b"ready", &mut out).expect("may answer");

    let mut back = Vec::new();
    for frame in frames(&out) {
        left.receive(T0, &frame, &mut back);
    }
    let opened = |remote, greeting: &[u8]| Effect::Opened {
        remote,
        first_contact: false,
        greeting: greeting.into(),
    };
    assert_eq!(
        back[1..],
        [
            opened(b.public(), b"from b"),
            Effect::Message(b"ready"[..].into())
        ]
    );
    out.clear();
    right.receive(T0, &frames(&back)[0], &mut out);
    assert_eq!(out, [opened(a.public(), b"from a")]);
    assert!(right.is_open() && left.is_open());
    assert_eq!(right.remote_key(), Some(a.public()));
}

#[test]
fn at_a_first_contact_both_keys_are_shown() {
    let (a, b) = keys();
    let mut pair = Pair::first_contact(&a, &b);
    let opened = |remote, greeting: &[u8]| Effect::Opened {
        remote,
        first_contact: true,
        greeting: greeting.into(),
    };
    assert_eq!(pair.left.seen, [opened(b.public(), b"from b")]);
    assert_eq!(pair.right.seen, [opened(a.public(), b"from a")]);
    pair.left.seen.clear();
    pair.right.send(T0, b"hello");
    pair.settle(T0);
    assert_eq!(pair.left.seen, [Effect::Message(b"hello"[..].into())]);
}

#[test]
fn only_what_may_come_twice_is_sent_early() {
    let (a, b) = keys();
    let try_early = |remote, early: Vec<Early>| {
        let mut out = Vec::new();
        let here = parties(A, B, &a, remote);
        let begun = Channel::initiate(
            T0,
            &here,
            Bytes::default(),
            early,
            &mut Prng::from_number(1),
            &mut out,
        );
        begun.map(|_| ()).expect_err("is refused")
    };
    let known = Some(b.public());
    let cases = [
        (known, vec![intent(0)], EarlyError::RunId),
        (
            known,
            vec![Early::Read(Bytes::default())],
            EarlyError::Empty,
        ),
        (
            known,
            vec![intent(1); EARLY_REQUESTS_MAX + 1],
            EarlyError::TooMany { count: 9 },
        ),
        (
            known,
            vec![Early::Read(vec![0; 16_385].into())],
            EarlyError::TooLong { bytes: 16_385 },
        ),
        (None, vec![intent(1)], EarlyError::FirstContact),
    ];
    for (remote, early, expected) in cases {
        assert_eq!(try_early(remote, early), ChannelError::Early(expected));
    }
    let weak = Some(BoxKey(Hash::ZERO));
    assert_eq!(try_early(weak, Vec::new()), ChannelError::WeakKey);
}

#[test]
fn a_first_message_that_comes_again_is_refused() {
    let (a, b) = keys();
    let (_, first) = begin(&parties(A, B, &a, Some(b.public())), vec![intent(7)]);
    let here = parties(B, A, &b, Some(a.public()));
    let mut window = EarlyWindow::new(8);
    let (_, out) = answer(&here, &first, &mut window);
    assert!(matches!(out[1], Effect::Early { .. }));
    let (again, out) = answer(&here, &first, &mut window);
    assert!(again.is_closed());
    assert_eq!(closed(&out), Some(CloseReason::Replayed));
    assert_eq!(out.len(), 2, "{out:?}");
    assert_eq!(window.len(), 1);
}

#[test]
fn a_replay_that_nobody_remembers_never_opens() {
    let (a, b) = keys();
    let (_, first) = begin(&parties(A, B, &a, Some(b.public())), Vec::new());
    let here = parties(B, A, &b, Some(a.public()));
    let (mut right, mut out) = answer(&here, &first, &mut EarlyWindow::new(8));
    assert_eq!(out.len(), 1, "no Opened: {out:?}");
    let deadline = right.wake_at().expect("waits");
    assert_eq!(deadline, T0.plus(HANDSHAKE_MS_MAX));
    out.clear();
    right.handle(deadline, super::Event::Wake, &mut out);
    assert_eq!(closed(&out), Some(CloseReason::TimedOut));
}

#[test]
fn a_window_is_bounded_and_strangers_do_not_fill_it() {
    let (a, b) = keys();
    let mut window = EarlyWindow::new(2);
    for seed in 0..4 {
        let stranger = BoxSecret::generate(&mut Prng::from_number(100 + seed));
        let (_, first) = begin(&parties(A, B, &stranger, Some(b.public())), vec![intent(7)]);
        let (_, out) = answer(&parties(B, A, &b, Some(a.public())), &first, &mut window);
        let refused = Effect::EarlyRefused {
            remote: stranger.public(),
            count: 1,
        };
        assert_eq!(out[1..], [refused]);
        assert!(window.is_empty());
        let (_, out) = answer(&parties(B, A, &b, None), &first, &mut window);
        assert!(matches!(out[1], Effect::EarlyRefused { .. }));
    }
    for mark in 0_u8..4 {
        window.remember(&[mark]);
        window.remember(&[mark]);
    }
    assert_eq!(window.len(), 2);
    assert!(window.has(&[3]) && !window.has(&[1]));
}

#[test]
fn another_fleet_node_or_key_shakes_no_hands() {
    let (a, b) = keys();
    let stranger = BoxSecret::generate(&mut Prng::from_number(50));
    let (c, other) = (NodeId([3; 16]), FleetId([9; 32]));
    let here = parties(B, A, &b, Some(a.public()));
    let cases = [
        Parties {
            fleet: other,
            ..here
        },
        Parties { local: c, ..here },
        Parties { remote: c, ..here },
        Parties {
            local: A,
            remote: B,
            ..here
        },
        Parties {
            secret: &stranger,
            ..here
        },
    ];
    for known in [Some(b.public()), None] {
        let (mut left, first) = begin(&parties(A, B, &a, known), Vec::new());
        for (case, there) in cases.iter().enumerate() {
            let (right, out) = answer(there, &first, &mut EarlyWindow::new(8));
            if known.is_some() {
                assert_eq!(closed(&out), Some(CloseReason::Handshake), "case {case}");
                assert!(right.is_closed());
            } else if case < 4 {
                // Nothing in the first message of XX is bound; the answer is.
                let (mut left, first) = begin(&parties(A, B, &a, None), Vec::new());
                let (_, out) = answer(there, &first, &mut EarlyWindow::new(8));
                let mut back = Vec::new();
                left.receive(T0, &frames(&out)[0], &mut back);
                assert_eq!(closed(&back), Some(CloseReason::Handshake), "case {case}");
            }
        }
        if known.is_some() {
            let (_, out) = answer(&cases[0], &first, &mut EarlyWindow::new(8));
            let mut back = Vec::new();
            left.receive(T0, &frames(&out)[0], &mut back);
            assert_eq!(closed(&back), Some(CloseReason::Refused));
        }
    }
}

#[test]
fn a_changed_handshake_message_closes_the_channel() {
    let (a, b) = keys();
    let there = parties(B, A, &b, Some(a.public()));
    for known in [Some(b.public()), None] {
        let (_, first) = begin(&parties(A, B, &a, known), Vec::new());
        for index in 0..first.len() {
            let mut changed = first.clone();
            changed[index] ^= 1;
            let (mut left, _) = begin(&parties(A, B, &a, known), Vec::new());
            let (right, out) = answer(&there, &changed, &mut EarlyWindow::new(8));
            if !right.is_closed() {
                // XX: the change shows in the answer.
                let mut back = Vec::new();
                left.receive(T0, &frames(&out)[0], &mut back);
                assert_eq!(closed(&back), Some(CloseReason::Handshake), "byte {index}");
            }
        }
        let (_, out) = answer(&there, &first, &mut EarlyWindow::new(8));
        let good = frames(&out).remove(0);
        for index in 0..good.len() {
            let (mut left, _) = begin(&parties(A, B, &a, known), Vec::new());
            let mut changed = good.clone();
            changed[index] ^= 1;
            let mut back = Vec::new();
            left.receive(T0, &changed, &mut back);
            assert_eq!(closed(&back), Some(CloseReason::Handshake), "byte {index}");
        }
    }
}

#[test]
fn a_handshake_ends_in_time_or_not_at_all() {
    let (a, b) = keys();
    let (mut left, first) = begin(&parties(A, B, &a, Some(b.public())), Vec::new());
    let (_, out) = answer(
        &parties(B, A, &b, Some(a.public())),
        &first,
        &mut EarlyWindow::new(8),
    );
    let late = T0.plus(HANDSHAKE_MS_MAX);
    assert_eq!(left.wake_at(), Some(late));
    let mut back = Vec::new();
    assert_eq!(
        left.send(T0, b"too soon", &mut back),
        Err(ChannelError::NotOpen)
    );
    left.receive(late, &frames(&out)[0], &mut back);
    assert_eq!(closed(&back), Some(CloseReason::TimedOut));
    assert_eq!(left.wake_at(), None);
    assert_eq!(
        left.send(late, b"too late", &mut back),
        Err(ChannelError::NotOpen)
    );
}

#[test]
fn a_changed_or_repeated_frame_is_counted_and_the_genuine_one_opens() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    pair.left.send(T0, b"one");
    let frame = pair.left.sent.pop_front().expect("a frame");
    let (mut out, mut payload) = (Vec::new(), Vec::new());
    let right = &mut pair.right.channel;
    for index in 0..frame.len() {
        let mut changed = frame.clone();
        changed[index] ^= 1;
        for bytes in [&changed, &frame[..index]] {
            let opened = right.open_into(T0, bytes, &mut payload);
            assert_eq!(opened, Err(ChannelError::Rejected));
        }
    }
    right.receive(T0, &frame[1..], &mut out);
    assert!(out.is_empty() && right.rejected() == 1);
    right.receive(T0, &frame, &mut out);
    assert_eq!(out, [Effect::Message(b"one"[..].into())]);
    out.clear();
    right.receive(T0, &frame, &mut out);
    assert!(out.is_empty(), "a replay says nothing: {out:?}");
    assert_eq!(right.rejected(), 2);
    assert!(right.is_open());
}

#[test]
fn the_first_byte_cannot_be_changed_into_another_kind() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    pair.left.channel.rekey(T0, &mut pair.left.seen).ok();
    let rekey = frames(&pair.left.seen).remove(0);
    pair.left.seen.clear();
    let mut out = Vec::new();
    for first in [0x00, 0x01, 0x06, 0x10, 0x12, 0xff] {
        let mut changed = rekey.clone();
        changed[0] = first;
        pair.right.channel.receive(T0, &changed, &mut out);
    }
    assert!(out.is_empty(), "{out:?}");
    pair.right.channel.receive(T0, &rekey, &mut out);
    assert!(matches!(out[0], Effect::RekeyDone { epoch: 1, .. }));
}

#[test]
fn a_message_keeps_to_its_limit() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    let mut out = Vec::new();
    let left = &mut pair.left.channel;
    assert_eq!(left.send(T0, &[], &mut out), Err(ChannelError::Empty));
    assert_eq!(
        left.send(T0, &[0; CONTROL_FRAME_BYTES_MAX + 1], &mut out),
        Err(ChannelError::TooLong {
            length: 32_769,
            max: 32_768
        })
    );
    assert!(out.is_empty());
    pair.left.send(T0, &[7; CONTROL_FRAME_BYTES_MAX]);
    pair.settle(T0);
    assert_eq!(
        pair.right.seen,
        [Effect::Message(vec![7; CONTROL_FRAME_BYTES_MAX].into())]
    );
    pair.right
        .channel
        .receive(T0, &[0x10; 65_535], &mut pair.right.seen);
    assert_eq!(pair.right.channel.rejected(), 1);
}

#[test]
fn a_seed_replays_every_byte() {
    let (a, b) = keys();
    let run = |seed| {
        let mut pair = Pair::acquainted(&a, &b, seed);
        pair.left.send(T0, b"one");
        pair.right.send(T0, b"two");
        pair.settle(Millis(700_000));
        pair.wire
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_buffer_can_be_used_again() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    let (mut frame, mut payload) = (Vec::new(), Vec::new());
    for message in [&b"a longer message"[..], b"short"] {
        let left = &mut pair.left.channel;
        left.seal_into(T0, message, &mut frame).expect("seals");
        let right = &mut pair.right.channel;
        let opened = right.open_into(T0, &frame, &mut payload);
        assert_eq!(opened, Ok(super::Opened::Message));
        assert_eq!(payload, message);
    }
}

#[test]
fn neither_key_nor_message_is_shown() {
    let (a, b) = keys();
    let mut pair = Pair::acquainted(&a, &b, 1);
    pair.left.send(T0, &[0xc5; 8]);
    pair.settle(T0);
    let (channel, seen) = (&pair.left.channel, &pair.right.seen);
    let shown = format!("{channel:?} {:?} {seen:?}", parties(A, B, &a, None));
    let secret = Hash(*a.to_bytes()).to_string();
    assert!(!shown.contains(&secret[..8]), "{shown}");
    assert!(!shown.contains("197"), "no message either: {shown}");
}
