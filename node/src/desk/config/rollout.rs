//! How far a change has gone out, and an operator's word on it.

use regatta_actors::acts;
use regatta_actors::acts::config::{check_covers, keep_body};
use regatta_actors::config;
use regatta_actors::config::rollouts::{Progress, draft_of};
use regatta_actors::ledger::LedgerView;
use regatta_protocol::config::rollout::{
    RolloutDocument, RolloutState, Rollouts, Summary, advance,
};
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::roll::Roll;

use super::versions::Version;
use crate::control::api::{
    Problem, RolloutAction, RolloutAsk, RolloutCounts, RolloutStatus, Saved, moment,
};
use crate::control::server::Caller;
use crate::desk::devices::only_managers;
use crate::desk::{Desk, note, problem, saved};

fn word(state: &RolloutState) -> (&'static str, Option<String>) {
    match state {
        RolloutState::Running => ("running", None),
        RolloutState::Paused { why, by } => {
            let by = by.as_ref().map(|by| format!("{by}: ")).unwrap_or_default();
            ("paused", Some(format!("{by}{why}")))
        }
        RolloutState::Aborted { by } => ("aborted", Some(format!("by {by}"))),
        RolloutState::Complete => ("complete", None),
    }
}

fn labels(view: &LedgerView<'_>, select: &Selector) -> Vec<Labels> {
    let selected = Roll::of(view.replica.holdings()).selected(select);
    selected.into_values().collect()
}

impl Desk {
    async fn rollouts(&self) -> Result<Rollouts, Problem> {
        let rollouts = config::rollouts(&self.handles()?.config);
        rollouts.await.map_err(problem)
    }

    /// The rollout of a version, as it is in effect; none where it goes out at once, or has not begun.
    pub(super) async fn rollout_of(
        &self,
        version: &Version,
    ) -> Result<Option<(RolloutDocument, Millis)>, Problem> {
        let (rollouts, id) = (self.rollouts().await?, version.id);
        let select = version.select.clone();
        let found = acts::look(self.handles()?, move |view| {
            let found = rollouts.of(view.replica.holdings(), &id, &labels(view, &select));
            (found, view.replica.reference(view.now))
        });
        let (found, now) = found.await.map_err(problem)?;
        let found = found.map_err(|_| {
            Problem::not_ready("the words of this rollout have not come to this manager yet")
        })?;
        Ok(found.map(|found| (found, now)))
    }

    /// In a few words, for lists.
    pub(super) async fn rollout_word(&self, version: &Version) -> Option<String> {
        let (found, _) = self.rollout_of(version).await.ok()??;
        let (state, _) = word(&found.state);
        Some(match found.state {
            RolloutState::Complete | RolloutState::Aborted { .. } => state.to_owned(),
            _ => format!("{state}, wave {} of {}", found.wave + 1, found.waves()),
        })
    }

    async fn holding_named(&self, document: &str) -> Result<Version, Problem> {
        let mut holding = self.holding().await?.into_iter();
        let found = holding.find(|(version, _)| version.name.as_str() == document);
        found.map(|(version, _)| version).ok_or_else(|| {
            Problem::not_found(format!(
                "no config is called '{document}'; `regatta get configs` lists them"
            ))
        })
    }

    async fn going(
        &self,
        document: &str,
    ) -> Result<(Version, RolloutDocument, Summary, Millis), Problem> {
        let manager = acts::look(self.handles()?, only_managers);
        manager.await.map_err(problem)??;
        let version = self.holding_named(document).await?;
        let none = || {
            Problem::not_found(format!(
                "config/{document}@{} goes out at once; spec.rollout makes waves of it",
                version.version
            ))
        };
        let words = self.words(&version).await?;
        let spec = words.rollout.ok_or_else(none)?;
        let (found, now) = match self.rollout_of(&version).await? {
            Some(found) => found,
            // Nobody has begun it yet.
            None => {
                let id = version.id;
                let found = acts::look(self.handles()?, move |view| {
                    let held = view.replica.holdings().catalog().revision(&id);
                    let base = held.and_then(|held| held.revision.replaces.first().copied());
                    (base, view.replica.reference(view.now))
                });
                let (base, now) = found.await.map_err(problem)?;
                (RolloutDocument::start(id, base, spec, now), now)
            }
        };
        let asked = Progress {
            of: version.id,
            name: version.name.clone(),
            select: version.select.clone(),
        };
        let progress = config::progress(&self.handles()?.config, asked);
        let progress = progress.await.map_err(problem)?;
        let counted = advance(&found, &progress.devices, now).summary;
        Ok((version, found, counted, now))
    }

    async fn aborted(
        &self,
        version: &Version,
        found: RolloutDocument,
        by: String,
    ) -> Result<Option<RolloutDocument>, Problem> {
        let (rollouts, select) = (self.rollouts().await?, version.select.clone());
        let aborted = acts::look(self.handles()?, move |view| {
            let devices = labels(view, &select);
            rollouts.aborted(view.replica.holdings(), &found, (&by, &devices))
        });
        let aborted = aborted.await.map_err(problem)?;
        aborted.map_err(|_| {
            Problem::not_ready("the words of an earlier rollout have not come to this manager yet")
        })
    }

    /// How far a change has gone out.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn rollout(&self, document: &str) -> Result<RolloutStatus, Problem> {
        let (version, found, counted, _) = self.going(document).await?;
        let (state, why) = word(&found.state);
        Ok(RolloutStatus {
            name: document.to_owned(),
            version: version.version,
            state: state.to_owned(),
            why,
            wave: u32::from(found.wave) + 1,
            waves: u32::from(found.waves()),
            since: moment(found.since.0),
            devices: RolloutCounts {
                selected: counted.selected,
                heard: counted.heard,
                reach: counted.reach,
                open: counted.open,
                applied: counted.applied,
                failed: counted.failed,
                following: counted.following,
                held: counted.held,
            },
        })
    }

    /// Pauses, resumes or aborts a rollout.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn steer(
        &self,
        caller: &Caller,
        document: &str,
        ask: RolloutAsk,
    ) -> Result<Saved, Problem> {
        let (version, found, counted, now) = self.going(document).await?;
        let by = self.writer(caller).await?;
        let why = ask
            .why
            .unwrap_or_else(|| "an operator asked for it".to_owned());
        let (next, done) = match ask.action {
            RolloutAction::Pause => (found.paused(&by, &why), "paused"),
            RolloutAction::Resume => (found.resumed(counted.failed, now), "resumed"),
            RolloutAction::Abort => (
                self.aborted(&version, found.clone(), by).await?,
                "aborted: devices go back to what was before",
            ),
        };
        let (state, _) = word(&found.state);
        let next = next.ok_or_else(|| {
            Problem::refused(format!(
                "the rollout of config/{document}@{} is {state}; nothing about it changes any more",
                version.version
            ))
        })?;
        let draft = draft_of(&version.id, &next);
        keep_body(self.handles()?, draft.bytes.clone())
            .await
            .map_err(problem)?;
        let (name, select) = (version.name.clone(), version.select.clone());
        let written = acts::write(self.handles()?, move |view| {
            check_covers(view, &name, &select)?;
            Ok((vec![draft.write(view)], ()))
        });
        let written = written.await.map_err(problem)?;
        let what = format!(
            "the rollout of config/{document}@{} is {done}",
            version.version
        );
        note(caller, &what);
        Ok(saved(&written, self.manager_count().await?, what))
    }
}
