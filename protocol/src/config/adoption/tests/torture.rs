//! Adoption under kills at every moment, faults at every step and wishes that change meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::device::{Device, Lie, bad_at, chosen, name, render};
use crate::codec::Name;
use crate::config::adoption::state::Group;
use crate::config::adoption::{Adoption, Choice, Effect, Event, Wanted};
use crate::config::outcome::Verdict;
use crate::ident::Hash;
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

const NAMES: [&str; 6] = ["base", "lidar", "nav", "net", "quiet", "wifi"];
/// Of a node that does nothing wrong any more, one attempt for each group and document at most.
const CALM_ROUNDS: usize = 20_000;

struct Node {
    device: Device,
    machine: Adoption,
    effects: VecDeque<Effect>,
    inbox: VecDeque<Event>,
    wanted: Wanted,
    now: Millis,
    versions: u16,
    kills: u64,
    agains: u64,
}

impl Node {
    fn start(seed: u64) -> Self {
        let mut node = Self {
            device: Device::new(Prng::from_number(seed)),
            machine: Adoption::restore(Default::default(), Millis(0), &mut Vec::new()),
            effects: VecDeque::new(),
            inbox: VecDeque::new(),
            wanted: Wanted::default(),
            now: Millis(1_000),
            versions: 0,
            kills: 0,
            agains: 0,
        };
        node.restart();
        node
    }

    /// What was not kept is gone, and so is whatever was on its way.
    fn restart(&mut self) {
        let mut out = Vec::new();
        self.device.restarted();
        self.machine = Adoption::restore(self.device.kept(), self.now, &mut out);
        self.effects = out.into();
        self.inbox = VecDeque::from([Event::Wanted(self.wanted.clone())]);
    }

    /// Some documents change, by one entry or by two.
    fn wish(&mut self) {
        let mut take: Choice = self.wanted.take.clone();
        let mut ended: BTreeMap<Name, Hash> = self.wanted.ended.clone();
        for _ in 0..=self.device.prng.below(2) {
            self.versions += 1;
            let entry = u8::try_from(self.versions % 251).expect("small");
            for _ in 0..=self.device.prng.below(2) {
                let index = usize::try_from(self.device.prng.below(6)).expect("small");
                let name = name(NAMES[index]);
                ended.remove(&name);
                match self.device.prng.below(5) {
                    0 => {
                        take.remove(&name);
                    }
                    1 => {
                        take.remove(&name);
                        ended.insert(name, Hash([entry; 32]));
                    }
                    _ => {
                        let version = u32::from(self.versions) * 3
                            + u32::try_from(self.device.prng.below(3)).expect("small");
                        take.insert(name, chosen(entry, version));
                    }
                }
            }
        }
        self.wanted = Wanted::new(take, ended).expect("few");
        self.inbox.push_back(Event::Wanted(self.wanted.clone()));
    }

    fn retry(&mut self) {
        let index = usize::try_from(self.device.prng.below(6)).expect("small");
        let one = self.device.prng.chance(500_000);
        let name = one.then(|| name(NAMES[index]));
        self.inbox.push_back(Event::Retry(name));
    }

    fn disturb(&mut self) {
        if self.device.prng.chance(12_000) {
            self.wish();
        }
        if self.device.prng.chance(4_000) {
            self.retry();
        }
        if self.device.prng.chance(5_000) {
            self.device.manager = !self.device.manager;
        }
        if self.device.prng.chance(20_000) {
            self.inbox.push_back(Event::ManagerHeard);
        }
    }

    /// One effect, one event or a leap in time; whether there was anything.
    fn turn(&mut self) -> bool {
        let effect_first = self.inbox.is_empty() || self.device.prng.chance(700_000);
        if let Some(effect) = self.effects.pop_front_if(|_| effect_first) {
            match self.device.perform(effect) {
                Ok(event) => self.inbox.extend(event),
                Err(_killed) => {
                    self.kills += 1;
                    self.restart();
                }
            }
            return true;
        }
        let wake_at = self.machine.wake_at();
        let event = match (self.inbox.pop_front(), wake_at) {
            (Some(event), _) => event,
            (None, Some(at)) => {
                self.now = self.now.max(at);
                Event::Wake
            }
            (None, None) => return false,
        };
        let late = self.device.prng.chance(50_000).then(|| event.clone());
        if let Some(Event::Done { .. } | Event::Staged { .. }) = late {
            self.inbox.extend(late);
        }
        self.now = self.now.plus(1);
        self.device.told_machine(&event);
        let mut out = Vec::new();
        let attempt = self.machine.state().attempt.as_ref();
        let asked = attempt.is_some_and(|attempt| attempt.retry);
        self.machine.handle(self.now, event, &mut out);
        self.device.heard_machine(&out, self.machine.state(), asked);
        self.effects.extend(out);
        true
    }

