//! Reference time: the lower median of what managers lately signed, never below its stored floor.
//!
//! A median over more than half of the managers that tell time is firm: it holds against what a
//! single one said before. Where fewer are heard, the highest floor of those heard so far holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Wire};
use crate::crypto::sign::{Context, Sign, Signature};
use crate::ident::{FleetId, NodeId, Serial};
use crate::machine::Millis;

/// How long a signed time speaks after it was heard: several exchanges of digests.
const FRESH_MS: u64 = 15 * 60 * 1000;
/// How much later than it should a word may come and still take the place of an older one.
const SLACK_MS: u64 = 1_000;
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

/// A signed time, and how long ago whoever hands it on heard it. Only managers' word on the age is
/// taken: a liar among them moves the clock by [`FRESH_MS`] at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgedTime {
    /// What was signed.
    pub time: SignedTime,
    /// Its age in milliseconds.
    pub age_ms: u32,
}

/// The lowest that reference time may be, by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The signer.
    pub by: NodeId,
    /// The time.
    pub at: Millis,
    /// Whether more than half of the managers that tell time stood behind it.
    pub firm: bool,
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
    /// How old it was when it was heard.
    age_ms: u64,
}

impl Heard {
    fn age(&self, now: Millis) -> u64 {
        now.since(self.at).saturating_add(self.age_ms)
    }

    fn is_fresh(&self, now: Millis) -> bool {
        self.age(now) <= FRESH_MS
    }
}

/// What time it is, as far as this node can know.
#[derive(Clone, Debug, Default)]
pub struct ReferenceTime {
    heard: BTreeMap<NodeId, Heard>,
    /// How many managers tell time.
    tellers: usize,
    /// For each signer the highest median that was its word, alone and with a majority behind it.
    floors: BTreeMap<(NodeId, bool), Millis>,
    own_wall: Millis,
    own_at: Millis,
}

impl ReferenceTime {
    /// With the floors that were stored before a restart.
    #[must_use]
    pub fn restore(floors: impl IntoIterator<Item = Floor>) -> Self {
        let floors = floors
            .into_iter()
            .map(|floor| ((floor.by, floor.firm), floor.at))
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

    /// How many managers tell time, as trust says.
    pub fn set_tellers(&mut self, tellers: usize) {
        self.tellers = tellers;
    }

    /// Whether a claim is worth checking: enough later than what its signer said last, or the first
    /// for long.
    #[must_use]
    pub fn would_take(&self, now: Millis, claim: &TimeClaim) -> bool {
        const STEP_MS: u64 = 5_000;
        self.heard.get(&claim.by).is_none_or(|heard| {
            heard.time.claim.at.plus(STEP_MS) <= claim.at || !heard.is_fresh(now)
        })
    }

    /// Takes a signed time whose signature and certificate were checked. Gives the floor to store,
    /// where one rises; an older word of the same signer is passed over.
    pub fn take(&mut self, now: Millis, heard: AgedTime) -> Option<Floor> {
        let AgedTime { time, age_ms } = heard;
        let age_ms = u64::from(age_ms).min(FRESH_MS);
        let by = time.claim.by;
        let newer = self.heard.get(&by).is_none_or(|heard| {
            // Words reach us late and never early: of two that count, the later reading is nearer.
            let speaks = heard.time.claim.at.plus(heard.age(now));
            let says = time.claim.at.plus(age_ms);
            let nearer = says.plus(SLACK_MS) >= speaks;
            !heard.is_fresh(now) || (heard.time.claim.at < time.claim.at && nearer)
        });
        let room = self.heard.contains_key(&by) || self.heard.len() < SIGNERS_MAX;
        if !newer || !room {
            return None;
        }
        self.heard.insert(
            by,
            Heard {
                time,
                at: now,
                age_ms,
            },
        );
        let floor = self.median(now)?;
        if floor.firm {
            // What a single one said is overruled for good.
            self.floors
                .retain(|(_, of_majority), at| *of_majority || *at <= floor.at);
        }
        let key = (floor.by, floor.firm);
        // A floor is stored in steps, so that a disk is not written for every word.
        const STEP_MS: u64 = 60_000;
        let risen = self
            .floors
            .get(&key)
            .is_none_or(|known| known.plus(STEP_MS) <= floor.at);
        if !risen {
            return None;
        }
        self.floors.insert(key, floor.at);
        Some(floor)
    }

    /// Forgets what a signer said: an order stopped it.
    pub fn discard(&mut self, by: &NodeId) {
        self.heard.remove(by);
        self.floors.retain(|(signer, _), _| signer != by);
    }

    /// Everybody whose word is remembered.
    pub fn signers(&self) -> impl Iterator<Item = &NodeId> {
        self.heard
            .keys()
            .chain(self.floors.keys().map(|(signer, _)| signer))
    }

    fn median(&self, now: Millis) -> Option<Floor> {
        // Asked at every event: a list on the stack costs no allocation.
        let mut words = [(Millis(0), NodeId::ZERO); SIGNERS_MAX];
        let mut count = 0;
        let fresh = self.heard.iter().filter(|(_, heard)| heard.is_fresh(now));
        for ((by, heard), word) in fresh.zip(&mut words) {
            *word = (heard.time.claim.at.plus(heard.age(now)), *by);
            count += 1;
        }
        let words = &mut words[..count];
        words.sort_unstable();
        let lower_middle = words.len().checked_sub(1)? / 2;
        let firm = 2 * words.len() > self.tellers;
        words.get(lower_middle).map(|(at, by)| Floor {
            by: *by,
            at: *at,
            firm,
        })
    }

    /// What time it is.
    #[must_use]
    pub fn read(&self, now: Millis) -> Millis {
        let median = self.median(now);
        let firm = median.is_some_and(|median| median.firm);
        let spoken = match median {
            Some(median) => median.at,
            None => self.own(now),
        };
        self.floors
            .iter()
            .filter(|((_, of_majority), _)| *of_majority || !firm)
            .map(|(_, at)| *at)
            .fold(spoken, Millis::max)
    }

    /// When a word that speaks now will have aged, so that the time may read otherwise.
    #[must_use]
    pub fn ages_at(&self, now: Millis) -> Option<Millis> {
        let fresh = self.heard.values().filter(|heard| heard.is_fresh(now));
        fresh
            .map(|heard| heard.at.plus((FRESH_MS + 1).saturating_sub(heard.age_ms)))
            .min()
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

    /// The words that speak, those heard last first, to hand on.
    #[must_use]
    pub fn latest(&self, now: Millis, count_max: usize) -> Vec<AgedTime> {
        let fresh = self.heard.values().filter(|heard| heard.is_fresh(now));
        let mut times: Vec<AgedTime> = fresh
            .map(|heard| AgedTime {
                time: heard.time,
                age_ms: u32::try_from(heard.age(now)).unwrap_or(u32::MAX),
            })
            .collect();
        times.sort_unstable_by_key(|aged| (aged.age_ms, aged.time.claim.by));
        times.truncate(count_max);
        times
    }

    /// The floors, to store.
    pub fn floors(&self) -> impl Iterator<Item = Floor> + '_ {
        self.floors.iter().map(|((by, firm), at)| Floor {
            by: *by,
            at: *at,
            firm: *firm,
        })
    }
}
