//! The devices of a simulated fleet, enrolled: a manager that drives a rollout knows them by that.

use std::collections::BTreeMap;

use regatta_protocol::codec;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{Certificate, Issuer, Rank};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::invite::join::{JoinRequest, SignedJoin};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};

use crate::fleet;
use crate::network::NodeIndex;
use crate::pulled::agents;
use crate::world::World;

/// Has the first manager write down that every agent was let in, by one invite for each site.
pub fn all(world: &mut World) {
    let mut by_labels: BTreeMap<String, Vec<NodeIndex>> = BTreeMap::new();
    for device in agents(world) {
        if let Some(papers) = &world.nodes[device as usize].place.papers {
            let labels = format!("{:?}", papers.credentials.own().labels);
            by_labels.entry(labels).or_default().push(device);
        }
    }
    for devices in by_labels.values() {
        enrol(world, devices);
    }
}

/// Lets in devices that have the same labels.
fn enrol(world: &mut World, devices: &[NodeIndex]) {
    let issuer = world.nodes[0].identity.clone();
    let mut prng = world.prng().branch();
    let key = world.root.new_key(&mut prng);
    let certificate = |world: &World, device: &NodeIndex| {
        let papers = world.nodes[*device as usize].place.papers.as_ref();
        papers.map(|papers| papers.credentials.own().clone())
    };
    let Some(first) = devices.first().and_then(|it| certificate(world, it)) else {
        return;
    };
    let terms = InviteTerms {
        fleet: world.root.fleet,
        key: key.public(),
        rank: Rank::Device,
        labels: first.labels,
        grants: Vec::new(),
        uses: u32::try_from(devices.len()).unwrap_or(u32::MAX),
        not_after: fleet::year().to,
        issuer: Issuer::Certificate(issuer.serial),
        name: None,
        replaces: None,
    };
    let invite = SignedInvite::sign(&terms, &[(0, issuer.signer.as_ref())]);
    for device in devices {
        let Some(certificate) = certificate(world, device) else {
            continue;
        };
        let request = JoinRequest {
            invite: invite.clone(),
            name: certificate.name.clone(),
            keys: certificate.keys,
        };
        let own = &world.nodes[*device as usize].identity.signer;
        let signed = SignedJoin::sign(&request, &world.root.fleet, key.as_ref(), own.as_ref());
        let enrolment = Enrolment {
            invite: invite.id(),
            uses: terms.uses,
            certificate: codec::encode::<Certificate>(&certificate).into(),
            replaces: None,
            request: Some(signed),
        };
        let content = codec::encode(&enrolment);
        let draft = Draft::fitting(0, LedgerKind::Managers, EntryKind::ENROLMENT, content);
        world.write(0, draft);
    }
}

/// Every device that a manager knows, and what selectors see of it.
#[must_use]
pub fn known(world: &World, manager: NodeIndex) -> Vec<(NodeId, Labels)> {
    use regatta_protocol::trust::roll::Roll;
    let replica = world.nodes[manager as usize].replica.as_ref();
    let devices = replica.map(|replica| Roll::of(replica.holdings()).devices());
    let devices = devices.into_iter().flatten();
    let live = devices.filter(|device| device.is_live_device());
    live.map(|device| (device.node, device.seen_by_selectors()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::known;
    use crate::run::{self, Spec};
    use regatta_protocol::machine::Millis;

    #[test]
    fn every_device_is_known_to_every_manager() {
        let spec = Spec {
            config: true,
            ..Spec::of_seed(1, 23)
        };
        let mut world = run::launch(&spec);
        world.run_until(Millis(10_000));
        for manager in world.managers() {
            assert_eq!(known(&world, manager).len(), 20);
        }
    }
}
