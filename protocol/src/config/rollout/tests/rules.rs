//! One rule after the other.

use crate::catalog::RevisionId;
use crate::codec::{self, Name, Wire};
use crate::config::document::{RolloutSpec, Wave};
use crate::config::rollout::{
    Advance, DeviceFacts, Found, RolloutDocument, RolloutState, advance, effective, place,
};
use crate::ident::{Hash, NodeId, Serial};
use crate::machine::Millis;
use crate::selector::Labels;

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn revision(number: u8) -> RevisionId {
    RevisionId {
        entry: Serial([number; 16]),
        place: 0,
    }
}

pub fn spec(waves: &[Wave], min_available: &[(&str, u32)]) -> RolloutSpec {
    let pairs = min_available.iter();
    RolloutSpec {
        waves: waves.to_vec(),
        success_percent: 90,
        pause_ms: 1_000,
        min_available: pairs.map(|(key, least)| (name(key), *least)).collect(),
    }
}

pub fn rollout(waves: &[Wave], min_available: &[(&str, u32)]) -> RolloutDocument {
    let spec = spec(waves, min_available);
    RolloutDocument::start(revision(2), Some(revision(1)), spec, Millis(10_000))
}

/// Ready devices without a word; `sites` of them take turns.
fn devices(count: u8, sites: u8) -> Vec<DeviceFacts> {
    let device = |index: u8| {
        let mut labels = Labels::none();
        if sites > 0 {
            let site = name(&format!("s{}", index % sites));
            labels.insert(name("site"), site).expect("one label");
        }
        DeviceFacts {
            node: NodeId([index + 1; 16]),
            labels,
            ready: true,
            heard: None,
            outcome: None,
        }
    };
    (0..count).map(device).collect()
}

fn open(document: &RolloutDocument, devices: &[DeviceFacts]) -> Vec<usize> {
    let open = |index: &usize| {
        let device = &devices[*index];
        document.is_open(&device.node, &device.labels)
    };
    (0..devices.len()).filter(open).collect()
}

fn next(document: &RolloutDocument, devices: &[DeviceFacts], now: u64) -> RolloutDocument {
    let Advance { next, .. } = advance(document, devices, Millis(now));
    next.unwrap_or_else(|| panic!("nothing follows from {document:?}"))
}

/// All that are open report.
fn report(document: &RolloutDocument, devices: &mut [DeviceFacts], found: Found) {
    for index in open(document, devices) {
        devices[index].outcome.get_or_insert(found);
    }
}

#[test]
fn a_rollout_keeps_its_bytes() {
    let mut document = rollout(&[Wave::Count(1), Wave::Percent(10)], &[("site", 2)]);
    document.well_since = Some(Millis(11_000));
    document.forgiven = 3;
    document
        .opened
        .0
        .insert("site=s0".to_owned(), 0x0102_0304_0506_0708);
    let document = document.paused("alice", "looks odd").expect("it runs");
    let bytes = codec::encode(&document);
    assert_eq!(
        codec::decode::<RolloutDocument>(&bytes).as_ref(),
        Ok(&document)
    );
    let hash = Hash::of(&bytes).to_string();
    assert_eq!((bytes.len(), &hash[..16]), (181, "97b23ee5bcd79675"));
}

#[test]
fn a_place_stays_where_it_is() {
    // Devices and managers of all builds have to agree on it.
    let places = [1, 2].map(|node| place(&revision(2), &NodeId([node; 16])));
    assert_eq!(
        places,
        [7_365_159_487_429_416_506, 10_349_043_007_716_681_651]
    );
    assert_ne!(place(&revision(3), &NodeId([1; 16])), places[0]);
}

