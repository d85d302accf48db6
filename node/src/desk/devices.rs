//! Devices, as lists and one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use regatta_actors::acts::{find_target, look, look_around};
use regatta_actors::ledger::LedgerView;
use regatta_actors::membership::MembershipView;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::selector::Selector;
use regatta_protocol::trust::authority::Credentials;
use regatta_protocol::trust::certificate::{NodeKeys, Rank};
use regatta_protocol::trust::roll::{Enrolled, InviteState, Roll};

use super::copied::{conflict, copied};
use super::names::{Names, label_map, name_of, names};
use super::{Desk, problem};
use crate::control::api::{
    Device, DeviceDetail, DeviceState, Enrolment, Heard, Invite, InviteState as InviteWord,
    KeyPrint, Papers, Problem, Role, moment,
};

/// What the ledger says of a device.
struct OnRoll {
    enrolled: Enrolled,
    /// Its certificate, where it showed it here since this node started.
    shown: Option<Arc<Credentials>>,
}

/// What the ledger says of all that are asked for.
struct Listed {
    devices: Vec<OnRoll>,
    names: Names,
}

pub(super) fn only_managers(view: &LedgerView<'_>) -> Result<(), Problem> {
    if view.papers.is_manager() {
        return Ok(());
    }
    let why = "this node is an agent and knows no devices; ask a manager, `regatta get managers` lists them";
    Err(Problem::refused(why))
}

fn listed(view: &LedgerView<'_>, selector: &Selector) -> Result<Listed, Problem> {
    only_managers(view)?;
    let enrolled = Roll::of(view.replica.holdings()).devices().into_iter();
    let devices = enrolled.filter(|it| it.rank() == Rank::Device && !it.forgotten);
    let devices = devices.filter(|it| selector.matches(&it.labels.with_name(it.name())));
    Ok(Listed {
        devices: devices.map(|it| on_roll(view, it)).collect(),
        names: names(view),
    })
}

fn on_roll(view: &LedgerView<'_>, enrolled: Enrolled) -> OnRoll {
    let shown = view.known.get(&enrolled.node).cloned();
    OnRoll { enrolled, shown }
}

/// What membership adds to it.
fn device(view: &MembershipView<'_>, on_roll: &OnRoll, names: &Names) -> Device {
    let OnRoll { enrolled, shown } = on_roll;
    let presence = view.machine.state_of(enrolled.node, view.now);
    let state = match presence.state {
        _ if enrolled.forgotten => DeviceState::Forgotten,
        _ if !enrolled.is_live() => DeviceState::Stopped,
        PresenceState::Ready => DeviceState::Ready,
        PresenceState::Unreachable => DeviceState::Unreachable,
        PresenceState::Unknown => {
            let met = view.contacts.of(&enrolled.node).is_some() || shown.is_some();
            match presence.heard_ago_ms {
                None if !met => DeviceState::Pending,
                _ => DeviceState::Unknown,
            }
        }
    };
    let borne = shown.as_ref().map(|it| it.own());
    let labels = borne.map_or(&enrolled.labels, |it| &it.labels);
    let pending = (*labels != enrolled.labels).then(|| label_map(&enrolled.labels));
    Device {
        name: enrolled.name().to_string(),
        id: enrolled.node.to_string(),
        state,
        role: Role::Agent,
        labels: label_map(labels),
        pending_labels: pending,
        homes: presence.homes.iter().map(|it| name_of(names, it)).collect(),
        heard: Heard {
            last_heard_ms: presence.heard_ago_ms,
            heard_by: presence.by.map(|by| name_of(names, &by)),
        },
        papers: Papers {
            enrolled: Some(moment(enrolled.enrolled_at.0)),
            certificate_until: borne.map(|it| moment(it.window.to.0)),
            version: None,
        },
        copied: copied(view, &enrolled.node, names).filter(|_| enrolled.is_live()),
    }
}

/// What only a look at one device gives.
struct Described {
    on_roll: OnRoll,
    names: Names,
    enrolment: Option<Enrolment>,
    conflicts: Vec<String>,
    notes: Vec<String>,
}

