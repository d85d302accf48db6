//! Reference time: the lower median of what managers lately signed, never below its stored floor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Wire};
use crate::crypto::sign::{Context, Sign, Signature};
use crate::ident::{FleetId, NodeId, Serial};
use crate::machine::Millis;

/// How long a signed time speaks after it was heard.
const FRESH_MS: u64 = 24 * 60 * 60 * 1000;
/// Signers that are remembered.
const SIGNERS_MAX: usize = 64;

/// What a manager signs when it says what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeClaim {
    /// Who says it.
    pub by: NodeId,
    /// Under which certificate.
    pub serial: Serial,
    /// What time it is.
    pub at: Millis,
}

impl Wire for TimeClaim {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64;
    const WHAT: &'static str = "time";
}

/// A signed time, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTime {
    /// What is said.
    pub claim: TimeClaim,
    /// The signature over its encoding.
    pub signature: Signature,
}

impl SignedTime {
    /// Signs a time.
    #[must_use]
    pub fn sign(claim: TimeClaim, fleet: &FleetId, signer: &dyn Sign) -> Self {
        let signature = signer.sign(Context::Time, fleet, &codec::encode(&claim));
        Self { claim, signature }
    }
}

/// The lowest that reference time may be, by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The signer.
    pub by: NodeId,
    /// The time.
    pub at: Millis,
}

impl Wire for Floor {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64;
    const WHAT: &'static str = "time floor";
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    time: SignedTime,
    at: Millis,
}

/// What time it is, as far as this node can know.
#[derive(Clone, Debug, Default)]
pub struct ReferenceTime {
    heard: BTreeMap<NodeId, Heard>,
    floors: BTreeMap<NodeId, Millis>,
    own_wall: Millis,
    own_at: Millis,
}

impl ReferenceTime {
    /// With the floors that were stored before a restart.
    #[must_use]
    pub fn restore(floors: impl IntoIterator<Item = Floor>) -> Self {
        let floors = floors
            .into_iter()
            .map(|floor| (floor.by, floor.at))
            .collect();
        Self {
            floors,
            ..Self::default()
        }
    }

    /// What the node's own clock says, at start and whenever it was set.
    pub fn set_own(&mut self, now: Millis, wall: Millis) {
        (self.own_wall, self.own_at) = (wall, now);
    }

    /// Takes a signed time whose signature and certificate were checked. Gives the floor to store,
    /// where one rises; an older word of the same signer is passed over.
    pub fn take(&mut self, now: Millis, time: SignedTime) -> Option<Floor> {
        let by = time.claim.by;
        let newer = self
            .heard
            .get(&by)
            .is_none_or(|heard| heard.time.claim.at < time.claim.at);
        let room = self.heard.contains_key(&by) || self.heard.len() < SIGNERS_MAX;
        if !newer || !room {
            return None;
        }
        self.heard.insert(by, Heard { time, at: now });
        let floor = self.median(now)?;
        let risen = self
            .floors
            .get(&floor.by)
            .is_none_or(|known| *known < floor.at);
        if !risen {
            return None;
        }
        self.floors.insert(floor.by, floor.at);
        Some(floor)
    }

    /// Whether a claim is worth checking: enough later than what its signer said last.
    #[must_use]
    pub fn would_take(&self, claim: &TimeClaim) -> bool {
        const STEP_MS: u64 = 5_000;
        self.heard
            .get(&claim.by)
            .is_none_or(|heard| heard.time.claim.at.plus(STEP_MS) <= claim.at)
    }

    /// Forgets what a signer said: an order stopped it.
    pub fn discard(&mut self, by: &NodeId) {
        self.heard.remove(by);
        self.floors.remove(by);
    }

    /// Everybody whose word is remembered.
    pub fn signers(&self) -> impl Iterator<Item = &NodeId> {
        self.heard.keys().chain(self.floors.keys())
    }

    fn median(&self, now: Millis) -> Option<Floor> {
        let mut words: Vec<(Millis, NodeId)> = self
            .heard
            .iter()
            .filter(|(_, heard)| now.since(heard.at) <= FRESH_MS)
            .map(|(by, heard)| (heard.time.claim.at.plus(now.since(heard.at)), *by))
            .collect();
        words.sort_unstable();
        let lower_middle = words.len().checked_sub(1)? / 2;
        words
            .get(lower_middle)
            .map(|(at, by)| Floor { by: *by, at: *at })
    }

    /// What time it is.
    #[must_use]
    pub fn read(&self, now: Millis) -> Millis {
        let spoken = match self.median(now) {
            Some(median) => median.at,
            None => self.own_wall.plus(now.since(self.own_at)),
        };
        self.floors.values().copied().fold(spoken, Millis::max)
    }

    /// Whether a manager's word is behind what [`Self::read`] gives.
    #[must_use]
    pub fn is_signed(&self, now: Millis) -> bool {
        self.median(now).is_some()
    }

    /// The node's own clock.
    #[must_use]
    pub fn own(&self, now: Millis) -> Millis {
        self.own_wall.plus(now.since(self.own_at))
    }

    /// The latest words, newest first, to hand on.
    #[must_use]
    pub fn latest(&self, count_max: usize) -> Vec<SignedTime> {
        let mut times: Vec<SignedTime> = self.heard.values().map(|heard| heard.time).collect();
        times.sort_unstable_by_key(|time| std::cmp::Reverse(time.claim.at));
        times.truncate(count_max);
        times
    }

    /// The floors, to store.
    pub fn floors(&self) -> impl Iterator<Item = Floor> + '_ {
        self.floors
            .iter()
            .map(|(by, at)| Floor { by: *by, at: *at })
    }
}
