//! Somebody on every link, who records, replays, changes, swaps, cuts, and answers for others.

use std::collections::VecDeque;

use regatta_protocol::ident::NodeId;

use super::member::Role;
use super::wire::{EndId, framed};
use super::world::{Side, World};

const TAPES_MAX: usize = 96;
const FRAMES_MAX: usize = 12;

/// What one end sent, from its first frame on.
#[derive(Clone, Debug)]
struct Tape {
    end: EndId,
    from: NodeId,
    to: NodeId,
    frames: Vec<Vec<u8>>,
}

/// The latest recordings.
#[derive(Clone, Debug, Default)]
pub struct Tapes(VecDeque<Tape>);

impl Tapes {
    /// Keeps a frame.
    pub fn record(&mut self, end: EndId, from: NodeId, to: NodeId, frame: &[u8]) {
        if let Some(tape) = self.0.iter_mut().rev().find(|tape| tape.end == end) {
            if tape.frames.len() < FRAMES_MAX {
                tape.frames.push(frame.to_vec());
            }
            return;
        }
        let frames = vec![frame.to_vec()];
        self.0.push_back(Tape {
            end,
            from,
            to,
            frames,
        });
        if self.0.len() > TAPES_MAX {
            self.0.pop_front();
        }
    }
}

impl World {
    /// Does something bad, drawn from the seed.
    pub fn attack(&mut self) {
        match self.prng.below(12) {
            0..=2 => self.replay(),
            3 => self.flip(),
            4 => self.truncate(),
            5 => self.splice(),
            6 => self.swap(),
            7 => self.reorder(),
            8 => self.repeat(),
            9 => self.intrude(),
            10 => self.answer_for_another(),
            _ => self.misdirect(),
        }
    }

    fn pick(&mut self, count: usize) -> Option<usize> {
        let picked = usize::try_from(self.prng.below(count as u64)).unwrap_or(0);
        (picked < count).then_some(picked)
    }

    fn member(&mut self) -> usize {
        let members = self.nodes.iter().filter(|node| node.role.is_member());
        let count = members.count();
        self.pick(count).unwrap_or(0)
    }

    fn listening(&self, node: usize, peer: NodeId) -> Side {
        let id = self.nodes[node].id;
        Side::Listening { node, id, peer }
    }

    /// Sends a recorded stream again, to whom it was meant or to another.
    fn replay(&mut self) {
        let firsts = self.tapes.0.iter().filter(|tape| tape.end.side == 0);
        let count = firsts.clone().count();
        let Some(picked) = self.pick(count) else {
            return;
        };
        let mut recorded = self.tapes.0.iter().filter(|tape| tape.end.side == 0);
        let Some(tape) = recorded.nth(picked).cloned() else {
            return;
        };
        let meant = self
            .nodes
            .iter()
            .position(|node| node.role.is_member() && node.id == tape.to);
        let target = if self.prng.chance(800_000) {
            meant
        } else {
            None
        };
        let target = target.unwrap_or_else(|| self.member());
        let claim = if self.prng.chance(900_000) {
            tape.from
        } else {
            let other = self.member();
            self.nodes[other].id
        };
        let stream = self.connect([Side::Nobody, self.listening(target, claim)]);
        let to = EndId { stream, side: 1 };
        self.tamper(to);
        let frames = if self.prng.chance(500_000) {
            1
        } else {
            tape.frames.len()
        };
        for frame in &tape.frames[..frames] {
            self.put(to, framed(frame));
        }
        self.counts.note("attack: streams replayed");
        if self.prng.chance(500_000) {
            self.put_end(to);
        }
    }

    fn tamper(&mut self, to: EndId) {
        if let Some(stream) = self.streams.get_mut(&to.stream) {
            stream.pipes[usize::from(to.side)].tampered = true;
        }
    }

    /// A pipe in which something is in flight; it counts as touched from now on.
    fn busy(&mut self, at_least: usize) -> Option<EndId> {
        let mut busy = Vec::new();
        for (number, stream) in &self.streams {
            for (side, pipe) in (0..).zip(&stream.pipes) {
                let flight = pipe.flight.iter().filter(|parcel| !parcel.last);
                if flight.count() >= at_least {
                    let stream = *number;
                    busy.push(EndId { stream, side });
                }
            }
        }
        let picked = self.pick(busy.len())?;
        self.tamper(busy[picked]);
        Some(busy[picked])
    }

    fn flight(&mut self, to: EndId, change: impl FnOnce(&mut [super::wire::Parcel])) {
        if let Some(stream) = self.streams.get_mut(&to.stream) {
            change(stream.pipes[usize::from(to.side)].flight.make_contiguous());
        }
    }

