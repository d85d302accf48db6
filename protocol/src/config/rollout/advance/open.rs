//! Opening more devices, in the order of their places, as far as a wave reaches and rooms have some to
//! spare.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::Name;
use crate::config::rollout::advance::DeviceFacts;
use crate::config::rollout::{RolloutDocument, named, place};

/// Ready devices that nothing is done to, by label and value. One that has reported is among them
/// again.
struct Available<'a> {
    document: &'a RolloutDocument,
    ready: BTreeMap<(&'a Name, &'a Name), u32>,
}

impl<'a> Available<'a> {
    fn of(document: &'a RolloutDocument, devices: &'a [DeviceFacts]) -> Self {
        let ready = BTreeMap::new();
        let mut available = Self { document, ready };
        let untouched = |device: &&DeviceFacts| {
            device.ready && (device.outcome.is_some() || !device.is_open(document))
        };
        for device in devices.iter().filter(untouched) {
            for value in values(document, device) {
                *available.ready.entry(value).or_default() += 1;
            }
        }
        available
    }

    /// Whether enough stay for every value of the device's when it is touched. One that is not ready
    /// takes none of them away; still enough others have to be known, because it may be at work where
    /// it is not heard, and so may all of its room.
    fn can_spare(&self, device: &DeviceFacts) -> bool {
        let takes = takes(device);
        values(self.document, device).all(|value| {
            let ready = self.ready.get(&value).copied().unwrap_or(0);
            let least = self.document.spec.min_available[value.0];
            ready >= least.saturating_add(takes)
        })
    }

    fn touch(&mut self, device: &'a DeviceFacts) {
        for value in values(self.document, device) {
            if let Some(ready) = self.ready.get_mut(&value) {
                *ready = ready.saturating_sub(takes(device));
            }
        }
    }
}

/// How many of the available a device takes away when it is open.
fn takes(device: &DeviceFacts) -> u32 {
    u32::from(device.ready && device.outcome.is_none())
}

/// The device's values of the labels that must keep some available.
fn values<'a>(
    document: &'a RolloutDocument,
    device: &'a DeviceFacts,
) -> impl Iterator<Item = (&'a Name, &'a Name)> {
    named(&document.spec, &device.labels)
}

/// Raises thresholds as far as they may be; whether any was.
pub(super) fn open_more(next: &mut RolloutDocument, devices: &[DeviceFacts]) -> bool {
    let document = next.clone();
    let heard = devices.iter().filter(|device| device.is_heard(&document));
    let reach = document.reach(heard.clone().count());
    let mut open = heard.filter(|device| device.is_open(&document)).count();
    let mut available = Available::of(&document, devices);
    // A threshold opens everybody below it, so behind one who has to wait all of its room wait.
    let mut full: BTreeSet<String> = BTreeSet::new();

    let closed = devices.iter().filter(|device| !device.is_open(&document));
    let mut closed: Vec<(u64, &DeviceFacts)> = closed
        .map(|device| (place(&document.of, &device.node), device))
        .collect();
    closed.sort_unstable_by_key(|(place, device)| (*place, device.node));
    for (place, device) in closed {
        // The last wave goes on to those behind the last one that was heard.
        if open >= reach && (device.is_heard(&document) || !document.is_last_wave()) {
            break;
        }
        let room = device.room(&document);
        if full.contains(&room) {
            continue;
        }
        if !available.can_spare(device) {
            full.insert(room);
            continue;
        }
        available.touch(device);
        open += usize::from(device.is_heard(&document));
        next.opened.0.insert(room, place + 1);
    }
    next.opened != document.opened
}

/// Devices that are closed because others of their room are not available.
pub(super) fn held<'a>(
    document: &'a RolloutDocument,
    devices: &'a [DeviceFacts],
) -> impl Iterator<Item = &'a DeviceFacts> {
    let available = Available::of(document, devices);
    let closed = devices.iter().filter(|device| !device.is_open(document));
    closed.filter(move |device| !available.can_spare(device))
}