#[test]
fn waves_open_one_after_the_other() {
    let waves = [Wave::Count(1), Wave::Percent(50), Wave::Percent(100)];
    let mut devices = devices(10, 0);
    let first = next(&rollout(&waves, &[]), &devices, 10_000);
    assert_eq!(open(&first, &devices).len(), 1);
    assert_eq!(
        advance(&first, &devices, Millis(99_000)).next,
        None,
        "it has not reported"
    );

    report(&first, &mut devices, Found::Applied);
    let well = next(&first, &devices, 12_000);
    assert_eq!(well.well_since, Some(Millis(12_000)));
    let waiting = advance(&well, &devices, Millis(12_999));
    assert_eq!(
        (waiting.next, waiting.wake_at),
        (None, Some(Millis(13_000)))
    );

    let second = next(&well, &devices, 13_000);
    assert_eq!((second.wave, second.since), (1, Millis(13_000)));
    assert_eq!(open(&second, &devices).len(), 5);
    report(&second, &mut devices, Found::Applied);
    let third = next(&next(&second, &devices, 14_000), &devices, 15_000);
    assert_eq!(open(&third, &devices).len(), 10);
    report(&third, &mut devices, Found::Applied);
    let complete = next(&third, &devices, 16_000);
    assert_eq!(complete.state, RolloutState::Complete);
    assert_eq!(advance(&complete, &devices, Millis(17_000)).next, None);
    assert!(
        complete.is_open(&NodeId([99; 16]), &Labels::none()),
        "one that comes later"
    );
}

#[test]
fn the_last_wave_reaches_everybody_whatever_was_written() {
    let mut devices = devices(10, 0);
    let mut document = next(&rollout(&[Wave::Count(2)], &[]), &devices, 10_000);
    assert_eq!((document.waves(), open(&document, &devices).len()), (2, 2));
    report(&document, &mut devices, Found::Applied);
    document = next(&document, &devices, 11_000);
    document = next(&document, &devices, 12_000);
    assert_eq!(open(&document, &devices).len(), 10);
}

#[test]
fn a_wave_of_nobody_heard_is_not_well() {
    let mut devices = devices(4, 0);
    for device in &mut devices {
        device.ready = false;
    }
    let mut document = rollout(&[Wave::Percent(100)], &[]);
    for now in 0..5 {
        let after = advance(&document, &devices, Millis(20_000 + now * 10_000));
        document = after.next.unwrap_or(document);
    }
    assert_eq!(document.state, RolloutState::Running);
}

#[test]
fn percentages_are_of_the_heard_and_the_others_are_open_too() {
    let mut devices = devices(20, 0);
    for device in devices.iter_mut().skip(10) {
        device.ready = false;
        device.heard = Some(Millis(9_999));
    }
    // One was heard in the wave, though it is not there now.
    devices[10].heard = Some(Millis(10_000));
    let document = next(&rollout(&[Wave::Percent(50)], &[]), &devices, 10_000);
    let heard = open(&document, &devices)
        .into_iter()
        .filter(|index| *index <= 10);
    assert_eq!(heard.count(), 5, "half of eleven");
    let summary = advance(&document, &devices, Millis(10_001)).summary;
    assert_eq!((summary.heard, summary.open, summary.touched), (11, 5, 5));
    assert_eq!(
        summary.following as usize,
        open(&document, &devices).len() - 5
    );
    assert!(
        summary.following > 0,
        "this revision's order has some before the fifth"
    );
}

#[test]
fn too_many_failures_pause_it_and_say_who() {
    let mut devices = devices(20, 0);
    devices[7].labels = devices[7].labels.with_name(&name("amr-07"));
    let mut document = next(&rollout(&[Wave::Percent(100)], &[]), &devices, 10_000);
    devices[3].outcome = Some(Found::Failed);
    devices[5].outcome = Some(Found::Failed);
    assert_eq!(
        advance(&document, &devices, Millis(10_001)).next,
        None,
        "two of twenty may"
    );
    devices[7].outcome = Some(Found::Failed);
    document = next(&document, &devices, 10_002);
    let RolloutState::Paused { why, by: None } = &document.state else {
        panic!("{:?}", document.state);
    };
    assert_eq!(
        why.as_str(),
        format!(
            "3 of 20 devices failed, 90 % have to succeed: {}, {}, amr-07",
            devices[3].node, devices[5].node
        )
    );
    assert_eq!(
        open(&document, &devices).len(),
        20,
        "what is open stays open"
    );
    report(&document, &mut devices, Found::Applied);
    assert_eq!(advance(&document, &devices, Millis(10_003)).next, None);

    let resumed = document.resumed(3, Millis(11_000)).expect("it is not over");
    let complete = next(&resumed, &devices, 11_001);
    assert_eq!(
        complete.state,
        RolloutState::Complete,
        "those three were looked at"
    );
}

