//! What is checked on a device while it adopts: what it writes is for it, what it reports was done.

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::config::adoption::{Hook, Task};
use regatta_protocol::config::outcome::{Outcome, Verdict};
use regatta_protocol::trust::certificate::Capability;

use crate::config::labels_of;
use crate::network::NodeIndex;
use crate::world::World;

impl World {
    /// A device wrote the files of an attempt: each revision is one that it may have.
    pub(super) fn written(&mut self, index: NodeIndex, task: Task) {
        let device = &self.nodes[index as usize].disk.config.device;
        let staged = device.staged(task.attempt);
        let written: Vec<RevisionId> = staged.map(|(_, revision)| *revision).collect();
        let now = self.now;
        for id in written {
            let first = self.invariants.config_mut().wrote.entry((id, index));
            first.or_insert(now);
            if let Some(what) = self.unduly(index, &id) {
                self.invariants.broken(now, index, what);
            }
        }
    }

    /// Why a revision is none for a device, by what the entry, certificates and the words on its rollout
    /// say alone.
    fn unduly(&self, index: NodeIndex, id: &RevisionId) -> Option<String> {
        let node = &self.nodes[index as usize];
        let (replica, papers) = (node.replica.as_ref()?, node.place.papers.as_ref()?);
        let labels = labels_of(papers);
        let holdings = replica.holdings();
        let Some(held) = holdings.catalog().revision(id) else {
            return Some(format!("I3: wrote {id:?}, which is in no ledger"));
        };
        let author = holdings.record().managers().get(&held.signer);
        let mut grants = author.into_iter().flat_map(|author| &author.grants);
        let may = grants.any(|grant| {
            grant.capability == Capability::ConfigWrite && grant.selector.matches(&labels)
        });
        let watch = self.invariants.config();
        if !may {
            Some(format!("I3: wrote {id:?}, whose author may not"))
        } else if held.revision.deletes || !held.revision.select.matches(&labels) {
            Some(format!(
                "I3: wrote {id:?}, which does not select the device"
            ))
        } else if held.revision.staged && !watch.was_opened(id, &node.identity.node, &labels) {
            Some(format!(
                "I3: wrote {id:?}, which was not open for the device"
            ))
        } else {
            None
        }
    }

    /// A device reports: of what it says to hold every hook ran.
    pub(super) fn reported_rightly(&mut self, index: NodeIndex, outcome: &Outcome) {
        for (name, document) in &outcome.documents {
            let seen = &mut self.invariants.config_mut().seen;
            match document.verdict {
                Verdict::Applied | Verdict::Removed => seen.applied += 1,
                Verdict::TakenBack | Verdict::Refused | Verdict::Stuck | Verdict::Apart => {
                    seen.failed += 1;
                }
            }
            let (Verdict::Applied, Some(revision)) = (document.verdict, document.revision) else {
                continue;
            };
            let Some(words) = self.words(index, &revision) else {
                let what = format!("I1: {name} is said to hold, and nobody can read it");
                self.invariants.broken(self.now, index, what);
                continue;
            };
            let count = u16::try_from(words.hooks.on_change.len()).unwrap_or(u16::MAX);
            let mut hooks = (0..count).map(|number| Hook {
                document: name.clone(),
                revision,
                index: number,
            });
            let watch = self.invariants.config();
            if let Some(hook) = hooks.find(|hook| !watch.has_run(index, outcome.attempt, hook)) {
                let what = format!("I1: {name} is said to hold, and {hook:?} did not run");
                self.invariants.broken(self.now, index, what);
            }
        }
    }
}