    fn flip(&mut self) {
        let Some(to) = self.busy(1) else { return };
        let (place, bit) = (self.prng.next_u64(), self.prng.below(8));
        self.flight(to, |parcels| {
            let bytes = &mut parcels[0].bytes;
            let length = bytes.len().max(1) as u64;
            let place = usize::try_from(place % length).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << bit;
            }
        });
        self.counts.note("attack: bits flipped");
    }

    fn truncate(&mut self) {
        let Some(to) = self.busy(1) else { return };
        let kept = self.prng.next_u64();
        self.flight(to, |parcels| {
            let bytes = &mut parcels[0].bytes;
            let kept = kept % (bytes.len() as u64 + 1);
            bytes.truncate(usize::try_from(kept).unwrap_or(0));
        });
        self.counts.note("attack: frames cut short");
    }

    /// Puts a recorded frame into a stream.
    fn splice(&mut self) {
        let Some(tape) = self.pick(self.tapes.0.len()) else {
            return;
        };
        let Some(frame) = self.pick(self.tapes.0[tape].frames.len()) else {
            return;
        };
        let frame = self.tapes.0[tape].frames[frame].clone();
        let ends = self.ends(|_| true);
        let Some(end) = self.pick(ends.len()) else {
            return;
        };
        self.tamper(ends[end]);
        self.put(ends[end], framed(&frame));
        self.counts.note("attack: frames spliced");
    }

    /// Exchanges what two streams carry.
    fn swap(&mut self) {
        let (Some(one), Some(two)) = (self.busy(1), self.busy(1)) else {
            return;
        };
        let mut taken = Vec::new();
        self.flight(one, |parcels| taken = std::mem::take(&mut parcels[0].bytes));
        self.flight(two, |parcels| {
            std::mem::swap(&mut taken, &mut parcels[0].bytes)
        });
        self.flight(one, |parcels| parcels[0].bytes = taken);
        self.counts.note("attack: streams swapped");
    }

    fn reorder(&mut self) {
        let Some(to) = self.busy(2) else { return };
        self.flight(to, |parcels| {
            let (head, tail) = parcels.split_at_mut(1);
            if let Some(second) = tail.first_mut() {
                std::mem::swap(&mut head[0].bytes, &mut second.bytes);
            }
        });
        self.counts.note("attack: frames reordered");
    }

    /// Sends what is in flight a second time.
    fn repeat(&mut self) {
        let Some(to) = self.busy(1) else { return };
        let mut bytes = Vec::new();
        self.flight(to, |parcels| bytes.clone_from(&parcels[0].bytes));
        self.put(to, bytes);
        self.counts.note("attack: frames repeated");
    }

    /// The stranger, the thief or the twin dials a member, under its own name or another's.
    fn intrude(&mut self) {
        let (first, count) = (self.first_intruder(), self.nodes.len());
        let Some(picked) = self.pick(count - first) else {
            return;
        };
        let (node, target) = (first + picked, self.member());
        let peer = self.nodes[target].id;
        let key = self.nodes[target].secret.public();
        let key = self.prng.chance(800_000).then_some(key);
        let own = self.nodes[node].id;
        let victim = self.member();
        if self.nodes[node].role == Role::Stranger {
            // Its channels say what it claims; ids are no secret.
            self.nodes[node].id = match self.prng.chance(500_000) {
                true => self.nodes[victim].id,
                false => own,
            };
        }
        let claim = self.nodes[node].id;
        if claim != peer {
            let other = self.listening(target, claim);
            self.dial(node, peer, key, other);
            self.counts.note("attack: intruders dialled");
        }
    }

    fn first_intruder(&self) -> usize {
        let intruder = self.nodes.iter().position(|node| !node.role.is_member());
        intruder.unwrap_or(self.nodes.len() - 1)
    }

    /// A member's dial is answered by an intruder in place of the one that was meant.
    fn answer_for_another(&mut self) {
        let (node, target) = (self.member(), self.member());
        if node == target {
            return;
        }
        let first = self.first_intruder();
        let Some(picked) = self.pick(self.nodes.len() - first) else {
            return;
        };
        let (peer, dialler) = (self.nodes[target].id, self.nodes[node].id);
        let other = Side::Listening {
            node: first + picked,
            id: peer,
            peer: dialler,
        };
        let key = self.nodes[node].contact(peer).known;
        let key = key.filter(|_| self.prng.chance(500_000));
        let id = self.dial(node, peer, key, other);
        self.tamper(id);
        self.tamper(id.other());
        self.counts.note("attack: answered for another");
    }

    /// A member's dial leads to another member than the one that was meant.
    fn misdirect(&mut self) {
        let (node, meant, reached) = (self.member(), self.member(), self.member());
        if node == meant || meant == reached || node == reached {
            return;
        }
        let (peer, dialler) = (self.nodes[meant].id, self.nodes[node].id);
        let key = self.nodes[node].contact(peer).known;
        let id = self.dial(node, peer, key, self.listening(reached, dialler));
        self.tamper(id);
        self.tamper(id.other());
        self.counts.note("attack: dials misdirected");
    }
}
