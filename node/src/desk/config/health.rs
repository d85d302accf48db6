//! What `regatta doctor` says of configuration: what this node refused, waits for, or could not take back.

use regatta_actors::config::{self, ConfigView, Pending};
use regatta_protocol::config::adoption::Change;

use crate::control::api::{Check, Problem};
use crate::desk::{Desk, problem};

/// What was found, and what to do about it.
type Found = (String, &'static str);

/// What is not as it should be, the gravest first.
fn wrong(view: &ConfigView<'_>) -> Option<Found> {
    let state = view.adoption;
    let stuck = state.attempt.as_ref().and_then(|it| it.stuck.as_ref());
    if let Some(fault) = stuck {
        let advice = "mend what it says, then `regatta config retry`";
        return Some((
            format!("what failed could not be taken back: {fault}"),
            advice,
        ));
    }
    if let Some((name, refusal)) = state.refused.iter().next() {
        let which = match refusal.change {
            Change::Take(chosen) => format!("config/{name}@{}", chosen.version),
            Change::Leave { .. } => format!("the end of config/{name}"),
        };
        let fault = state.faults.get(&refusal.attempt);
        let why = fault.map(|fault| format!(": {fault}")).unwrap_or_default();
        let advice = "apply a better version, or `regatta config retry` once its reason is gone";
        return Some((format!("{which} does not hold{why}"), advice));
    }
    if let Some(denied) = view.denied.first() {
        let what = format!(
            "config/{}@{}: its author may not write for this device",
            denied.name, denied.version
        );
        return Some((what, "have a manager write it that may"));
    }
    let (name, pending) = view.pending.iter().next()?;
    Some(match pending {
        Pending::Body => (
            format!("config/{name} is on its way, or a file of it"),
            "it comes from whichever neighbour has it; is a manager in reach",
        ),
        Pending::Key => (
            format!("config/{name} has secrets, and nobody has handed this device their key yet"),
            "a manager with secret.wrap hands it out; is one up",
        ),
    })
}

impl Desk {
    /// Whether configuration is as it should be here.
    ///
    /// # Errors
    /// See [`Desk`].
    pub(in crate::desk) async fn config_check(&self) -> Result<Check, Problem> {
        let found = config::look(&self.handles()?.config, |view| {
            let drifted = view.reports.drifted().count();
            (wrong(view), view.adoption.good.len(), drifted)
        });
        let (wrong, holds, drifted) = found.await.map_err(problem)?;
        let (ok, detail, advice) = match (wrong, drifted) {
            (Some((detail, advice)), _) => (false, detail, advice),
            (None, 0) if holds == 0 => (true, "nothing is amiss".to_owned(), ""),
            (None, 0) => (true, format!("{holds} documents hold"), ""),
            (None, drifted) => {
                let detail = format!("{drifted} files on devices were changed by hand");
                (false, detail, "`regatta get drift` lists them")
            }
        };
        Ok(Check {
            name: "configuration".to_owned(),
            ok,
            detail,
            advice: if ok { String::new() } else { advice.to_owned() },
        })
    }
}
