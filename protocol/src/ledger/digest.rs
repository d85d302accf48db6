//! One hash over the heads of a group of ledgers, and a tree of hashes over the scopes.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{self, Wire};
use crate::ident::{Hash, NodeId};
use crate::ledger::chain::Chain;
use crate::ledger::entry::LedgerId;
use crate::ledger::message::{Group, LedgerHeads};

/// Branches of the tree over scopes: one for each value of a scope's first byte.
pub const BUCKETS: usize = 256;

impl Wire for LedgerHeads {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 4096;
    const WHAT: &'static str = "heads of a ledger";
}

/// What a ledger adds to its group's hash. A saturated ledger adds the same on every node: nodes
/// may rightly hold different parts of it.
fn add_ledger(hasher: &mut blake3::Hasher, ledger: &LedgerId, chain: &Chain) {
    let heads = if chain.is_saturated() {
        Vec::new()
    } else {
        sorted_leaves(chain)
    };
    hasher.update(&codec::encode(&LedgerHeads {
        ledger: *ledger,
        heads,
    }));
}

/// The ends of a chain's branches, in an order that every node shares.
#[must_use]
pub fn sorted_leaves(chain: &Chain) -> Vec<crate::ledger::chain::Head> {
    let mut heads: Vec<_> = chain.leaves().collect();
    heads.sort_unstable();
    heads
}

/// Hashes over groups, kept until something in the group changes.
#[derive(Clone, Debug, Default)]
pub struct Digests {
    groups: BTreeMap<Group, Hash>,
    dirty: BTreeSet<Group>,
    /// The tree's branches, once somebody asked; those that changed since are in `stale`.
    buckets: Vec<Hash>,
    stale: BTreeSet<u8>,
    scopes: Option<Hash>,
}

impl Digests {
    /// Something in the group changed.
    pub fn touch(&mut self, group: Group) {
        self.dirty.insert(group);
        if let Group::Scope(device) = group {
            self.stale.insert(device.0[0]);
            self.scopes = None;
        }
    }

    /// The hash over a group's heads; zero where nothing of it is held.
    pub fn of(&mut self, group: Group, chains: &BTreeMap<LedgerId, Chain>) -> Hash {
        if self.dirty.remove(&group) {
            let mut hasher = blake3::Hasher::new();
            for (ledger, chain) in in_group(group, chains) {
                add_ledger(&mut hasher, ledger, chain);
            }
            self.groups
                .insert(group, Hash(*hasher.finalize().as_bytes()));
        }
        self.groups.get(&group).copied().unwrap_or(Hash::ZERO)
    }

    /// Every scope of which something is held, with its hash, in one branch of the tree.
    pub fn bucket(
        &mut self,
        bucket: u8,
        chains: &BTreeMap<LedgerId, Chain>,
    ) -> Vec<(NodeId, Hash)> {
        let (mut first, mut last) = ([0; 16], [0xff; 16]);
        (first[0], last[0]) = (bucket, bucket);
        let range = Group::Scope(NodeId(first))..=Group::Scope(NodeId(last));
        let mut scopes: BTreeSet<Group> = self.dirty.range(range.clone()).copied().collect();
        scopes.extend(self.groups.range(range).map(|(group, _)| *group));
        scopes
            .into_iter()
            .filter_map(|group| match group {
                Group::Scope(device) => Some((device, self.of(group, chains))),
                _ => None,
            })
            .collect()
    }

    /// The hash of each branch of the tree; zero for an empty one.
    pub fn buckets(&mut self, chains: &BTreeMap<LedgerId, Chain>) -> Vec<Hash> {
        self.buckets.resize(BUCKETS, Hash::ZERO);
        for bucket in std::mem::take(&mut self.stale) {
            let scopes = self.bucket(bucket, chains);
            let mut hasher = blake3::Hasher::new();
            for (device, hash) in &scopes {
                hasher.update(&device.0).update(&hash.0);
            }
            self.buckets[usize::from(bucket)] = if scopes.is_empty() {
                Hash::ZERO
            } else {
                Hash(*hasher.finalize().as_bytes())
            };
        }
        self.buckets.clone()
    }

    /// The root of the tree over scopes.
    pub fn scopes(&mut self, chains: &BTreeMap<LedgerId, Chain>) -> Hash {
        if let Some(known) = self.scopes {
            return known;
        }
        let mut hasher = blake3::Hasher::new();
        for bucket in self.buckets(chains) {
            hasher.update(&bucket.0);
        }
        let root = Hash(*hasher.finalize().as_bytes());
        self.scopes = Some(root);
        root
    }
}

/// The ledgers of a group that are held, in order.
pub fn in_group(
    group: Group,
    chains: &BTreeMap<LedgerId, Chain>,
) -> impl Iterator<Item = (&LedgerId, &Chain)> {
    use crate::ledger::entry::LedgerKind;
    let (kind, scope) = match group {
        Group::Trust => (LedgerKind::Trust, None),
        Group::Fleet => (LedgerKind::Fleet, None),
        Group::Managers => (LedgerKind::Managers, None),
        Group::Scope(device) => (LedgerKind::Fleet, Some(device)),
    };
    let first = LedgerId {
        kind,
        scope,
        author: NodeId([0; 16]),
    };
    let last = LedgerId {
        kind,
        scope,
        author: NodeId([0xff; 16]),
    };
    chains.range(first..=last)
}
