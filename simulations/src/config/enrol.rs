//! The devices of a simulated fleet, enrolled: a manager that drives a rollout knows them by that.

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

/// Has the first manager write down that every agent was let in, by one invite for all of them.
pub fn all(world: &mut World) {
    let devices = agents(world);
    let issuer = world.nodes[0].identity.clone();
    let mut prng = world.prng().branch();
    let key = world.root.new_key(&mut prng);
    let terms = InviteTerms {
        fleet: world.root.fleet,
        key: key.public(),
        rank: Rank::Device,
        labels: Labels::none(),
        grants: Vec::new(),
        uses: u32::try_from(devices.len()).unwrap_or(u32::MAX),
        not_after: fleet::year().to,
        issuer: Issuer::Certificate(issuer.serial),
        name: None,
        replaces: None,
    };
    let invite = SignedInvite::sign(&terms, &[(0, issuer.signer.as_ref())]);
    for device in devices {
        let node = &world.nodes[device as usize];
        let Some(papers) = &node.place.papers else {
            continue;
        };
        let certificate = papers.credentials.own();
        let request = JoinRequest {
            invite: invite.clone(),
            name: certificate.name.clone(),
            keys: certificate.keys,
        };
        let own = node.identity.signer.as_ref();
        let signed = SignedJoin::sign(&request, &world.root.fleet, key.as_ref(), own);
        let enrolment = Enrolment {
            invite: invite.id(),
            uses: terms.uses,
            certificate: codec::encode::<Certificate>(certificate).into(),
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
