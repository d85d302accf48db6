//! Whole rollouts: devices that come, go, report and fail, and two managers who see different parts.

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::rules::{name, rollout};
use crate::config::document::Wave;
use crate::config::rollout::{
    Advance, DeviceFacts, Found, RolloutDocument, RolloutState, advance, effective,
};
use crate::ident::NodeId;
use crate::machine::Millis;
use crate::prng::Prng;
use crate::selector::Labels;

const LABELS: [&str; 2] = ["site", "zone"];

struct Fleet {
    devices: Vec<DeviceFacts>,
    prng: Prng,
    now: u64,
    fails_per_million: u32,
}

impl Fleet {
    fn new(seed: u64, count: u64, fails_per_million: u32) -> Self {
        let mut prng = Prng::from_number(seed);
        let devices = (0..count).map(|_| {
            let mut labels = Labels::none();
            for label in LABELS {
                if prng.chance(900_000) {
                    let value = name(&format!("v{}", prng.below(3)));
                    labels.insert(name(label), value).expect("two labels");
                }
            }
            DeviceFacts {
                node: NodeId(prng.bytes()),
                labels,
                ready: prng.chance(800_000),
                heard: None,
                outcome: None,
            }
        });
        Self {
            devices: devices.collect(),
            prng,
            now: 10_000,
            fails_per_million,
        }
    }

    /// What happens between two looks: some come, some go, some that are open report.
    fn live(&mut self, document: &RolloutDocument, calm: bool) {
        self.now += 1 + self.prng.below(700);
        for device in &mut self.devices {
            if self.prng.chance(50_000) && !calm {
                device.ready = !device.ready;
            }
            device.ready |= calm;
            if device.ready {
                device.heard = Some(Millis(self.now));
            }
            let open = document.is_open(&device.node, &device.labels);
            if device.ready && open && device.outcome.is_none() && self.prng.chance(400_000) {
                let failed = self.prng.chance(self.fails_per_million);
                device.outcome = Some(if failed {
                    Found::Failed
                } else {
                    Found::Applied
                });
            }
        }
    }

    /// What one manager knows: never more than there is, for it counts what it has not heard as gone.
    fn view(&mut self, share_per_million: u32) -> Vec<DeviceFacts> {
        let mut view = self.devices.clone();
        for device in &mut view {
            if !self.prng.chance(share_per_million) {
                device.ready = false;
                device.heard = None;
            }
            if !self.prng.chance(share_per_million) {
                device.outcome = None;
            }
        }
        view
    }

    /// Ready devices with this label's value that nothing is done to.
    fn available(&self, document: &RolloutDocument, label: &str, value: &str) -> usize {
        let available = self.devices.iter().filter(|device| {
            let open = document.is_open(&device.node, &device.labels);
            let has = device.labels.get(&name(label)) == Some(&name(value));
            has && device.ready && (!open || device.outcome.is_some())
        });
        available.count()
    }

    fn open(&self, document: &RolloutDocument) -> Vec<bool> {
        let devices = self.devices.iter();
        let open = devices.map(|device| document.is_open(&device.node, &device.labels));
        open.collect()
    }

    /// After a step no value may have fewer than its least, where the step took one away.
    fn step_was_right(&self, before: &RolloutDocument, after: &RolloutDocument) {
        for (label, least) in &before.spec.min_available {
            for value in ["v0", "v1", "v2"] {
                let (was, is) = (
                    self.available(before, label.as_str(), value),
                    self.available(after, label.as_str(), value),
                );
                let least = usize::try_from(*least).expect("small");
                assert!(
                    is >= was || is >= least,
                    "{label}={value}: {was}, then {is}"
                );
            }
        }
        let grown = self.open(before).into_iter().zip(self.open(after));
        assert!(
            grown.clone().all(|(was, is)| is || !was),
            "who is open stays open"
        );
    }
}

