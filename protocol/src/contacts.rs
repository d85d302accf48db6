//! Where members can be reached: what each says of itself, told on by managers, never in a ledger.
//!
//! A contact is signed by its node and dated by reference time, so the later word wins whoever brings
//! it. Managers tell everybody where managers are, and answer for others when asked; an agent keeps
//! the managers' contacts and those that it asked for. A wrong address costs a dial and nothing else:
//! who answers there must still prove who it is.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::allowance::{Allowance, Rate};
use crate::codec::{self, Bytes, Wire};
use crate::crypto::sign::{Context, PublicKey, Sign, Signature, Verify};
use crate::ident::{FleetId, NodeId};
use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, CONTACT_BYTES_MAX, CONTACTS_AGENT_MAX, CONTACTS_MAX,
    CONTACTS_TOLD_MAX, CONTROL_FRAME_BYTES_MAX, HOLD_AHEAD_MS,
};
use crate::machine::{Machine, Millis};
use crate::trust::certificate::NodeKeys;

/// Where a node says that it can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who says so.
    pub node: NodeId,
    /// Its keys, with which a channel to it begins.
    pub keys: NodeKeys,
    /// When it was said, by reference time; each word of a node is later than the one before.
    pub said: Millis,
    /// In the words of the network, the best first; none where it can only be reached by its homes.
    pub addresses: Vec<String>,
}

impl Wire for Contact {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTACT_BYTES_MAX;
    const WHAT: &'static str = "contact";
}

/// A contact as it travels: the bytes as they were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedContact {
    /// The encoded [`Contact`]; never re-encoded.
    pub bytes: Bytes,
    /// The node's signature.
    pub signature: Signature,
}

impl Wire for SignedContact {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTACT_BYTES_MAX + 128;
    const WHAT: &'static str = "signed contact";
}

impl SignedContact {
    fn write(contact: &Contact, fleet: &FleetId, signer: &dyn Sign) -> Self {
        let bytes = Bytes::from(codec::encode(contact));
        let signature = signer.sign(Context::Contact, fleet, &bytes);
        Self { bytes, signature }
    }

    /// What it says, where its form is sound and the key that it names signed it.
    #[must_use]
    pub fn open(&self, fleet: &FleetId, verify: &dyn Verify) -> Option<Contact> {
        let contact: Contact = codec::decode(&self.bytes).ok()?;
        let sound = contact.addresses.len() <= ADDRESSES_MAX
            && contact
                .addresses
                .iter()
                .all(|address| address.len() <= ADDRESS_BYTES_MAX);
        let signed = || {
            verify.verify(
                &contact.keys.sign,
                Context::Contact,
                fleet,
                &self.bytes,
                &self.signature,
            )
        };
        (sound && signed()).then_some(contact)
    }
}

/// What is said about contacts. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContactMessage {
    /// Member to member when they meet, when something changed, and as the answer to `Ask`.
    Tell(Vec<SignedContact>),
    /// Member to manager: where are these?
    Ask(Vec<NodeId>),
}

impl Wire for ContactMessage {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX;
    const WHAT: &'static str = "contact message";
}

/// Everything that can happen to the contacts.
#[derive(Clone, Debug)]
pub enum ContactEvent {
    /// The store, once after a start: what `Keep` effects stored.
    Restored(Vec<SignedContact>),
    /// The trust fold: the managers, whenever they change.
    Roster(BTreeMap<NodeId, PublicKey>),
    /// A certificate or an enrolment: this is the node's key.
    Known {
        /// Whose.
        node: NodeId,
        /// The key.
        key: PublicKey,
    },
    /// The network: this node can be reached here; at the start and when it changes.
    Own {
        /// The reference time.
        at: Millis,
        /// The addresses, the best first.
        addresses: Vec<String>,
    },
    /// The network: a member is connected.
    Connected {
        /// Which.
        peer: NodeId,
    },
    /// The network: it is gone.
    Disconnected {
        /// Which.
        peer: NodeId,
    },
    /// The network: a member said something.
    Received {
        /// Who.
        from: NodeId,
        /// The reference time.
        at: Millis,
        /// What.
        message: ContactMessage,
    },
    /// Membership wants to dial a node whose contact is not known, or may be out of date.
    Wanted {
        /// Which.
        node: NodeId,
    },
}

