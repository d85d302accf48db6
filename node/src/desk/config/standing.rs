//! How far devices are with documents: desired, applied, pending, failed, offline; never confused.

use std::collections::BTreeMap;

use regatta_actors::{acts, config};
use regatta_protocol::catalog::CONFIG;
use regatta_protocol::config::outcome::Verdict;
use regatta_protocol::config::standing::Standing;
use regatta_protocol::ident::NodeId;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::roll::{Enrolled, Roll};

use super::versions::{How, Version};
use crate::control::api::{
    ConfigCounts, ConfigDetail, ConfigDevice, ConfigState, ConfigSummary, DriftedFile, Problem,
    moment,
};
use crate::desk::devices::only_managers;
use crate::desk::names::{name_of, names};
use crate::desk::{Desk, problem};
use crate::manifest;

/// A device, as far as it matters here.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    labels: Labels,
    heard: bool,
}

/// All devices, by their ids.
type Devices = BTreeMap<NodeId, Known>;

/// What devices reported of one document.
type Reported = BTreeMap<NodeId, Standing>;

fn state(
    version: &Version,
    standing: Option<&Standing>,
    (heard, open): (bool, bool),
) -> ConfigState {
    let of_this = |standing: &&Standing| standing.last.revision == Some(version.id);
    let holds = standing.and_then(|it| it.holds);
    if holds.is_some_and(|(revision, _)| revision == version.id) {
        return ConfigState::Applied;
    }
    match standing.filter(of_this).map(|it| it.last.verdict) {
        Some(Verdict::TakenBack | Verdict::Refused | Verdict::Stuck) => ConfigState::Failed,
        _ if !open => ConfigState::Waiting,
        _ if heard => ConfigState::Pending,
        _ => ConfigState::Offline,
    }
}

/// `open`: whether the version has come to a device, where it goes out in waves.
fn targets(
    version: &Version,
    devices: &Devices,
    reported: &Reported,
    open: impl Fn(&NodeId, &Labels) -> bool,
) -> Vec<ConfigDevice> {
    let selected = devices
        .iter()
        .filter(|(_, it)| version.select.matches(&it.labels));
    let mut targets: Vec<ConfigDevice> = selected
        .map(|(node, known)| {
            let standing = reported.get(node);
            let open = open(node, &known.labels);
            let state = state(version, standing, (known.heard, open));
            let why = standing.filter(|_| state == ConfigState::Failed);
            ConfigDevice {
                name: known.name.clone(),
                state,
                holds: standing.and_then(|it| it.holds).map(|(_, version)| version),
                at: standing.map(|it| moment(it.at.0)),
                why: why
                    .and_then(|it| it.fault.as_ref())
                    .map(ToString::to_string),
            }
        })
        .collect();
    targets.sort_by(|one, other| one.name.cmp(&other.name));
    targets
}

fn counted(targets: &[ConfigDevice]) -> ConfigCounts {
    let count = |state: ConfigState| {
        let those = targets.iter().filter(|it| it.state == state).count();
        u32::try_from(those).unwrap_or(u32::MAX)
    };
    ConfigCounts {
        desired: u32::try_from(targets.len()).unwrap_or(u32::MAX),
        applied: count(ConfigState::Applied),
        pending: count(ConfigState::Pending),
        failed: count(ConfigState::Failed),
        offline: count(ConfigState::Offline),
        waiting: count(ConfigState::Waiting),
    }
}

impl Desk {
    async fn known(&self) -> Result<Devices, Problem> {
        let enrolled = acts::look(self.handles()?, |view| {
            only_managers(view)?;
            let devices = Roll::of(view.replica.holdings()).devices();
            let live = devices.into_iter();
            let live = live.filter(Enrolled::is_live_device);
            let live = live.map(|it| (it.node, it.name().to_string(), it.seen_by_selectors()));
            Ok(live.collect::<Vec<_>>())
        });
        let enrolled = enrolled.await.map_err(problem)??;
        let nodes: Vec<NodeId> = enrolled.iter().map(|(node, _, _)| *node).collect();
        let heard = acts::look_around(self.handles()?, move |view| {
            let ready = |node: &NodeId| {
                view.machine.state_of(*node, view.now).state == PresenceState::Ready
            };
            nodes.iter().map(ready).collect::<Vec<_>>()
        });
        let heard = heard.await.map_err(problem)?;
        let known = enrolled.into_iter().zip(heard);
        Ok(known
            .map(|((node, name, labels), heard)| {
                let known = Known {
                    name,
                    labels,
                    heard,
                };
                (node, known)
            })
            .collect())
    }

