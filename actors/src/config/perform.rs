//! What adoption asks for, done: one thing after the other, and nothing before it is kept that it was begun.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::{ActorProcessingErr, ActorRef};
use regatta_protocol::codec::{self, Bytes, Name, Wire};
use regatta_protocol::config::adoption::{Adoption, Effect, Event, Hook, Staging, Task};
use regatta_protocol::config::document::Hooks;
use regatta_protocol::config::selection::may_run;
use regatta_protocol::report::Record;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, spawn_blocking};

use super::hooks::{ACTION_WITHIN, Run, Services};
use super::library::{self, Opener};
use super::staging::{Attempts, copy_for};
use super::state::{Beside, ConfigState, STATE};
use super::tree::Loaded;
use super::{ConfigMessage, users, work};
use crate::bodies::kept;
use crate::drive::{Alarm, Keeper, Outbox, Told};
use crate::identity::Papers;
use crate::membership::MembershipMessage;
use crate::network::NetworkMessage;
use crate::pulled::PulledMessage;
use crate::store::{Batch, Table};
use crate::supervisor::Fatal;

/// What of a record fits beside an entry's header; the rest goes into a body.
const PAYLOAD_BYTES_MAX: usize = 512;

/// The machine, and what stands between it and its effects.
pub(super) struct Driven {
    pub(super) machine: Adoption,
    pub(super) myself: ActorRef<ConfigMessage>,
    pub(super) papers: watch::Receiver<Papers>,
    pub(super) beside: Beside,
    pub(super) opener: Opener,
    pub(super) attempts: Attempts,
    pub(super) services: Services,
    pub(super) writes: (Outbox<Effect>, Keeper),
    pub(super) alarm: Alarm,
    pub(super) applied: watch::Sender<u64>,
}

/// Does one job after the other, and ends with its owner.
pub(super) struct Worker {
    jobs: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    task: AbortHandle,
}

impl Worker {
    pub(super) fn start() -> Self {
        // The machine asks for the next task once the one before is done.
        let (jobs, mut asked) = mpsc::unbounded_channel::<BoxFuture<'static, ()>>();
        let task = tokio::spawn(async move {
            while let Some(job) = asked.recv().await {
                job.await;
            }
        });
        Self {
            jobs,
            task: task.abort_handle(),
        }
    }

    fn give(&self, job: impl Future<Output = ()> + Send + 'static) {
        // It ends with this actor only.
        let _ = self.jobs.send(job.boxed());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Work that may block, as a task's result.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

impl ConfigState {
    pub(super) async fn handle(
        &mut self,
        message: ConfigMessage,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ConfigMessage::Moved => self.moved().await,
            ConfigMessage::Reported(reported) => {
                self.reports.take(reported.generation, &reported.entry);
                self.drive_soon();
                Ok(())
            }
            ConfigMessage::Staged { task, result } => {
                let result = result.map_err(|why| library::masked(&self.documents.library, why));
                self.run(Event::Staged { task, result }).await
            }
            ConfigMessage::Done { task, result } => {
                let result = result.map_err(|why| library::masked(&self.documents.library, why));
                self.run(Event::Done { task, result }).await
            }
            ConfigMessage::ManagerHeard => self.run(Event::ManagerHeard).await,
            ConfigMessage::Noted(number) => self.run(Event::Reported(number)).await,
            ConfigMessage::Drift(drifted) => self.drifted(drifted).await,
            ConfigMessage::GetRollouts(answer) => {
                self.learn_all_rollouts().await?;
                // Who no longer waits does not need to know.
                let _ = answer.send(self.rollouts.clone());
                Ok(())
            }
            ConfigMessage::GetProgress(asked, answer) => {
                // As above.
                let _ = answer.send(self.progressed(asked).await?);
                Ok(())
            }
            ConfigMessage::OpenSecrets(id, secrets, answer) => {
                // As above.
                let _ = answer.send(self.open_secrets(id, &secrets).await?);
                Ok(())
            }
            ConfigMessage::Retry(name) => self.run(Event::Retry(name)).await,
            ConfigMessage::Look(look) => {
                look(&self.view());
                Ok(())
            }
            ConfigMessage::Drive => self.drive().await,
            ConfigMessage::KeysHandedOut => {
                self.driving.hands_out = false;
                Ok(())
            }
            ConfigMessage::RolloutWritten => {
                self.driving.writes = self.driving.writes.saturating_sub(1);
                self.drive_soon();
                Ok(())
            }
            ConfigMessage::Wake => {
                self.driven.alarm.rang();
                self.run(Event::Wake).await
            }
            ConfigMessage::LookAround => {
                self.look_for_drift();
                self.moved().await
            }
            ConfigMessage::Told(told) => self.told(told).await,
            ConfigMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
                Ok(())
            }
        }
    }

