//! What holds for bodies whatever happens: right bytes, to the right nodes, each part once.
//!
//! Who may have a body is noted when it is written, from selectors, labels and scopes alone: the
//! machines' own library is what is tested.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::Load;
use regatta_protocol::ledger::bodies::message::{BodyMessage, BodyRequest, RequestId};
use regatta_protocol::ledger::bodies::tree::{Unit, unit_of};
use regatta_protocol::ledger::entry::{Entry, Header, Parcel};
use regatta_protocol::limits::{
    BODY_HOPS_MAX, BODY_PIECE_BYTES_MAX, BODY_ROUTES_MAX, BODY_SESSIONS_MAX, BODY_WANTS_MAX,
};

/// A body as it was written.
#[derive(Debug)]
struct Written {
    bytes: Bytes,
    outline: Bytes,
    readers: BTreeSet<NodeId>,
    /// Whether its pieces are counted on their way.
    counted: bool,
}

/// What is known of all bodies.
#[derive(Debug, Default)]
pub struct BodyWatch {
    written: BTreeMap<Hash, Written>,
    /// Who asked for what: answers name the request alone.
    requests: HashMap<RequestId, (NodeId, Hash)>,
    /// The last request that was seen, for whoever sends it again.
    last: Option<Box<BodyRequest>>,
    /// Of bodies that were written where nothing hurts: pieces that came to whoever asked for them.
    came: BTreeMap<(NodeId, Hash), usize>,
    counting: bool,
    /// What the report counts.
    pub seen: BodySeen,
}

/// What the report counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodySeen {
    /// Bodies written.
    pub written: u64,
    /// Bodies that came along with their entry.
    pub ridden: u64,
    /// Bodies that were fetched.
    pub fetched: u64,
    /// Times that a body could not be had.
    pub failed: u64,
    /// Members hung up on for wrong bytes.
    pub liars: u64,
}

impl BodyWatch {
    /// A body is written, or written again, for these nodes.
    pub fn written(&mut self, hash: Hash, bytes: &Bytes, readers: BTreeSet<NodeId>) {
        self.seen.written += 1;
        let known = self.written.entry(hash).or_insert_with(|| Written {
            bytes: bytes.clone(),
            outline: unit_of(bytes, Unit::Outline).unwrap_or_else(|| Vec::new().into()),
            readers: BTreeSet::new(),
            counted: self.counting,
        });
        known.readers.extend(readers);
    }

