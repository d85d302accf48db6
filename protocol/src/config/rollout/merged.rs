//! What a rollout is in effect, when managers went on with it on two sides of a partition.

use crate::config::rollout::{RolloutDocument, RolloutState};
use crate::machine::Millis;

/// Folds a rollout's heads, the winner first; none where there are none.
///
/// Aborted if any is: somebody wanted it back, and that nobody may undo. Else paused if any is. Else
/// running unless all are complete: what is complete opens everybody, also where the other side had
/// nobody to spare. Thresholds are the farther ones, so exactly those are open that one of the heads
/// opened: going by the nearer ones would send devices back that have it and are well. The wave is
/// the least far, so a side that saw less has its say before more opens. Heads of another revision, or
/// with another spec, are another rollout and do not count.
#[must_use]
pub fn effective(heads: &[RolloutDocument]) -> Option<RolloutDocument> {
    let (winner, others) = heads.split_first()?;
    let same = |head: &&RolloutDocument| head.of == winner.of && head.spec == winner.spec;
    let mut merged = winner.clone();
    for head in others.iter().filter(same) {
        if weight(&head.state) > weight(&merged.state) {
            merged.state = head.state.clone();
        }
        for (room, threshold) in &head.opened.0 {
            let ours = merged.opened.0.entry(room.clone()).or_default();
            *ours = (*ours).max(*threshold);
        }
        merged.wave = merged.wave.min(head.wave);
        merged.since = merged.since.max(head.since);
        merged.well_since = both(merged.well_since, head.well_since);
        merged.forgiven = merged.forgiven.min(head.forgiven);
    }
    Some(merged)
}

/// Which state wins over which, whoever wrote it.
fn weight(state: &RolloutState) -> u8 {
    match state {
        RolloutState::Complete => 0,
        RolloutState::Running => 1,
        RolloutState::Paused { .. } => 2,
        RolloutState::Aborted { .. } => 3,
    }
}

/// Both were well only from the later time on.
fn both(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    Some(one?.max(other?))
}
