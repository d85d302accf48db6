//! How a device takes configuration on, and takes it back: one step after the other, each kept
//! before it is begun, so that a kill at any moment loses nothing and skips nothing.
//!
//! Staging, checking, writing, changing (hooks), watching (probes), confirming; what fails once
//! something was written goes back: restoring, and the hooks again with the old files. After a kill
//! the task that was begun is begun again. All changes wanted at one moment are tried together; where
//! that fails, each group (documents of one entry) is tried by itself, so the bad one is found and
//! the others hold.

mod ending;
mod event;
mod state;

use std::collections::BTreeSet;

pub use self::event::{Effect, Event, Staging, Task};
pub use self::state::{
    AdoptionState, Attempt, Change, Changes, Choice, Chosen, DOCUMENTS_MAX, FAULTS_MAX, Hook,
    Refusal, TASKS_MAX, TooManyDocuments, Wanted, Work,
};
use crate::codec::Name;
use crate::config::outcome::{Fault, Step};
use crate::machine::{Machine, Millis};

/// Between two times that managers are asked for a sign of life.
pub const ASK_PAUSE_MS: u64 = 5_000;
/// Starts that try again to go back; after that somebody has to ask.
pub const BACKS_MAX: u8 = 8;
/// Starts that begin one command, or one wait for a manager, again. What ends the node each time, such as
/// a hook that reboots the device, would otherwise cut it off for good.
pub const STARTS_MAX: u8 = 8;

/// How a device takes configuration on.
#[derive(Clone, Debug)]
pub struct Adoption {
    state: AdoptionState,
    /// Unknown from the start until the driver says it; what is on its way goes on meanwhile.
    wanted: Option<Wanted>,
    confirming: Option<Confirming>,
    /// Whether something changed that was not kept yet.
    dirty: bool,
}

/// Waiting for a manager. The time starts anew with the node, for its clock does.
#[derive(Clone, Copy, Debug)]
struct Confirming {
    ends: Millis,
    asks: Millis,
}

impl Adoption {
    /// Goes on where `state` was kept; an empty one is a device's first start. What it asks for is
    /// to be done before anything else is handled.
    #[must_use]
    pub fn restore(state: AdoptionState, now: Millis, out: &mut Vec<Effect>) -> Self {
        let mut adoption = Self {
            state,
            wanted: None,
            confirming: None,
            dirty: false,
        };
        let state = &adoption.state;
        let number = match &state.attempt {
            Some(attempt) => attempt.number.saturating_sub(1),
            None => state.attempts,
        };
        // A kill may have come between the end of an attempt and what follows it.
        if number > 0 {
            out.push(Effect::Discard { number });
        }
        let reports = state.reports.iter().cloned().map(Box::new);
        out.extend(reports.map(Effect::Report));
        adoption.resume(now, out);
        adoption
    }

    /// What it keeps.
    #[must_use]
    pub fn state(&self) -> &AdoptionState {
        &self.state
    }

    /// What is wanted by now, tried or not; none until the driver said it.
    #[must_use]
    pub fn wanted(&self) -> Option<&Choice> {
        self.wanted.as_ref().map(|wanted| &wanted.take)
    }

    fn resume(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let Some(attempt) = &mut self.state.attempt else {
            return;
        };
        match attempt.step {
            Step::Stuck if attempt.backs < BACKS_MAX => self.go_back_again(now, out),
            Step::Stuck => (),
            Step::Checking
            | Step::Changing
            | Step::Watching
            | Step::Confirming
            | Step::ChangingBack => self.begin_again(now, out),
            _ => self.perform(now, out),
        }
    }

    /// What ran when the node ended, and may be what ended it, is begun again a few times.
    fn begin_again(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let Some(attempt) = &mut self.state.attempt else {
            return;
        };
        if attempt.backs >= STARTS_MAX {
            let what = format!("the node ended {STARTS_MAX} times while this went on");
            return self.fail(&what, now, out);
        }
        attempt.backs += 1;
        // Whether the hook ran nobody knows; the report will say that it may have run twice.
        if matches!(attempt.step, Step::Changing | Step::ChangingBack) {
            let hook = attempt.hook().document.clone();
            attempt.again.insert(hook);
        }
        self.begin_task(now, out);
    }