fn described(view: &LedgerView<'_>, text: &str) -> Result<Described, Problem> {
    only_managers(view)?;
    let target = find_target(view, text).map_err(problem)?;
    let Some(enrolled) = target.enrolled.filter(|_| !target.is_manager) else {
        let why = format!("'{text}' is a manager; see `regatta get managers -o wide`");
        return Err(Problem::refused(why));
    };
    let holdings = view.replica.holdings();
    let names = names(view);
    let held = Roll::of(holdings).latest(&enrolled.node);
    let enrolment = held.map(|held| Enrolment {
        invite: held.enrolment.invite.0.to_string(),
        by: name_of(&names, &held.written.ledger.author),
        when: moment(held.written.stamp.wall.0),
    });
    let mut conflicts = Vec::new();
    let bearers = Roll::of(holdings).named(enrolled.name().as_str());
    if bearers.len() > 1 {
        conflicts.push(format!(
            "{} nodes are called {}; it is no target until one is renamed",
            bearers.len(),
            enrolled.name()
        ));
    }
    if enrolled.contested {
        conflicts.push("its invite was used by more devices than it allows".to_owned());
    }
    let mut notes = Vec::new();
    if let Some(by) = enrolled.replaced_by {
        notes.push(format!("{} took its place", name_of(&names, &by)));
    }
    Ok(Described {
        on_roll: on_roll(view, enrolled),
        names,
        enrolment,
        conflicts,
        notes,
    })
}

fn fingerprints(keys: &NodeKeys) -> Vec<KeyPrint> {
    let print = |kind: &str, bytes: &[u8]| KeyPrint {
        kind: kind.to_owned(),
        fingerprint: Hash::of(bytes).to_string()[..32].to_owned(),
    };
    vec![print("sign", &keys.sign.0.0), print("seal", &keys.seal.0.0)]
}

impl Desk {
    /// The devices that a selector selects, or all.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn devices(&self, selector: Option<&str>) -> Result<Vec<Device>, Problem> {
        let handles = self.handles()?;
        let parsed = selector.unwrap_or_default().parse::<Selector>();
        let selector = parsed.map_err(|error| Problem::usage(error.to_string()))?;
        let listed = look(handles, move |view| listed(view, &selector));
        let Listed { devices, names } = listed.await.map_err(problem)??;
        let listed = look_around(handles, move |view| {
            let devices = devices.iter();
            let mut listed: Vec<Device> = devices.map(|it| device(view, it, &names)).collect();
            listed.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
            listed
        });
        listed.await.map_err(problem)
    }

    /// One device, by its name, its id, or a prefix of that which no other has.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn device(&self, name: &str) -> Result<DeviceDetail, Problem> {
        let (handles, text) = (self.handles()?, name.to_owned());
        let described = look(handles, move |view| described(view, &text));
        let described = described.await.map_err(problem)??;
        let node = described.on_roll.enrolled.node;
        let keys = fingerprints(&described.on_roll.enrolled.certificate.keys);
        let (on_roll, names) = (described.on_roll, described.names);
        let device = look_around(handles, move |view| device(view, &on_roll, &names));
        let device = device.await.map_err(problem)?;
        let copied = device.copied.iter();
        let copied = copied.map(|copied| conflict(copied, &device.name));
        let conflicts = copied.chain(described.conflicts).collect();
        Ok(DeviceDetail {
            device,
            keys,
            enrolment: described.enrolment,
            path: self.present_path(node).await?,
            conflicts,
            notes: described.notes,
        })
    }

    /// The invites that were given.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn invites(&self) -> Result<Vec<Invite>, Problem> {
        let invites = look(self.handles()?, |view| {
            only_managers(view)?;
            let names = names(view);
            let invites = Roll::of(view.replica.holdings()).invites().into_iter();
            Ok(invites.map(|it| invite(&it, &names)).collect())
        });
        invites.await.map_err(problem)?
    }
}

fn invite(invite: &InviteState, names: &BTreeMap<NodeId, String>) -> Invite {
    let used = u32::try_from(invite.used_by.len()).unwrap_or(u32::MAX);
    let state = if invite.stopped {
        InviteWord::Stopped
    } else if invite.uses_left == 0 {
        InviteWord::Used
    } else if invite.expired {
        InviteWord::Expired
    } else {
        InviteWord::Open
    };
    Invite {
        id: invite.id.0.to_string(),
        labels: label_map(&invite.terms.labels),
        uses: invite.terms.uses,
        used,
        used_by: invite.used_by.iter().map(ToString::to_string).collect(),
        expires: moment(invite.terms.not_after.0),
        state,
        for_manager: invite.terms.rank == Rank::Manager,
        by: name_of(names, &invite.author),
    }
}