/// Everything that the contacts can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactEffect {
    /// Keep the latest word of a node over a restart.
    Keep {
        /// Whose.
        node: NodeId,
        /// The word.
        contact: SignedContact,
    },
    /// Say something.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: ContactMessage,
    },
    /// A node can be reached in another way than before.
    Learned {
        /// Which.
        node: NodeId,
    },
    /// A member told what its node did not sign; nothing of it was taken.
    Forged {
        /// Who told.
        peer: NodeId,
    },
    /// A member says more than there is to say; it was not read.
    Flood {
        /// Who.
        peer: NodeId,
    },
}

/// Who this node is.
#[derive(Clone, Debug)]
pub struct ContactArguments {
    /// The fleet.
    pub fleet: FleetId,
    /// This node.
    pub node: NodeId,
    /// Its keys.
    pub keys: NodeKeys,
    /// Signs its own contact.
    pub sign: Arc<dyn Sign>,
    /// Checks those of others.
    pub verify: Arc<dyn Verify>,
}

/// Messages that a peer may send.
const MESSAGES: Rate = Rate {
    burst: 256,
    every_ms: 250,
};

#[derive(Clone, Debug)]
struct Held {
    contact: Contact,
    signed: SignedContact,
}

/// The contacts that a node knows.
#[derive(Clone, Debug)]
pub struct Contacts {
    me: ContactArguments,
    held: BTreeMap<NodeId, Held>,
    roster: BTreeMap<NodeId, PublicKey>,
    known: BTreeMap<NodeId, PublicKey>,
    connected: BTreeMap<NodeId, Allowance>,
    /// Nodes that are to be dialled and of which nobody has told yet.
    wanted: BTreeSet<NodeId>,
}

impl Contacts {
    /// Nothing known.
    #[must_use]
    pub fn new(me: ContactArguments) -> Self {
        Self {
            me,
            held: BTreeMap::new(),
            roster: BTreeMap::new(),
            known: BTreeMap::new(),
            connected: BTreeMap::new(),
            wanted: BTreeSet::new(),
        }
    }

    /// Where a node can be reached, as far as is known here.
    #[must_use]
    pub fn of(&self, node: &NodeId) -> Option<&Contact> {
        self.held.get(node).map(|held| &held.contact)
    }

    /// The node that has this key, as far as is known here.
    #[must_use]
    pub fn with_key(&self, key: &PublicKey) -> Option<NodeId> {
        let mut held = self.held.values().map(|held| &held.contact);
        held.find(|contact| contact.keys.sign == *key)
            .map(|contact| contact.node)
    }

    /// The managers' contacts, this node's own first, to hand to somebody who joins.
    #[must_use]
    pub fn of_managers(&self) -> Vec<SignedContact> {
        let others = self.roster.keys().filter(|node| **node != self.me.node);
        let nodes = std::iter::once(&self.me.node).chain(others);
        let held = nodes.filter_map(|node| self.held.get(node));
        held.map(|held| held.signed.clone()).collect()
    }

    fn is_manager(&self) -> bool {
        self.roster.contains_key(&self.me.node)
    }

