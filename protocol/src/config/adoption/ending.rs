//! How attempts end: what holds then, what is refused, and what is told of it.

use std::collections::BTreeSet;

use crate::config::adoption::state::{Attempt, Change, Group, Hook, Refusal};
use crate::config::adoption::{Adoption, AdoptionState, Effect};
use crate::config::outcome::{DocumentOutcome, OUTCOME_DOCUMENTS_MAX, Outcome, Step, Verdict};
use crate::machine::Millis;

impl Adoption {
    /// All went well: what was tried holds.
    pub(super) fn settle(&mut self, out: &mut Vec<Effect>) {
        let target = self.state.target();
        let Some(attempt) = self.state.attempt.take() else {
            return;
        };
        self.state.report(&attempt, |change| match change {
            Change::Take(_) => Verdict::Applied,
            Change::Leave { .. } => Verdict::Removed,
        });
        self.state.good = target;
        for name in attempt.changes.keys() {
            self.state.refused.remove(name);
        }
        let ran = |hook: &Hook| {
            let hooks = &mut attempt.work.hooks.iter();
            let document = &hook.document;
            attempt.changes.contains_key(document) || hooks.any(|hook| hook.document == *document)
        };
        self.state.owed.retain(|hook| !ran(hook));
        self.state.forget_faults();
        self.close(&attempt, out);
    }

    /// It failed before anything was written. What is owed to its documents since another attempt is
    /// made up for all the same: nothing else will run their hooks.
    pub(super) fn settle_unwritten(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let Some(attempt) = &mut self.state.attempt else {
            return;
        };
        let owed = self.state.owed.iter();
        let owed = owed.filter(|hook| attempt.changes.contains_key(&hook.document));
        attempt.work.back = owed.cloned().collect();
        self.enter(Step::ChangingBack, now, out);
    }

    /// It was taken back, or nearly: some hooks may not have run with the old files.
    pub(super) fn settle_back(&mut self, out: &mut Vec<Effect>) {
        let Some(attempt) = &self.state.attempt else {
            return;
        };
        if attempt.stuck.is_some() {
            return self.stick(out);
        }
        let failed_at = attempt.fault.as_ref().map(|fault| fault.step);
        let verdict = match failed_at {
            Some(Step::Staging | Step::Checking) => Verdict::Refused,
            _ => Verdict::TakenBack,
        };
        self.settle_failed(verdict, out);
    }

    fn settle_failed(&mut self, verdict: Verdict, out: &mut Vec<Effect>) {
        let Some(attempt) = self.state.attempt.take() else {
            return;
        };
        let alone = self.state.refuse(&attempt);
        let verdict = if alone { verdict } else { Verdict::Apart };
        self.state.report(&attempt, |_| verdict);
        self.close(&attempt, out);
    }

    /// Going back failed: it stays as it is, is told, and waits.
    pub(super) fn stick(&mut self, out: &mut Vec<Effect>) {
        let Some(mut attempt) = self.state.attempt.take() else {
            return;
        };
        // Whoever asked to try again asked for a way back too, and that was all that could be done.
        attempt.retry = false;
        attempt.step = Step::Stuck;
        attempt.index = 0;
        self.state.refuse(&attempt);
        self.state.report(&attempt, |_| Verdict::Stuck);
        self.state.attempt = Some(attempt);
        self.keep(out);
        self.tell(out);
    }

    fn close(&mut self, attempt: &Attempt, out: &mut Vec<Effect>) {
        self.keep(out);
        let number = attempt.number;
        out.push(Effect::Discard { number });
        self.tell(out);
    }

    fn tell(&self, out: &mut Vec<Effect>) {
        let reports = self.state.reports.iter().cloned().map(Box::new);
        out.extend(reports.map(Effect::Report));
    }
}

impl AdoptionState {
    /// Notes that an attempt failed. Of several groups each is tried by itself first; false then.
    fn refuse(&mut self, attempt: &Attempt) -> bool {
        let changes = &attempt.changes;
        let groups = changes.iter().map(|(name, change)| change.group(name));
        if groups.collect::<BTreeSet<Group>>().len() > 1 {
            self.apart.extend(changes.keys().cloned());
            return false;
        }
        if attempt.retry {
            return true;
        }
        for (name, change) in changes {
            let refusal = Refusal {
                change: *change,
                attempt: attempt.number,
            };
            self.refused.insert(name.clone(), refusal);
        }
        let fault = attempt.fault.clone();
        self.faults
            .extend(fault.map(|fault| (attempt.number, fault)));
        self.forget_faults();
        true
    }

    /// Puts an attempt's outcomes where they stay until they were told.
    fn report(&mut self, attempt: &Attempt, verdict: impl Fn(&Change) -> Verdict) {
        // An earlier word on the same attempt is overtaken by this one.
        self.reports.retain(|told| told.attempt != attempt.number);
        // Hooks of a document that did not change ran because of all that did.
        let all_again = attempt
            .again
            .iter()
            .any(|name| !attempt.changes.contains_key(name));
        let mut changes = attempt.changes.iter().peekable();
        while changes.peek().is_some() {
            self.outcomes += 1;
            let documents = changes.by_ref().take(OUTCOME_DOCUMENTS_MAX);
            let documents = documents.map(|(name, change)| {
                let (revision, version) = match change {
                    Change::Take(chosen) => (Some(chosen.revision), chosen.version),
                    Change::Leave { .. } => {
                        let good = self.good.get(name);
                        (None, good.map_or(0, |good| good.version))
                    }
                };
                let outcome = DocumentOutcome {
                    revision,
                    version,
                    verdict: verdict(change),
                    again: all_again || attempt.again.contains(name),
                };
                (name.clone(), outcome)
            });
            let outcome = Outcome {
                number: self.outcomes,
                attempt: attempt.number,
                documents: documents.collect(),
                fault: attempt.fault.clone(),
                stuck: attempt.stuck.clone(),
            };
            self.reports.push(outcome);
        }
    }
}
