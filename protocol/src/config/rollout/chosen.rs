//! Which revision of a document a device takes, when some of them go out step by step.

use crate::catalog::RevisionId;
use crate::config::rollout::RolloutDocument;
use crate::ident::NodeId;
use crate::selector::Labels;

/// Revisions that are looked at for one document.
pub const WALK_MAX: usize = 64;

/// What is known of a revision that may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Whether it goes out step by step.
    pub staged: bool,
    /// Its rollout, as it is in effect; none where none is held yet.
    pub rollout: Option<&'a RolloutDocument>,
    /// What it replaced: the base of a rollout that is not held yet.
    pub replaced: Option<RevisionId>,
}

/// Which revision is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This one.
    Take(RevisionId),
    /// None: there was no revision before those that are not open.
    Nothing,
    /// It cannot be said, because a revision on the way is not held; what holds is kept.
    Unknown,
}

/// Walks from a document's winner back to the first revision that is open for a device.
///
/// `look` says what is known of a revision, or none where it is not held.
#[must_use]
pub fn chosen<'a>(
    winner: RevisionId,
    node: &NodeId,
    labels: &Labels,
    mut look: impl FnMut(&RevisionId) -> Option<Candidate<'a>>,
) -> Pick {
    let mut revision = winner;
    for _ in 0..WALK_MAX {
        let Some(candidate) = look(&revision) else {
            return Pick::Unknown;
        };
        let rollout = candidate.rollout.filter(|rollout| rollout.of == revision);
        let open = rollout.is_some_and(|rollout| rollout.is_open(node, labels));
        if !candidate.staged || open {
            return Pick::Take(revision);
        }
        let base = rollout.map_or(candidate.replaced, |rollout| rollout.base);
        match base {
            Some(base) => revision = base,
            None => return Pick::Nothing,
        }
    }
    Pick::Unknown
}