fn waves_of(first: u32, percent: u8) -> [Wave; 3] {
    [
        Wave::Count(first),
        Wave::Percent(percent),
        Wave::Percent(100),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_step_takes_more_than_may_be_missing(
        seed in any::<u64>(), count in 1_u64..60, first in 1_u32..5, percent in 1_u8..100,
        (site, zone) in (0_u32..4, 0_u32..4), fails in prop::sample::select(vec![0, 30_000, 300_000]),
    ) {
        let mut fleet = Fleet::new(seed, count, fails);
        let least = [("site", site), ("zone", zone)];
        let mut document = rollout(&waves_of(first, percent), &least);
        for _ in 0..120 {
            fleet.live(&document, false);
            let view = fleet.view(850_000);
            let Advance { next, .. } = advance(&document, &view, Millis(fleet.now));
            if let Some(next) = next {
                fleet.step_was_right(&document, &next);
                document = next;
            }
        }
    }

    #[test]
    fn a_wave_opens_no_more_than_it_reaches(
        seed in any::<u64>(), count in 1_u64..60, first in 1_u32..5, percent in 1_u8..100,
    ) {
        let mut fleet = Fleet::new(seed, count, 0);
        let mut document = rollout(&waves_of(first, percent), &[("site", 1)]);
        for _ in 0..60 {
            fleet.live(&document, false);
            let Advance { next, .. } = advance(&document, &fleet.devices, Millis(fleet.now));
            let Some(next) = next else { continue };
            let heard = |device: &&DeviceFacts| {
                device.ready || device.heard.is_some_and(|heard| heard >= next.since)
            };
            let heard: Vec<&DeviceFacts> = fleet.devices.iter().filter(heard).collect();
            let open = heard.iter().filter(|device| next.is_open(&device.node, &device.labels));
            let open = open.count();
            let grown = fleet.open(&document) != fleet.open(&next);
            let reach = match next.wave {
                0 => usize::try_from(first).expect("small"),
                1 => (heard.len() * usize::from(percent) / 100).max(1),
                _ => heard.len(),
            };
            prop_assert!(!grown || open <= reach, "{open} open, {reach} in wave {}", next.wave);
            document = next;
        }
    }

    #[test]
    fn it_completes_when_all_are_well(
        seed in any::<u64>(), count in 12_u64..60, first in 1_u32..5, percent in 1_u8..100,
    ) {
        let mut fleet = Fleet::new(seed, count, 0);
        let mut document = rollout(&waves_of(first, percent), &[]);
        for round in 0..400 {
            fleet.live(&document, round > 60);
            let share = if round > 60 { 1_000_000 } else { 800_000 };
            let view = fleet.view(share);
            let Advance { next, .. } = advance(&document, &view, Millis(fleet.now));
            document = next.unwrap_or(document);
        }
        prop_assert_eq!(&document.state, &RolloutState::Complete);
        let applied = |device: &DeviceFacts| device.outcome == Some(Found::Applied);
        prop_assert!(fleet.devices.iter().all(applied));
    }

    #[test]
    fn it_stops_when_too_many_fail(seed in any::<u64>(), count in 10_u64..60) {
        let mut fleet = Fleet::new(seed, count, 1_000_000);
        let mut document = rollout(&waves_of(2, 50), &[]);
        for _ in 0..100 {
            fleet.live(&document, true);
            let Advance { next, .. } = advance(&document, &fleet.devices, Millis(fleet.now));
            document = next.unwrap_or(document);
        }
        let why = matches!(document.state, RolloutState::Paused { by: None, .. });
        prop_assert!(why, "{:?}", document.state);
        let failed = fleet.devices.iter().filter(|device| device.outcome.is_some());
        prop_assert!(failed.count() <= 2, "the first wave is the last");
    }

    #[test]
    fn two_sides_put_together_open_who_either_opened_and_abort_opens_nobody(
        seed in any::<u64>(), count in 1_u64..60, apart in 1_usize..30, aborts in any::<bool>(),
    ) {
        let mut fleet = Fleet::new(seed, count, 0);
        let start = rollout(&waves_of(2, 40), &[("site", 1), ("zone", 1)]);
        let mut heads = [start.clone(), start];
        for round in 0..2 * apart {
            let side = round % 2;
            fleet.live(&heads[side], false);
            let view = fleet.view(600_000);
            let Advance { next, .. } = advance(&heads[side], &view, Millis(fleet.now));
            if let Some(next) = next {
                fleet.step_was_right(&heads[side], &next);
                heads[side] = next;
            }
        }
        let [one, other] = &heads;
        let either = fleet.open(one).into_iter().zip(fleet.open(other));
        let either: Vec<bool> = either.map(|(one, other)| one || other).collect();
        let merged = effective(&heads).expect("two heads");
        if merged.state != RolloutState::Complete && one.state != RolloutState::Complete
            && other.state != RolloutState::Complete {
            prop_assert_eq!(fleet.open(&merged), either);
        }
        let reversed = [other.clone(), one.clone()];
        prop_assert_eq!(effective(&reversed).map(|merged| merged.opened), Some(merged.opened));

        let aborted = one.aborted("alice");
        if let (true, Some(aborted)) = (aborts, aborted) {
            let merged = effective(&[other.clone(), aborted]).expect("two heads");
            prop_assert!(fleet.open(&merged).into_iter().all(|open| !open));
            prop_assert_eq!(advance(&merged, &fleet.devices, Millis(fleet.now)).next, None);
        }
    }
}
