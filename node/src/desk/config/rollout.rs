//! How far a change has gone out, and an operator's word on it.

use regatta_actors::acts;
use regatta_actors::acts::config::{keep_body, selected};
use regatta_actors::config;
use regatta_actors::config::rollouts::draft_of;
use regatta_protocol::config::rollout::{
    DeviceFacts, RolloutDocument, RolloutState, Summary, advance,
};
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::presence::PresenceState;

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

impl Desk {
    /// The rollout of a version, as it is in effect; none where it goes out at once, or has not begun.
    pub(super) async fn rollout_of(
        &self,
        version: &Version,
    ) -> Result<Option<(RolloutDocument, Millis)>, Problem> {
        let rollouts = config::rollouts(&self.handles()?.config);
        let (rollouts, id) = (rollouts.await.map_err(problem)?, version.id);
        let found = acts::look(self.handles()?, move |view| {
            let found = rollouts.of(view.replica.holdings().catalog(), &id);
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

    async fn facts(&self, version: &Version, now: Millis) -> Result<Vec<DeviceFacts>, Problem> {
        let select = version.select.clone();
        let devices = acts::look(self.handles()?, move |view| {
            only_managers(view)?;
            Ok(selected(view, &select))
        });
        let devices = devices.await.map_err(problem)??;
        let nodes: Vec<_> = devices.keys().copied().collect();
        let seen = acts::look_around(self.handles()?, move |view| {
            let seen = nodes
                .iter()
                .map(|node| view.machine.state_of(*node, view.now));
            seen.collect::<Vec<_>>()
        });
        let seen = seen.await.map_err(problem)?;
        let (name, of) = (version.name.clone(), version.id);
        let nodes: Vec<_> = devices.keys().copied().collect();
        let outcomes = config::look(&self.handles()?.config, move |view| {
            let outcome = |node| view.reports.standing(node, &name)?.found(&of);
            nodes.iter().map(outcome).collect::<Vec<_>>()
        });
        let outcomes = outcomes.await.map_err(problem)?;
        let facts = devices.into_iter().zip(seen).zip(outcomes);
        Ok(facts
            .map(|(((node, labels), seen), outcome)| DeviceFacts {
                node,
                labels,
                ready: seen.state == PresenceState::Ready,
                heard: seen
                    .heard_ago_ms
                    .map(|ago| Millis(now.0.saturating_sub(ago))),
                outcome,
            })
            .collect())
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
        let facts = self.facts(&version, now).await?;
        let counted = advance(&found, &facts, now).summary;
        Ok((version, found, counted, now))
    }

    async fn aborted(
        &self,
        found: RolloutDocument,
        by: String,
    ) -> Result<Option<RolloutDocument>, Problem> {
        let rollouts = config::rollouts(&self.handles()?.config);
        let rollouts = rollouts.await.map_err(problem)?;
        let aborted = acts::look(self.handles()?, move |view| {
            rollouts.aborted(view.replica.holdings().catalog(), &found, &by)
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
                self.aborted(found.clone(), by).await?,
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
        let draft = draft_of(&version.id, &version.select, &next);
        keep_body(self.handles()?, draft.bytes.clone())
            .await
            .map_err(problem)?;
        let written = acts::write(self.handles()?, move |view| {
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
