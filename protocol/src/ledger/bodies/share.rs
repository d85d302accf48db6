//! Handing on what is there of a long body while the rest is still being fetched, and telling neighbours
//! of it: so each that wants it has a part in its way to the others.

use std::collections::BTreeMap;

use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::fetch::{Fetches, is_shared};
use crate::ledger::bodies::message::{BodyClaim, BodyMessage, Refusal, RequestId};
use crate::ledger::bodies::pieces::Pieces;
use crate::ledger::bodies::serve::Sessions;
use crate::ledger::bodies::tree::Unit;
use crate::ledger::bodies::{Bodies, Step};
use crate::machine::Millis;
use crate::trust::authority::Credentials;

/// How long news are gathered before they are told.
const GATHER_MS: u64 = 25;

/// What a requester does not know yet of this node's share, or of whom this node gave what.
#[derive(Clone, Debug, Default)]
pub(super) struct Telling {
    /// Whether it has the outline, and so is told anything.
    outlined: bool,
    /// Whether all of it was here when it asked: then it is told what others were given.
    all: bool,
    lists: Vec<u16>,
    pieces: Vec<u16>,
    given: Vec<u16>,
    pub tell_at: Option<Millis>,
}

impl Telling {
    fn note(&mut self, now: Millis, unit: Unit) {
        match unit {
            Unit::Outline => {}
            Unit::List(index) => self.lists.push(index),
            Unit::Piece(index) => self.pieces.push(index),
        }
        self.soon(now);
    }

    fn soon(&mut self, now: Millis) {
        self.tell_at = self.tell_at.or(Some(now.plus(GATHER_MS)));
    }

    fn take(&mut self, id: RequestId) -> BodyMessage {
        self.tell_at = None;
        BodyMessage::Shares {
            id,
            lists: std::mem::take(&mut self.lists),
            pieces: std::mem::take(&mut self.pieces),
            given: std::mem::take(&mut self.given),
        }
    }
}

/// Which pieces of a body were handed out, while somebody asks for it.
pub(super) type Given = BTreeMap<Hash, Pieces>;

impl Fetches {
    /// Whether a body is being fetched that is handed on meanwhile.
    pub fn shares(&self, hash: &Hash) -> bool {
        self.layout(hash).is_some_and(is_shared)
    }
}

impl Sessions {
    /// The requests for one body whose requesters are told of shares.
    fn told(&self, hash: &Hash) -> Vec<RequestId> {
        let those = self.0.iter();
        let those = those.filter(|(_, it)| it.claim.hash == *hash && it.telling.is_some());
        those.map(|(id, _)| *id).collect()
    }
}

impl Bodies {
    /// A neighbour wants what is fetched here too: it gets what there is, and hears of what comes.
    pub(super) fn open_share(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        id: RequestId,
        claim: BodyClaim,
        who: Credentials,
    ) {
        let hash = claim.hash;
        if !self.begin_session(step, id, from, claim, who) {
            return;
        }
        if !self.outline(step, &hash, id) {
            // It is told as soon as there is something.
            step.refuse(from, id, Refusal::Asked);
        }
        self.ask_back(step, &hash, from);
    }

    /// Sends the outline of a body that is being fetched, and has all that there is told.
    fn outline(&mut self, step: &mut Step<'_>, hash: &Hash, id: RequestId) -> bool {
        let partial = self.fetches.partial(hash);
        let outline = partial.and_then(|it| Some((it, it.hashes(Unit::Outline)?)));
        let session = self.sessions.0.get_mut(&id);
        let session = session.and_then(|it| Some((it.previous, it.telling.as_mut()?)));
        let (Some((partial, bytes)), Some((previous, telling))) = (outline, session) else {
            return false;
        };
        telling.outlined = true;
        telling.lists = partial.lists().collect();
        telling.pieces = partial.pieces().iter().collect();
        telling.soon(step.now);
        let part = BodyMessage::Part {
            id,
            whole: false,
            unit: Unit::Outline,
            bytes,
        };
        step.send(previous, part);
        true
    }

    /// A part of a body came: who else wants it hears of that.
    pub(super) fn share(&mut self, step: &mut Step<'_>, hash: &Hash, unit: Unit) {
        for id in self.sessions.told(hash) {
            if unit == Unit::Outline {
                self.outline(step, hash, id);
            }
            let session = self.sessions.0.get_mut(&id);
            let telling = session.and_then(|session| session.telling.as_mut());
            if let Some(telling) = telling.filter(|telling| telling.outlined) {
                telling.note(step.now, unit);
            }
        }
    }

    /// A body is not fetched any more, and is not there: nobody gets further parts of it here.
    pub(super) fn end_shares(&mut self, step: &mut Step<'_>, hash: &Hash) {
        for id in self.sessions.told(hash) {
            if let Some(session) = self.sessions.0.remove(&id) {
                step.refuse(session.previous, id, Refusal::Gone);
            }
        }
    }

    /// Tells a new requester what others were given.
    pub(super) fn tell_of_given(&mut self, step: &Step<'_>, id: RequestId, hash: &Hash) {
        let session = self.sessions.0.get_mut(&id);
        let telling = session.and_then(|session| session.telling.as_mut());
        if let Some(telling) = telling {
            telling.outlined = true;
            telling.all = true;
            if let Some(given) = self.given.get(hash) {
                telling.given = given.iter().collect();
                telling.soon(step.now);
            }
        }
    }

    /// What of that which a requester asks for goes to it now. Of two who ask the holder of all for one piece
    /// before they can have heard of each other one gets it; the other is told so.
    pub(super) fn undeclined(
        &mut self,
        step: &mut Step<'_>,
        to: RequestId,
        hash: &Hash,
        units: Vec<Unit>,
    ) -> Vec<Unit> {
        let mut told = self.sessions.told(hash);
        let telling = |id: &RequestId| self.sessions.0.get(id)?.telling.as_ref();
        told.retain(|id| telling(id).is_some_and(|telling| telling.all));
        if !told.contains(&to) {
            return units;
        }
        let given = self.given.entry(*hash).or_default();
        let (mut new, mut declined, mut goes) = (Vec::new(), Vec::new(), Vec::new());
        for unit in units {
            match unit {
                Unit::Piece(index) if !given.insert(index) => declined.push(index),
                Unit::Piece(index) => {
                    new.push(index);
                    goes.push(unit);
                }
                Unit::Outline | Unit::List(_) => goes.push(unit),
            }
        }
        for id in told {
            let session = self.sessions.0.get_mut(&id);
            let Some((previous, telling)) =
                session.and_then(|it| Some((it.previous, it.telling.as_mut()?)))
            else {
                continue;
            };
            if id != to && !new.is_empty() {
                telling.given.extend(&new);
                telling.soon(step.now);
            } else if id == to && !declined.is_empty() {
                telling.given.append(&mut declined);
                step.send(previous, telling.take(to));
            }
        }
        goes
    }

    /// Tells what was gathered, and forgets what nobody asks for any more.
    pub(super) fn wake_shares(&mut self, step: &mut Step<'_>) {
        for (id, session) in &mut self.sessions.0 {
            let previous = session.previous;
            let telling = session.telling.as_mut();
            let due = telling.filter(|it| it.tell_at.is_some_and(|at| at <= step.now));
            if let Some(telling) = due {
                let message = telling.take(*id);
                step.send(previous, message);
            }
        }
        let sessions = &self.sessions.0;
        let wanted = |hash: &Hash| sessions.values().any(|it| it.claim.hash == *hash);
        self.given.retain(|hash, _| wanted(hash));
    }
}
