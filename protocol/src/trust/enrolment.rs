//! Devices enrolled, invites given and used: what the managers' ledgers add up to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::codec::{self, Name, Wire};
use crate::crypto::sign::PublicKey;
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::chain::LinkId;
use crate::ledger::entry::{Entry, EntryKind, LedgerId};
use crate::limits::ENTRY_HEADER_BYTES_MAX;
use crate::trust::record::content;
use crate::trust::verdict::InviteId;

/// A device was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// By which invite.
    pub invite: InviteId,
    /// How often the invite may be used.
    pub uses: u32,
    /// The device's key, against which its certificate is renewed.
    pub key: PublicKey,
    /// The device's id.
    pub node: NodeId,
    /// The certificate that it got.
    pub serial: Serial,
    /// What it is called.
    pub name: Name,
}

impl Wire for Enrolment {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = ENTRY_HEADER_BYTES_MAX;
    const WHAT: &'static str = "enrolment";
}

/// An enrolment, and where it stands.
#[derive(Clone, Debug)]
pub struct HeldEnrolment {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its link there.
    pub link: LinkId,
    /// When it was written.
    pub stamp: Stamp,
    /// The entry's hash.
    pub entry: Hash,
    /// What it says.
    pub enrolment: Enrolment,
}

/// All enrolments. Which of them count, whoever asks says: [`crate::ledger::holdings::Holdings::enrolled`].
#[derive(Clone, Debug, Default)]
pub struct Enrolments {
    by_invite: BTreeMap<InviteId, Vec<HeldEnrolment>>,
    by_node: BTreeMap<NodeId, BTreeSet<InviteId>>,
}

impl Enrolments {
    /// Notes an appended entry.
    pub fn take(&mut self, entry: &Entry, link: LinkId) {
        if entry.header.kind.code != EntryKind::ENROLMENT.code {
            return;
        }
        let Some(bytes) = content(entry) else { return };
        let Ok(enrolment) = codec::decode::<Enrolment>(bytes) else {
            return;
        };
        let invites = self.by_node.entry(enrolment.node).or_default();
        invites.insert(enrolment.invite);
        let held = HeldEnrolment {
            ledger: entry.header.ledger,
            link,
            stamp: entry.header.stamp,
            entry: entry.hash,
            enrolment,
        };
        let uses = self.by_invite.entry(held.enrolment.invite).or_default();
        let place = uses.partition_point(|other| other.age() < held.age());
        uses.insert(place, held);
    }

    /// The latest enrolment of a device: its key is the one against which it is renewed.
    #[must_use]
    pub fn of_node(
        &self,
        node: &NodeId,
        counts: impl Fn(&HeldEnrolment) -> bool,
    ) -> Option<&HeldEnrolment> {
        let invites = self.by_node.get(node).into_iter().flatten();
        invites
            .flat_map(|invite| self.of_invite(invite))
            .filter(|held| held.enrolment.node == *node && counts(held))
            .max_by_key(|held| held.age())
    }

    /// Every enrolment under an invite, earliest first.
    #[must_use]
    pub fn of_invite(&self, invite: &InviteId) -> &[HeldEnrolment] {
        self.by_invite.get(invite).map_or(&[], Vec::as_slice)
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
        let used = self.of_invite(invite).iter().filter(|held| counts(held));
        let keys: BTreeSet<&PublicKey> = used.map(|held| &held.enrolment.key).collect();
        keys.contains(key) || keys.len() < usize::try_from(uses).unwrap_or(usize::MAX)
    }

    /// Enrolments of invites that more devices used than were allowed, as happens on two sides of a
    /// partition. All but the uses that nobody doubts are contested: of an invite for one, both.
    #[must_use]
    pub fn contested(&self, counts: impl Fn(&HeldEnrolment) -> bool) -> Vec<&HeldEnrolment> {
        let mut contested = Vec::new();
        for uses in self.by_invite.values() {
            let uses: Vec<&HeldEnrolment> = uses.iter().filter(|held| counts(held)).collect();
            let mut keys: Vec<&PublicKey> = Vec::new();
            for held in &uses {
                if !keys.contains(&&held.enrolment.key) {
                    keys.push(&held.enrolment.key);
                }
            }
            let allowed = uses.iter().map(|held| held.enrolment.uses).min();
            let allowed = usize::try_from(allowed.unwrap_or(0)).unwrap_or(usize::MAX);
            if keys.len() <= allowed {
                continue;
            }
            let undoubted = &keys[..allowed.saturating_sub(1)];
            let doubted = |held: &&&HeldEnrolment| !undoubted.contains(&&held.enrolment.key);
            contested.extend(uses.iter().filter(doubted).copied());
        }
        contested
    }
}

impl HeldEnrolment {
    fn age(&self) -> (Stamp, NodeId, Hash) {
        (self.stamp, self.ledger.author, self.entry)
    }
}
