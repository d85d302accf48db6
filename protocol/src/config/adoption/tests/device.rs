//! A device in memory: files, hooks and a disk that remembers, with faults and kills by chance.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::RevisionId;
use crate::codec::{self, Name};
use crate::config::adoption::{
    AdoptionState, Change, Choice, Chosen, Effect, Event, Hook, Staging, Task, Work,
};
use crate::config::outcome::{Outcome, Step, Verdict};
use crate::ident::{Hash, Serial};
use crate::prng::Prng;

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A revision of an entry; which step of it always fails, its number decides.
pub fn chosen(entry: u8, version: u32) -> Chosen {
    Chosen {
        revision: RevisionId {
            entry: Serial([entry; 16]),
            place: u16::try_from(version).expect("a small number"),
        },
        entry: Hash([entry; 32]),
        version,
    }
}

/// The step at which a revision always fails.
pub fn bad_at(revision: &RevisionId) -> Option<Step> {
    match revision.place % 9 {
        1 => Some(Step::Staging),
        2 => Some(Step::Checking),
        3 => Some(Step::Changing),
        4 => Some(Step::Watching),
        5 => Some(Step::Writing),
        _ => None,
    }
}

/// The files that a choice makes. Each shows what `base` says, so that one change moves many.
pub fn render(choice: &Choice) -> BTreeMap<String, String> {
    let base = choice
        .get(&name("base"))
        .map_or(0, |base| base.revision.place);
    let files = choice.iter().flat_map(|(name, chosen)| {
        let text = format!("{:?} over {base}", chosen.revision);
        ["a", "b"].map(|file| (format!("/{name}/{file}"), text.clone()))
    });
    files.collect()
}

/// What an adversary in the driver does, to see whether the torture notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    None,
    KeepsNothingNow,
    SkipsHooks,
    LosesReports,
    RestoresHalf,
}

/// The node was killed.
#[derive(Debug)]
pub struct Killed;

#[derive(Default)]
struct Folder {
    staged: BTreeMap<String, String>,
    backups: BTreeMap<String, Option<String>>,
    work: Work,
    succeeded: BTreeSet<(Step, u32)>,
}

/// How often what goes wrong.
#[derive(Default)]
pub struct Chances {
    pub kills_per_million: u32,
    pub faults_per_million: u32,
}

pub struct Device {
    pub files: BTreeMap<String, String>,
    folders: BTreeMap<u64, Folder>,
    kept: Vec<u8>,
    pub told: BTreeMap<u64, Outcome>,
    /// What each program saw of its files at its last hook that went well.
    programs: BTreeMap<(Name, u16), Vec<String>>,
    /// What failed and nobody asked for since.
    barred: BTreeMap<Name, Change>,
    pub prng: Prng,
    pub chances: Chances,
    pub manager: bool,
    pub lie: Lie,
}

impl Device {
    pub fn new(prng: Prng) -> Self {
        Self {
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            kept: codec::encode(&AdoptionState::default()),
            told: BTreeMap::new(),
            programs: BTreeMap::new(),
            barred: BTreeMap::new(),
            prng,
            chances: Chances::default(),
            manager: true,
            lie: Lie::None,
        }
    }

    /// What a node finds on its disk when it starts.
    pub fn kept(&self) -> AdoptionState {
        codec::decode(&self.kept).expect("what was kept can be read")
    }

    /// An event is on its way to the machine: what it makes allowable.
    pub fn told_machine(&mut self, event: &Event) {
        match event {
            Event::Wanted(wanted) => {
                let same = |name: &Name, change: &mut Change| change.is(&wanted.change(name));
                self.barred.retain(same);
            }
            Event::Retry(_) => self.barred.clear(),
            _ => (),
        }
    }

    /// What the machine said to an event: what it may not try again now, unless it was `asked` to.
    pub fn heard_machine(&mut self, effects: &[Effect], state: &AdoptionState, asked: bool) {
        for effect in effects {
            let Effect::Report(outcome) = effect else {
                continue;
            };
            for (name, document) in &outcome.documents {
                // Once another one was tried, the one before may be wanted anew.
                self.barred.remove(name);
                let failed = matches!(document.verdict, Verdict::Refused | Verdict::TakenBack);
                if failed && !asked {
                    let change = state.refused[name].change;
                    self.barred.insert(name.clone(), change);
                }
            }
        }
    }

    /// The node was killed: what it had not kept it may try again.
    pub fn restarted(&mut self) {
        let kept = self.kept();
        self.barred.retain(|name, change| {
            let refused = kept.refused.get(name);
            refused.is_some_and(|refusal| refusal.change.is(change))
        });
    }