    fn own(&mut self, at: Millis, addresses: Vec<String>, out: &mut Vec<ContactEffect>) {
        let before = self.of(&self.me.node);
        let addresses: Vec<String> = addresses
            .into_iter()
            .filter(|address| address.len() <= ADDRESS_BYTES_MAX)
            .take(ADDRESSES_MAX)
            .collect();
        let is_news = before
            .is_none_or(|before| (&before.addresses, &before.keys) != (&addresses, &self.me.keys));
        if !is_news {
            return;
        }
        let contact = Contact {
            node: self.me.node,
            keys: self.me.keys,
            said: before.map_or(at, |before| {
                // What was said while the clock was wrong is believed by nobody, so it binds nobody.
                if before.said > at.plus(HOLD_AHEAD_MS) {
                    at
                } else {
                    at.max(before.said.plus(1))
                }
            }),
            addresses,
        };
        let signed = SignedContact::write(&contact, &self.me.fleet, self.me.sign.as_ref());
        self.hold(contact, signed.clone(), out);
        for to in self.connected.keys() {
            out.push(tell(*to, vec![signed.clone()]));
        }
    }

    fn hold(&mut self, contact: Contact, signed: SignedContact, out: &mut Vec<ContactEffect>) {
        let node = contact.node;
        self.wanted.remove(&node);
        out.push(ContactEffect::Keep {
            node,
            contact: signed.clone(),
        });
        self.held.insert(node, Held { contact, signed });
        out.push(ContactEffect::Learned { node });
    }

    fn connected(&mut self, now: Millis, peer: NodeId, out: &mut Vec<ContactEffect>) {
        self.connected.insert(peer, Allowance::new(MESSAGES, now));
        let own = self.held.get(&self.me.node).map(|own| own.signed.clone());
        let is_manager = self.is_manager();
        let managers = self
            .roster
            .keys()
            .filter(|node| is_manager && **node != peer && **node != self.me.node);
        let told = managers.filter_map(|node| self.held.get(node).map(|held| held.signed.clone()));
        let told: Vec<SignedContact> = own.into_iter().chain(told).collect();
        for some in told.chunks(CONTACTS_TOLD_MAX) {
            out.push(tell(peer, some.to_vec()));
        }
        if self.roster.contains_key(&peer) && !self.wanted.is_empty() {
            out.push(self.ask(peer));
        }
    }

    fn ask(&self, manager: NodeId) -> ContactEffect {
        let wanted = self.wanted.iter().copied().take(CONTACTS_TOLD_MAX);
        ContactEffect::Send {
            to: manager,
            message: ContactMessage::Ask(wanted.collect()),
        }
    }

    fn wanted(&mut self, node: NodeId, out: &mut Vec<ContactEffect>) {
        // What is held stays good until a later word comes, so nobody waits for that.
        if !self.held.contains_key(&node) {
            if self.wanted.len() >= CONTACTS_AGENT_MAX {
                return;
            }
            self.wanted.insert(node);
        }
        for manager in self
            .connected
            .keys()
            .filter(|it| self.roster.contains_key(*it))
        {
            let message = ContactMessage::Ask(vec![node]);
            out.push(ContactEffect::Send {
                to: *manager,
                message,
            });
        }
    }

    fn told(
        &mut self,
        from: NodeId,
        at: Millis,
        told: Vec<SignedContact>,
        out: &mut Vec<ContactEffect>,
    ) {
        let mut news = Vec::new();
        for signed in told.into_iter().take(CONTACTS_TOLD_MAX) {
            let Some(contact) = signed.open(&self.me.fleet, self.me.verify.as_ref()) else {
                out.push(ContactEffect::Forged { peer: from });
                return;
            };
            if !self.may_take(from, at, &contact) {
                continue;
            }
            if self.roster.contains_key(&contact.node) {
                news.push(signed.clone());
            }
            self.hold(contact, signed, out);
        }
        if self.is_manager() && !news.is_empty() {
            for to in self.connected.keys().filter(|to| **to != from) {
                out.push(tell(*to, news.clone()));
            }
        }
    }

