//! Two channels and the bytes between them.

use std::collections::VecDeque;

use super::super::{Channel, CloseReason, EarlyWindow, Effect, Event, Parties};
use crate::codec::Bytes;
use crate::crypto::seal::{BoxKey, BoxSecret};
use crate::ident::{FleetId, NodeId};
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

pub(super) const T0: Millis = Millis(1000);
pub(super) const A: NodeId = NodeId([1; 16]);
pub(super) const B: NodeId = NodeId([2; 16]);

pub(super) fn keys() -> (BoxSecret, BoxSecret) {
    let mut prng = Prng::from_number(0);
    (
        BoxSecret::generate(&mut prng),
        BoxSecret::generate(&mut prng),
    )
}

pub(super) fn parties(
    local: NodeId,
    remote: NodeId,
    secret: &BoxSecret,
    remote_key: Option<BoxKey>,
) -> Parties<'_> {
    Parties::control(FleetId([7; 32]), local, remote, secret, remote_key)
}

pub(super) fn frames(out: &[Effect]) -> Vec<Vec<u8>> {
    out.iter()
        .filter_map(|effect| match effect {
            Effect::Send(frame) => Some(frame.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn closed(out: &[Effect]) -> Option<CloseReason> {
    out.iter().find_map(|effect| match effect {
        Effect::Closed { reason } => Some(*reason),
        _ => None,
    })
}

pub(super) struct End {
    pub(super) channel: Channel,
    /// Frames on their way to the other end.
    pub(super) sent: VecDeque<Vec<u8>>,
    /// Everything else that it asked for.
    pub(super) seen: Vec<Effect>,
}

impl End {
    fn new(channel: Channel, out: Vec<Effect>) -> Self {
        let mut end = Self {
            channel,
            sent: VecDeque::new(),
            seen: Vec::new(),
        };
        end.take(out);
        end
    }

    fn take(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Send(frame) => self.sent.push_back(frame),
                other => self.seen.push(other),
            }
        }
    }

    pub(super) fn handle(&mut self, now: Millis, event: Event) {
        let mut out = Vec::new();
        self.channel.handle(now, event, &mut out);
        self.take(out);
    }

    pub(super) fn send(&mut self, now: Millis, message: &[u8]) {
        self.handle(now, Event::Send(message.into()));
    }

    pub(super) fn rekey(&mut self, now: Millis) {
        let mut out = Vec::new();
        self.channel.rekey(now, &mut out).expect("is open");
        self.take(out);
    }

    /// The messages among what it asked for.
    pub(super) fn messages(&self) -> Vec<Vec<u8>> {
        let messages = self.seen.iter().filter_map(|effect| match effect {
            Effect::Message(message) => Some(message.to_vec()),
            _ => None,
        });
        messages.collect()
    }
}

pub(super) struct Pair {
    pub(super) left: End,
    pub(super) right: End,
    /// Every frame that crossed.
    pub(super) wire: Vec<Vec<u8>>,
}

impl Pair {
    /// Both know the other's key, and are open; nothing is noted yet.
    pub(super) fn acquainted(a: &BoxSecret, b: &BoxSecret, seed: u64) -> Self {
        let mut pair = Self::meet(a, b, (Some(b.public()), Some(a.public())), seed);
        assert!(pair.left.channel.is_open() && pair.right.channel.is_open());
        pair.left.seen.clear();
        pair.right.seen.clear();
        pair
    }

    /// Neither knows the other's key.
    pub(super) fn first_contact(a: &BoxSecret, b: &BoxSecret) -> Self {
        Self::meet(a, b, (None, None), 1)
    }

    fn meet(
        a: &BoxSecret,
        b: &BoxSecret,
        (a_knows, b_knows): (Option<BoxKey>, Option<BoxKey>),
        seed: u64,
    ) -> Self {
        let mut prng = Prng::from_number(seed);
        let mut out = Vec::new();
        let (here, there) = (parties(A, B, a, a_knows), parties(B, A, b, b_knows));
        let left = Channel::initiate(
            T0,
            &here,
            Bytes::from(&b"from a"[..]),
            Vec::new(),
            &mut prng,
            &mut out,
        );
        let mut left = End::new(left.expect("begins"), out);
        let first = left.sent.pop_front().expect("a first frame");
        let mut out = Vec::new();
        let right = Channel::respond(
            T0,
            &there,
            Bytes::from(&b"from b"[..]),
            &first,
            &mut EarlyWindow::new(8),
            &mut prng,
            &mut out,
        );
        let mut pair = Self {
            left,
            right: End::new(right, out),
            wire: vec![first],
        };
        pair.settle(T0);
        pair
    }

    /// Moves the oldest frame of one direction; false where there is none.
    pub(super) fn step(&mut self, now: Millis, to_right: bool) -> bool {
        let (from, to) = if to_right {
            (&mut self.left, &mut self.right)
        } else {
            (&mut self.right, &mut self.left)
        };
        let Some(frame) = from.sent.pop_front() else {
            return false;
        };
        self.wire.push(frame.clone());
        to.handle(now, Event::Frame(frame));
        true
    }

    pub(super) fn settle(&mut self, now: Millis) {
        while self.step(now, true) || self.step(now, false) {}
    }
}
