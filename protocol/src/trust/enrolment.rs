//! Devices enrolled and what was said of them since, invites given and used: what the managers'
//! ledgers add up to.

pub mod asked;
pub mod change;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::codec::{self, Bytes, Name, Wire};
use crate::crypto::sign::PublicKey;
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::chain::LinkId;
use crate::ledger::entry::{Entry, EntryKind, LedgerId};
use crate::limits::CERTIFICATE_BYTES_MAX;
use crate::trust::certificate::{Certificate, SignedCertificate};
use crate::trust::enrolment::asked::Asked;
use crate::trust::enrolment::change::{Change, Forget, GivenInvite, HeldChange, HeldInvite};
use crate::trust::invite::InviteTerms;
use crate::trust::invite::join::SignedJoin;
use crate::trust::record::{Record, content};
use crate::trust::verdict::InviteId;

/// A device was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// By which invite.
    pub invite: InviteId,
    /// How often the invite may be used.
    pub uses: u32,
    /// The certificate as it was admitted, without its signatures: who the device is, and the keys
    /// against which it is renewed. The root signs a manager's later, over these very bytes.
    pub certificate: Bytes,
    /// The device whose place it takes.
    pub replaces: Option<NodeId>,
    /// What it asked for, as it signed it; none for an operator whom its issuer enrols himself. The
    /// invite is in it, so that whom one manager let in does not hang on what counts of another.
    pub request: Option<SignedJoin>,
}

impl Wire for Enrolment {
    const VERSION: u8 = 2;
    const BYTES_MAX: usize = CERTIFICATE_BYTES_MAX + 64 + SignedJoin::BYTES_MAX;
    const WHAT: &'static str = "enrolment";
}

/// What orders all that managers' ledgers say, on every node alike: when, by whom, and the entry.
pub type Age = (Stamp, NodeId, Hash);

/// Where something was written, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its link there.
    pub link: LinkId,
    /// When.
    pub stamp: Stamp,
    /// The entry's hash.
    pub entry: Hash,
}

impl Written {
    fn of(entry: &Entry, link: LinkId) -> Self {
        Self {
            ledger: entry.header.ledger,
            link,
            stamp: entry.header.stamp,
            entry: entry.hash,
        }
    }

    /// What orders it among others.
    #[must_use]
    pub fn age(&self) -> Age {
        (self.stamp, self.ledger.author, self.entry)
    }
}

/// An enrolment, and where it stands.
#[derive(Clone, Debug)]
pub struct HeldEnrolment {
    /// Where it stands.
    pub written: Written,
    /// What it says; the request is checked, and not kept.
    pub enrolment: Enrolment,
    /// What the joiner asked for, where it did.
    pub asked: Option<Asked>,
    /// The certificate in it.
    pub certificate: Certificate,
    /// The certificate's name.
    pub serial: Serial,
}

/// What the managers' ledgers say. What of it counts, whoever asks says:
/// [`crate::ledger::holdings::Holdings::enrolled`].
#[derive(Clone, Debug, Default)]
pub struct Enrolments {
    /// In the order in which they came; the others below name their places here.
    held: Vec<HeldEnrolment>,
    by_invite: BTreeMap<InviteId, BTreeMap<Age, usize>>,
    by_node: BTreeMap<NodeId, BTreeMap<Age, usize>>,
    by_name: BTreeMap<Name, BTreeSet<NodeId>>,
    by_replaced: BTreeMap<NodeId, BTreeMap<Age, usize>>,
    changes: BTreeMap<NodeId, BTreeMap<Age, HeldChange>>,
    given: BTreeMap<InviteId, BTreeMap<Age, HeldInvite>>,
    /// Places of those whose invite's issuer is not known yet.
    open: Vec<usize>,
}

impl Enrolments {
    /// Notes an appended entry. What does not decode is passed over.
    pub fn take(&mut self, entry: &Entry, link: LinkId, record: &Record) {
        let Some(bytes) = content(entry) else { return };
        let written = Written::of(entry, link);
        let code = entry.header.kind.code;
        if code == EntryKind::ENROLMENT.code {
            self.take_enrolment(bytes, written, record);
        } else if code == EntryKind::RELABEL.code
            && let Ok(relabel) = codec::decode(bytes)
        {
            self.take_change(Change::Relabel(relabel), written);
        } else if code == EntryKind::FORGET.code
            && let Ok(forget) = codec::decode::<Forget>(bytes)
        {
            self.take_change(Change::Forget(forget), written);
        } else if code == EntryKind::INVITE.code
            && let Ok(GivenInvite { invite }) = codec::decode(bytes)
            && let Ok(terms) = invite.decode()
        {
            let of_invite = self.given.entry(invite.id()).or_default();
            let held = HeldInvite {
                written,
                invite,
                terms,
            };
            of_invite.insert(written.age(), held);
        }
    }