    fn may_take(&self, from: NodeId, at: Millis, contact: &Contact) -> bool {
        let node = contact.node;
        let held = self.held.get(&node);
        let key = self.roster.get(&node).or_else(|| self.known.get(&node));
        // Whose key is not known keeps the one with which it was first heard.
        let key = key.or(held.map(|held| &held.contact.keys.sign));
        if node == self.me.node
            || contact.said > at.plus(HOLD_AHEAD_MS)
            || held.is_some_and(|held| held.contact.said >= contact.said)
            || key.is_some_and(|key| *key != contact.keys.sign)
        {
            return false;
        }
        if self.roster.contains_key(&node) || held.is_some() {
            return true;
        }
        // What a node says of itself, or a manager of one that was asked for, and so many at most.
        let room = if self.is_manager() {
            CONTACTS_MAX
        } else {
            CONTACTS_AGENT_MAX
        };
        let others = self.held.len().saturating_sub(self.roster.len());
        let answered = self.wanted.contains(&node) && self.roster.contains_key(&from);
        (from == node || answered) && others < room
    }

    fn asked(&self, from: NodeId, nodes: &[NodeId], out: &mut Vec<ContactEffect>) {
        let nodes = nodes.iter().take(CONTACTS_TOLD_MAX);
        let told: Vec<SignedContact> = nodes
            .filter_map(|node| self.held.get(node).map(|held| held.signed.clone()))
            .collect();
        if self.is_manager() && !told.is_empty() {
            out.push(tell(from, told));
        }
    }

    /// What somebody else's key signed goes, once the key of that node is known.
    fn check_key(&mut self, node: &NodeId) {
        let key = self.roster.get(node).or_else(|| self.known.get(node));
        let held = self.held.get(node);
        let wrong = held.is_some_and(|held| key.is_some_and(|key| *key != held.contact.keys.sign));
        if wrong && *node != self.me.node {
            self.held.remove(node);
        }
    }

    /// Whether a peer may still say something: no member needs to say so much.
    fn allows(&mut self, peer: NodeId, now: Millis) -> bool {
        let allowance = self.connected.get_mut(&peer);
        allowance.is_some_and(|allowance| allowance.take(now))
    }
}

fn tell(to: NodeId, contacts: Vec<SignedContact>) -> ContactEffect {
    ContactEffect::Send {
        to,
        message: ContactMessage::Tell(contacts),
    }
}

impl Machine for Contacts {
    type Event = ContactEvent;
    type Effect = ContactEffect;

    fn handle(&mut self, now: Millis, event: ContactEvent, out: &mut Vec<ContactEffect>) {
        match event {
            ContactEvent::Restored(stored) => {
                for signed in stored {
                    if let Some(contact) = signed.open(&self.me.fleet, self.me.verify.as_ref()) {
                        self.held.insert(contact.node, Held { contact, signed });
                    }
                }
            }
            ContactEvent::Roster(roster) => {
                self.roster = roster;
                let managers: Vec<NodeId> = self.roster.keys().copied().collect();
                managers.iter().for_each(|node| self.check_key(node));
            }
            ContactEvent::Known { node, key } => {
                if self.known.len() < CONTACTS_MAX || self.known.contains_key(&node) {
                    self.known.insert(node, key);
                    self.check_key(&node);
                }
            }
            ContactEvent::Own { at, addresses } => self.own(at, addresses, out),
            ContactEvent::Connected { peer } => self.connected(now, peer, out),
            ContactEvent::Disconnected { peer } => {
                self.connected.remove(&peer);
            }
            ContactEvent::Received { from, .. } if !self.allows(from, now) => {
                out.push(ContactEffect::Flood { peer: from });
            }
            ContactEvent::Received { from, at, message } => match message {
                ContactMessage::Tell(told) => self.told(from, at, told, out),
                ContactMessage::Ask(nodes) => self.asked(from, &nodes, out),
            },
            ContactEvent::Wanted { node } => self.wanted(node, out),
        }
    }

    /// It only ever answers.
    fn wake_at(&self) -> Option<Millis> {
        None
    }
}
