//! `status`, and the managers.

use std::collections::{BTreeMap, BTreeSet};

use regatta_actors::acts::{look, look_around};
use regatta_actors::ledger::LedgerView;
use regatta_actors::membership::MembershipView;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::replica::Alarm;
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::membership::Tally;
use regatta_protocol::trust::certificate::{Certificate, Rank};
use regatta_protocol::trust::roll::Roll;

use super::names::{Names, name_of, names};
use super::{Desk, copied, problem};
use crate::control::api::{
    DeviceCounts, Disk, FleetName, Ledgers, Manager, ManagerState, NodeName, Problem, Reach, Role,
    Status, Time, moment,
};

/// From here on a device's own certificate is worth a warning: it should have been renewed twice.
const LATE_DAYS: u64 = 10;

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What the ledger says of the node.
struct Held {
    node: NodeName,
    fleet: FleetName,
    time: Time,
    ledgers: Ledgers,
    disk_full: bool,
    managers: BTreeSet<NodeId>,
    devices: BTreeSet<NodeId>,
    stopped: BTreeSet<NodeId>,
    warnings: Vec<String>,
    names: Names,
}

fn held(view: &LedgerView<'_>) -> Held {
    let replica = view.replica;
    let (holdings, own) = (replica.holdings(), &view.papers.certificate);
    let record = holdings.record();
    let roll = Roll::of(holdings).devices();
    let managers: BTreeSet<NodeId> = record.managers().values().map(|it| it.node).collect();
    let devices = roll
        .iter()
        .filter(|it| it.is_live() && it.rank() == Rank::Device);
    let names = names(view);
    Held {
        node: NodeName {
            name: own.name.to_string(),
            id: own.node.to_string(),
            role: role(own),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        fleet: FleetName {
            name: record.roots().current().name.to_string(),
            id: record.fleet().to_string(),
        },
        time: Time {
            reference: moment(replica.reference(view.now).0),
            signed: replica.time().is_signed(view.now),
        },
        ledgers: Ledgers {
            entries: holdings.entries() as u64,
            digest: holdings.state_digest().to_string(),
        },
        disk_full: view.disk_full,
        devices: devices.map(|it| it.node).collect(),
        stopped: holdings.judgement().stopped_nodes.clone(),
        warnings: warnings(view, &names),
        names,
        managers,
    }
}

pub(super) fn role(certificate: &Certificate) -> Role {
    match certificate.rank {
        Rank::Manager => Role::Manager,
        _ => Role::Agent,
    }
}

/// What somebody should look at, a line for each.
fn warnings(view: &LedgerView<'_>, names: &Names) -> Vec<String> {
    let mut warnings = Vec::new();
    let reference = view.replica.reference(view.now);
    for notice in view.notices {
        let (name, end) = (&notice.name, moment(notice.end.0));
        warnings.push(if reference > notice.end {
            format!("manager {name}: its certificate lapsed at {end}; have the root sign another")
        } else {
            let days = notice.end.since(reference).div_ceil(DAY_MS);
            format!("manager {name}: its certificate lapses in {days} days, at {end}")
        });
    }
    let own = &view.papers.certificate;
    let judgement = view.replica.holdings().judgement();
    if own.rank == Rank::Manager && judgement.stopped_keys.contains(&own.keys.sign) {
        let line = "the root has stopped this manager: what it writes counts no more; use another";
        warnings.push(line.to_owned());
    } else if judgement.stopped_nodes.contains(&own.node) {
        let line = "this node was revoked; join anew with a fresh state folder, or switch it off";
        warnings.push(line.to_owned());
    }
    if own.rank != Rank::Manager && own.window.to.since(reference) < LATE_DAYS * DAY_MS {
        let end = moment(own.window.to.0);
        warnings.push(format!(
            "this node's certificate lapses at {end} and was not renewed; no manager is reached"
        ));
    }
    if own.rank == Rank::Manager && view.replica.is_rebuilding() {
        let line = "this node's store was lost: it writes nothing until another manager, which has to \
                    be up, has given back what it wrote";
        warnings.push(line.to_owned());
    }
    for trouble in view.troubles {
        warnings.push(match trouble {
            Alarm::Forked(ledger) => format!(
                "{}: its key signed two different things for one place; it may be stolen",
                name_of(names, &ledger.author)
            ),
            Alarm::Restored(ledger) => format!(
                "{}: it was restored from a backup, or its disk was copied",
                name_of(names, &ledger.author)
            ),
            Alarm::Cloned(_) => {
                "another node writes with this node's key; stop one of the two".to_owned()
            }
        });
    }
    let roll = Roll::of(view.replica.holdings()).devices();
    let mut bearers: BTreeMap<&str, usize> = BTreeMap::new();
    for enrolled in roll.iter().filter(|it| it.is_live()) {
        *bearers.entry(enrolled.name().as_str()).or_default() += 1;
        if enrolled.contested {
            warnings.push(format!(
                "{}: its invite was used by more devices than it allows; decide who stays",
                enrolled.name()
            ));
        }
        if enrolled.rank() == Rank::Manager && !enrolled.certified {
            let name = enrolled.name();
            warnings.push(format!(
                "{name} waits to become a manager: `regatta root sign {name}`"
            ));
        }
    }
    let twice = bearers.into_iter().filter(|(_, count)| *count > 1);
    warnings.extend(twice.map(|(name, count)| {
        format!("{count} devices are called {name}; they are no targets until one is renamed")
    }));
    if view.replica.holdings().has_unknown_critical() {
        let line = "an entry of a kind that this version does not know is in force; update it";
        warnings.push(line.to_owned());
    }
    if view.disk_full {
        warnings.push("the disk is full; make room on it".to_owned());
    }
    warnings
}

/// The same of what is seen on links.
fn seen(view: &MembershipView<'_>, names: &Names, own_name: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let refused_by: Vec<String> = view
        .refused_by
        .iter()
        .map(|it| name_of(names, it))
        .collect();
    if !refused_by.is_empty() {
        warnings.push(format!(
            "{} refused this node's certificate; was it revoked? `regatta describe device {}` on a manager \
             says",
            refused_by.join(", "),
            own_name
        ));
    }
    warnings
}

impl Desk {
    /// How this node is.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn status(&self) -> Result<Status, Problem> {
        let node = self.node()?;
        let handles = &node.handles;
        let held = look(handles, held).await.map_err(problem)?;
        let (managers, devices, stopped) = (held.managers, held.devices, held.stopped);
        let (own_id, own_name, names) = (held.node.id.clone(), held.node.name.clone(), held.names);
        let (reach, counts, addresses, seen) = look_around(handles, move |view| {
            let homes = view.machine.homes().iter();
            let linked = |node: &NodeId| view.links.contains_key(node);
            let others = managers.iter().filter(|it| it.to_string() != own_id);
            let reach = Reach {
                homes: count(homes.filter(|it| linked(it)).count()),
                managers: count(managers.iter().filter(|it| linked(it)).count()),
                managers_known: count(others.count()),
                links: count(view.links.len()),
            };
            let mut tally = Tally::default();
            for device in &devices {
                use regatta_protocol::membership::presence::PresenceState;
                match view.machine.state_of(*device, view.now).state {
                    PresenceState::Ready => tally.ready += 1,
                    PresenceState::Unreachable => tally.unreachable += 1,
                    PresenceState::Unknown => tally.unknown += 1,
                }
            }
            let counts = DeviceCounts {
                ready: count(tally.ready),
                unreachable: count(tally.unreachable),
                unknown: count(tally.unknown),
            };
            let own = view.own.worth_telling();
            let addresses = own.iter().map(ToString::to_string).collect();
            let mut seen = seen(view, &names, &own_name);
            for node in view.twins.keys().filter(|it| !stopped.contains(it)) {
                let is_manager = managers.contains(node);
                seen.extend(copied::warning(view, node, &names, is_manager));
            }
            (reach, counts, addresses, seen)
        })
        .await
        .map_err(problem)?;
        let mut warnings = held.warnings;
        warnings.extend(seen);
        let uptime = node.started.elapsed().as_millis();
        Ok(Status {
            node: held.node,
            fleet: held.fleet,
            uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
            time: held.time,
            reach,
            devices: counts,
            ledgers: held.ledgers,
            disk: self.disk(held.disk_full).await?,
            warnings,
            addresses,
        })
    }

    pub(super) async fn disk(&self, full: bool) -> Result<Disk, Problem> {
        let store = &self.handles()?.store;
        let gone = |_| Problem::not_ready("the store is being started again");
        let health = store.health().await.map_err(gone)?;
        let free = store.read(|reader| reader.free_bytes()).await;
        Ok(Disk {
            bytes: health.bytes,
            free: free.map_err(gone)?,
            full: full || health.nearly_full,
        })
    }

    /// The managers, and those that wait to become one.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn managers(&self) -> Result<Vec<Manager>, Problem> {
        let handles = self.handles()?;
        let managers = look(handles, managers).await.map_err(problem)?;
        let listed = look_around(handles, move |view| {
            let mut managers = managers;
            for (node, manager) in &mut managers {
                manager.reachable = manager.is_self || view.links.contains_key(node);
                let contact = view.contacts.of(node);
                manager.addresses = contact.map(|it| it.addresses.clone()).unwrap_or_default();
            }
            let mut listed: Vec<Manager> = managers.into_values().collect();
            listed.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
            listed
        });
        listed.await.map_err(problem)
    }
}

