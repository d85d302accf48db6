//! What devices reported of their configuration, the latest of each document.

use std::collections::BTreeMap;

use crate::catalog::RevisionId;
use crate::codec::{self, Name};
use crate::config::outcome::{DocumentOutcome, Fault, Outcome, Verdict};
use crate::config::rollout::Found;
use crate::ident::NodeId;
use crate::ledger::entry::Entry;
use crate::machine::Millis;
use crate::report::{Drifted, Record};

/// How it stands with one document on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last word on it.
    pub last: DocumentOutcome,
    /// Why, where it did not go well.
    pub fault: Option<Fault>,
    /// When it was written, by the device's clock.
    pub at: Millis,
    /// What holds there, with its version; none where nothing of it does.
    pub holds: Option<(RevisionId, u32)>,
}

impl Standing {
    /// What this says of a revision that goes out in waves.
    #[must_use]
    pub fn found(&self, of: &RevisionId) -> Option<Found> {
        let of_this = self.last.revision == Some(*of);
        let failed = [Verdict::TakenBack, Verdict::Refused, Verdict::Stuck];
        if of_this && failed.contains(&self.last.verdict) {
            return Some(Found::Failed);
        }
        let holds = self.holds.map(|(revision, _)| revision);
        (holds == Some(*of)).then_some(Found::Applied)
    }
}

/// What is known of one device.
#[derive(Clone, Debug, Default)]
struct Device {
    /// The number of the last outcome: a report may be repeated, and says so by its number.
    last: u64,
    documents: BTreeMap<Name, Standing>,
    drifted: Vec<Drifted>,
}

/// What is known of all of them.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    devices: BTreeMap<NodeId, Device>,
}

impl Reports {
    /// Takes an entry of a device's report; what is no word on configuration is passed over.
    pub fn take(&mut self, entry: &Entry) {
        let content = match entry.header.body {
            Some(_) => entry.parcel.body.as_ref(),
            None => Some(&entry.header.payload),
        };
        let record = content.map(|content| codec::decode::<Record>(content));
        let device = self.devices.entry(entry.header.ledger.author).or_default();
        match record {
            Some(Ok(Record::Config(outcome))) => device.take(outcome, entry.header.stamp.wall),
            Some(Ok(Record::Drift(drifted))) => device.drifted = drifted,
            Some(Err(_)) | None => {}
        }
    }

    /// How it stands with a document on a device; none where it never said a word on it.
    #[must_use]
    pub fn standing(&self, device: &NodeId, document: &Name) -> Option<&Standing> {
        self.devices.get(device)?.documents.get(document)
    }

    /// Every word on a device's documents.
    pub fn of_device(&self, device: &NodeId) -> impl Iterator<Item = (&Name, &Standing)> {
        let device = self.devices.get(device);
        device.into_iter().flat_map(|device| &device.documents)
    }

    /// Files that somebody changed by hand, by device.
    pub fn drifted(&self) -> impl Iterator<Item = (&NodeId, &Drifted)> {
        let devices = self.devices.iter();
        devices.flat_map(|(node, device)| device.drifted.iter().map(move |drifted| (node, drifted)))
    }
}

impl Device {
    fn take(&mut self, outcome: Outcome, at: Millis) {
        if outcome.number <= self.last {
            // Told twice; or of a device that began anew, whose numbers begin anew with it.
            if outcome.number > 1 || self.last == outcome.number {
                return;
            }
            self.documents.clear();
        }
        self.last = outcome.number;
        for (name, last) in outcome.documents {
            let before = self.documents.get(&name).and_then(|it| it.holds);
            let holds = match last.verdict {
                Verdict::Applied => last.revision.map(|revision| (revision, last.version)),
                Verdict::Removed => None,
                Verdict::TakenBack | Verdict::Refused | Verdict::Stuck | Verdict::Apart => before,
            };
            let fault = match last.verdict {
                Verdict::Applied | Verdict::Removed => None,
                Verdict::TakenBack | Verdict::Refused | Verdict::Apart => outcome.fault.clone(),
                Verdict::Stuck => outcome.stuck.clone().or_else(|| outcome.fault.clone()),
            };
            let standing = Standing {
                last,
                fault,
                at,
                holds,
            };
            self.documents.insert(name, standing);
        }
    }
}
