//! An agent's machine: events to it, what it asks for, and the device that does it.

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::clock::Stamp;
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::config::adoption::{Effect, Event, Hook, Staging, Task, Work};
use regatta_protocol::config::document::{ConfigDocument, Hooks};
use regatta_protocol::config::outcome::{Outcome, Step};
use regatta_protocol::config::selection::may_run;
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::spool::{Draft, SpoolEvent};
use regatta_protocol::machine::Machine;
use regatta_protocol::report::Record;

use crate::config::device::Much;
use crate::config::words::{Loaded, PROBE_MS, act, run};
use crate::config::{Job, labels_of};
use crate::network::NodeIndex;
use crate::node::NEVER;
use crate::pulled::PulledEvent;
use crate::world::config::of;
use crate::world::{Follow, Pending, World};

/// How long a piece of work may take.
const JOB_MS_MAX: u64 = 20;
/// What of a record fits beside an entry's header; the rest goes into a body.
const PAYLOAD_BYTES_MAX: usize = 512;
/// A question whether somebody is there, in bytes.
const PING_BYTES: usize = 32;

impl World {
    /// Hands an event to an agent's machine, and performs what follows.
    pub fn tell_config(&mut self, index: NodeIndex, event: Event) {
        self.config(index, event);
        self.follow_up(index);
    }

    pub(in crate::world) fn config(&mut self, index: NodeIndex, event: Event) {
        let now = self.now;
        let Some(config) = self.nodes[index as usize].place.config.as_mut() else {
            return;
        };
        let Some(machine) = config.machine.as_mut() else {
            return;
        };
        self.done.note_config(now, index, &event);
        let mut effects = Vec::new();
        machine.handle(now, event, &mut effects);
        self.take_adoption(index, effects);
    }

    /// Performs what the machine asks for, in order.
    pub(super) fn take_adoption(&mut self, index: NodeIndex, effects: Vec<Effect>) {
        for effect in effects {
            if !self.may_perform(index) {
                return;
            }
            self.perform_adoption(index, effect);
        }
        let node = &mut self.nodes[index as usize];
        let Some(config) = node.place.config.as_mut() else {
            return;
        };
        let Some(machine) = &config.machine else {
            return;
        };
        config.alarms.machine = machine.wake_at().unwrap_or(NEVER);
        let state = machine.state();
        let broken = match &state.attempt {
            None => node.disk.config.device.differs(&state.good),
            Some(_) => None,
        };
        let wake_at = config.wake_at();
        self.plan_wake(index, wake_at);
        if let Some(what) = broken {
            let what = format!("I1: between two attempts {what}");
            self.invariants.broken(self.now, index, what);
        }
    }

    fn perform_adoption(&mut self, index: NodeIndex, effect: Effect) {
        let job = match effect {
            Effect::Keep(state) => {
                let node = &mut self.nodes[index as usize];
                node.disk.config.state = Some(codec::encode(&*state));
                return;
            }
            Effect::AskManagers => return self.ask_managers(index),
            Effect::Report(outcome) => return self.report(index, *outcome),
            Effect::Stage(staging) => Job::Stage(staging),
            Effect::Check { task, document } => Job::Check(task, document),
            Effect::Write(task) => Job::Write(task),
            Effect::Run { task, hook } => Job::Run(task, hook),
            Effect::Probe { task, document } => Job::Probe(task, document),
            Effect::Restore(task) => Job::Restore(task),
            Effect::Discard { number } => Job::Discard(number),
        };
        self.give(index, job);
    }

    /// Says when the first of the jobs will be done.
    pub(super) fn begin_job(&mut self, index: NodeIndex) {
        let Some(job) = of(&self.nodes[index as usize]).and_then(|config| config.jobs.front())
        else {
            return;
        };
        let probed = match job {
            Job::Probe(_, document) => Some(document.clone()),
            _ => None,
        };
        // A probe goes on until what it looks at is well.
        let tries = probed.is_some_and(|document| self.probe(index, &document).is_err());
        let Some(config) = self.nodes[index as usize].place.config.as_mut() else {
            return;
        };
        let takes = 1 + config.prng.below(JOB_MS_MAX) + if tries { PROBE_MS } else { 0 };
        let at = self.now.plus(takes);
        config.alarms.job = at;
        self.plan_wake(index, at);
    }