#[test]
fn a_site_keeps_enough_and_holds_up_no_other() {
    // Three in each site, of which two stay; but in the second only two are there.
    let mut devices = devices(6, 2);
    devices[5].ready = false;
    let mut document = next(
        &rollout(&[Wave::Percent(100)], &[("site", 2)]),
        &devices,
        10_000,
    );
    let mut seen = Vec::new();
    for now in 0..10 {
        let touched: Vec<usize> = open(&document, &devices)
            .into_iter()
            .filter(|index| devices[*index].ready && devices[*index].outcome.is_none())
            .collect();
        assert!(touched.len() <= 1, "{touched:?}");
        assert!(touched.iter().all(|index| index % 2 == 0), "{touched:?}");
        seen.extend(touched);
        report(&document, &mut devices, Found::Applied);
        let after = advance(&document, &devices, Millis(20_000 + now * 10_000));
        document = after.next.unwrap_or(document);
    }
    seen.sort_unstable();
    assert_eq!(
        (seen, &document.state),
        (vec![0, 2, 4], &RolloutState::Running)
    );
    let held = advance(&document, &devices, Millis(200_000)).summary.held;
    assert!(held.contains_key("site=s1") && held.len() == 1, "{held:?}");

    devices[5].ready = true;
    devices[5].outcome = None;
    for now in 0..10 {
        let after = advance(&document, &devices, Millis(300_000 + now * 10_000));
        document = after.next.unwrap_or(document);
        report(&document, &mut devices, Found::Applied);
    }
    assert_eq!(document.state, RolloutState::Complete);
}

#[test]
fn a_site_that_nobody_hears_stays_closed_where_some_must_stay_available() {
    let mut devices = devices(6, 2);
    for device in devices
        .iter_mut()
        .filter(|device| device.node.0[0] % 2 == 0)
    {
        device.ready = false;
    }
    let mut document = rollout(&[Wave::Percent(100)], &[("site", 1)]);
    for now in 0..10 {
        let after = advance(&document, &devices, Millis(20_000 + now * 10_000));
        document = after.next.unwrap_or(document);
        report(&document, &mut devices, Found::Applied);
    }
    assert_eq!(open(&document, &devices), [0, 2, 4]);
    assert_eq!(document.state, RolloutState::Running);
}

#[test]
fn what_is_aborted_is_open_to_nobody_and_stays_so() {
    let devices = devices(5, 0);
    let document = next(&rollout(&[Wave::Percent(100)], &[]), &devices, 10_000);
    let aborted = document.aborted("alice").expect("it runs");
    assert_eq!(open(&aborted, &devices), []);
    assert_eq!(aborted.resumed(0, Millis(1)), None);
    assert_eq!(advance(&aborted, &devices, Millis(11_000)).next, None);
}

