//! The storm: traffic both ways, broken streams, restarts, clocks that jump, a rotated key, attacks.

use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::{EarlyWindow, Event};
use regatta_protocol::crypto::seal::BoxSecret;

use super::member::MARKER;
use super::watch::worn_at;
use super::wire::EndId;
use super::world::{End, Side, World, index};

const MINUTE_MS: u64 = 60_000;
/// A storm takes such steps.
const STEP_MS: u64 = 250;

impl World {
    /// So many minutes of everything at once.
    pub fn storm(&mut self, minutes: u64) {
        let steps = minutes.saturating_mul(MINUTE_MS / STEP_MS);
        let rotation = self.prng.below(steps.max(1));
        for step in 0..steps {
            self.run_until(self.now.plus(STEP_MS));
            if step % 4 == 0 {
                self.look_round();
                self.redial(400_000);
            }
            if step == rotation {
                self.rotate();
            }
            for _ in 0..self.prng.below(4) {
                self.talk();
            }
            if self.prng.chance(200_000) {
                self.attack();
            }
            match self.prng.below(200) {
                0..=3 => self.break_one(),
                4 => self.restart(),
                5 | 6 => self.jump(),
                7..=10 => self.dial_again(),
                _ => {}
            }
            if self.rules.violations.len() > 5 {
                return;
            }
        }
    }

    /// Members, by number.
    #[must_use]
    pub fn members(&self) -> std::ops::Range<usize> {
        let members = self.nodes.iter().take_while(|node| node.role.is_member());
        0..members.count()
    }

    /// The lower of each pair dials where they are not open and nobody is at it.
    pub fn redial(&mut self, per_million: u32) {
        for low in self.members() {
            for high in low + 1..self.members().end {
                let peer = self.nodes[high].id;
                let fresh = |end: &End| end.node == low && end.peer == peer && !end.renew;
                let at_it = self.ends(fresh).into_iter().any(|id| {
                    let end = self.end(id);
                    id.side == 0 || end.is_some_and(|end| end.trusted)
                });
                if !at_it && self.prng.chance(per_million) {
                    self.call(low, high);
                }
            }
        }
        // A responder whose clock went ahead renews by itself, once the other has had its chance.
        let now = self.now;
        let late = self.ends(|end| {
            let clock = self.nodes[end.node].clock(now);
            let worn = end
                .opened
                .is_some_and(|opened| clock.plus(45_000) >= worn_at(opened));
            end.renew && worn && self.nodes[end.node].role.is_member()
        });
        for id in late {
            let Some(end) = self.end_mut(id) else {
                continue;
            };
            let (node, peer) = (end.node, end.peer);
            let newer = self.ends(|end| end.node == node && end.peer == peer && !end.renew);
            if let Some(other) = self.members().find(|other| self.nodes[*other].id == peer)
                && newer.is_empty()
            {
                self.call(node, other);
            }
        }
    }

    /// `node` dials `other`, and reaches it.
    fn call(&mut self, node: usize, other: usize) -> EndId {
        let (local, peer) = (self.nodes[node].id, self.nodes[other].id);
        let key = self.nodes[node].contact(peer).known;
        let listening = Side::Listening {
            node: other,
            id: peer,
            peer: local,
        };
        self.dial(node, peer, key, listening)
    }

    fn draw(&mut self, count: usize) -> usize {
        usize::try_from(self.prng.below(count as u64)).unwrap_or(0)
    }

    /// Any member dials any other, whatever is open already.
    fn dial_again(&mut self) {
        let count = self.members().end;
        let (node, other) = (self.draw(count), self.draw(count));
        if node != other {
            self.call(node, other);
        }
    }

    /// Somebody says something over a session that is open.
    fn talk(&mut self) {
        let open = self.ends(|end| end.trusted && end.channel.is_open());
        if open.is_empty() {
            return;
        }
        let id = open[self.draw(open.len())];
        self.say(id);
    }

    /// A message over this session: an intent, or something to read.
    pub fn say(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        let (node, peer) = (end.node, end.peer);
        let clock = self.nodes[node].clock(self.now);
        if end.opened.is_none_or(|opened| clock >= worn_at(opened)) {
            return;
        }
        let run_id = if self.prng.chance(300_000) {
            self.nodes[node].run_id(peer, &mut self.prng)
        } else {
            0
        };
        let padding = vec![0x2e; self.draw(300)];
        let unique: [u8; 8] = self.prng.bytes();
        let message = [&MARKER[..], &run_id.to_le_bytes(), &unique, &padding].concat();
        self.event(id, Event::Send(Bytes::from(message)));
    }

    /// A stream breaks, between frames or in the middle of one.
    fn break_one(&mut self) {
        let count = self.streams.len();
        let picked = self.draw(count);
        if let Some(stream) = self.streams.keys().nth(picked).copied() {
            self.break_stream(stream);
            self.counts.note("streams broken");
        }
    }

    fn break_stream(&mut self, stream: u32) {
        for side in [0, 1] {
            if let Some(broken) = self.streams.get_mut(&stream) {
                broken.pipes[usize::from(side)].cut(&mut self.prng);
            }
            self.put_end(EndId { stream, side });
        }
    }

    /// A member's process dies and starts again: what is not on its disk is gone.
    fn restart(&mut self) {
        let count = self.members().end;
        let node = self.draw(count);
        for id in self.ends(|end| end.node == node) {
            if let Some(stream) = self.streams.get_mut(&id.stream) {
                stream.pipes[usize::from(id.other().side)].cut(&mut self.prng);
            }
            self.hang_up(id);
        }
        self.rules.restarted(index(node));
        self.nodes[node].window = EarlyWindow::new(self.rules.window_capacity());
        self.nodes[node].ahead_ms = self.prng.below(1_000_000_000);
        self.counts.note("nodes restarted");
    }

    /// A member was suspended: its clock is far ahead of what it remembers.
    fn jump(&mut self) {
        const JUMPS_MS: [u64; 4] = [11_000, 11 * MINUTE_MS, 61 * MINUTE_MS, 5 * 60 * MINUTE_MS];
        let count = self.members().end;
        let node = self.draw(count);
        let jump_ms = JUMPS_MS[self.draw(JUMPS_MS.len())];
        self.nodes[node].ahead_ms += jump_ms;
        self.counts.note("clocks jumped");
        for id in self.ends(|end| end.node == node) {
            self.wake(id);
        }
    }

    /// The device whose key was stolen gets another; the others hear of it one after the other.
    fn rotate(&mut self) {
        let of = self.members().end - 1;
        for id in self.ends(|end| end.node == of) {
            self.event_close(id);
        }
        let node = &mut self.nodes[of];
        node.secret = BoxSecret::generate(&mut self.prng);
        let key = node.secret.public();
        node.certificate = self.fleets[0].certify(node.id, key, 1);
        self.bindings.entry(node.id).or_default().push(key);
        for other in 0..of {
            let after_ms = self.prng.below(20_000);
            self.will_hear(other, of, after_ms);
        }
        self.counts.note("keys rotated");
    }
}
