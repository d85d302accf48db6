//! The next step of a rollout, from its document and what is known of the devices.

mod open;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::open::open_more;
use crate::config::rollout::{RolloutDocument, RolloutState};
use crate::ident::NodeId;
use crate::machine::Millis;
use crate::selector::{LABEL_NAME, Labels};

/// Devices that a pause names.
const NAMED_MAX: usize = 5;

/// What a device told of the revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It holds there.
    Applied,
    /// It was refused, or taken back.
    Failed,
}

/// What is known of a device that the document selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Which device.
    pub node: NodeId,
    /// Its labels.
    pub labels: Labels,
    /// Whether it is there and well now.
    pub ready: bool,
    /// When it was heard last, in reference time.
    pub heard: Option<Millis>,
    /// What it told of the rollout's revision, where it did.
    pub outcome: Option<Found>,
}

/// What follows for a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// What is to be written, if something.
    pub next: Option<RolloutDocument>,
    /// When to look again, in reference time, if nothing else happens.
    pub wake_at: Option<Millis>,
    /// How it stands, after `next`.
    pub summary: Summary,
}

/// A rollout in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Devices that the document selects.
    pub selected: u32,
    /// Those that were heard during the wave.
    pub heard: u32,
    /// Those of the heard that the wave is to reach.
    pub reach: u32,
    /// Heard devices that are open.
    pub open: u32,
    /// Heard devices that hold the revision.
    pub applied: u32,
    /// Heard devices that refused it or took it back.
    pub failed: u32,
    /// Open and heard devices that have not reported.
    pub touched: u32,
    /// Closed devices, heard or not, whose room has nobody to spare now, by room.
    pub held: BTreeMap<String, u32>,
    /// Devices that are open and were not heard: they follow when they come.
    pub following: u32,
}

/// How a wave stands.
enum Wave {
    /// Some have not reported, or more of it can open later.
    Goes,
    /// More failed than may.
    Failed,
    /// All that can be open have reported, and enough are well.
    Well,
}

/// What follows from a rollout's document and from what is known of every selected device at
/// `now_reference`. Nothing but these counts, so whoever knows the same computes the same.
///
/// Whoever asks should have listened for a while: a wave is of the devices heard, and a manager that
/// has just started has heard nobody.
#[must_use]
pub fn advance(
    document: &RolloutDocument,
    devices: &[DeviceFacts],
    now_reference: Millis,
) -> Advance {
    let mut next = document.clone();
    let mut wake_at = None;
    if document.state == RolloutState::Running {
        step(&mut next, devices, now_reference, &mut wake_at);
        if !next.has_room() {
            next = RolloutDocument {
                state: paused("its labels have more values than a rollout can hold".to_owned()),
                ..document.clone()
            };
            wake_at = None;
        }
    }
    Advance {
        summary: summary(&next, devices),
        next: (next != *document).then_some(next),
        wake_at,
    }
}

fn step(
    next: &mut RolloutDocument,
    devices: &[DeviceFacts],
    now: Millis,
    wake_at: &mut Option<Millis>,
) {
    let before = summary(next, devices);
    if too_many(next, before.failed, before.reach.max(before.open)) {
        next.state = paused(reason(next, devices, &before));
        return;
    }
    if open_more(next, devices) {
        next.well_since = None;
        return;
    }
    match judge(next, &before) {
        Wave::Goes => (),
        Wave::Failed => next.state = paused(reason(next, devices, &before)),
        // Complete opens everybody, so nobody may be left who has to wait, heard or not.
        Wave::Well if next.is_last_wave() => {
            if devices.iter().all(|device| device.is_open(next)) {
                next.state = RolloutState::Complete;
            }
        }
        Wave::Well => {
            let well_since = *next.well_since.get_or_insert(now);
            let opens = well_since.plus(next.spec.pause_ms);
            if now < opens {
                *wake_at = Some(opens);
                return;
            }
            next.wave += 1;
            next.since = now;
            next.well_since = None;
            open_more(next, devices);
        }
    }
}

/// Whether so many failures are more than a wave of so many devices may have.
fn too_many(document: &RolloutDocument, failed: u32, of: u32) -> bool {
    let failed = u64::from(failed.saturating_sub(document.forgiven));
    let may = 100_u64.saturating_sub(u64::from(document.spec.success_percent));
    failed * 100 > may * u64::from(of)
}

fn judge(document: &RolloutDocument, wave: &Summary) -> Wave {
    if wave.open == 0 || wave.touched > 0 {
        return Wave::Goes;
    }
    if too_many(document, wave.failed, wave.open) {
        return Wave::Failed;
    }
    Wave::Well
}

fn paused(why: String) -> RolloutState {
    RolloutState::Paused { why, by: None }
}

/// Who failed, and how many may.
fn reason(document: &RolloutDocument, devices: &[DeviceFacts], wave: &Summary) -> String {
    let failed = devices
        .iter()
        .filter(|device| counts_as_failed(document, device));
    let names = failed.clone().take(NAMED_MAX).map(|device| {
        let own = device
            .labels
            .iter()
            .find(|(key, _)| key.as_str() == LABEL_NAME);
        own.map_or_else(|| device.node.to_string(), |(_, name)| name.to_string())
    });
    let mut names = names.collect::<Vec<_>>().join(", ");
    let more = failed.count().saturating_sub(NAMED_MAX);
    if more > 0 {
        names.push_str(&format!(" and {more} more"));
    }
    let (count, open) = (wave.failed, wave.open);
    let success = document.spec.success_percent;
    format!("{count} of {open} devices failed, {success} % have to succeed: {names}")
}

fn counts_as_failed(document: &RolloutDocument, device: &DeviceFacts) -> bool {
    device.is_open(document) && device.is_heard(document) && device.outcome == Some(Found::Failed)
}

fn summary(document: &RolloutDocument, devices: &[DeviceFacts]) -> Summary {
    let count = |of: &dyn Fn(&DeviceFacts) -> bool| {
        let count = devices.iter().filter(|device| of(device)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let open = |device: &DeviceFacts| device.is_open(document);
    let heard = |device: &DeviceFacts| device.is_heard(document);
    let all_heard = count(&heard);
    let reach = document.reach(usize::try_from(all_heard).unwrap_or(usize::MAX));
    let mut held = BTreeMap::new();
    for device in open::held(document, devices) {
        *held.entry(device.room(document)).or_default() += 1;
    }
    Summary {
        selected: u32::try_from(devices.len()).unwrap_or(u32::MAX),
        heard: all_heard,
        reach: u32::try_from(reach).unwrap_or(u32::MAX),
        open: count(&|device| open(device) && heard(device)),
        applied: count(&|device| heard(device) && device.outcome == Some(Found::Applied)),
        failed: count(&|device| counts_as_failed(document, device)),
        touched: count(&|device| open(device) && heard(device) && device.outcome.is_none()),
        held,
        following: count(&|device| open(device) && !heard(device)),
    }
}

impl DeviceFacts {
    fn is_heard(&self, document: &RolloutDocument) -> bool {
        self.ready || self.heard.is_some_and(|heard| heard >= document.since)
    }

    fn is_open(&self, document: &RolloutDocument) -> bool {
        document.is_open(&self.node, &self.labels)
    }

    fn room(&self, document: &RolloutDocument) -> String {
        super::room(&document.spec, &self.labels)
    }
}