    /// Every body that there is, with its length.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (&Hash, &Bytes)> {
        self.written
            .iter()
            .map(|(hash, written)| (hash, &written.bytes))
    }

    /// Whether a body is for a node.
    #[must_use]
    pub fn is_reader(&self, hash: &Hash, node: &NodeId) -> bool {
        let written = self.written.get(hash);
        written.is_some_and(|written| written.readers.contains(node))
    }

    /// Somebody asks, or asks on.
    pub fn asked(&mut self, me: &NodeId, hops_left: u8, request: &BodyRequest) -> Option<String> {
        let claim = &request.claim;
        // The first link is the requester's own; whoever asks on has one less at least.
        let most = BODY_HOPS_MAX - if claim.node == *me { 1 } else { 2 };
        let asked = (claim.node, claim.hash);
        if self.requests.insert(request.id(), asked).is_none() {
            self.last = Some(Box::new(request.clone()));
        }
        (hops_left > most)
            .then(|| format!("I6: a request may go {hops_left} links on, {most} at most"))
    }

    /// What was asked last.
    #[must_use]
    pub fn last_request(&self) -> Option<Box<BodyRequest>> {
        self.last.clone()
    }

    /// A node reads a part to hand it to whoever asked.
    pub fn served(&self, id: &RequestId, hash: &Hash) -> Option<String> {
        let Some((node, wanted)) = self.requests.get(id) else {
            return Some("I3: body served to nobody who asked".to_owned());
        };
        (wanted != hash || !self.is_reader(hash, node))
            .then(|| format!("I3: body {hash:?} served to the wrong node {node:?}"))
    }

    /// Whether a body may be on a node's disk.
    pub fn reached(&self, node: &NodeId, hash: &Hash) -> Option<String> {
        (!self.is_reader(hash, node))
            .then(|| format!("I3: body {hash:?} served to the wrong node {node:?}: it is there"))
    }

    /// A part is about to be stored.
    pub fn stored(&self, hash: &Hash, unit: Unit, bytes: &[u8]) -> Option<String> {
        let Some(written) = self.written.get(hash) else {
            return Some(format!("I3: a part of {hash:?}, which nobody wrote"));
        };
        let right = match unit {
            Unit::Outline => *written.outline == *bytes,
            Unit::Piece(index) => {
                let start = usize::from(index) * BODY_PIECE_BYTES_MAX;
                let rest = written.bytes.get(start..).unwrap_or_default();
                rest.get(..rest.len().min(BODY_PIECE_BYTES_MAX)) == Some(bytes)
            }
            Unit::List(_) => unit_of(&written.bytes, unit).is_some_and(|truth| *truth == *bytes),
        };
        (!right).then(|| format!("I3: wrong bytes stored as {unit:?} of {hash:?}"))
    }

    /// A body is there as a whole.
    pub fn whole(&self, hash: &Hash, bytes: Option<&Bytes>) -> Option<String> {
        let truth = self.written.get(hash).map(|written| &written.bytes);
        (truth.is_none() || truth != bytes)
            .then(|| format!("I3: the bytes of {hash:?} are not those that were written"))
    }

    /// An entry with a body that rode along is about to be stored.
    pub fn rode(&mut self, node: &NodeId, entry: &Entry) -> Option<String> {
        let (body, riding) = (entry.header.body?, entry.riding()?);
        if entry.header.ledger.author != *node {
            self.seen.ridden += 1;
        }
        self.reached(node, &body.hash)
            .or_else(|| self.whole(&body.hash, Some(riding)))
    }

    /// Parcels are about to be sent: what rides along is for whom it goes to.
    pub fn sent<'a>(
        &self,
        to: &[NodeId],
        mut parcels: impl Iterator<Item = &'a Parcel>,
    ) -> Option<String> {
        parcels.find_map(|parcel| {
            parcel.body.as_ref()?;
            let header: Header = codec::decode(&parcel.header).ok()?;
            let body = header.body.filter(|body| !body.carried)?;
            let wrong = to.iter().find(|to| !self.is_reader(&body.hash, to))?;
            let hash = body.hash;
            Some(format!(
                "I3: body {hash:?} rides to the wrong node {wrong:?}"
            ))
        })
    }

    /// A message arrives: pieces are counted where nothing hurts.
    pub fn arrived(&mut self, at: &NodeId, message: &BodyMessage) {
        let (BodyMessage::Answer { id, unit, .. } | BodyMessage::Part { id, unit, .. }) = message
        else {
            return;
        };
        if self.counting
            && let (Unit::Piece(_), Some((node, hash))) = (unit, self.requests.get(id))
            && node == at
            && self
                .written
                .get(hash)
                .is_some_and(|written| written.counted)
        {
            *self.came.entry((*node, *hash)).or_default() += 1;
        }
    }

    /// From now on nothing hurts.
    pub fn count(&mut self) {
        self.counting = true;
    }

    /// Who got more of a body than it has, since that was counted.
    #[must_use]
    pub fn too_often(&self) -> Option<(NodeId, String)> {
        self.came.iter().find_map(|((node, hash), came)| {
            let bytes = self.written.get(hash)?.bytes.len();
            let pieces = bytes.div_ceil(BODY_PIECE_BYTES_MAX);
            (*came > pieces).then(|| {
                let what = format!("I6: {came} pieces of {hash:?} came, which has {pieces}");
                (*node, what)
            })
        })
    }
}

/// What is under way is bounded, whatever members send.
#[must_use]
pub fn too_much(load: &Load) -> Option<String> {
    let within = load.wants <= BODY_WANTS_MAX
        && load.sessions <= BODY_SESSIONS_MAX
        && load.routes <= BODY_ROUTES_MAX
        && load.remembered <= 2 * BODY_ROUTES_MAX;
    (!within).then(|| format!("I6: more under way than there may be: {load:?}"))
}