    fn keep(&mut self, out: &mut Vec<Effect>) {
        self.dirty = false;
        out.push(Effect::Keep(Box::new(self.state.clone())));
    }

    /// Keeps that the task is begun, then begins it.
    fn begin_task(&mut self, now: Millis, out: &mut Vec<Effect>) {
        self.keep(out);
        self.perform(now, out);
    }

    fn perform(&mut self, now: Millis, out: &mut Vec<Effect>) {
        self.confirming = None;
        let Some(attempt) = &self.state.attempt else {
            return;
        };
        let task = attempt.task();
        let index = attempt.index as usize;
        out.push(match attempt.step {
            Step::Staging => Effect::Stage(Box::new(Staging {
                task,
                good: self.state.good.clone(),
                target: self.state.target(),
                changes: attempt.changes.keys().cloned().collect(),
            })),
            Step::Checking => Effect::Check {
                task,
                document: attempt.work.checks[index].clone(),
            },
            Step::Writing => Effect::Write(task),
            Step::Changing | Step::ChangingBack => Effect::Run {
                task,
                hook: attempt.hook().clone(),
            },
            Step::Watching => Effect::Probe {
                task,
                document: attempt.work.probes[index].clone(),
            },
            Step::Confirming => {
                self.confirming = Some(Confirming {
                    ends: now.plus(attempt.work.confirm_ms.unwrap_or(0)),
                    asks: now.plus(ASK_PAUSE_MS),
                });
                Effect::AskManagers
            }
            Step::Restoring => Effect::Restore(task),
            Step::Stuck => return,
        });
    }

    /// Goes to the first step from `step` on that has something to do.
    fn enter(&mut self, mut step: Step, now: Millis, out: &mut Vec<Effect>) {
        while let Some(attempt) = &mut self.state.attempt {
            if attempt.work.tasks(step) > 0 {
                attempt.step = step;
                attempt.index = 0;
                return self.begin_task(now, out);
            }
            match next(step) {
                Some(next) => step = next,
                None => return self.end(step, out),
            }
        }
    }

    /// The task succeeded, or its failure was noted: on to the next.
    fn follow(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let Some(attempt) = &mut self.state.attempt else {
            return;
        };
        let step = attempt.step;
        // On the way back they go on counting, so that it ends whatever happens at each start.
        if !matches!(step, Step::Restoring | Step::ChangingBack) {
            attempt.backs = 0;
        }
        if attempt.index as usize + 1 < attempt.work.tasks(step) {
            attempt.index += 1;
            return self.begin_task(now, out);
        }
        match next(step) {
            Some(next) => self.enter(next, now, out),
            None => self.end(step, out),
        }
    }

    fn end(&mut self, step: Step, out: &mut Vec<Effect>) {
        match step {
            Step::ChangingBack => self.settle_back(out),
            _ => self.settle(out),
        }
    }

    fn done(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let attempt = self.state.attempt.as_ref();
        if let Some(attempt) = attempt.filter(|attempt| attempt.step == Step::ChangingBack) {
            self.state.owed.remove(attempt.hook());
        }
        self.follow(now, out);
    }

    fn fail(&mut self, what: &str, now: Millis, out: &mut Vec<Effect>) {
        let Some(attempt) = &mut self.state.attempt else {
            return;
        };
        let step = attempt.step;
        let fault = Fault::new(step, attempt.document().cloned(), what);
        match step {
            Step::Staging | Step::Checking => {
                attempt.fault = Some(fault);
                attempt.backs = 0;
                self.settle_unwritten(now, out);
            }
            Step::Restoring => {
                attempt.stuck = Some(fault);
                self.stick(out);
            }
            // The other hooks have to hear of the old files all the same.
            Step::ChangingBack => {
                if self.state.owed.len() < TASKS_MAX {
                    self.state.owed.insert(attempt.hook().clone());
                }
                attempt.stuck.get_or_insert(fault);
                self.follow(now, out);
            }
            _ => {
                attempt.fault = Some(fault);
                attempt.backs = 0;
                self.enter(Step::Restoring, now, out);
            }
        }
    }

