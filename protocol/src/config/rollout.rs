//! Which devices may take a new revision now: a rollout as a document of the fleet, and what follows
//! from it and the devices' reports.
//!
//! Nothing is hidden in a manager: whoever drives computes the next document from the last one and
//! from what devices said, and any other goes on from there.

mod advance;
mod known;
mod merged;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::advance::{Advance, DeviceFacts, Found, Summary, advance};
pub use self::known::{Rollouts, Unread, can, key_of, next_word, turn};
pub use self::merged::effective;
use crate::catalog::RevisionId;
use crate::codec::{self, Name, Wire};
use crate::config::document::{RolloutSpec, Wave};
use crate::config::outcome::cut;
use crate::ident::{Hash, NodeId};
use crate::limits::BODY_CARRIED_BYTES_MAX;
use crate::machine::Millis;
use crate::selector::Labels;

/// Why a rollout is paused, or who did what to it, in bytes; the rest is cut.
const WORDS_BYTES_MAX: usize = 256;
/// Room that is left in a document for whatever state it comes to.
const STATE_BYTES_MAX: usize = 1024;

/// A rollout of one revision of a configuration document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutDocument {
    /// The revision that goes out.
    pub of: RevisionId,
    /// What devices keep that it does not reach yet; none where there was nothing.
    pub base: Option<RevisionId>,
    /// How it goes out.
    pub spec: RolloutSpec,
    /// Whether it goes on.
    pub state: RolloutState,
    /// Which wave is open, counted from zero.
    pub wave: u16,
    /// Since when, in reference time.
    pub since: Millis,
    /// When this wave was seen to be well, in reference time.
    pub well_since: Option<Millis>,
    /// Failures that an operator has looked at and passed over.
    pub forgiven: u32,
    /// Up to which place devices are open.
    pub opened: Thresholds,
}

impl Wire for RolloutDocument {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BODY_CARRIED_BYTES_MAX;
    const WHAT: &'static str = "rollout";
}

/// Whether a rollout goes on. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutState {
    /// Wave after wave opens.
    Running,
    /// What is open stays open, and nothing more opens.
    Paused {
        /// Why.
        why: String,
        /// Who said so; none where too many failed.
        by: Option<String>,
    },
    /// Nobody is open: all go back to the base.
    Aborted {
        /// Who said so.
        by: String,
    },
    /// Everybody is open.
    Complete,
}

/// Up to which place devices are open, in each *room*.
///
/// A room is what devices have in common that have the same values of all labels that `minAvailable`
/// names; where it names none there is one room for all. A site that has nobody to spare so keeps its
/// own threshold and holds up no other, and what two managers opened apart is, put together, exactly
/// what either opened. A room that is not named here is closed: it has a device that nobody counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds(pub(super) BTreeMap<String, u64>);

impl RolloutDocument {
    /// A rollout that begins: nobody is open until it is advanced. One whose spec has no room, which no
    /// checked document has, begins paused, with a single wave: it can be aborted, and opens nobody.
    #[must_use]
    pub fn start(
        of: RevisionId,
        base: Option<RevisionId>,
        spec: RolloutSpec,
        now_reference: Millis,
    ) -> Self {
        let mut begins = Self {
            of,
            base,
            spec,
            state: RolloutState::Running,
            wave: 0,
            since: now_reference,
            well_since: None,
            forgiven: 0,
            opened: Thresholds::default(),
        };
        if !begins.has_room() {
            begins.spec = RolloutSpec {
                waves: vec![Wave::Percent(100)],
                min_available: BTreeMap::new(),
                ..begins.spec
            };
            begins.state = RolloutState::Paused {
                why: "its waves or labels are more than a rollout can hold".to_owned(),
                by: None,
            };
        }
        begins
    }

    /// Whether it fits its body, in whatever state it comes to.
    fn has_room(&self) -> bool {
        let bare = Self {
            state: RolloutState::Running,
            ..self.clone()
        };
        codec::encoded_len(&bare).saturating_add(STATE_BYTES_MAX) <= Self::BYTES_MAX
    }