#[test]
fn of_two_heads_the_one_that_stops_wins_and_what_either_opened_is_open() {
    let devices = devices(8, 2);
    let base = rollout(&[Wave::Percent(50), Wave::Percent(100)], &[("site", 1)]);
    let (mut one, mut other) = (base.clone(), base.clone());
    one.opened.0.insert("site=s0".to_owned(), u64::MAX);
    one.wave = 1;
    other.opened.0.insert("site=s1".to_owned(), u64::MAX);
    let running = effective(&[one.clone(), other.clone()]).expect("two heads");
    assert_eq!((running.wave, open(&running, &devices).len()), (0, 8));

    let complete = RolloutDocument {
        state: RolloutState::Complete,
        ..one.clone()
    };
    let paused = one.paused("alice", "later").expect("it runs");
    let aborted = other.aborted("bob").expect("it runs");
    for (heads, state) in [
        (
            vec![complete.clone(), other.clone()],
            &RolloutState::Running,
        ),
        (
            vec![complete.clone(), complete.clone()],
            &RolloutState::Complete,
        ),
        (vec![other.clone(), paused.clone()], &paused.state),
        (
            vec![complete, paused.clone(), aborted.clone()],
            &aborted.state,
        ),
    ] {
        let merged = effective(&heads).map(|merged| merged.state);
        assert_eq!(merged.as_ref(), Some(state));
    }
    let elsewhere = RolloutDocument {
        of: revision(9),
        ..aborted
    };
    assert_eq!(effective(&[other.clone(), elsewhere]), Some(other));
    assert_eq!(effective(&[]), None);
}

#[test]
fn labels_with_more_values_than_fit_pause_it() {
    let mut devices = Vec::new();
    for index in 0..600_u16 {
        let mut labels = Labels::none();
        let value = name(&format!("{index:064}"));
        labels.insert(name("site"), value).expect("one label");
        let mut node = NodeId([1; 16]);
        node.0[..2].copy_from_slice(&index.to_le_bytes());
        devices.push(DeviceFacts {
            node,
            labels,
            ready: true,
            heard: None,
            outcome: None,
        });
    }
    let document = next(
        &rollout(&[Wave::Percent(100)], &[("site", 0)]),
        &devices,
        10_000,
    );
    assert!(matches!(document.state, RolloutState::Paused { .. }));
    assert!(codec::encode(&document).len() < RolloutDocument::BYTES_MAX);
}

#[test]
fn a_rollout_whose_spec_has_no_room_opens_nobody_and_can_be_aborted() {
    let labels: Vec<String> = (0..2_000).map(|number| format!("label-{number}")).collect();
    let labels: Vec<(&str, u32)> = labels.iter().map(|label| (label.as_str(), 1)).collect();
    let spec = spec(&[Wave::Percent(100)], &labels);
    let begins = RolloutDocument::start(revision(2), None, spec, Millis(10_000));
    assert!(matches!(begins.state, RolloutState::Paused { .. }));
    assert!(codec::fits(&begins));
    assert!(!begins.is_open(&NodeId([1; 16]), &Labels::none()));
    let aborted = begins.aborted("alice").expect("it is not over");
    assert!(codec::fits(&aborted));
}

#[test]
fn a_wave_beyond_all_waves_is_the_last_one() {
    let spec = spec(&[Wave::Count(1), Wave::Percent(100)], &[]);
    let far = RolloutDocument {
        wave: u16::MAX,
        ..RolloutDocument::start(revision(2), None, spec, Millis(10_000))
    };
    let advanced = advance(&far, &[], Millis(20_000));
    assert!(advanced.next.is_none_or(|next| next.wave == u16::MAX));
}

#[test]
fn what_was_aborted_stays_so_however_full_it_is() {
    let spec = spec(&[Wave::Percent(100)], &[("site", 1)]);
    let mut full = RolloutDocument::start(revision(2), None, spec, Millis(10_000));
    let room = |number: u32| (format!("site={number:040}"), 1);
    while codec::encoded_len(&full) + 100 < RolloutDocument::BYTES_MAX {
        let rooms = u32::try_from(full.opened.0.len()).expect("few");
        full.opened.0.extend([room(rooms)]);
    }
    let full = RolloutDocument {
        state: RolloutState::Aborted {
            by: "alice".to_owned(),
        },
        ..full
    };
    assert_eq!(advance(&full, &[], Millis(20_000)).next, None);
}
