//! What a replica knows of a peer, and how much it lets it ask for.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ident::{Hash, NodeId};
use crate::ledger::message::Digest;
use crate::ledger::replica::{Misdeed, PeerInfo};
use crate::machine::Millis;
use crate::trust::authority::Credentials;

/// Messages that a peer may send at once.
const BURST: u64 = 2_000;
/// Messages that it may send each second for ever; those that bring something are free.
const PER_SECOND: u64 = 200;
/// What a forged entry or a frame that is none costs.
const FORGED_COST: u64 = 250;
/// Entries of which it is remembered that the peer has them.
const KNOWN_MAX: usize = 16;

/// A connected member.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub info: PeerInfo,
    /// Its certificates, once they were checked.
    pub credentials: Option<Arc<Credentials>>,
    /// Trust is in step.
    pub agreed: bool,
    /// It named this node its feeder.
    pub fed: bool,
    /// It is to be hung up on.
    pub condemned: bool,
    /// What it said it holds.
    pub theirs: Option<Digest>,
    /// When digests are compared next.
    pub digest_at: Millis,
    /// Pulls from it that are under way.
    pub flights: u8,
    known: VecDeque<u64>,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u64,
    since: Millis,
    forged: bool,
}

impl Peer {
    pub fn new(info: PeerInfo, now: Millis) -> Self {
        Self {
            info,
            credentials: None,
            agreed: false,
            fed: false,
            condemned: false,
            theirs: None,
            digest_at: now,
            flights: 0,
            known: VecDeque::new(),
            budget: Budget {
                left: BURST,
                since: now,
                forged: false,
            },
        }
    }

    pub fn node(&self) -> NodeId {
        self.info.node
    }

    /// Takes one message from the budget.
    pub fn spend(&mut self, now: Millis) -> Result<(), Misdeed> {
        let earned = now.since(self.budget.since).saturating_mul(PER_SECOND) / 1000;
        if earned > 0 {
            self.budget.left = self.budget.left.saturating_add(earned).min(BURST);
            self.budget.since = now;
        }
        match self.budget.left.checked_sub(1) {
            Some(left) if !self.condemned => {
                self.budget.left = left;
                Ok(())
            }
            _ if self.budget.forged => Err(Misdeed::Forgery),
            _ => Err(Misdeed::Flood),
        }
    }

    /// The message brought something.
    pub fn refund(&mut self) {
        self.budget.left = (self.budget.left + 1).min(BURST);
    }

    /// It sent what nobody signed.
    pub fn spend_forged(&mut self, count: u32) {
        if count > 0 {
            self.budget.forged = true;
            let cost = FORGED_COST.saturating_mul(u64::from(count));
            self.budget.left = self.budget.left.saturating_sub(cost);
        }
    }

    /// It has this entry.
    pub fn note_known(&mut self, entry: &Hash) {
        let short = short(entry);
        if self.known.contains(&short) {
            return;
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(short);
    }

    /// Whether it surely has this entry.
    pub fn knows(&self, entry: &Hash) -> bool {
        self.known.contains(&short(entry))
    }
}

fn short(hash: &Hash) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.0[..8]);
    u64::from_le_bytes(bytes)
}
