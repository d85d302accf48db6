//! Where members are, this node among them: what they say, what the LAN shows, what relays offer.

use std::collections::{BTreeMap, BTreeSet};

use ractor::ActorProcessingErr;
use regatta_protocol::contacts::ContactEvent;
use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::NodeId;
use regatta_protocol::membership::MembershipEvent;
use regatta_protocol::trust::certificate::NodeKeys;
use tokio::sync::oneshot;

use crate::membership::sightings::Sightings;
use crate::membership::state::MembershipState;
use crate::network::{Address, Contact, DialError, NetworkMessage, Path};

/// Where others are, besides what they say of themselves.
#[derive(Default)]
pub(super) struct Places {
    /// On the LAN, as seen there.
    pub(super) lan: BTreeMap<NodeId, Vec<Address>>,
    /// The same of those whose key nobody has named.
    pub(super) strangers: Sightings,
    /// As they were met at joining.
    pub(super) met: BTreeMap<NodeId, (NodeKeys, Vec<Address>)>,
    /// Relays that were asked for a reservation.
    pub(super) asked: BTreeSet<NodeId>,
    /// Where those whom somebody waits for were looked for last.
    pub(super) tried: BTreeMap<NodeId, Vec<Address>>,
    /// Who waits for a link.
    pub(super) waiters: BTreeMap<NodeId, Vec<Waiter>>,
    /// Who refused this node's certificate, and has not admitted it since.
    pub(super) refused_by: BTreeSet<NodeId>,
    /// From where peers had come whose links are over.
    pub(super) former: BTreeMap<NodeId, Address>,
    /// From where the machines came that go by one node's key.
    pub(super) twins: BTreeMap<NodeId, Vec<Address>>,
}

/// Whoever waits for a link.
pub(super) type Waiter = oneshot::Sender<Result<Path, String>>;

/// Those who wait for one link at once.
const WAITERS_MAX: usize = 64;
/// Those who are remembered to have refused this node.
const REFUSED_BY_MAX: usize = 256;
/// Peers of which it is remembered from where they had come.
const FORMER_MAX: usize = 4096;
/// Addresses that are shown of one node's machines.
const TWINS_MAX: usize = 4;

impl Places {
    /// A link is over that had this other end.
    pub(super) fn left(&mut self, peer: NodeId, address: Address) {
        self.former.insert(peer, address);
        if self.former.len() > FORMER_MAX {
            self.former.pop_first();
        }
    }
}

impl MembershipState {
    /// How a member may be reached, as far as is known here.
    pub(super) fn contact(&self, peer: NodeId) -> Option<Contact> {
        let told = self.contacts.of(&peer);
        let met = self.places.met.get(&peer);
        let keys = told.map(|told| told.keys).or(met.map(|(keys, _)| *keys))?;
        let lan = self.places.lan.get(&peer).into_iter().flatten().cloned();
        let said = told.into_iter().flat_map(|told| &told.addresses);
        let said = said.filter_map(|address| address.parse().ok());
        let met = met.into_iter().flat_map(|(_, addresses)| addresses.clone());
        let mut addresses: Vec<Address> = Vec::new();
        for address in lan.chain(said).chain(met) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        (!addresses.is_empty()).then_some(Contact {
            peer,
            sign_key: keys.sign,
            seal_key: Some(keys.seal),
            addresses,
            early: Vec::new(),
        })
    }

    /// Somebody wants a link: it is made as soon as it is known where the node is.
    pub(super) async fn reach(
        &mut self,
        node: NodeId,
        answer: Waiter,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(link) = self.links.get(&node) {
            // Who no longer waits does not need to know.
            let _ = answer.send(Ok(link.path.clone()));
            return Ok(());
        }
        let waiters = self.places.waiters.entry(node).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        if waiters.len() >= WAITERS_MAX {
            let _ = answer.send(Err("too many wait for it already".to_owned()));
            return Ok(());
        }
        waiters.push(answer);
        if let Some(contact) = self.contact(node) {
            self.look_for(contact);
        }
        // It may be elsewhere by now, or have found a relay: managers know the latest word.
        self.run_contacts(ContactEvent::Wanted { node }).await
    }

    fn look_for(&mut self, contact: Contact) {
        let tried = contact.addresses.clone();
        self.places.tried.insert(contact.peer, tried);
        self.tell_network(NetworkMessage::Dial(contact));
    }

    /// It became known where a node is.
    pub(super) fn learned(&mut self, node: NodeId) {
        let is_wanted = self.places.waiters.contains_key(&node) && !self.links.contains_key(&node);
        if let Some(contact) = self.contact(node).filter(|_| is_wanted) {
            // Where it is looked for elsewhere just now, that has to fail first.
            match self.places.tried.contains_key(&node) {
                true => self.tell_network(NetworkMessage::Dial(contact)),
                false => self.look_for(contact),
            }
        }
    }

    /// What became of a link that somebody waits for.
    pub(super) fn reached(&mut self, node: NodeId, outcome: &Result<Path, String>) {
        self.places.tried.remove(&node);
        for waiter in self.places.waiters.remove(&node).into_iter().flatten() {
            // Who no longer waits does not need to know.
            let _ = waiter.send(outcome.clone());
        }
    }