    /// Performs effects in their order; what stands behind a state waits until that is kept.
    pub(super) async fn take(&mut self, effects: Vec<Effect>) -> Result<(), ActorProcessingErr> {
        for effect in effects {
            if let Effect::Keep(state) = &effect {
                let mut batch = Batch::new();
                batch.put(Table::Adopted, STATE, &codec::encode(&**state))?;
                let ticket = self.driven.writes.0.wrote();
                self.driven.writes.1.keep(ticket, batch).await?;
            } else if let Some(effect) = self.driven.writes.0.push(effect) {
                self.perform(effect).await?;
            }
        }
        self.show_what_holds();
        Ok(())
    }

    async fn told(&mut self, told: Told) -> Result<(), ActorProcessingErr> {
        match told {
            Told::Kept(ticket) => {
                for effect in self.driven.writes.0.kept(ticket) {
                    self.perform(effect).await?;
                }
                Ok(())
            }
            // It went into the space that is kept for what matters.
            Told::Full => Ok(()),
            Told::Failed(error) => Err(Fatal(error.to_string()).into()),
        }
    }

    async fn perform(&mut self, effect: Effect) -> Result<(), ActorProcessingErr> {
        match effect {
            // It went to the store when it was asked for.
            Effect::Keep(_) => {}
            Effect::Stage(staging) => self.stage(*staging).await?,
            Effect::Check { task, document } => self.check(task, &document),
            Effect::Write(task) => {
                let attempts = self.driven.attempts.clone();
                self.work(task, blocking(move || attempts.write(task.attempt)));
            }
            Effect::Run { task, hook } => self.run_hook(task, &hook),
            Effect::Probe { task, document } => self.probe(task, &document),
            Effect::AskManagers => self.ask_managers(),
            Effect::Restore(task) => {
                let attempts = self.driven.attempts.clone();
                self.work(task, blocking(move || attempts.restore(task.attempt)));
            }
            Effect::Discard { number } => {
                let attempts = self.driven.attempts.clone();
                self.worker.give(async move {
                    if let Err(error) = blocking(move || attempts.discard(number)).await {
                        tracing::warn!(error, "what is left of an attempt stays where it is");
                    }
                });
            }
            Effect::Report(outcome) => {
                let number = outcome.number;
                for (name, document) in &outcome.documents {
                    tracing::info!(
                        document = %name, version = document.version, verdict = ?document.verdict,
                        fault = outcome.fault.as_ref().map(ToString::to_string),
                        "configuration"
                    );
                }
                self.report(&Record::Config(*outcome), Some(number))?;
            }
        }
        Ok(())
    }

    /// Gives a task to the worker, and tells what came of it.
    fn work(&self, task: Task, work: impl Future<Output = Result<(), String>> + Send + 'static) {
        let myself = self.driven.myself.clone();
        self.worker.give(async move {
            let result = work.await;
            // One that is gone is started again, and asks for it again.
            let _ = myself.cast(ConfigMessage::Done { task, result });
        });
    }