    async fn targets(
        &self,
        version: &Version,
        devices: &Devices,
        reported: &Reported,
    ) -> Result<Vec<ConfigDevice>, Problem> {
        let staged = version.how == How::InWaves;
        let rollout = match staged {
            true => self.rollout_of(version).await?,
            false => None,
        };
        Ok(targets(
            version,
            devices,
            reported,
            |node, labels| match &rollout {
                Some((rollout, _)) => rollout.is_open(node, labels),
                None => !staged,
            },
        ))
    }

    async fn reported(&self, version: &Version, devices: &Devices) -> Result<Reported, Problem> {
        let (name, nodes) = (version.name.clone(), devices.keys().copied());
        let nodes: Vec<NodeId> = nodes.collect();
        let look = config::look(&self.handles()?.config, move |view| {
            let standing =
                |node: NodeId| Some((node, view.reports.standing(&node, &name)?.clone()));
            nodes.into_iter().filter_map(standing).collect::<Reported>()
        });
        look.await.map_err(problem)
    }

    /// The documents that hold.
    pub(super) async fn holding(&self) -> Result<Vec<(Version, usize)>, Problem> {
        let held = acts::look(self.handles()?, |view| {
            let (catalog, names) = (view.replica.holdings().catalog(), names(view));
            let documents = catalog.documents();
            let documents = documents.filter(|(key, _)| key.kind == CONFIG && key.scope.is_none());
            let held = documents.filter_map(|(_, heads)| {
                let held = catalog.revision(&heads.winner)?;
                let version = Version::of(view, &names, &heads.winner, held);
                (version.how != How::Deletes).then_some((version, heads.conflicts.len()))
            });
            held.collect()
        });
        held.await.map_err(problem)
    }

    async fn summary(
        &self,
        version: &Version,
        conflicts: usize,
        targets: &[ConfigDevice],
    ) -> Result<ConfigSummary, Problem> {
        let words = self.words_of(version).await?;
        let (by, priority) = match words {
            Some(words) => (words.by, words.priority),
            None => (format!("?@{}", version.manager), 0),
        };
        Ok(ConfigSummary {
            name: version.name.to_string(),
            version: version.version,
            select: version.select.to_string(),
            priority,
            by,
            at: moment(version.at.0),
            devices: counted(targets),
            conflicts: u32::try_from(conflicts).unwrap_or(u32::MAX),
            rollout: self.rollout_word(version).await,
        })
    }

    /// Every document, and how far devices are with it.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn configs(&self) -> Result<Vec<ConfigSummary>, Problem> {
        let devices = self.known().await?;
        let mut summaries = Vec::new();
        for (version, conflicts) in self.holding().await? {
            let reported = self.reported(&version, &devices).await?;
            let targets = self.targets(&version, &devices, &reported).await?;
            summaries.push(self.summary(&version, conflicts, &targets).await?);
        }
        Ok(summaries)
    }

    /// One document, device by device.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn config(&self, document: &str) -> Result<ConfigDetail, Problem> {
        let mut holding = self.holding().await?.into_iter();
        let found = holding.find(|(version, _)| version.name.as_str() == document);
        let (version, conflicts) = found.ok_or_else(|| {
            Problem::not_found(format!(
                "no config is called '{document}'; `regatta get configs` lists them"
            ))
        })?;
        let devices = self.known().await?;
        let reported = self.reported(&version, &devices).await?;
        let targets = self.targets(&version, &devices, &reported).await?;
        let words = self.words(&version).await?;
        Ok(ConfigDetail {
            summary: self.summary(&version, conflicts, &targets).await?,
            manifest: manifest::write(&version.name, &version.select, &words),
            targets,
        })
    }

    /// Files that somebody changed by hand.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn drift(&self) -> Result<Vec<DriftedFile>, Problem> {
        let drifted = config::look(&self.handles()?.config, |view| {
            let drifted = view.reports.drifted();
            drifted
                .map(|(node, it)| (*node, it.clone()))
                .collect::<Vec<_>>()
        });
        let drifted = drifted.await.map_err(problem)?;
        let told = acts::look(self.handles()?, move |view| {
            only_managers(view)?;
            let names = names(view);
            let told = drifted.into_iter().map(|(node, drifted)| DriftedFile {
                device: name_of(&names, &node),
                path: drifted.path,
                document: drifted.document.to_string(),
                gone: drifted.gone,
            });
            Ok(told.collect())
        });
        told.await.map_err(problem)?
    }
}
