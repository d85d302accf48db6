//! What a rollout is in effect, when managers went on with it on two sides of a partition.

use crate::config::outcome::cut;
use crate::config::rollout::{RolloutDocument, RolloutState, WORDS_BYTES_MAX};
use crate::machine::Millis;

/// Folds a rollout's heads, the winner first; none where there are none.
///
/// Aborted if any is: somebody wanted it back, and that nobody may undo. Else paused if any is. Else
/// running unless all are complete: what is complete opens everybody, also where the other side had
/// nobody to spare. Thresholds are the farther ones, so exactly those are open that one of the heads
/// opened: going by the nearer ones would send devices back that have it and are well. The wave is
/// the least far, so a side that saw less has its say before more opens. Heads of another revision, or
/// with another spec, are another rollout and do not count.
///
/// What nobody could write on is no word either: a head that leaves no room for another state does not
/// count, and of one whose rooms are too many beside those of the heads before it no room is opened.
#[must_use]
pub fn effective(heads: &[RolloutDocument]) -> Option<RolloutDocument> {
    let mut heads = heads
        .iter()
        .map(shortened)
        .filter(RolloutDocument::has_room);
    let mut merged = heads.next()?;
    for head in heads {
        if head.of != merged.of || head.spec != merged.spec {
            continue;
        }
        let opened = merged.opened.clone();
        for (room, threshold) in head.opened.0 {
            let ours = merged.opened.0.entry(room).or_default();
            *ours = (*ours).max(threshold);
        }
        if !merged.has_room() {
            merged.opened = opened;
        }
        if weight(&head.state) > weight(&merged.state) {
            merged.state = head.state;
        }
        merged.wave = merged.wave.min(head.wave);
        merged.since = merged.since.max(head.since);
        merged.well_since = both(merged.well_since, head.well_since);
        merged.forgiven = merged.forgiven.min(head.forgiven);
    }
    Some(merged)
}

/// A head with its words cut, as everybody cuts them who writes some.
fn shortened(head: &RolloutDocument) -> RolloutDocument {
    let short = |words: &String| cut(words, WORDS_BYTES_MAX).to_owned();
    let state = match &head.state {
        RolloutState::Running => RolloutState::Running,
        RolloutState::Complete => RolloutState::Complete,
        RolloutState::Aborted { by } => RolloutState::Aborted { by: short(by) },
        RolloutState::Paused { why, by } => RolloutState::Paused {
            why: short(why),
            by: by.as_ref().map(short),
        },
    };
    RolloutDocument {
        state,
        ..head.clone()
    }
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
