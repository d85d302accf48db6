//! What holds for configuration whatever happens: nothing is written on a device that is not for it,
//! nothing is skipped silently, and no rollout opens more than it may.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::Name;
use regatta_protocol::config::adoption::{Hook, Task};
use regatta_protocol::config::document::Wave;
use regatta_protocol::config::rollout::{DeviceFacts, RolloutDocument, RolloutState};
use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Labels;

use crate::network::NodeIndex;

/// Attempts of one device whose hooks are remembered.
const ATTEMPTS_KEPT: usize = 8;

/// What is known of configuration.
#[derive(Debug, Default)]
pub struct ConfigWatch {
    /// Every word that was ever written on a rollout.
    words: BTreeMap<RevisionId, Vec<RolloutDocument>>,
    /// Hooks that ran well, by device and attempt.
    ran: BTreeMap<NodeIndex, BTreeMap<u64, BTreeSet<Hook>>>,
    /// When each device first wrote each revision of a document.
    pub wrote: BTreeMap<(RevisionId, NodeIndex), Millis>,
    /// What the report counts.
    pub seen: ConfigSeen,
}

/// What the report counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigSeen {
    /// Documents that devices took.
    pub applied: u64,
    /// Documents that were refused or taken back.
    pub failed: u64,
    /// Words on rollouts.
    pub words: u64,
    /// Crashes in the midst of a piece of work.
    pub torn: u64,
}

impl ConfigWatch {
    /// A hook ran well.
    pub fn ran(&mut self, device: NodeIndex, task: Task, hook: &Hook) {
        let attempts = self.ran.entry(device).or_default();
        let hooks = attempts.entry(task.attempt).or_default();
        hooks.insert(hook.clone());
        if attempts.len() > ATTEMPTS_KEPT {
            attempts.pop_first();
        }
    }

    /// Whether a hook ran in an attempt.
    #[must_use]
    pub fn has_run(&self, device: NodeIndex, attempt: u64, hook: &Hook) -> bool {
        let attempts = self.ran.get(&device);
        let hooks = attempts.and_then(|attempts| attempts.get(&attempt));
        hooks.is_some_and(|hooks| hooks.contains(hook))
    }

    /// A device lost its disk, and counts its attempts anew.
    pub fn disk_lost(&mut self, device: NodeIndex) {
        self.ran.remove(&device);
    }

    /// Somebody writes a word on a rollout.
    pub fn said(&mut self, word: &RolloutDocument) {
        self.seen.words += 1;
        self.words.entry(word.of).or_default().push(word.clone());
    }

    /// How many words there are on a revision's rollout.
    #[must_use]
    pub fn words_on(&self, of: &RevisionId) -> usize {
        self.words.get(of).map_or(0, Vec::len)
    }

    /// Whether any word on a revision's rollout ever opened it for a device.
    #[must_use]
    pub fn was_opened(&self, of: &RevisionId, node: &NodeId, labels: &Labels) -> bool {
        let words = self.words.get(of);
        words.is_some_and(|words| words.iter().any(|word| word.is_open(node, labels)))
    }

    /// A manager goes on with a rollout: it opens no more than its wave reaches, and nobody whom its room
    /// cannot spare.
    pub fn word(
        &self,
        before: &RolloutDocument,
        next: &RolloutDocument,
        facts: &[DeviceFacts],
    ) -> Option<String> {
        too_far(before, next, facts).or_else(|| too_few_left(before, next, facts))
    }
}

fn is_open(word: &RolloutDocument, device: &DeviceFacts) -> bool {
    word.is_open(&device.node, &device.labels)
}

fn too_far(
    before: &RolloutDocument,
    next: &RolloutDocument,
    facts: &[DeviceFacts],
) -> Option<String> {
    let heard = |it: &&DeviceFacts| it.ready || it.heard.is_some_and(|at| at >= next.since);
    let heard: Vec<&DeviceFacts> = facts.iter().filter(heard).collect();
    let last = usize::from(next.wave) + 1 >= next.spec.waves.len();
    let reach = match next.spec.waves.get(usize::from(next.wave)) {
        _ if last || next.state == RolloutState::Complete => heard.len(),
        Some(Wave::Count(count)) => *count as usize,
        Some(Wave::Percent(percent)) => heard.len() * usize::from(*percent) / 100,
        None => heard.len(),
    };
    let open = |word: &RolloutDocument| heard.iter().filter(|it| is_open(word, it)).count();
    let (was, is) = (open(before), open(next));
    (is > was && is > reach.max(1)).then(|| {
        let (wave, heard) = (next.wave, heard.len());
        format!("I3: wave {wave} opens {is} of {heard} devices, {reach} at most")
    })
}

fn too_few_left(
    before: &RolloutDocument,
    next: &RolloutDocument,
    facts: &[DeviceFacts],
) -> Option<String> {
    for (label, least) in &next.spec.min_available {
        let values: BTreeSet<&Name> = facts
            .iter()
            .filter_map(|device| device.labels.get(label))
            .collect();
        for value in values {
            let left = |word: &RolloutDocument| {
                let untouched = facts.iter().filter(|device| {
                    device.labels.get(label) == Some(value)
                        && device.ready
                        && (device.outcome.is_some() || !is_open(word, device))
                });
                untouched.count()
            };
            let (was, is) = (left(before), left(next));
            if is < was && is < *least as usize {
                return Some(format!(
                    "I3: {is} devices of {label}={value} stay untouched, {least} at least"
                ));
            }
        }
    }
    None
}