    /// Whether a device may take the revision now. The device itself asks this.
    #[must_use]
    pub fn is_open(&self, node: &NodeId, labels: &Labels) -> bool {
        match &self.state {
            RolloutState::Aborted { .. } => false,
            RolloutState::Complete => true,
            RolloutState::Running | RolloutState::Paused { .. } => {
                let threshold = self.opened.0.get(&room(&self.spec, labels));
                threshold.is_some_and(|threshold| place(&self.of, node) < *threshold)
            }
        }
    }

    /// This rollout, stopped until somebody lets it go on. None where it is over.
    #[must_use]
    pub fn paused(&self, by: &str, why: &str) -> Option<Self> {
        self.in_state(RolloutState::Paused {
            why: cut(why, WORDS_BYTES_MAX).to_owned(),
            by: Some(cut(by, WORDS_BYTES_MAX).to_owned()),
        })
    }

    /// This rollout, going on though `failed` devices failed. None where it is over.
    #[must_use]
    pub fn resumed(&self, failed: u32, now_reference: Millis) -> Option<Self> {
        let resumed = self.in_state(RolloutState::Running)?;
        Some(Self {
            forgiven: failed,
            since: now_reference,
            well_since: None,
            ..resumed
        })
    }

    /// This rollout, taken back. None where it is over.
    #[must_use]
    pub fn aborted(&self, by: &str) -> Option<Self> {
        let by = cut(by, WORDS_BYTES_MAX).to_owned();
        self.in_state(RolloutState::Aborted { by })
    }

    fn in_state(&self, state: RolloutState) -> Option<Self> {
        let over = matches!(
            self.state,
            RolloutState::Aborted { .. } | RolloutState::Complete
        );
        let document = self.clone();
        (!over).then_some(Self { state, ..document })
    }

    /// How many waves there are. Whatever was written, the last one reaches everybody: else those
    /// that it leaves out would all be open at once when it is complete.
    #[must_use]
    pub fn waves(&self) -> u16 {
        let waves = self.spec.waves.len();
        let all = self.spec.waves.last() == Some(&Wave::Percent(100));
        u16::try_from(waves + usize::from(!all)).unwrap_or(u16::MAX)
    }

    fn is_last_wave(&self) -> bool {
        self.wave.saturating_add(1) >= self.waves()
    }

    /// How many devices are to be open in this wave, when so many were heard.
    fn reach(&self, heard: usize) -> usize {
        let wave = self.spec.waves.get(usize::from(self.wave));
        let reach = match wave {
            _ if self.is_last_wave() => heard,
            Some(Wave::Count(count)) => usize::try_from(*count).unwrap_or(usize::MAX),
            Some(Wave::Percent(percent)) => heard * usize::from(*percent) / 100,
            None => heard,
        };
        reach.clamp(1, heard.max(1))
    }
}

/// Where a device stands in a rollout's order: the same for everybody who computes it, another in the
/// next rollout.
#[must_use]
pub fn place(of: &RevisionId, node: &NodeId) -> u64 {
    let mut bytes = b"regatta rollout".to_vec();
    bytes.extend_from_slice(&of.entry.0);
    bytes.extend_from_slice(&of.place.to_le_bytes());
    bytes.extend_from_slice(&node.0);
    let mut eight = [0; 8];
    eight.copy_from_slice(&Hash::of(&bytes).0[..8]);
    // The last place of all stays free, so that a threshold can be beyond everybody.
    u64::from_le_bytes(eight).min(u64::MAX - 1)
}

/// The name of a device's room, such as `site=osaka`; empty where the spec names no label that it has.
fn room(spec: &RolloutSpec, labels: &Labels) -> String {
    let pairs = named(spec, labels).map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// The device's values of the labels that must keep some available, in the order of the labels. A device
/// has a few labels; a spec may name as many as fill it.
fn named<'a>(
    spec: &'a RolloutSpec,
    labels: &'a Labels,
) -> impl Iterator<Item = (&'a Name, &'a Name)> {
    let pairs = labels.iter();
    pairs.filter(|(key, _)| spec.min_available.contains_key(*key))
}

#[cfg(test)]
mod tests;