fn managers(view: &LedgerView<'_>) -> BTreeMap<NodeId, Manager> {
    let holdings = view.replica.holdings();
    let (judgement, own) = (holdings.judgement(), view.papers.node());
    let reference = view.replica.reference(view.now);
    let mut managers: BTreeMap<NodeId, Manager> = BTreeMap::new();
    for (serial, certificate) in holdings.record().managers() {
        let end = judgement.end_of(serial, certificate);
        let state = if judgement.stopped_keys.contains(&certificate.keys.sign) {
            ManagerState::Stopped
        } else if reference > end {
            ManagerState::Lapsed
        } else {
            ManagerState::Good
        };
        let until = Some(moment(end.0));
        let known = managers.get(&certificate.node);
        // Of several certificates the one that lasts longest.
        if known.is_none_or(|known| known.certificate_until < until) {
            let node = certificate.node;
            let manager = manager(
                node,
                certificate.name.to_string(),
                state,
                until,
                node == own,
            );
            managers.insert(node, manager);
        }
    }
    for enrolled in Roll::of(holdings).devices() {
        let waits = enrolled.rank() == Rank::Manager && !enrolled.certified && enrolled.is_live();
        if waits && !managers.contains_key(&enrolled.node) {
            let (node, name) = (enrolled.node, enrolled.name().to_string());
            managers.insert(
                node,
                manager(node, name, ManagerState::Pending, None, false),
            );
        }
    }
    managers
}

fn manager(
    node: NodeId,
    name: String,
    state: ManagerState,
    certificate_until: Option<String>,
    is_self: bool,
) -> Manager {
    Manager {
        name,
        id: node.to_string(),
        state,
        certificate_until,
        reachable: false,
        addresses: Vec::new(),
        is_self,
    }
}
