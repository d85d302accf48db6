//! The holder's side: who asks is checked, then part after part is read, sealed and sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{self, Bytes};
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::fetch::is_shared;
use crate::ledger::bodies::message::{
    Binding, BodyClaim, BodyMessage, BodyRequest, Refusal, RequestId,
};
use crate::ledger::bodies::peer::REQUEST_COST;
use crate::ledger::bodies::share::Telling;
use crate::ledger::bodies::tree::{Layout, Unit};
use crate::ledger::bodies::{Bodies, Effect, Misdeed, Step};
use crate::limits::{
    BODY_HOPS_MAX, BODY_REQUEST_FRESH_MS, BODY_ROUTES_PER_PEER_MAX, BODY_SESSIONS_MAX,
    BODY_WINDOW_PIECES,
};
use crate::machine::Millis;
use crate::trust::authority::{Credentials, Denial};

/// How long a requester may be silent.
const IDLE_MS: u64 = 30_000;

/// Parts that a requester wants.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub units: Vec<Unit>,
    /// Though others were given them.
    pub again: bool,
}

/// A body that is being handed out.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub claim: BodyClaim,
    who: Credentials,
    /// The neighbour that the request came from.
    pub previous: NodeId,
    /// Parts that the store was asked for.
    reading: BTreeSet<Unit>,
    until: Millis,
    /// Of a long body, where the requester is the neighbour: what it is told of its shares.
    pub telling: Option<Telling>,
}

impl Session {
    /// Whether nobody is between.
    pub fn is_direct(&self) -> bool {
        self.previous == self.claim.node
    }
}

/// All bodies that are being handed out.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions(pub(super) BTreeMap<RequestId, Session>);

impl Sessions {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn asks(&self, id: &RequestId) -> Option<(Hash, Credentials)> {
        let session = self.0.get(id)?;
        Some((session.claim.hash, session.who.clone()))
    }

    pub fn wake_at(&self) -> Option<Millis> {
        let tells = |session: &Session| session.telling.as_ref()?.tell_at;
        let sessions = self.0.values();
        sessions
            .map(|session| tells(session).map_or(session.until, |at| at.min(session.until)))
            .min()
    }

    pub fn expire(&mut self, now: Millis) {
        self.0.retain(|_, session| session.until > now);
    }

    pub fn drop_peer(&mut self, peer: &NodeId) {
        self.0.retain(|_, session| session.previous != *peer);
    }

    /// The requester needs no more.
    pub fn end(&mut self, from: &NodeId, id: &RequestId) -> bool {
        let ends = self
            .0
            .get(id)
            .is_some_and(|session| session.previous == *from);
        if ends {
            self.0.remove(id);
        }
        ends
    }

    fn has_room(&self, from: &NodeId) -> bool {
        let of_peer = self.0.values().filter(|session| session.previous == *from);
        self.0.len() < BODY_SESSIONS_MAX && of_peer.count() < BODY_ROUTES_PER_PEER_MAX
    }
}

impl Bodies {
    pub(super) fn on_request(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        hops_left: u8,
        request: Box<BodyRequest>,
    ) {
        let id = request.id();
        if !self.pay(step, from, REQUEST_COST) || !codec::fits(&*request) {
            step.refuse(from, id, Refusal::Busy);
            return;
        }
        let hops_left = hops_left.min(BODY_HOPS_MAX - 1);
        let claim = &request.claim;
        if claim.node == self.me.node || self.sessions.0.contains_key(&id) {
            step.refuse(from, id, Refusal::Asked);
            return;
        }
        let who = match prove(step, &request) {
            Ok(who) => who,
            Err(forged) => {
                if forged {
                    self.condemn(step, from, Misdeed::Forgery);
                }
                step.refuse(from, id, Refusal::Unproven);
                return;
            }
        };
        let named = step.library.is_named(&claim.hash, claim.bytes);
        let holds = self.have.get(&claim.hash) == Some(&claim.bytes);
        if (named || holds) && !step.library.may_read(&claim.hash, &who) {
            step.refuse(from, id, Refusal::NotSelected);
        } else if holds {
            self.open_session(step, from, id, request.claim, who);
        } else if claim.node == from && self.fetches.shares(&claim.hash) {
            self.open_share(step, from, id, request.claim, who);
        } else {
            self.pass_on(step, from, hops_left, request, named);
        }
    }

    fn open_session(
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
        step.out.push(Effect::Read {
            hash,
            unit: Unit::Outline,
            id,
        });
        if let Some(session) = self.sessions.0.get_mut(&id) {
            session.reading.insert(Unit::Outline);
        }
        self.tell_of_given(step, id, &hash);
    }

