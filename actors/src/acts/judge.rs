//! Stopping devices and invites, forgetting and labelling devices, carrying what the root says.

use std::collections::BTreeMap;

use regatta_protocol::codec::{self, Name};
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::Capability;
use regatta_protocol::trust::enrolment::change::{Forget, Relabel};
use regatta_protocol::trust::roll::Enrolled;
use regatta_protocol::trust::statement::Statement;
use regatta_protocol::trust::verdict::{Ruling, Subject, Verdict, Verdicts};

use crate::acts::{ActError, Saved, Target, find_invite, find_target, write};
use crate::crew::Handles;
use crate::ledger::LedgerView;

/// A reason is shown in tables.
const REASON_BYTES_MAX: usize = 200;

fn stopping(subject: Subject, reason: &str) -> Draft {
    let verdicts = Verdicts(vec![Verdict {
        subject,
        ruling: Ruling::Stopped,
        ledgers: Vec::new(),
        replaces: Vec::new(),
        until: None,
        reason: reason.to_owned(),
    }]);
    let content = codec::encode(&verdicts);
    Draft::fitting(0, LedgerKind::Trust, EntryKind::VERDICT, content)
}

fn check_reason(reason: &str) -> Result<(), ActError> {
    if reason.len() > REASON_BYTES_MAX {
        let why = format!("a reason has {REASON_BYTES_MAX} bytes at most");
        return Err(ActError::Invalid(why));
    }
    Ok(())
}

/// `labels`: of whom it is to stop; an invite's are those that it gives.
fn check_may_stop(view: &LedgerView<'_>, labels: &Labels) -> Result<(), ActError> {
    let mut grants = view.papers.certificate.grants.iter();
    if grants.any(|it| it.capability == Capability::Stop && it.selector.matches(labels)) {
        return Ok(());
    }
    let why = match view.papers.can(Capability::Stop) {
        true => "this manager's certificate does not let it stop anybody with these labels",
        false => "this manager's certificate does not let it stop anybody",
    };
    Err(ActError::Invalid(why.to_owned()))
}

fn check_may_enrol(view: &LedgerView<'_>, labels: &Labels) -> Result<(), ActError> {
    if view.papers.certificate.may_enrol(labels) {
        return Ok(());
    }
    let why = "this manager's certificate is not for devices with these labels";
    Err(ActError::Invalid(why.to_owned()))
}

/// A device that an operator named; managers are the root's to judge.
fn device(view: &LedgerView<'_>, text: &str) -> Result<(Target, Enrolled), ActError> {
    let target = find_target(view, text)?;
    match &target.enrolled {
        Some(enrolled) if !target.is_manager => {
            let enrolled = enrolled.clone();
            Ok((target, enrolled))
        }
        _ => Err(ActError::Manager { name: target.name }),
    }
}

/// Stops a device; what it says whether it was stopped before.
///
/// # Errors
/// Why it is not stopped.
pub async fn revoke(
    handles: &Handles,
    device_name: String,
    reason: String,
) -> Result<Saved<Target>, ActError> {
    check_reason(&reason)?;
    write(handles, move |view| {
        let (target, enrolled) = device(view, &device_name)?;
        check_may_stop(view, &enrolled.labels)?;
        let (serial, node) = (enrolled.serial, enrolled.node);
        let subject = Subject::Holder { serial, node };
        let drafts = if enrolled.stopped {
            Vec::new()
        } else {
            vec![stopping(subject, &reason)]
        };
        Ok((drafts, target))
    })
    .await
}

/// Stops an invite: who has not joined with it yet will not.
///
/// # Errors
/// Why it is not stopped.
pub async fn stop_invite(
    handles: &Handles,
    invite: String,
    reason: String,
) -> Result<Saved<String>, ActError> {
    check_reason(&reason)?;
    write(handles, move |view| {
        let found = find_invite(view, &invite)?;
        check_may_stop(view, &found.terms.labels)?;
        let drafts = if found.stopped {
            Vec::new()
        } else {
            vec![stopping(Subject::Invite(found.id), &reason)]
        };
        Ok((drafts, found.id.0.to_string()))
    })
    .await
}

/// A device is gone for good: it is stopped, leaves the lists, and its name is free.
///
/// # Errors
/// Why it is not forgotten.
pub async fn forget(handles: &Handles, device_name: String) -> Result<Saved<Target>, ActError> {
    write(handles, move |view| {
        let (target, enrolled) = device(view, &device_name)?;
        check_may_enrol(view, &enrolled.labels)?;
        let mut drafts = Vec::new();
        if !enrolled.stopped {
            check_may_stop(view, &enrolled.labels)?;
            let (serial, node) = (enrolled.serial, enrolled.node);
            drafts.push(stopping(Subject::Holder { serial, node }, "forgotten"));
        }
        if !enrolled.forgotten {
            let content = codec::encode(&Forget {
                node: enrolled.node,
            });
            let kind = EntryKind::FORGET;
            drafts.push(Draft::fitting(0, LedgerKind::Managers, kind, content));
        }
        Ok((drafts, target))
    })
    .await
}

/// Changes a device's labels.
///
/// # Errors
/// What of it breaks a rule.
pub async fn relabel(
    handles: &Handles,
    device_name: String,
    set: BTreeMap<String, String>,
    remove: Vec<String>,
) -> Result<Saved<Target>, ActError> {
    write(handles, move |view| {
        let (target, enrolled) = device(view, &device_name)?;
        let mut after = enrolled.labels.clone();
        let mut relabel = Relabel {
            node: enrolled.node,
            set: Vec::new(),
            remove: Vec::new(),
        };
        for key in &remove {
            let key = Name::new(key)?;
            after.remove(&key);
            relabel.remove.push(key);
        }
        for (key, value) in &set {
            let (key, value) = (Name::new(key)?, Name::new(value)?);
            after.set(key.clone(), value.clone())?;
            relabel.set.push((key, value));
        }
        check_may_enrol(view, &enrolled.labels)?;
        check_may_enrol(view, &after)?;
        if !enrolled.certificate.with_labels(&after).is_presentable() {
            let why = "too many or too long labels for a certificate; remove some (`key-`)";
            return Err(ActError::Invalid(why.to_owned()));
        }
        let changes = after != enrolled.labels;
        let content = codec::encode(&relabel);
        let kind = EntryKind::RELABEL;
        let draft = Draft::fitting(0, LedgerKind::Managers, kind, content);
        let drafts = changes.then_some(draft).into_iter().collect();
        Ok((drafts, target))
    })
    .await
}

/// Carries something that the root said into the fleet.
///
/// # Errors
/// When the root did not say it, or what it says does not hold.
pub async fn carry(handles: &Handles, statement: Statement) -> Result<Saved<()>, ActError> {
    write(handles, move |view| {
        let mut holdings = view.replica.holdings().record().clone();
        let known = holdings.statements().any(|said| *said == statement);
        if known {
            return Ok((Vec::new(), ()));
        }
        if !holdings.take_statement(&statement) {
            let why = "this fleet's root did not sign it, or it does not follow the present root";
            return Err(ActError::Invalid(why.to_owned()));
        }
        let content = codec::encode(&statement);
        let kind = EntryKind::STATEMENT;
        Ok((
            vec![Draft::fitting(0, LedgerKind::Trust, kind, content)],
            (),
        ))
    })
    .await
}