    fn take_enrolment(&mut self, bytes: &[u8], written: Written, record: &Record) {
        let Ok(mut enrolment) = codec::decode::<Enrolment>(bytes) else {
            return;
        };
        let Ok(certificate) = codec::decode::<Certificate>(&enrolment.certificate) else {
            return;
        };
        let (age, place) = (written.age(), self.held.len());
        let of_invite = self.by_invite.entry(enrolment.invite).or_default();
        of_invite.insert(age, place);
        let of_node = self.by_node.entry(certificate.node).or_default();
        of_node.insert(age, place);
        let of_name = self.by_name.entry(certificate.name.clone()).or_default();
        of_name.insert(certificate.node);
        if let Some(replaced) = enrolment.replaces {
            let of_replaced = self.by_replaced.entry(replaced).or_default();
            of_replaced.insert(age, place);
        }
        let serial = SignedCertificate::serial_of(&enrolment.certificate);
        let asked = Asked::of(record, &enrolment, &certificate);
        if asked.as_ref().is_some_and(Asked::is_open) {
            self.open.push(place);
        }
        enrolment.request = None;
        self.held.push(HeldEnrolment {
            written,
            enrolment,
            asked,
            certificate,
            serial,
        });
    }

    fn take_change(&mut self, change: Change, written: Written) {
        let of_node = self.changes.entry(change.node()).or_default();
        of_node.insert(written.age(), HeldChange { written, change });
    }

    /// The root has said something: it may have certified who signed an invite.
    pub(crate) fn look_again(&mut self, record: &Record) {
        let held = &mut self.held;
        self.open.retain(|place| {
            let asked = held.get_mut(*place).and_then(|it| it.asked.as_mut());
            asked.is_some_and(|asked| {
                asked.look(record);
                asked.is_open()
            })
        });
    }

    /// Every node of an enrolment, whether that counts or not.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.by_node.keys()
    }

    /// The nodes of enrolments, counting or not, that bear a name.
    pub fn bearing(&self, name: &Name) -> impl Iterator<Item = &NodeId> {
        self.by_name.get(name).into_iter().flatten()
    }

    /// Every enrolment of a node, earliest first; which of them it is, the roll says.
    pub fn of_node(
        &self,
        node: &NodeId,
    ) -> impl DoubleEndedIterator<Item = &HeldEnrolment> + Clone {
        self.at(self.by_node.get(node))
    }

    /// Every enrolment under an invite, earliest first.
    pub fn of_invite(
        &self,
        invite: &InviteId,
    ) -> impl DoubleEndedIterator<Item = &HeldEnrolment> + Clone {
        self.at(self.by_invite.get(invite))
    }

    /// Every node in whose place another was to come.
    pub fn replaced(&self) -> impl Iterator<Item = &NodeId> {
        self.by_replaced.keys()
    }

    /// Every enrolment that takes the place of a node, earliest first.
    pub fn replacing(&self, node: &NodeId) -> impl DoubleEndedIterator<Item = &HeldEnrolment> {
        self.at(self.by_replaced.get(node))
    }

    /// What was said of a node, earliest first.
    pub fn changes_of(&self, node: &NodeId) -> impl DoubleEndedIterator<Item = &HeldChange> {
        self.changes
            .get(node)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// Each invite that was given, by all who wrote it down, earliest first.
    pub fn given(&self) -> impl Iterator<Item = (&InviteId, impl Iterator<Item = &HeldInvite>)> {
        let given = self.given.iter();
        given.map(|(invite, held)| (invite, held.values()))
    }

    /// The terms of an invite, wherever they stand: its id is their hash, so they are no other's.
    #[must_use]
    pub fn terms_of(&self, invite: &InviteId) -> Option<&InviteTerms> {
        let mut given = self.given.get(invite)?.values();
        given.next().map(|held| &held.terms)
    }

    /// Every invite that was used.
    pub(crate) fn used(&self) -> impl Iterator<Item = &InviteId> {
        self.by_invite.keys()
    }

    fn at<'a>(
        &'a self,
        places: Option<&'a BTreeMap<Age, usize>>,
    ) -> impl DoubleEndedIterator<Item = &'a HeldEnrolment> + Clone {
        let places = places.into_iter().flat_map(BTreeMap::values);
        places.filter_map(|place| self.held.get(*place))
    }

    /// Whether an invite has a use left, or has been used by this very key: the same device may
    /// repeat its use.
    #[must_use]
    pub fn admits(
        &self,
        invite: &InviteId,
        uses: u32,
        key: &PublicKey,
        counts: impl Fn(&HeldEnrolment) -> bool,
    ) -> bool {
        let used = self.of_invite(invite).filter(|held| counts(held));
        let keys: BTreeSet<&PublicKey> = used.map(HeldEnrolment::key).collect();
        keys.contains(key) || keys.len() < usize::try_from(uses).unwrap_or(usize::MAX)
    }

    /// Of the uses of an invite that was for `allowed` those that are contested, where more devices
    /// used it: all but those that nobody doubts; of an invite for one, both.
    pub(crate) fn contested_among(
        uses: Vec<&HeldEnrolment>,
        allowed: usize,
    ) -> Vec<&HeldEnrolment> {
        let mut keys: BTreeSet<&PublicKey> = BTreeSet::new();
        let mut undoubted: BTreeSet<&PublicKey> = BTreeSet::new();
        for held in &uses {
            if keys.insert(held.key()) && keys.len() < allowed {
                undoubted.insert(held.key());
            }
        }
        if keys.len() <= allowed {
            return Vec::new();
        }
        let doubted = |held: &&HeldEnrolment| !undoubted.contains(held.key());
        uses.into_iter().filter(doubted).collect()
    }
}

impl HeldEnrolment {
    /// The device's key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.certificate.keys.sign
    }

    /// The device.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.certificate.node
    }
}