    /// False where there is no room for one, which is said then.
    pub(super) fn begin_session(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        from: NodeId,
        claim: BodyClaim,
        who: Credentials,
    ) -> bool {
        if !self.sessions.has_room(&from) {
            step.refuse(from, id, Refusal::Busy);
            return false;
        }
        let long = Layout::of(claim.bytes).is_some_and(is_shared);
        let session = Session {
            telling: (long && claim.node == from).then(Telling::default),
            claim,
            who,
            previous: from,
            reading: BTreeSet::new(),
            until: step.now.plus(IDLE_MS),
        };
        self.sessions.0.insert(id, session);
        true
    }

    /// The requester wants parts; true where that fits something under way.
    pub(super) fn on_ask(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        id: RequestId,
        asked: Asked,
    ) -> bool {
        let Asked { units, again } = asked;
        if units.len() > BODY_WINDOW_PIECES {
            return false;
        }
        let Some(session) = self.sessions.0.get_mut(&id) else {
            if self.pass_ask(step, from, id, units) {
                return true;
            }
            step.refuse(from, id, Refusal::Gone);
            return false;
        };
        if session.previous != from {
            return false;
        }
        // Whoever was stopped or relabelled in the meantime gets no further part.
        if !step.library.may_read(&session.claim.hash, &session.who) {
            self.sessions.0.remove(&id);
            step.refuse(from, id, Refusal::NotSelected);
            return true;
        }
        session.until = step.now.plus(IDLE_MS);
        let layout = Layout::of(session.claim.bytes);
        let hash = session.claim.hash;
        let units = match again {
            true => units,
            false => self.undeclined(step, id, &hash, units),
        };
        let Some(session) = self.sessions.0.get_mut(&id) else {
            return true;
        };
        // Of a body that is fetched itself what is there by now.
        let partial = self.fetches.partial(&hash);
        for unit in units {
            if let Some(bytes) = partial.and_then(|partial| partial.hashes(unit)) {
                let part = BodyMessage::Part {
                    id,
                    whole: false,
                    unit,
                    bytes,
                };
                step.send(from, part);
                continue;
            }
            let exists = layout.is_some_and(|layout| layout.unit_bytes(unit).is_some())
                && partial.is_none_or(|partial| partial.has(unit));
            let room = session.reading.len() < BODY_WINDOW_PIECES;
            if exists && room && session.reading.insert(unit) {
                step.out.push(Effect::Read {
                    hash: session.claim.hash,
                    unit,
                    id,
                });
            }
        }
        true
    }

    pub(super) fn on_read(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        unit: Unit,
        bytes: Option<Bytes>,
    ) {
        let Some(session) = self.sessions.0.get_mut(&id) else {
            return;
        };
        if !session.reading.remove(&unit) {
            return;
        }
        let (previous, hash) = (session.previous, session.claim.hash);
        let message = match (bytes, session.is_direct()) {
            (Some(bytes), true) => Some(BodyMessage::Part {
                id,
                whole: self.have.contains_key(&hash),
                unit,
                bytes,
            }),
            (Some(bytes), false) => {
                let fleet = step.library.fleet();
                let binding = Binding {
                    fleet: &fleet,
                    hash: &hash,
                    nonce: session.claim.nonce,
                    unit,
                };
                let to = session.who.own().keys.seal;
                let sealing = step.library.sealing();
                let sealed = sealing.seal(&to, &binding, &bytes, &mut self.prng);
                sealed.ok().map(|sealed| BodyMessage::Answer {
                    id,
                    hops: 0,
                    unit,
                    sealed,
                })
            }
            (None, _) => None,
        };
        let Some(message) = message else {
            self.sessions.0.remove(&id);
            step.refuse(previous, id, Refusal::Gone);
            return;
        };
        self.counters.served += 1;
        step.send(previous, message);
    }
}

/// Who asks, where certificates, signature and time hold; else whether somebody made it up. What
/// depends on how far this node's own knowledge goes is nobody's fault.
fn prove(step: &Step<'_>, request: &BodyRequest) -> Result<Credentials, bool> {
    let claim = &request.claim;
    let reference = step.library.reference();
    let apart = reference
        .since(claim.issued)
        .max(claim.issued.since(reference));
    if apart > BODY_REQUEST_FRESH_MS || Layout::of(claim.bytes).is_none() {
        return Err(false);
    }
    let who = match step.library.recognise(&request.certificates) {
        Ok(who) => who,
        Err(denial) => {
            return Err(matches!(
                denial,
                Denial::Signature { .. } | Denial::Malformed(_) | Denial::Depth { .. }
            ));
        }
    };
    let key = who.own().keys.sign;
    let fleet = step.library.fleet();
    let signed = request.is_signed_by(&key, &fleet, step.library.verify());
    if !signed || who.own().node != claim.node {
        return Err(true);
    }
    if step.library.stands(&who) {
        Ok(who)
    } else {
        Err(false)
    }
}
