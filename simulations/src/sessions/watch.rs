//! What every node does once a second, whatever comes: it looks at its ends, and lets go.

use regatta_protocol::crypto::channel::RENEW_MS;
use regatta_protocol::machine::Millis;

use super::rules::RENEW_GRACE_MS;
use super::wire::EndId;
use super::world::{Stream, World, end_of};

/// How long a frame may stay incomplete before an end gives its stream up.
const FRAME_MS_MAX: u64 = 10_000;

impl World {
    /// What every node does once a second: looks at its ends, and lets go of those that are over.
    pub fn look_round(&mut self) {
        for id in self.ends(|_| true) {
            self.wake(id);
            self.after_look(id);
        }
        let stuck = |world: &Self, (number, stream): (&u32, &Stream)| {
            let late = |(bytes, since): &(Vec<u8>, Millis)| {
                !bytes.is_empty() && world.now.since(*since) > FRAME_MS_MAX
            };
            stream.inboxes.iter().any(late).then_some(*number)
        };
        let stuck: Vec<u32> = self
            .streams
            .iter()
            .filter_map(|one| stuck(self, one))
            .collect();
        for stream in stuck {
            self.counts.note("frames never finished");
            for side in [0, 1] {
                self.hang_up(EndId { stream, side });
            }
        }
    }

    fn after_look(&mut self, id: EndId) {
        let now = self.now;
        let Some(end) = end_of(&self.streams, id) else {
            return;
        };
        let clock = self.nodes[end.node].clock(now);
        if self.nodes[end.node].role.is_member() {
            self.rules.look(id, clock, &end.channel);
        }
        let worn = end.opened.is_some_and(|opened| clock >= worn_at(opened));
        if worn || end.retire_at.is_some_and(|at| now >= at) {
            self.event_close(id);
        }
    }
}

/// When a node uses a session no more, renewed or not.
#[must_use]
pub fn worn_at(opened: Millis) -> Millis {
    opened.plus(RENEW_MS + RENEW_GRACE_MS)
}
