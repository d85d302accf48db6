//! What managers write: documents, one or several at once, and words on rollouts.

use std::collections::BTreeSet;

use regatta_protocol::catalog::{CONFIG, DocumentKey, Revision, RevisionId, RevisionSet};
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::config::document::ConfigDocument;
use regatta_protocol::config::rollout::{RolloutDocument, next_word};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::root_of;
use regatta_protocol::ledger::entry::{BodyRef, EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::Replica;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::limits::BODY_CARRIED_BYTES_MAX;
use regatta_protocol::selector::{Labels, Selector};

use crate::config::enrol;
use crate::config::words::body_of;
use crate::network::NodeIndex;
use crate::world::World;
use crate::world::config::of;

/// A document as it is to be from now on.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its name.
    pub name: Name,
    /// For whom.
    pub select: Selector,
    /// What it says; none where it is to be no more.
    pub words: Option<ConfigDocument>,
}

/// A draft of these documents, whose bodies are kept where they do not ride along; none where their
/// writer is down.
pub fn draft(world: &mut World, manager: NodeIndex, puts: &[Put]) -> Option<Draft> {
    let mut revisions = Vec::new();
    for put in puts {
        let words = put.words.clone().unwrap_or_default();
        let (body, bytes) = body_of(&words);
        let replica = world.nodes[manager as usize].replica.as_ref()?;
        let key = DocumentKey {
            scope: None,
            kind: CONFIG,
            name: put.name.clone(),
        };
        let mut revision = next(replica, &key, &put.select);
        revision.deletes = put.words.is_none();
        revision.staged = words.rollout.is_some();
        note(world, &body.hash, &bytes, &put.select);
        revisions.push((revision, body, bytes));
    }
    if let [(revision, body, bytes)] = &revisions[..] {
        let payload = codec::encode(revision);
        let draft = Draft::new(0, LedgerKind::Fleet, EntryKind::REVISION, payload);
        return Some(riding(world, manager, draft, (*body, bytes.clone())));
    }
    let mut set = Vec::new();
    for (revision, body, bytes) in revisions {
        world.keep_body(manager, body.hash, bytes);
        let body = Some(body);
        set.push(Revision { body, ..revision });
    }
    let mut draft = Draft::new(0, LedgerKind::Fleet, EntryKind::SET, Vec::new());
    draft.carried = Some(Bytes::from(codec::encode(&RevisionSet(set))));
    Some(draft)
}

/// Has a manager write documents; false where it is down.
pub fn put(world: &mut World, manager: NodeIndex, puts: &[Put]) -> bool {
    let draft = draft(world, manager, puts);
    let written = draft.is_some();
    if let Some(draft) = draft {
        world.write(manager, draft);
    }
    written
}

/// Writes the next word on a rollout.
pub fn word_on(world: &mut World, manager: NodeIndex, of: &RevisionId, document: &RolloutDocument) {
    let Some(replica) = world.nodes[manager as usize].replica.as_ref() else {
        return;
    };
    let revision = next_word(replica.holdings().catalog(), of);
    let bytes = Bytes::from(codec::encode(document));
    let body = BodyRef {
        hash: root_of(&bytes),
        bytes: bytes.len() as u64,
        carried: false,
    };
    world.invariants.config_mut().said(document);
    note(world, &body.hash, &bytes, &revision.select);
    let payload = codec::encode(&revision);
    let draft = Draft::new(0, LedgerKind::Fleet, EntryKind::REVISION, payload);
    let draft = riding(world, manager, draft, (body, bytes));
    world.write(manager, draft);
}

/// What an operator says of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing more opens.
    Pause,
    /// It goes on, whatever failed.
    Resume,
    /// All go back.
    Abort,
}

/// The devices that a manager knows and a selector selects, as selectors see them.
fn selected(world: &World, manager: NodeIndex, select: &Selector) -> Vec<Labels> {
    let known = enrol::known(world, manager).into_iter();
    let labels = known.map(|(_, labels)| labels);
    labels.filter(|labels| select.matches(labels)).collect()
}

/// The rollout of a revision as a manager has it now; none where it has none, or has not read it.
pub fn rollout_at(
    world: &mut World,
    manager: NodeIndex,
    id: &RevisionId,
) -> Option<RolloutDocument> {
    world.learn_rollouts(manager);
    let node = &world.nodes[manager as usize];
    let (replica, config) = (node.replica.as_ref()?, of(node)?);
    let held = replica.holdings().catalog().revision(id)?;
    let devices = selected(world, manager, &held.revision.select);
    let found = config.known.rollouts.of(replica.holdings(), id, &devices);
    found.ok().flatten()
}

/// Has an operator at a manager say something of the rollout of a revision; false where that cannot be.
pub fn say(world: &mut World, manager: NodeIndex, id: &RevisionId, said: Said) -> bool {
    let Some(found) = rollout_at(world, manager, id) else {
        return false;
    };
    let node = &world.nodes[manager as usize];
    let (Some(replica), Some(config)) = (node.replica.as_ref(), of(node)) else {
        return false;
    };
    let holdings = replica.holdings();
    let Some(held) = holdings.catalog().revision(id) else {
        return false;
    };
    let select = held.revision.select.clone();
    let devices = selected(world, manager, &select);
    let now = replica.reference(world.now);
    let next = match said {
        Said::Pause => found.paused("somebody", "it was asked for"),
        Said::Resume => found.resumed(u32::try_from(devices.len()).unwrap_or(u32::MAX), now),
        Said::Abort => {
            let by = ("somebody", &devices[..]);
            let aborted = config.known.rollouts.aborted(holdings, &found, by);
            aborted.ok().flatten()
        }
    };
    if let Some(next) = &next {
        word_on(world, manager, id, next);
    }
    next.is_some()
}

fn next(replica: &Replica, key: &DocumentKey, select: &Selector) -> Revision {
    let catalog = replica.holdings().catalog();
    let replaces = catalog.to_replace(key);
    let versions = replaces.iter().filter_map(|id| catalog.revision(id));
    let last = versions.map(|held| held.revision.version).max();
    Revision {
        kind: key.kind,
        name: key.name.clone(),
        replaces,
        select: select.clone(),
        deletes: false,
        version: last.unwrap_or(0).saturating_add(1),
        staged: false,
        body: None,
    }
}

fn riding(world: &mut World, manager: NodeIndex, draft: Draft, body: (BodyRef, Bytes)) -> Draft {
    let (named, bytes) = body;
    let rides = bytes.len() <= BODY_CARRIED_BYTES_MAX;
    if !rides {
        world.keep_body(manager, named.hash, bytes.clone());
    }
    Draft {
        body: Some(named),
        riding: rides.then_some(bytes),
        ..draft
    }
}

/// Whom a body is for, by what certificates say alone.
fn note(world: &mut World, hash: &Hash, bytes: &Bytes, select: &Selector) {
    let may = |node: &&crate::node::Node| {
        let papers = node.place.papers.as_ref();
        node.is_manager() || papers.is_some_and(|papers| papers.is_selected(select))
    };
    let readers = world.nodes.iter().filter(may);
    let readers: BTreeSet<NodeId> = readers.map(|node| node.identity.node).collect();
    let watch = world.invariants.bodies_mut();
    watch.written(*hash, bytes, readers);
}