    fn go_back_again(&mut self, now: Millis, out: &mut Vec<Effect>) {
        if let Some(attempt) = &mut self.state.attempt {
            attempt.backs = attempt.backs.saturating_add(1);
            attempt.stuck = None;
        }
        self.enter(Step::Restoring, now, out);
    }

    /// The same because somebody asked: starts are counted anew from here.
    fn go_back_as_asked(&mut self, now: Millis, out: &mut Vec<Effect>) {
        if let Some(attempt) = &mut self.state.attempt {
            attempt.backs = 0;
        }
        self.go_back_again(now, out);
    }

    fn staged(&mut self, work: Work, now: Millis, out: &mut Vec<Effect>) {
        let found = work.len();
        if found > TASKS_MAX {
            let what =
                format!("{found} checks, hooks and probes; at most {TASKS_MAX} are run at once");
            return self.fail(&what, now, out);
        }
        if let Some(attempt) = &mut self.state.attempt {
            attempt.work = work;
        }
        self.follow(now, out);
    }

    fn runs(&self, task: Task) -> bool {
        let attempt = self.state.attempt.as_ref();
        attempt.is_some_and(|attempt| attempt.task() == task && task.step != Step::Stuck)
    }

    fn want(&mut self, wanted: Wanted, now: Millis, out: &mut Vec<Effect>) {
        let changed = self.wanted.as_ref().is_some_and(|old| *old != wanted);
        self.dirty |= self.state.forget(&wanted);
        self.wanted = Some(wanted);
        // What was changed meanwhile may have been changed because of this.
        if changed && self.stuck_at() == Some(Step::Restoring) {
            self.go_back_as_asked(now, out);
        }
    }

    /// The step of going back that failed, where it waits because of that.
    fn stuck_at(&self) -> Option<Step> {
        let attempt = self.state.attempt.as_ref()?;
        let stuck = attempt.stuck.as_ref()?;
        (attempt.step == Step::Stuck).then_some(stuck.step)
    }

    fn retry(&mut self, name: Option<&Name>, now: Millis, out: &mut Vec<Effect>) {
        let refused = &mut self.state.refused;
        let before = refused.len();
        match name {
            None => refused.clear(),
            Some(name) => {
                let group = refused.get(name).map(|refusal| refusal.change.group(name));
                refused.retain(|name, refusal| Some(refusal.change.group(name)) != group);
            }
        }
        self.dirty |= before != refused.len();
        self.state.forget_faults();
        let stuck = self.stuck_at().is_some();
        if let (true, Some(attempt)) = (stuck, &mut self.state.attempt) {
            attempt.retry = name.is_none_or(|name| attempt.changes.contains_key(name));
            self.go_back_as_asked(now, out);
        }
    }

    fn manager_heard(&mut self, now: Millis, out: &mut Vec<Effect>) {
        if self.confirming.take().is_some() {
            self.follow(now, out);
        }
    }

    fn wake(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let Some(confirming) = &mut self.confirming else {
            return;
        };
        if now >= confirming.ends {
            self.confirming = None;
            let attempt = self.state.attempt.as_ref();
            let within = attempt.and_then(|attempt| attempt.work.confirm_ms);
            let what = format!("no manager was heard within {} ms", within.unwrap_or(0));
            self.fail(&what, now, out);
        } else if now >= confirming.asks {
            confirming.asks = now.plus(ASK_PAUSE_MS);
            out.push(Effect::AskManagers);
        }
    }

    fn reported(&mut self, number: u64) {
        let before = self.state.reports.len();
        self.state.reports.retain(|told| told.number != number);
        self.dirty |= before != self.state.reports.len();
    }