    async fn stage(&mut self, staging: Staging) -> Result<(), ActorProcessingErr> {
        let (task, myself) = (staging.task, self.driven.myself.clone());
        let found = match self.refused(&staging).await? {
            Some(why) => Err(why),
            None => work::find(
                &mut self.shown.draft,
                &self.documents.library,
                &staging,
                &self.shown.files,
            ),
        };
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                let result = Err(why);
                myself.cast(ConfigMessage::Staged { task, result })?;
                return Ok(());
            }
        };
        let (attempts, store) = (
            self.driven.attempts.clone(),
            self.driven.beside.store.clone(),
        );
        self.worker.give(async move {
            let (work, changes) = (found.work, found.changes);
            let staged = store.read(move |reader| {
                let read = |hash: &regatta_protocol::ident::Hash| {
                    let body = kept::body(reader, hash).map_err(|error| error.to_string())?;
                    body.ok_or_else(|| format!("a file's bytes ({hash}) are not here any more"))
                };
                Ok(attempts.stage(task.attempt, &changes, &read))
            });
            let result = match staged.await {
                Ok(result) => result.map(|()| work),
                Err(error) => Err(error.to_string()),
            };
            // One that is gone is started again, and asks for it again.
            let _ = myself.cast(ConfigMessage::Staged { task, result });
        });
        Ok(())
    }

    /// Why a changed document is not to be taken at all.
    async fn refused(&self, staging: &Staging) -> Result<Option<String>, ActorProcessingErr> {
        let mut asks: Vec<(Arc<Loaded>, Option<Name>)> = Vec::new();
        for name in &staging.changes {
            let Some(chosen) = staging.target.get(name) else {
                continue;
            };
            if let Some(why) = self.documents.broken.get(&chosen.revision) {
                return Ok(Some(format!("config/{name}: {why}")));
            }
            let loaded = self.documents.library.get(&chosen.revision);
            let Some(loaded) = loaded.filter(|it| runs_something(&it.document.hooks)) else {
                continue;
            };
            asks.push((Arc::clone(loaded), loaded.document.hooks.run_as.clone()));
        }
        self.look(move |view| {
            let holdings = view.replica.holdings();
            let own = &view.papers.certificate;
            let labels = own.labels.with_name(&own.name);
            let mut denied = asks.iter().filter(|(loaded, user)| {
                !may_run(holdings, &loaded.signer, &labels, user.as_ref())
            });
            denied.next().map(|(loaded, user)| {
                let user = user.as_ref().map_or("the node's own user", Name::as_str);
                format!(
                    "config/{}: its author may not have commands run as {user} on this device",
                    loaded.name
                )
            })
        })
        .await
    }

    fn loaded(&self, document: &Name) -> Option<&Arc<Loaded>> {
        let target = self.driven.machine.state().target();
        self.documents.library.get(&target.get(document)?.revision)
    }

    fn command(&self, loaded: &Loaded, command: Vec<String>) -> Run {
        Run {
            command,
            run_as: loaded.document.hooks.run_as.clone(),
            document: loaded.name.clone(),
            staged: None,
        }
    }

    fn check(&self, task: Task, document: &Name) {
        let probe = self.loaded(document).and_then(|loaded| {
            let probe = loaded.document.hooks.check.as_ref()?;
            Some((self.command(loaded, probe.exec.clone()), probe.within_ms))
        });
        let Some((mut run, within_ms)) = probe else {
            return self.work(task, async { Ok(()) });
        };
        let staged = self.driven.attempts.staged(task.attempt);
        self.work(task, async move {
            let user = run.run_as.as_ref().map(|name| users::user(name.as_str()));
            // Another user may not look into the node's folder: he gets a copy of his own.
            let copied = match user.flatten() {
                Some(user) => {
                    let from = staged.clone();
                    let copy = move || copy_for(&from, user.uid, user.gid);
                    let copied = blocking(move || copy().map_err(|error| error.to_string()));
                    Some(
                        copied
                            .await
                            .map_err(|why| format!("staging for its user: {why}"))?,
                    )
                }
                None => None,
            };
            run.staged = Some(copied.as_ref().map_or(staged, |it| it.path().to_owned()));
            run.once(Duration::from_millis(within_ms)).await
        });
    }

    fn probe(&self, task: Task, document: &Name) {
        let probe = self.loaded(document).and_then(|loaded| {
            let probe = loaded.document.hooks.healthy.as_ref()?;
            Some((self.command(loaded, probe.exec.clone()), probe.within_ms))
        });
        self.work(task, async move {
            match probe {
                Some((run, within_ms)) => run.until_well(Duration::from_millis(within_ms)).await,
                None => Ok(()),
            }
        });
    }

    fn run_hook(&self, task: Task, hook: &Hook) {
        let run = self
            .documents
            .library
            .get(&hook.revision)
            .and_then(|loaded| {
                let hooks = &loaded.document.hooks.on_change;
                let action = hooks.get(usize::from(hook.index))?;
                Some(self.command(loaded, self.driven.services.command(action)))
            });
        self.work(task, async move {
            match run {
                Some(run) => run.once(ACTION_WITHIN).await,
                None => Err("its document is not here any more".to_owned()),
            }
        });
    }

    /// Asks every manager with whom there is a link for a sign of life.
    fn ask_managers(&self) {
        let (membership, network) = (
            self.driven.beside.membership.clone(),
            self.driven.beside.network.clone(),
        );
        let myself = self.driven.myself.clone();
        tokio::spawn(async move {
            let (answer, managers) = oneshot::channel();
            let look = MembershipMessage::Look(Box::new(move |view| {
                let links = view.links.iter().filter(|(_, link)| link.is_manager);
                // Who is gone does not need to know.
                let _ = answer.send(links.map(|(peer, _)| *peer).collect::<Vec<_>>());
            }));
            // Those that are gone are started again together with this one.
            let _ = membership.cast(look);
            for peer in managers.await.unwrap_or_default() {
                let (answer, answered) = oneshot::channel();
                // As above.
                let _ = network.cast(NetworkMessage::Ping { peer, answer });
                let myself = myself.clone();
                tokio::spawn(async move {
                    if answered.await.is_ok() {
                        // As above.
                        let _ = myself.cast(ConfigMessage::ManagerHeard);
                    }
                });
            }
        });
    }

    /// Writes something into the node's report; `number` is said again once it is durable there.
    pub(super) fn report(
        &self,
        record: &Record,
        number: Option<u64>,
    ) -> Result<(), ActorProcessingErr> {
        assert!(codec::fits(record), "{} has a bound", Record::WHAT);
        let bytes = Bytes::from(codec::encode(record));
        let (payload, body) = match bytes.len() <= PAYLOAD_BYTES_MAX {
            true => (bytes, None),
            false => (Bytes::default(), Some(bytes)),
        };
        let (answer, answered) = oneshot::channel();
        self.driven.beside.pulled.cast(PulledMessage::Report {
            payload,
            body,
            answer,
        })?;
        let myself = self.driven.myself.clone();
        tokio::spawn(async move {
            if let (Ok(_), Some(number)) = (answered.await, number) {
                // One that is gone is started again, and reports again.
                let _ = myself.cast(ConfigMessage::Noted(number));
            }
        });
        Ok(())
    }

    /// What programs on this device are shown is what holds, not what is being tried.
    fn show_what_holds(&mut self) {
        let good = &self.driven.machine.state().good;
        let shown = self.shown.tree.documents();
        let same = shown.len() == good.len()
            && good.iter().all(|(name, chosen)| {
                let shown = shown.get(name).map(|it| it.chosen.revision);
                shown == Some(chosen.revision)
            });
        if same {
            return;
        }
        if let Err(error) = self.shown.tree.show(good, &self.documents.library) {
            tracing::error!(error, "what holds cannot be shown");
            return;
        }
        match self.shown.tree.files() {
            Ok(files) => self.shown.files = files,
            Err(error) => tracing::error!(error, "what holds cannot be shown"),
        }
        self.forget_unused();
        self.driven.applied.send_modify(|count| *count += 1);
    }

    /// Of revisions that neither hold nor are tried, now or next, nothing is kept in memory.
    fn forget_unused(&mut self) {
        let state = self.driven.machine.state();
        let target = state.target();
        let wanted = self.driven.machine.wanted();
        let used = |choice: &regatta_protocol::config::adoption::Choice, id| {
            choice.values().any(|chosen| chosen.revision == id)
        };
        self.documents.library.retain(|id, _| {
            let wanted = wanted.is_some_and(|wanted| used(wanted, *id));
            wanted || used(&state.good, *id) || used(&target, *id)
        });
    }
}

fn runs_something(hooks: &Hooks) -> bool {
    hooks.check.is_some() || hooks.healthy.is_some() || !hooks.on_change.is_empty()
}