    /// The first of the jobs is done.
    pub(super) fn job_done(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        let Some(config) = node.place.config.as_mut() else {
            return;
        };
        config.alarms.job = NEVER;
        let Some(job) = config.jobs.pop_front() else {
            return;
        };
        let device = &mut node.disk.config.device;
        let event = match job {
            Job::Discard(number) => {
                device.discard(number);
                None
            }
            Job::Stage(staging) => {
                let (task, result) = (staging.task, self.stage(index, &staging));
                Some(Event::Staged { task, result })
            }
            Job::Write(task) => {
                let result = device.write(task.attempt, Much::All);
                self.written(index, task);
                Some(Event::Done { task, result })
            }
            Job::Restore(task) => {
                device.restore(task.attempt, Much::All);
                let result = Ok(());
                Some(Event::Done { task, result })
            }
            Job::Check(task, document) => {
                let result = self.check(index, &document);
                Some(Event::Done { task, result })
            }
            Job::Probe(task, document) => {
                let result = self.probe(index, &document);
                Some(Event::Done { task, result })
            }
            Job::Run(task, hook) => {
                let result = self.run_hook(index, task, &hook);
                Some(Event::Done { task, result })
            }
        };
        self.begin_job(index);
        if let Some(event) = event {
            self.tell_config(index, event);
        }
    }

    fn loaded(&mut self, index: NodeIndex, id: &RevisionId) -> Option<Loaded> {
        let node = &mut self.nodes[index as usize];
        let (config, replica) = (node.place.config.as_mut()?, node.replica.as_ref()?);
        config.known.loaded(replica, &node.disk, id).cloned()
    }

    pub(super) fn words(&mut self, index: NodeIndex, id: &RevisionId) -> Option<ConfigDocument> {
        self.loaded(index, id)?.words.ok()
    }

    fn target(&mut self, index: NodeIndex, document: &Name) -> Option<ConfigDocument> {
        let config = of(&self.nodes[index as usize])?;
        let target = config.machine.as_ref()?.state().target();
        let id = target.get(document)?.revision;
        self.words(index, &id)
    }

    /// What people call a node.
    fn name_of(&self, index: NodeIndex) -> String {
        let papers = self.nodes[index as usize].place.papers.as_ref();
        let name = papers.map(|papers| papers.credentials.own().name.to_string());
        name.unwrap_or_default()
    }

    fn check(&mut self, index: NodeIndex, document: &Name) -> Result<(), String> {
        let name = self.name_of(index);
        let probe = self.target(index, document).and_then(|it| it.hooks.check);
        probe.map_or(Ok(()), |probe| run(&probe.exec, &name))
    }

    fn probe(&mut self, index: NodeIndex, document: &Name) -> Result<(), String> {
        let name = self.name_of(index);
        let probe = self.target(index, document).and_then(|it| it.hooks.healthy);
        probe.map_or(Ok(()), |probe| run(&probe.exec, &name))
    }

    fn run_hook(&mut self, index: NodeIndex, task: Task, hook: &Hook) -> Result<(), String> {
        let name = self.name_of(index);
        let words = self.words(index, &hook.revision);
        let action = words.and_then(|it| it.hooks.on_change.get(usize::from(hook.index)).cloned());
        let action = action.ok_or_else(|| "its document is not here any more".to_owned())?;
        act(&action, &name)?;
        if task.step == Step::Changing {
            self.invariants.config_mut().ran(index, task, hook);
        }
        Ok(())
    }

    /// What there is to do to get from what holds to what is wanted.
    fn stage(&mut self, index: NodeIndex, staging: &Staging) -> Result<Work, String> {
        let mut work = Work::default();
        for name in &staging.changes {
            let good = staging.good.get(name).map(|it| it.revision);
            let target = staging.target.get(name).map(|it| it.revision);
            let before = good.and_then(|id| Some((id, self.words(index, &id)?)));
            let mut after = None;
            if let Some(id) = target {
                let words = self.may_take(index, name, &id)?;
                work.checks
                    .extend(words.hooks.check.as_ref().map(|_| name.clone()));
                work.probes
                    .extend(words.hooks.healthy.as_ref().map(|_| name.clone()));
                work.confirm_ms = match (work.confirm_ms, words.hooks.confirm_ms) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                after = Some((id, words));
            }
            let hooks = after.as_ref().or(before.as_ref());
            work.hooks
                .extend(hooks.into_iter().flat_map(|it| hooks_of(name, it)));
            work.back
                .extend(before.iter().flat_map(|it| hooks_of(name, it)));
        }
        let device = &mut self.nodes[index as usize].disk.config.device;
        work.writes = device.stage(staging.task.attempt, staging, Much::All);
        Ok(work)
    }