    /// Two machines go by a node's key: it is remembered from where they came.
    pub(super) fn cloned(&mut self, node: NodeId) {
        let now = self.beside.clock.now();
        let Some(twin) = self.machine.state_of(node, now).twin else {
            return;
        };
        let former = self.places.former.get(&node).cloned();
        let here = self.links.get(&node).map(|link| link.path.address.clone());
        let came = former.into_iter().chain(here);
        // From where one came to another manager is not told; where it says that it is, perhaps.
        let said = self.contacts.of(&node).map(|told| told.addresses.join(" "));
        let machine = &self.machine;
        let twins = &mut self.places.twins;
        twins.retain(|it, _| *it == node || machine.state_of(*it, now).twin.is_some());
        let shown = twins.entry(node).or_default();
        for address in came {
            if !shown.contains(&address) {
                shown.push(address);
            }
        }
        let surplus = shown.len().saturating_sub(TWINS_MAX);
        shown.drain(..surplus);
        let addresses: Vec<String> = shown.iter().map(ToString::to_string).collect();
        let (addresses, said, by) = (addresses.join(" "), said.unwrap_or_default(), twin.by);
        tracing::error!(
            %node, addresses, said, heard_by = %by,
            "two machines go by the key of one node; revoke it, and have both join anew"
        );
    }

    pub(super) fn path_changed(&mut self, peer: NodeId, path: Path) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.path = path;
        }
    }

    pub(super) async fn dial_failed(
        &mut self,
        peer: NodeId,
        reason: DialError,
    ) -> Result<(), ActorProcessingErr> {
        let hung_up = reason == DialError::HungUp;
        let refused_by = &mut self.places.refused_by;
        if reason == DialError::RefusedThere
            && refused_by.len() < REFUSED_BY_MAX
            && refused_by.insert(peer)
        {
            tracing::warn!(%peer, "it refuses this node's certificate; is this node revoked?");
        }
        if !hung_up {
            // What was seen on the LAN may have left it.
            self.places.lan.remove(&peer);
            if let Some(elsewhere) = self.elsewhere(peer) {
                self.look_for(elsewhere);
                return Ok(());
            }
        }
        self.reached(peer, &Err(reason.to_string()));
        if !hung_up {
            self.run_contacts(ContactEvent::Wanted { node: peer })
                .await?;
        }
        self.run(MembershipEvent::DialFailed { peer }).await
    }

    /// Another place than those where a node was looked for that somebody waits for.
    fn elsewhere(&self, peer: NodeId) -> Option<Contact> {
        let tried = self.places.tried.get(&peer)?;
        let contact = self.contact(peer)?;
        let is_new = contact.addresses.iter().any(|it| !tried.contains(it));
        is_new.then_some(contact)
    }

    pub(super) async fn lan_seen(
        &mut self,
        key: PublicKey,
        addresses: Vec<Address>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(peer) = self.contacts.with_key(&key) else {
            self.places.strangers.keep(key, addresses);
            return Ok(());
        };
        self.places.lan.insert(peer, addresses);
        self.run(MembershipEvent::LanSeen { peer }).await
    }

    /// Whether a node, of which a contact is known now, was seen on the LAN before.
    pub(super) fn was_seen(&mut self, node: NodeId) -> bool {
        let key = self.contacts.of(&node).map(|told| told.keys.sign);
        let seen = key.and_then(|key| self.places.strangers.take(&key));
        let is_news = seen.is_some();
        if let Some(addresses) = seen {
            self.places.lan.insert(node, addresses);
        }
        is_news
    }

    pub(super) async fn listening(&mut self, address: Address) -> Result<(), ActorProcessingErr> {
        self.own.listening.insert(address);
        self.tell_own().await
    }

    pub(super) async fn not_listening(
        &mut self,
        address: &Address,
    ) -> Result<(), ActorProcessingErr> {
        self.own.listening.remove(address);
        self.tell_own().await
    }

    pub(super) async fn reserved(
        &mut self,
        via: NodeId,
        address: Address,
    ) -> Result<(), ActorProcessingErr> {
        self.own.reserved.entry(via).or_default().insert(address);
        self.tell_own().await
    }

    pub(super) async fn reservation_lost(&mut self, via: NodeId) -> Result<(), ActorProcessingErr> {
        self.own.reserved.remove(&via);
        self.tell_own().await
    }

    /// Says where this node can be reached, where that changed.
    pub(super) async fn tell_own(&mut self) -> Result<(), ActorProcessingErr> {
        let own = self.own.worth_telling();
        let event = ContactEvent::Own {
            at: self.beside.reference.read(),
            addresses: own.iter().map(ToString::to_string).collect(),
        };
        self.run_contacts(event).await
    }

    /// Who cannot be dialled is reached through its homes.
    pub(super) fn reserve(&mut self) {
        if self.is_manager {
            return;
        }
        for home in self.machine.homes() {
            let relays = self.roster.get(home).is_some_and(|manager| manager.relay);
            let dialled = self
                .links
                .get(home)
                .is_some_and(|link| link.path.dialled && !link.path.relayed);
            if relays && dialled && self.places.asked.insert(*home) {
                // One that is gone is started again together with this actor.
                let reserve = NetworkMessage::ReserveRelay { via: *home };
                let _ = self.beside.network.cast(reserve);
            }
        }
    }
}
