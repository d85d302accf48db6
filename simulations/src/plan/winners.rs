//! The winners of documents by the rule itself, to hold the catalog against.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::catalog::{Catalog, DocumentKey, Revision, RevisionId, RevisionSet};
use regatta_protocol::clock::Stamp;
use regatta_protocol::codec;
use regatta_protocol::ident::{NodeId, Serial};
use regatta_protocol::ledger::entry::EntryKind;
use regatta_protocol::limits::HOLD_AHEAD_MS;
use regatta_protocol::machine::Millis;

use crate::world::World;

/// The winners of every document as the entries on a manager's disk give them by the rule itself,
/// computed here without the catalog; what differs, if anything does.
#[must_use]
pub fn winners_differ(world: &World) -> Option<String> {
    let manager = world
        .managers()
        .into_iter()
        .find(|index| world.nodes[*index as usize].is_up())?;
    let node = &world.nodes[manager as usize];
    let replica = node.replica.as_ref()?;
    let reference = replica.reference(world.now);
    let expected = winners_by_rule(node, reference);
    let catalog: &Catalog = replica.holdings().catalog();
    let found: BTreeMap<DocumentKey, RevisionId> = catalog
        .documents()
        .map(|(key, heads)| (key.clone(), heads.winner))
        .collect();
    // Orders, forks and lapses are the fold's own business; scenarios say what they expect there.
    let undisturbed = replica.holdings().judgement().cuts.is_empty()
        && replica
            .holdings()
            .chains()
            .values()
            .all(|chain| chain.forked().is_empty());
    (undisturbed && expected != found)
        .then(|| "I2: the winners are not those that the rule gives".to_owned())
}

fn winners_by_rule(
    node: &crate::node::Node,
    reference: Millis,
) -> BTreeMap<DocumentKey, RevisionId> {
    struct Written {
        id: RevisionId,
        stamp: Stamp,
        author: NodeId,
        replaces: Vec<RevisionId>,
        waits: bool,
    }
    let mut documents: BTreeMap<DocumentKey, Vec<Written>> = BTreeMap::new();
    for entry in node.disk.entries() {
        let carried = entry.carried().map(|bytes| &bytes[..]);
        let content = carried.unwrap_or(&entry.header.payload);
        let revisions: Vec<Revision> = match entry.header.kind {
            EntryKind::REVISION => codec::decode(content).into_iter().collect(),
            EntryKind::SET => codec::decode(content)
                .map(|RevisionSet(all)| all)
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        for (revision, place) in revisions.into_iter().zip(0..) {
            let key = DocumentKey {
                scope: entry.header.ledger.scope,
                kind: revision.kind,
                name: revision.name,
            };
            documents.entry(key).or_default().push(Written {
                id: RevisionId {
                    entry: Serial(entry.hash.half()),
                    place,
                },
                stamp: entry.header.stamp,
                author: entry.header.ledger.author,
                replaces: revision.replaces,
                waits: entry.header.stamp.wall.0 > reference.0 + HOLD_AHEAD_MS,
            });
        }
    }
    let mut winners = BTreeMap::new();
    for (key, all) in documents {
        let mut replaced: BTreeSet<RevisionId> = BTreeSet::new();
        let mut open: Vec<&Written> = all.iter().filter(|written| !written.waits).collect();
        while let Some(written) = open.pop() {
            for older in &written.replaces {
                if replaced.insert(*older) {
                    open.extend(all.iter().find(|other| other.id == *older));
                }
            }
        }
        let heads = all
            .iter()
            .filter(|written| !written.waits && !replaced.contains(&written.id));
        let winner = heads.max_by_key(|written| (written.stamp, written.author, written.id));
        if let Some(winner) = winner {
            winners.insert(key, winner.id);
        }
    }
    winners
}
