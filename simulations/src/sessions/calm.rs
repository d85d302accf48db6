//! After the storm: every pair has to be open in time, heard in order, and rekeyed and renewed.

use regatta_protocol::crypto::channel::HANDSHAKE_MS_MAX;

use super::wire::EndId;
use super::world::{World, index};

/// A message each second: so many show that a session is one that a lost frame has made deaf.
const WARM_S: u64 = 40;
/// Long enough for rekeys and one renewal.
const QUIET_S: u64 = 75 * 60;
/// In quiet a node looks round less often; its machines wake when they ask to.
const QUIET_STEP_S: u64 = 5;

impl World {
    /// No more faults; in time everybody talks to everybody, and goes on doing so.
    pub fn calm(&mut self) {
        if !self.rules.violations.is_empty() {
            return;
        }
        self.counts.calm = true;
        for _ in 0..WARM_S {
            self.pass(1);
            self.everybody_talks();
        }
        self.run_until(self.now.plus(HANDSHAKE_MS_MAX));
        self.look_round();
        self.redial(1_000_000);
        self.run_until(self.now.plus(1_000));
        self.all_are_open();
        for step in 0..QUIET_S / QUIET_STEP_S {
            self.pass(QUIET_STEP_S);
            if step % 19 == 0 {
                self.everybody_talks();
            }
            if step % 60 == 59 {
                self.all_are_open();
            }
            if !self.rules.violations.is_empty() {
                return;
            }
        }
        self.run_until(self.now.plus(1_000));
        self.all_is_heard();
    }

    fn pass(&mut self, seconds: u64) {
        self.run_until(self.now.plus(seconds * 1_000));
        self.look_round();
        self.redial(1_000_000);
    }

    /// The session over which a member talks to another: the newest.
    fn session(&self, node: usize, other: usize) -> Option<EndId> {
        let peer = self.nodes[other].id;
        let open = self.ends(|end| {
            end.node == node && end.peer == peer && end.trusted && end.channel.is_open()
        });
        open.last().copied()
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let members = self.members();
        let all = members
            .clone()
            .flat_map(|node| members.clone().map(move |other| (node, other)));
        all.filter(|(node, other)| node != other).collect()
    }

    fn everybody_talks(&mut self) {
        for (node, other) in self.pairs() {
            if let Some(id) = self.session(node, other) {
                self.say(id);
            }
        }
    }

    fn all_are_open(&mut self) {
        for (node, other) in self
            .pairs()
            .into_iter()
            .filter(|(node, other)| node < other)
        {
            let (here, there) = (self.session(node, other), self.session(other, node));
            let paired = match (here, there) {
                (Some(here), Some(there)) => self.rules.are_paired(here, there),
                _ => false,
            };
            if !paired {
                let what = format!("I7: in calm no session with node {other}: {here:?} {there:?}");
                self.rules.broken(index(node), what);
            }
        }
    }

    fn all_is_heard(&mut self) {
        for (node, other) in self.pairs() {
            let Some(id) = self.session(node, other) else {
                continue;
            };
            let progress = self.rules.progress(id);
            if progress.is_none_or(|(taken, sent)| taken != sent) {
                let what = format!("I7: {id:?} of node {other} took and was sent {progress:?}");
                self.rules.broken(index(node), what);
            }
        }
    }
}