    fn moment(&mut self) -> Result<(), Killed> {
        match self.prng.chance(self.chances.kills_per_million) {
            true => Err(Killed),
            false => Ok(()),
        }
    }

    fn fault(&mut self) -> Result<(), String> {
        match self.prng.chance(self.chances.faults_per_million) {
            true => Err("by chance".to_owned()),
            false => Ok(()),
        }
    }

    /// Performs one effect; gives what comes of it.
    pub fn perform(&mut self, effect: Effect) -> Result<Option<Event>, Killed> {
        self.moment()?;
        let event = match effect {
            Effect::Keep(state) => {
                self.keep(&state);
                None
            }
            Effect::Stage(staging) => {
                let (task, result) = (staging.task, self.stage(&staging));
                Some(Event::Staged { task, result })
            }
            Effect::Check { task, document } | Effect::Probe { task, document } => {
                let revision = self.kept().target()[&document].revision;
                let result = self.judge(task, &revision);
                Some(Event::Done { task, result })
            }
            Effect::Write(task) => Some(self.write(task)?),
            Effect::Run { task, hook } => {
                let result = self.run(task, &hook);
                Some(Event::Done { task, result })
            }
            Effect::AskManagers => self.manager.then_some(Event::ManagerHeard),
            Effect::Restore(task) => Some(self.restore(task)?),
            Effect::Discard { number } => {
                self.folders.retain(|folder, _| *folder > number);
                None
            }
            Effect::Report(outcome) => Some(self.report(*outcome)),
        };
        self.moment()?;
        Ok(event)
    }

    fn keep(&mut self, state: &AdoptionState) {
        let before = self.kept();
        if let (true, Some(attempt)) = (before.good != state.good, &before.attempt) {
            self.every_step_was_done(attempt.number);
            assert_eq!(
                state.good,
                before.target(),
                "what was tried is what holds now"
            );
        }
        let unwritten = state
            .attempt
            .as_ref()
            .is_none_or(|attempt| matches!(attempt.step, Step::Staging | Step::Checking));
        if unwritten {
            assert_eq!(self.files, render(&state.good), "files are those that hold");
        }
        assert!(before.attempts <= state.attempts && before.outcomes <= state.outcomes);
        if self.lie != Lie::KeepsNothingNow || self.prng.chance(900_000) {
            self.kept = codec::encode(state);
        }
    }

    fn every_step_was_done(&self, number: u64) {
        let folder = &self.folders[&number];
        for step in [
            Step::Staging,
            Step::Checking,
            Step::Writing,
            Step::Changing,
            Step::Watching,
        ] {
            for index in 0..folder.work.tasks(step) {
                let index = u32::try_from(index).expect("few");
                let done = folder.succeeded.contains(&(step, index));
                assert!(done, "attempt {number} skipped {step} {index}");
            }
        }
    }

    fn stage(&mut self, staging: &Staging) -> Result<Work, String> {
        let Staging { good, target, .. } = staging;
        for (name, change) in self
            .kept()
            .attempt
            .into_iter()
            .flat_map(|kept| kept.changes)
        {
            let barred = self.barred.get(&name);
            assert!(
                !barred.is_some_and(|barred| barred.is(&change)),
                "{name} was refused"
            );
            if let Change::Take(chosen) = change {
                self.judge(staging.task, &chosen.revision)?;
            }
        }
        let (old, new) = (render(good), render(target));
        let names: BTreeSet<&Name> = good.keys().chain(target.keys()).collect();
        let moved = |name: &&Name| {
            let file = format!("/{name}/a");
            staging.changes.contains(*name) || old.get(&file) != new.get(&file)
        };
        let names: Vec<&Name> = names.into_iter().filter(moved).collect();
        let hooks = |revision: &dyn Fn(&Name) -> Option<RevisionId>| {
            let mut hooks = Vec::new();
            for name in names.iter().filter(|name| name.as_str() != "quiet") {
                for (revision, index) in
                    revision(name).into_iter().flat_map(|id| [(id, 0), (id, 1)])
                {
                    let document = (*name).clone();
                    hooks.push(Hook {
                        document,
                        revision,
                        index,
                    });
                }
            }
            hooks
        };
        let taken = names.iter().filter(|name| target.contains_key(**name));
        let taken: Vec<Name> = taken.map(|name| (*name).clone()).collect();
        let work = Work {
            checks: taken.clone(),
            writes: old != new,
            hooks: hooks(&|name| staging.hooks_of(name)),
            probes: taken.clone(),
            confirm_ms: taken.contains(&name("net")).then_some(20_000),
            back: hooks(&|name| good.get(name).map(|chosen| chosen.revision)),
        };
        let folder = Folder {
            staged: new,
            work: work.clone(),
            succeeded: BTreeSet::from([(Step::Staging, 0)]),
            ..Folder::default()
        };
        self.folders.insert(staging.task.attempt, folder);
        Ok(work)
    }