    /// The words of a revision that is to be taken, where its author may have run what it runs.
    fn may_take(
        &mut self,
        index: NodeIndex,
        name: &Name,
        id: &RevisionId,
    ) -> Result<ConfigDocument, String> {
        let loaded = self.loaded(index, id);
        let loaded = loaded.ok_or_else(|| format!("config/{name}: its words are not here"))?;
        let words = loaded
            .words
            .map_err(|why| format!("config/{name}: {why}"))?;
        let node = &self.nodes[index as usize];
        if let (Some(replica), Some(papers)) = (node.replica.as_ref(), &node.place.papers)
            && runs_something(&words.hooks)
        {
            let (labels, user) = (labels_of(papers), words.hooks.run_as.as_ref());
            if !may_run(replica.holdings(), &loaded.signer, &labels, user) {
                return Err(format!(
                    "config/{name}: its author may not have commands run"
                ));
            }
        }
        Ok(words)
    }

    /// Asks every manager with whom there is a link for a sign of life.
    fn ask_managers(&mut self, index: NodeIndex) {
        let node = &self.nodes[index as usize];
        let Some(start) = of(node).map(|config| config.start) else {
            return;
        };
        let peers: Vec<NodeIndex> = node.links.keys().copied().collect();
        for peer in peers {
            if !self.nodes[peer as usize].is_manager() {
                continue;
            }
            let mut there = |from, to| {
                let prng = &mut self.chance.prng;
                let delays = self.network.delays(from, to, PING_BYTES, self.now, prng);
                delays.into_iter().flatten().next()
            };
            if let (Some(there), Some(back)) = (there(index, peer), there(peer, index)) {
                let heard = Pending::ManagerHeard {
                    node: index,
                    start,
                    manager: peer,
                };
                self.queue.push(self.now.plus(there + back), heard);
            }
        }
    }

    /// A manager answered, if it is still there.
    pub(in crate::world) fn manager_heard(
        &mut self,
        index: NodeIndex,
        start: u32,
        manager: NodeIndex,
    ) {
        let config = of(&self.nodes[index as usize]);
        let same = config.is_some_and(|config| config.start == start);
        if same && self.nodes[manager as usize].is_up() && self.network.carries(manager, index) {
            self.tell_config(index, Event::ManagerHeard);
        }
    }

    /// Writes an outcome into the node's report.
    fn report(&mut self, index: NodeIndex, outcome: Outcome) {
        let node = &self.nodes[index as usize];
        let stamp = Stamp::at(node.wall(self.now));
        self.reported_rightly(index, &outcome);
        let bytes = Bytes::from(codec::encode(&Record::Config(outcome)));
        let (payload, body) = match bytes.len() <= PAYLOAD_BYTES_MAX {
            true => (bytes, None),
            false => (Bytes::default(), Some(bytes)),
        };
        let draft = Draft {
            kind: EntryKind::RECORD,
            stamp,
            payload,
            body,
        };
        let event = SpoolEvent::Append(Box::new(draft));
        self.follow(Follow::Pulled(PulledEvent::Spool(
            LedgerKind::Report,
            event,
        )));
    }
}

fn hooks_of<'a>(
    name: &'a Name,
    (revision, words): &'a (RevisionId, ConfigDocument),
) -> impl Iterator<Item = Hook> + 'a {
    let count = u16::try_from(words.hooks.on_change.len()).unwrap_or(u16::MAX);
    (0..count).map(move |index| Hook {
        document: name.clone(),
        revision: *revision,
        index,
    })
}

fn runs_something(hooks: &Hooks) -> bool {
    hooks.check.is_some() || hooks.healthy.is_some() || !hooks.on_change.is_empty()
}