    fn settle(&mut self) {
        for _ in 0..CALM_ROUNDS {
            if !self.turn() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.machine.state().attempt);
    }

    fn calm(&mut self) {
        self.device.chances.kills_per_million = 0;
        self.device.chances.faults_per_million = 0;
        self.device.manager = true;
        self.inbox.push_back(Event::Wanted(self.wanted.clone()));
        self.settle();
        // What failed by chance is asked for again: first the way back, then the way there.
        for _ in 0..2 {
            self.inbox.push_back(Event::Retry(None));
            self.settle();
        }
    }

    fn check(&mut self) {
        let state = self.device.kept();
        assert_eq!(state, *self.machine.state(), "what it knows is kept");
        assert_eq!(state.attempt, None);
        assert_eq!(state.reports, Vec::new());
        assert_eq!(self.device.files, render(&state.good));
        self.device.programs_are_told(&state.good);

        // Groups with a bad one in them are refused, whole; all others hold.
        let names: BTreeSet<Name> = NAMES.map(name).into();
        let bad: BTreeSet<Group> = (self.wanted.take.iter())
            .filter(|(_, chosen)| bad_at(&chosen.revision).is_some())
            .map(|(name, _)| self.wanted.change(name).group(name))
            .collect();
        let words = self.device.last_words(|_| true);
        let holds = self
            .device
            .last_words(|verdict| matches!(verdict, Verdict::Applied | Verdict::Removed));
        let holds: BTreeMap<Name, _> = holds
            .into_iter()
            .map(|(name, (revision, _))| (name, revision))
            .collect();
        for name in &names {
            let wanted = self.wanted.take.get(name).map(|chosen| chosen.revision);
            let good = state.good.get(name).map(|chosen| chosen.revision);
            let is_bad = bad.contains(&self.wanted.change(name).group(name));
            if !is_bad {
                assert_eq!(good, wanted, "{name} is as wanted");
            }
            assert_eq!(state.refused.contains_key(name), good != wanted, "{name}");
            // The last word that something came or went tells what holds.
            assert_eq!(holds.get(name).copied().flatten(), good, "{name} holds");
            if good != wanted {
                let (revision, verdict) = words[name];
                let failed = matches!(verdict, Verdict::Refused | Verdict::TakenBack);
                assert!(failed && revision == wanted, "{name}: {verdict:?}");
            }
        }
        let attempts = state.attempts;
        self.restart();
        self.settle();
        assert_eq!(
            self.device.kept().attempts,
            attempts,
            "nothing is tried again"
        );
    }
}

/// One life: disturbed, then calm. Gives its kills and how often a hook may have run twice.
fn live(seed: u64, lie: Lie) -> (u64, u64) {
    let mut node = Node::start(seed);
    node.device.lie = lie;
    for _ in 0..3 {
        node.device.chances.kills_per_million = 20_000;
        node.device.chances.faults_per_million = 30_000;
        for _ in 0..600 {
            node.disturb();
            node.turn();
        }
        node.calm();
        node.check();
    }
    let outcomes = node.device.told.values();
    let documents = outcomes.flat_map(|outcome| outcome.documents.values());
    node.agains = u64::try_from(documents.filter(|told| told.again).count()).expect("few");
    (node.kills, node.agains)
}

#[test]
fn a_device_that_is_killed_at_every_step_ends_with_what_holds_and_says_so() {
    let (mut kills, mut agains) = (0, 0);
    for seed in 0..500 {
        let lived = std::panic::catch_unwind(|| live(seed, Lie::None));
        let (killed, again) = lived.unwrap_or_else(|_| panic!("seed {seed} fails"));
        kills += killed;
        agains += again;
    }
    assert!(kills > 5_000, "only {kills} kills");
    assert!(agains > 50, "only {agains} hooks may have run twice");
}

/// The torture itself is tested: a driver that breaks a promise is found out.
#[test]
fn a_driver_that_breaks_a_promise_is_found_out() {
    for lie in [
        Lie::KeepsNothingNow,
        Lie::SkipsHooks,
        Lie::LosesReports,
        Lie::RestoresHalf,
    ] {
        let found = (0..40).any(|seed| std::panic::catch_unwind(|| live(seed, lie)).is_err());
        assert!(found, "{lie:?} goes unnoticed");
    }
}