    /// How a task ends that looks at one revision.
    fn judge(&mut self, task: Task, revision: &RevisionId) -> Result<(), String> {
        if bad_at(revision) == Some(task.step) {
            return Err(format!("{} is bad", revision.place));
        }
        self.fault()?;
        self.succeed(task);
        Ok(())
    }

    fn succeed(&mut self, task: Task) {
        if let Some(folder) = self.folders.get_mut(&task.attempt) {
            folder.succeeded.insert((task.step, task.index));
        }
    }

    fn run(&mut self, task: Task, hook: &Hook) -> Result<(), String> {
        let bad = task.step == Step::Changing && bad_at(&hook.revision) == Some(task.step);
        let fault = self.fault();
        if bad {
            return Err("a bad hook".to_owned());
        }
        fault?;
        if self.lie != Lie::SkipsHooks || self.prng.chance(950_000) {
            let seen = self.seen(&hook.document);
            self.programs
                .insert((hook.document.clone(), hook.index), seen);
            self.succeed(task);
        }
        Ok(())
    }

    fn seen(&self, document: &Name) -> Vec<String> {
        let files = ["a", "b"].map(|file| self.files.get(&format!("/{document}/{file}")).cloned());
        files.into_iter().flatten().collect()
    }

    fn put(&mut self, path: &str, text: Option<String>) {
        match text {
            Some(text) => self.files.insert(path.to_owned(), text),
            None => self.files.remove(path),
        };
    }

    fn write(&mut self, task: Task) -> Result<Event, Killed> {
        let attempt = task.attempt;
        let staged = self.folders[&attempt].staged.clone();
        let changes = self.kept().attempt.map(|attempt| attempt.changes);
        let bad = changes
            .into_iter()
            .flatten()
            .any(|(_, change)| match change {
                Change::Take(chosen) => bad_at(&chosen.revision) == Some(Step::Writing),
                Change::Leave { .. } => false,
            });
        let paths: BTreeSet<String> = self.files.keys().chain(staged.keys()).cloned().collect();
        for (index, path) in paths.into_iter().enumerate() {
            let there = self.files.get(&path).cloned();
            let folder = self.folders.get_mut(&attempt).expect("it was staged");
            folder.backups.entry(path.clone()).or_insert(there);
            self.moment()?;
            let fault = self.fault().err();
            let fault = fault.or((bad && index > 0).then(|| "no room".to_owned()));
            if let Some(what) = fault {
                let result = Err(what);
                return Ok(Event::Done { task, result });
            }
            self.put(&path, staged.get(&path).cloned());
            self.moment()?;
        }
        self.succeed(task);
        Ok(Event::Done {
            task,
            result: Ok(()),
        })
    }

    fn restore(&mut self, task: Task) -> Result<Event, Killed> {
        let folder = self.folders.get(&task.attempt);
        let backups = folder.map(|folder| folder.backups.clone());
        for (path, text) in backups.unwrap_or_default() {
            self.moment()?;
            if let Err(what) = self.fault() {
                let result = Err(what);
                return Ok(Event::Done { task, result });
            }
            if self.lie != Lie::RestoresHalf || self.prng.chance(500_000) {
                self.put(&path, text);
            }
        }
        Ok(Event::Done {
            task,
            result: Ok(()),
        })
    }

    fn report(&mut self, outcome: Outcome) -> Event {
        let number = outcome.number;
        if let Some(told) = self.told.get(&number) {
            assert_eq!(*told, outcome, "what is told twice is the same");
            return Event::Reported(number);
        }
        if self.lie != Lie::LosesReports || self.prng.chance(900_000) {
            self.told.insert(number, outcome);
        }
        Event::Reported(number)
    }

    /// Each program of what holds has seen the files that hold.
    pub fn programs_are_told(&self, good: &Choice) {
        for (name, _) in good.iter().filter(|(name, _)| name.as_str() != "quiet") {
            for index in [0, 1] {
                let seen = self.programs.get(&(name.clone(), index));
                assert_eq!(seen, Some(&self.seen(name)), "hook {index} of {name}");
            }
        }
    }

    /// What was told last of each document, of what ended in such a way.
    pub fn last_words(
        &self,
        of: impl Fn(Verdict) -> bool,
    ) -> BTreeMap<Name, (Option<RevisionId>, Verdict)> {
        let documents = self.told.values().flat_map(|outcome| &outcome.documents);
        let documents = documents.filter(|(_, told)| of(told.verdict));
        let words = documents.map(|(name, told)| (name.clone(), (told.revision, told.verdict)));
        words.collect()
    }
}
