//! What operators change: invites, labels, verdicts, renewals.

use regatta_actors::acts::{self, ActError, Given, find_target, look};
use regatta_actors::ledger::LedgerMessage;
use regatta_protocol::trust::enrolment::change::GivenInvite;
use tokio::sync::oneshot;

use super::names::{label_map, name_of, names};
use super::{Desk, note, problem, saved};
use crate::control::api::{
    InviteAsk, InviteGiven, LabelAsk, Problem, RevokeAsk, Saved, SignedInviteText, moment,
};
use crate::control::server::Caller;
use crate::text::from_text;

/// The shortest beginning of an invite's id that is taken for one.
const INVITE_DIGITS_MIN: usize = 6;

impl Desk {
    /// How many managers there are, this one included.
    pub(super) async fn manager_count(&self) -> Result<usize, Problem> {
        let count = look(self.handles()?, |view| {
            regatta_protocol::membership::roster::roster(view.replica.holdings()).len()
        });
        count.await.map_err(problem)
    }

    /// Makes an invite for devices.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn invite(&self, caller: &Caller, ask: InviteAsk) -> Result<InviteGiven, Problem> {
        let given = acts::invite(self.handles()?, to_give(ask)).await;
        let given = given.map_err(problem)?;
        self.given(caller, given, "devices").await
    }

    /// Makes an invite for new hardware that takes a device's place.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn replace(
        &self,
        caller: &Caller,
        name: &str,
        ask: InviteAsk,
    ) -> Result<InviteGiven, Problem> {
        let given = acts::replace(self.handles()?, name.to_owned(), to_give(ask)).await;
        let given = given.map_err(problem)?;
        self.given(caller, given, &format!("the hardware that replaces {name}"))
            .await
    }

    async fn given(
        &self,
        caller: &Caller,
        given: acts::Saved<Given>,
        whom: &str,
    ) -> Result<InviteGiven, Problem> {
        let fleet = look(self.handles()?, |view| {
            let roots = view.replica.holdings().record().roots();
            roots.current().name.to_string()
        });
        let what = "the invite is written down".to_owned();
        let kept = saved(&given, self.manager_count().await?, what);
        let Given {
            token,
            terms,
            invite,
        } = given.gives;
        note(
            caller,
            &format!("invite {} for {whom} was given", invite.id().0),
        );
        Ok(InviteGiven {
            invite: token.to_text().to_string(),
            id: invite.id().0.to_string(),
            fleet: fleet.await.map_err(problem)?,
            labels: label_map(&terms.labels),
            uses: terms.uses,
            expires: moment(terms.not_after.0),
            for_manager: false,
            saved: kept,
        })
    }

    /// Records an invite that the root signed.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn record_invite(
        &self,
        caller: &Caller,
        signed: SignedInviteText,
    ) -> Result<Saved, Problem> {
        let given = from_text::<GivenInvite>(&signed.text)
            .map_err(|error| Problem::usage(error.to_string()))?;
        let written = acts::record_invite(self.handles()?, given.invite).await;
        let written = written.map_err(problem)?;
        let what = "the root's invite is written down".to_owned();
        note(caller, &what);
        Ok(saved(&written, self.manager_count().await?, what))
    }

    /// Changes a device's labels.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn label(
        &self,
        caller: &Caller,
        name: &str,
        ask: LabelAsk,
    ) -> Result<Saved, Problem> {
        if ask.set.is_empty() && ask.remove.is_empty() {
            let why = "no label to set or to remove; write key=value or key-";
            return Err(Problem::usage(why));
        }
        let device = name.to_owned();
        let changes = changed(&ask);
        let written = acts::relabel(self.handles()?, device, ask.set, ask.remove).await;
        let written = written.map_err(problem)?;
        let name = &written.gives.name;
        let what = if written.entries.is_empty() {
            format!("{name} has these labels already")
        } else {
            format!("{name} is labelled")
        };
        note(caller, &format!("{what}: {changes}"));
        Ok(saved(&written, self.manager_count().await?, what))
    }

    /// Stops a device, or an invite by its id.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn revoke(
        &self,
        caller: &Caller,
        name: &str,
        ask: RevokeAsk,
    ) -> Result<Saved, Problem> {
        let handles = self.handles()?;
        let reason = ask.reason.unwrap_or_default();
        let written = match acts::revoke(handles, name.to_owned(), reason.clone()).await {
            Err(error @ ActError::Unknown { .. }) => {
                let may_be_invite = name.len() >= INVITE_DIGITS_MIN
                    && name.bytes().all(|it| it.is_ascii_hexdigit());
                if !may_be_invite {
                    return Err(problem(error));
                }
                let stopped = acts::stop_invite(handles, name.to_owned(), reason).await;
                let stopped = stopped.map_err(problem)?;
                let what = format!("invite {} is stopped", &stopped.gives[..8]);
                note(caller, &what);
                return Ok(saved(&stopped, self.manager_count().await?, what));
            }
            written => written.map_err(problem)?,
        };
        let name = &written.gives.name;
        let what = if written.entries.is_empty() {
            format!("{name} was stopped before")
        } else {
            format!("{name} is stopped")
        };
        note(caller, &what);
        Ok(saved(&written, self.manager_count().await?, what))
    }

    /// Lists a device no more.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn forget(&self, caller: &Caller, name: &str) -> Result<Saved, Problem> {
        let written = acts::forget(self.handles()?, name.to_owned()).await;
        let written = written.map_err(problem)?;
        let name = &written.gives.name;
        let what = if written.entries.is_empty() {
            format!("{name} was forgotten before")
        } else {
            format!("{name} is stopped and forgotten; its name is free")
        };
        note(caller, &what);
        Ok(saved(&written, self.manager_count().await?, what))
    }

    /// Renews a device's certificate, or this node's own.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn renew(&self, caller: &Caller, name: Option<&str>) -> Result<Saved, Problem> {
        let handles = self.handles()?;
        let what = match name {
            Some(name) => {
                let text = name.to_owned();
                let target = look(handles, move |view| find_target(view, &text));
                let target = target.await.map_err(problem)?.map_err(problem)?;
                let (answer, answered) = oneshot::channel();
                let node = target.node;
                let message = LedgerMessage::Renew { node, answer };
                if !acts::ask(&handles.ledger, message, answered)
                    .await
                    .map_err(problem)?
                {
                    return Err(Problem::not_ready(format!(
                        "{} is not connected to this manager, or may not be renewed by it; it is \
                         renewed by itself when it comes back",
                        target.name
                    )));
                }
                format!("{} has been sent a new certificate", target.name)
            }
            None => self.renew_own().await?,
        };
        note(caller, &what);
        // A certificate is shown by whom it is for; no ledger has it.
        Ok(Saved {
            saved: false,
            copies: 0,
            managers: u32::try_from(self.manager_count().await?).unwrap_or(u32::MAX),
            what,
        })
    }

    async fn renew_own(&self) -> Result<String, Problem> {
        let handles = self.handles()?;
        let is_manager = look(handles, |view| view.papers.is_manager());
        if is_manager.await.map_err(problem)? {
            return Err(Problem::refused(
                "a manager's certificate is renewed by its peers' testimony in its last 30 days, or by \
                 the root: `regatta root sign`",
            ));
        }
        let (answer, answered) = oneshot::channel();
        let message = LedgerMessage::AskRenewal { answer };
        let asked = acts::ask(&handles.ledger, message, answered).await;
        let Some(manager) = asked.map_err(problem)? else {
            let why = "no manager is connected; this node is renewed when one is";
            return Err(Problem::not_ready(why));
        };
        let name = look(handles, move |view| name_of(&names(view), &manager));
        let name = name.await.map_err(problem)?;
        Ok(format!("{name} was asked for a new certificate"))
    }
}

/// `site=kyoto,dock-`.
fn changed(ask: &LabelAsk) -> String {
    let set = ask.set.iter().map(|(key, value)| format!("{key}={value}"));
    let removed = ask.remove.iter().map(|key| format!("{key}-"));
    set.chain(removed).collect::<Vec<_>>().join(",")
}

fn to_give(ask: InviteAsk) -> acts::InviteAsk {
    acts::InviteAsk {
        labels: ask.labels,
        name: None,
        uses: ask.uses,
        ttl_ms: ask.ttl_ms,
    }
}