    /// Begins the next attempt where there is something to try and nothing in the way. One whose
    /// files went back, though hooks failed then, is not in the way: those hooks are owed.
    fn begin(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let free = self.state.attempt.is_none() || self.stuck_at() == Some(Step::ChangingBack);
        let Some(wanted) = self.wanted.as_ref().filter(|_| free) else {
            return;
        };
        // So at most one attempt's outcomes wait, and the state stays bounded.
        if !self.state.reports.is_empty() {
            return;
        }
        let mut changes = self.state.open(wanted);
        let apart = self.state.apart.len();
        self.state.apart.retain(|name| changes.contains_key(name));
        self.dirty |= apart != self.state.apart.len();
        let first = self.state.apart.first();
        if let Some(group) = first.map(|name| changes[name].group(name)) {
            changes.retain(|name, change| change.group(name) == group);
        }
        if changes.is_empty() {
            return;
        }
        let before = self.state.attempt.take().map(|attempt| attempt.number);
        self.state.attempts += 1;
        self.state.attempt = Some(Attempt::new(self.state.attempts, changes));
        self.keep(out);
        out.extend(before.map(|number| Effect::Discard { number }));
        self.perform(now, out);
    }
}

impl Attempt {
    fn new(number: u64, changes: Changes) -> Self {
        Self {
            number,
            changes,
            step: Step::Staging,
            index: 0,
            work: Work::default(),
            fault: None,
            stuck: None,
            again: BTreeSet::new(),
            backs: 0,
            retry: false,
        }
    }

    fn task(&self) -> Task {
        Task {
            attempt: self.number,
            step: self.step,
            index: self.index,
        }
    }

    /// The hook that runs.
    fn hook(&self) -> &Hook {
        let hooks = match self.step {
            Step::ChangingBack => &self.work.back,
            _ => &self.work.hooks,
        };
        &hooks[self.index as usize]
    }

    /// The document that the task is about, where it is about one.
    fn document(&self) -> Option<&Name> {
        let index = self.index as usize;
        match self.step {
            Step::Checking => self.work.checks.get(index),
            Step::Watching => self.work.probes.get(index),
            Step::Changing | Step::ChangingBack => Some(&self.hook().document),
            _ => None,
        }
    }
}

fn next(step: Step) -> Option<Step> {
    match step {
        Step::Staging => Some(Step::Checking),
        Step::Checking => Some(Step::Writing),
        Step::Writing => Some(Step::Changing),
        Step::Changing => Some(Step::Watching),
        Step::Watching => Some(Step::Confirming),
        Step::Restoring => Some(Step::ChangingBack),
        Step::Confirming | Step::ChangingBack | Step::Stuck => None,
    }
}

impl Machine for Adoption {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Millis, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Wanted(wanted) => self.want(wanted, now, out),
            Event::Staged { task, result } if self.runs(task) && task.step == Step::Staging => {
                match result {
                    Ok(work) => self.staged(work, now, out),
                    Err(what) => self.fail(&what, now, out),
                }
            }
            Event::Done { task, result }
                if self.runs(task) && !matches!(task.step, Step::Staging | Step::Confirming) =>
            {
                match result {
                    Ok(()) => self.done(now, out),
                    Err(what) => self.fail(&what, now, out),
                }
            }
            // Of an attempt or a step that is over: whoever did it was late.
            Event::Staged { .. } | Event::Done { .. } => (),
            Event::ManagerHeard => self.manager_heard(now, out),
            Event::Reported(number) => self.reported(number),
            Event::Retry(name) => self.retry(name.as_ref(), now, out),
            Event::Wake => self.wake(now, out),
        }
        self.begin(now, out);
        if self.dirty {
            self.keep(out);
        }
    }

    fn wake_at(&self) -> Option<Millis> {
        let confirming = self.confirming?;
        Some(confirming.ends.min(confirming.asks))
    }
}

#[cfg(test)]
mod tests;
