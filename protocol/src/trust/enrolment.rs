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

/// All enrolments.
#[derive(Clone, Debug, Default)]
pub struct Enrolments {
    by_invite: BTreeMap<InviteId, Vec<HeldEnrolment>>,
    by_node: BTreeMap<NodeId, PublicKey>,
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
        self.by_node.insert(enrolment.node, enrolment.key);
        let held = HeldEnrolment {
            ledger: entry.header.ledger,
            link,
            stamp: entry.header.stamp,
            entry: entry.hash,
            enrolment,
        };
        let uses = self.by_invite.entry(held.enrolment.invite).or_default();
        uses.push(held);
        uses.sort_by_key(|held| (held.stamp, held.ledger.author, held.entry));
    }

    /// The key that a device was enrolled with.
    #[must_use]
    pub fn key_of(&self, node: &NodeId) -> Option<&PublicKey> {
        self.by_node.get(node)
    }

    /// Every enrolment under an invite, earliest first.
    #[must_use]
    pub fn of_invite(&self, invite: &InviteId) -> &[HeldEnrolment] {
        self.by_invite.get(invite).map_or(&[], Vec::as_slice)
    }

    /// Whether an invite has been used up, or has been used by this very key: the same device may
    /// repeat its use.
    #[must_use]
    pub fn admits(&self, invite: &InviteId, uses: u32, key: &PublicKey) -> bool {
        let keys: BTreeSet<&PublicKey> = self
            .of_invite(invite)
            .iter()
            .map(|held| &held.enrolment.key)
            .collect();
        keys.contains(key) || keys.len() < usize::try_from(uses).unwrap_or(usize::MAX)
    }

    /// Enrolments of invites that more devices used than were allowed, as happens on two sides of a
    /// partition. All but the uses that nobody doubts are contested: of an invite for one, both.
    pub fn contested(&self) -> impl Iterator<Item = &HeldEnrolment> {
        self.by_invite.values().flat_map(|uses| {
            let mut keys: Vec<&PublicKey> = Vec::new();
            for held in uses {
                if !keys.contains(&&held.enrolment.key) {
                    keys.push(&held.enrolment.key);
                }
            }
            let allowed = uses
                .iter()
                .map(|held| held.enrolment.uses)
                .min()
                .unwrap_or(0) as usize;
            let undoubted: Vec<PublicKey> = if keys.len() > allowed {
                keys.iter()
                    .take(allowed.saturating_sub(1))
                    .map(|key| **key)
                    .collect()
            } else {
                keys.iter().map(|key| **key).collect()
            };
            uses.iter()
                .filter(move |held| !undoubted.contains(&held.enrolment.key))
        })
    }
}
