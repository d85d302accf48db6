//! Entries with bodies, and members that ask for what is not theirs or hand out wrong bytes.

use std::collections::BTreeSet;

use regatta_protocol::catalog::Revision;
use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::message::BodyMessage;
use regatta_protocol::ledger::bodies::{Event, root_of};
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::limits::{BODY_CARRIED_BYTES_MAX, BODY_HOPS_MAX};
use regatta_protocol::selector::Selector;

use crate::bodies::papers::device_name;
use crate::network::NodeIndex;
use crate::plan::any;
use crate::world::World;

/// In a million: whether a revision of the storm has a body.
const HAS_BODY: u32 = 150_000;
/// In a million: whether its body is one that another revision has already.
const SHARED: u32 = 120_000;

/// A body and who is to have it.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its bytes.
    pub bytes: Bytes,
    /// Whom the revision selects.
    pub select: Selector,
    /// Whether it rides along with its entry to those who may read it.
    pub rides: bool,
}

/// Some revisions have a body.
pub fn dress(world: &mut World, manager: NodeIndex, draft: Draft) -> Draft {
    if !world.manner().bodies || !world.prng().chance(HAS_BODY) {
        return draft;
    }
    let body = drawn(world);
    give(world, manager, draft, body)
}

/// Gives a revision a body: its manager has it, and whom it is for is noted.
pub fn give(world: &mut World, manager: NodeIndex, draft: Draft, body: Body) -> Draft {
    let Ok(mut revision) = codec::decode::<Revision>(&draft.payload) else {
        return draft;
    };
    let readers = readers(world, &body.select, draft.scope);
    revision.select = body.select;
    let hash = root_of(&body.bytes);
    let bytes = body.bytes.len() as u64;
    world
        .invariants
        .bodies_mut()
        .written(hash, &body.bytes, readers);
    let rides = body.rides && body.bytes.len() <= BODY_CARRIED_BYTES_MAX;
    if !rides {
        world.keep_body(manager, hash, body.bytes.clone());
    }
    let named = BodyRef {
        hash,
        bytes,
        carried: false,
    };
    Draft {
        payload: codec::encode(&revision).into(),
        body: (!rides).then_some(named),
        riding: rides.then_some(body.bytes),
        ..draft
    }
}

/// Whom a body is for, by what certificates say alone.
fn readers(world: &World, select: &Selector, scope: Option<NodeId>) -> BTreeSet<NodeId> {
    let may = |node: &&crate::node::Node| {
        let id = node.identity.node;
        let selected = node.place.papers.as_ref();
        let selected = selected.is_some_and(|papers| papers.is_selected(select));
        node.is_manager() || (selected && scope.is_none_or(|device| device == id))
    };
    let nodes = world.nodes.iter().filter(may);
    nodes.map(|node| node.identity.node).collect()
}

fn drawn(world: &mut World) -> Body {
    let nodes = world.nodes.len() as u64;
    let select = match world.prng().below(4) {
        0 => String::new(),
        1 => format!("name={}", device_name(world.prng().below(nodes) as usize)),
        _ => format!("site=site-{}", world.prng().below(nodes.div_ceil(8))),
    };
    let select = Selector::parse(&select).unwrap_or_else(|_| Selector::everything());
    let shared = world.prng().chance(SHARED);
    if shared && let Some((_, bytes)) = known(world) {
        let rides = false;
        return Body {
            bytes,
            select,
            rides,
        };
    }
    let length = match world.prng().below(10) {
        0..6 => 50 + world.prng().below(2_000),
        6..9 => world.prng().below(20_000),
        _ => 33_000 + world.prng().below(60_000),
    };
    // Most short ones ride along; the others have to be fetched like the long ones.
    let rides = world.prng().chance(700_000);
    Body {
        bytes: bytes(world, length as usize),
        select,
        rides,
    }
}

/// So many bytes, like no others.
pub fn bytes(world: &mut World, length: usize) -> Bytes {
    let mut bytes = vec![0; length.max(16)];
    world.prng().fill(&mut bytes);
    bytes.into()
}

/// One of the bodies that were written.
fn known(world: &mut World) -> Option<(Hash, Bytes)> {
    let count = world.invariants.bodies().all().count() as u64;
    let at = (count > 0).then(|| world.prng().below(count))?;
    let mut all = world.invariants.bodies().all();
    let (hash, bytes) = all.nth(at as usize)?;
    Some((*hash, bytes.clone()))
}

/// A member asks for a body that is not for it, in its own name or in another's.
pub fn pry(world: &mut World) {
    let nosy = any(world);
    let id = world.nodes[nosy as usize].identity.node;
    world.invariants.hostile.insert(id);
    if world.prng().chance(500_000) {
        let links: Vec<NodeIndex> = world.nodes[nosy as usize].links.keys().copied().collect();
        let recorded = world.invariants.bodies().last_request();
        if let Some(request) = recorded
            && !links.is_empty()
        {
            let to = links[world.prng().below(links.len() as u64) as usize];
            let hops_left = BODY_HOPS_MAX - 1;
            let message = BodyMessage::Request { hops_left, request };
            world.inject_body(nosy, to, message);
        }
        return;
    }
    let Some((hash, bytes)) = known(world) else {
        return;
    };
    want(world, nosy, hash, bytes.len() as u64);
}

/// Has a node ask for a body, whether it may have it or not.
pub fn want(world: &mut World, index: NodeIndex, hash: Hash, bytes: u64) {
    if world.nodes[index as usize].disk.bodies.has(&hash) {
        return;
    }
    // What is there of it by right is not asked for again.
    let partial = world.nodes[index as usize]
        .disk
        .bodies
        .partial(&hash, bytes);
    let event = Event::Want {
        hash,
        bytes,
        partial,
    };
    world.tell_bodies(index, event);
}

/// A member begins to hand out bytes that are not the body's, or ends.
pub fn lie(world: &mut World, index: NodeIndex, lies: bool) {
    let node = &mut world.nodes[index as usize];
    if let Some(papers) = node.place.papers.as_mut() {
        papers.lies = lies;
    }
    if lies {
        let id = node.identity.node;
        world.invariants.hostile.insert(id);
    }
}
