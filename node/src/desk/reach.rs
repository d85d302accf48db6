//! Reaching a device: probes, and the way that leads there.

use std::time::Duration;

use regatta_actors::acts::{self, Target, find_target, look, look_around};
use regatta_actors::crew::Handles;
use regatta_actors::membership::MembershipMessage;
use regatta_actors::network::{NetworkMessage, Path};
use regatta_protocol::ident::NodeId;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::names::{name_of, names};
use super::{Desk, problem};
use crate::control::api::{PathKind, PathReport, Pong, Problem};

/// How long making a link may take.
const REACH_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer to a probe may take.
const PONG_WITHIN: Duration = Duration::from_secs(5);

fn kind(path: &Path) -> PathKind {
    if path.relayed {
        PathKind::Relayed
    } else {
        PathKind::Direct
    }
}

async fn target(handles: &Handles, name: &str) -> Result<Target, Problem> {
    let text = name.to_owned();
    let (target, own) = look(handles, move |view| {
        (find_target(view, &text), view.papers.node())
    })
    .await
    .map_err(problem)?;
    let target = match target {
        Ok(target) => target,
        Err(error) => known_here(handles, name)
            .await
            .ok_or_else(|| problem(error))?,
    };
    if let Some(enrolled) = target.enrolled.as_ref().filter(|it| !it.is_live()) {
        let why = if enrolled.replaced_by.is_some() {
            "new hardware took its place"
        } else {
            "it was revoked"
        };
        return Err(Problem::refused(format!(
            "{} is stopped: {why}, and no node answers it any more",
            target.name
        )));
    }
    if target.node == own {
        let why = format!("{} is this node itself", target.name);
        return Err(Problem::refused(why));
    }
    Ok(target)
}

/// An agent has no roll; it knows those with whom it has links.
async fn known_here(handles: &Handles, name: &str) -> Option<Target> {
    let text = name.to_owned();
    let found = look(handles, move |view| {
        let mut members = view.members.iter();
        let found = members.find(|(_, it)| it.own().name.as_str() == text);
        found.map(|(node, it)| Target {
            node: *node,
            name: it.own().name.to_string(),
            is_manager: false,
            enrolled: None,
        })
    });
    found.await.ok().flatten()
}

/// Makes a link, where there is none.
async fn link(handles: &Handles, target: &Target) -> Result<Path, Problem> {
    let (answer, answered) = oneshot::channel();
    let node = target.node;
    let message = MembershipMessage::Reach { node, answer };
    handles
        .membership
        .cast(message)
        .map_err(|_| Problem::not_ready("this node is starting its actors again"))?;
    let unreached =
        |why: String| Problem::not_ready(format!("{} cannot be reached: {why}", target.name));
    match timeout(REACH_WITHIN, answered).await {
        Ok(Ok(Ok(path))) => Ok(path),
        Ok(Ok(Err(why))) => Err(unreached(why)),
        Ok(Err(_)) => Err(unreached(
            "this node is starting its actors again".to_owned(),
        )),
        Err(_) => Err(unreached(format!(
            "no answer within {} s, and nobody knows another way",
            REACH_WITHIN.as_secs()
        ))),
    }
}

async fn probe(handles: &Handles, target: &Target) -> Result<Duration, Problem> {
    let (answer, answered) = oneshot::channel();
    let peer = target.node;
    let sent = handles.network.cast(NetworkMessage::Ping { peer, answer });
    sent.map_err(|_| Problem::not_ready("this node is starting its actors again"))?;
    match timeout(PONG_WITHIN, answered).await {
        Ok(Ok(rtt)) => Ok(rtt),
        Ok(Err(_)) => Err(Problem::not_ready(format!(
            "{}: the link was lost before it answered",
            target.name
        ))),
        Err(_) => Err(Problem::not_ready(format!(
            "{} did not answer within {} s",
            target.name,
            PONG_WITHIN.as_secs()
        ))),
    }
}

fn micros(rtt: Duration) -> u64 {
    u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)
}

impl Desk {
    /// Whether a probe of this device makes sense at all.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn pings(&self, name: &str) -> Result<(), Problem> {
        target(self.handles()?, name).await.map(|_| ())
    }

    /// One probe of a device.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn ping(&self, name: &str) -> Result<Pong, Problem> {
        let handles = self.handles()?;
        let target = target(handles, name).await?;
        let path = link(handles, &target).await?;
        let rtt = probe(handles, &target).await?;
        Ok(Pong {
            rtt_us: micros(rtt),
            path: kind(&path),
            address: path.address.to_string(),
        })
    }

    /// How this node reaches a device.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn path(&self, name: &str) -> Result<PathReport, Problem> {
        let handles = self.handles()?;
        let target = target(handles, name).await?;
        link(handles, &target).await?;
        let rtt = probe(handles, &target).await?;
        let report = self.present_path(target.node).await?;
        let lost = || Problem::not_ready(format!("{}: the link was lost meanwhile", target.name));
        let mut report = report.ok_or_else(lost)?;
        report.rtt_us = Some(micros(rtt));
        Ok(report)
    }

    /// The way that is in use now, where there is a link.
    pub(super) async fn present_path(&self, node: NodeId) -> Result<Option<PathReport>, Problem> {
        let handles = self.handles()?;
        let names = look(handles, names).await.map_err(problem)?;
        let report = look_around(handles, move |view| {
            let path = &view.links.get(&node)?.path;
            let relay = path.address.relay().filter(|_| path.relayed);
            let via = relay.map(|key| match view.contacts.with_key(&key) {
                Some(relay) => name_of(&names, &relay),
                None => "an unknown relay".to_owned(),
            });
            let dialled = if path.dialled {
                "this node dialled"
            } else {
                "the device dialled"
            };
            let mut hops = vec![dialled.to_owned()];
            if let Some(via) = &via {
                hops.push(format!(
                    "through the relay {via}, which sees only what is encrypted"
                ));
            }
            let told = view.contacts.of(&node).into_iter();
            let told = told.flat_map(|contact| &contact.addresses);
            hops.extend(told.map(|address| format!("it says that it is at {address}")));
            Some(PathReport {
                path: kind(path),
                address: path.address.to_string(),
                via,
                rtt_us: None,
                hops,
            })
        });
        report.await.map_err(problem)
    }

    /// Asks an actor of the node.
    pub(super) async fn links(&self) -> Result<Vec<regatta_actors::network::LinkStatus>, Problem> {
        let (answer, answered) = oneshot::channel();
        let message = NetworkMessage::GetLinks { answer };
        let links = acts::ask(&self.handles()?.network, message, answered).await;
        links.map_err(problem)
    }
}
