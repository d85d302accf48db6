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
    documents: BTreeMap<Name, Standing>,
    /// Files that were changed by hand, and where the report says so.
    drifted: (Place, Vec<Drifted>),
    /// Where the last word on each document stands, and the last that says what holds.
    places: BTreeMap<Name, (Place, Place)>,
    /// The first number that is known of each generation of the report.
    begins: BTreeMap<u32, u64>,
}

/// Where a word stands in a reader's copy of a report: the generation, and the entry's number.
type Place = (u32, u64);

/// What is known of all of them.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    devices: BTreeMap<NodeId, Device>,
}

impl Reports {
    /// Takes an entry of a device's report as it stands in a reader's copy, in this generation of it; what is
    /// no word on configuration is passed over. Entries may come in any order: a reader that lost its disk
    /// reads what is new from the device, and what is old from another manager after that. Where a device
    /// went back to an older disk its report goes on from there, and what it had said after that is said no
    /// more.
    pub fn take(&mut self, generation: u32, entry: &Entry) {
        let content = match entry.header.body {
            Some(_) => entry.parcel.body.as_ref(),
            None => Some(&entry.header.payload),
        };
        let device = self.devices.entry(entry.header.ledger.author).or_default();
        let place = (generation, entry.header.number);
        if !device.stands(place) {
            return;
        }
        match content.map(|content| codec::decode::<Record>(content)) {
            Some(Ok(Record::Config(outcome))) => {
                device.take(place, &outcome, entry.header.stamp.wall);
            }
            Some(Ok(Record::Drift(drifted))) if place >= device.drifted.0 => {
                device.drifted = (place, drifted);
            }
            Some(Ok(Record::Drift(_))) => {}
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
        devices
            .flat_map(|(node, device)| device.drifted.1.iter().map(move |drifted| (node, drifted)))
    }
}

impl Device {
    /// Notes that there is a word at this place, and whether it is one that the report still has.
    fn stands(&mut self, (generation, number): Place) -> bool {
        let begins = self.begins.entry(generation).or_insert(number);
        *begins = number.min(*begins);
        let begins = *begins;
        let gone = |place: &Place| place.0 < generation && place.1 >= begins;
        let (documents, places) = (&mut self.documents, &mut self.places);
        places.retain(|name, (last, holds)| {
            let stays = !gone(last);
            if !stays {
                documents.remove(name);
            } else if gone(holds)
                && let Some(standing) = documents.get_mut(name)
            {
                standing.holds = None;
            }
            stays
        });
        let mut later = self.begins.range(generation.saturating_add(1)..);
        !later.any(|(_, begins)| *begins <= number)
    }

    fn take(&mut self, place: Place, outcome: &Outcome, at: Millis) {
        for (name, last) in &outcome.documents {
            let before = self.documents.get(name);
            let known = self.places.get(name).copied();
            let holds = match last.verdict {
                Verdict::Applied => Some(last.revision.map(|revision| (revision, last.version))),
                Verdict::Removed => Some(None),
                Verdict::TakenBack | Verdict::Refused | Verdict::Stuck | Verdict::Apart => None,
            };
            let holds = holds.filter(|_| known.is_none_or(|(_, held)| place >= held));
            let newest = known.is_none_or(|(last, _)| place >= last);
            let mut standing = match before.filter(|_| !newest) {
                Some(before) => before.clone(),
                None => Standing {
                    last: last.clone(),
                    fault: fault(&outcome.fault, &outcome.stuck, last.verdict),
                    at,
                    holds: before.and_then(|before| before.holds),
                },
            };
            let never = (0, 0);
            let (before_last, before_holds) = known.unwrap_or((never, never));
            let places = (
                before_last.max(place),
                holds.map_or(before_holds, |_| place),
            );
            if let Some(holds) = holds {
                standing.holds = holds;
            }
            self.documents.insert(name.clone(), standing);
            self.places.insert(name.clone(), places);
        }
    }
}

/// Why a document ended so.
fn fault(fault: &Option<Fault>, stuck: &Option<Fault>, verdict: Verdict) -> Option<Fault> {
    match verdict {
        Verdict::Applied | Verdict::Removed => None,
        Verdict::TakenBack | Verdict::Refused | Verdict::Apart => fault.clone(),
        Verdict::Stuck => stuck.clone().or_else(|| fault.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Device, Place};
    use crate::catalog::RevisionId;
    use crate::codec::Name;
    use crate::config::outcome::{DocumentOutcome, Outcome, Verdict};
    use crate::ident::Serial;
    use crate::machine::Millis;

    fn nav() -> Name {
        Name::new("nav").expect("a name")
    }

    fn says(device: &mut Device, place: Place, number: u8, verdict: Verdict) {
        let revision = RevisionId {
            entry: Serial([number; 16]),
            place: 0,
        };
        let document = DocumentOutcome {
            revision: (verdict != Verdict::Removed).then_some(revision),
            version: number.into(),
            verdict,
            again: false,
        };
        let outcome = Outcome {
            number: number.into(),
            attempt: number.into(),
            documents: BTreeMap::from([(nav(), document)]),
            fault: None,
            stuck: None,
        };
        if device.stands(place) {
            device.take(place, &outcome, Millis(0));
        }
    }

    fn holds(device: &Device) -> Option<u32> {
        let (_, version) = device.documents.get(&nav())?.holds?;
        Some(version)
    }

    #[test]
    fn what_was_said_before_and_is_read_later_changes_nothing() {
        let mut device = Device::default();
        says(&mut device, (0, 5), 3, Verdict::Refused);
        says(&mut device, (0, 4), 2, Verdict::Applied);
        says(&mut device, (0, 2), 1, Verdict::Removed);
        assert_eq!(holds(&device), Some(2));
        assert_eq!(device.documents[&nav()].last.verdict, Verdict::Refused);
    }

    #[test]
    fn what_a_device_said_after_the_image_that_it_went_back_to_is_said_no_more() {
        for late in [false, true] {
            let mut device = Device::default();
            says(&mut device, (0, 4), 2, Verdict::Applied);
            if !late {
                says(&mut device, (0, 9), 5, Verdict::Removed);
            }
            says(&mut device, (1, 7), 3, Verdict::Refused);
            if late {
                says(&mut device, (0, 9), 5, Verdict::Removed);
                assert_eq!(holds(&device), Some(2));
            }
            assert_eq!(device.documents[&nav()].last.verdict, Verdict::Refused);
        }
    }
}
