//! The side of those between: a request is asked on once, answers go back along its way, unread.
//!
//! All that is kept of a transfer is which neighbour it came from and which one answers.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::Bytes;
use crate::crypto::seal::sealed_len;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::fetch::Answer;
use crate::ledger::bodies::message::{BodyClaim, BodyMessage, BodyRequest, Refusal, RequestId};
use crate::ledger::bodies::tree::Unit;
use crate::ledger::bodies::{Bodies, Step};
use crate::limits::{
    BODY_ASKED_MAX, BODY_FAN_OUT, BODY_HOPS_MAX, BODY_PIECE_BYTES_MAX, BODY_ROUTES_MAX,
    BODY_ROUTES_PER_PEER_MAX, BODY_ROUTES_UNKNOWN_MAX, BODY_WINDOW_PIECES,
};
use crate::machine::Millis;

/// How long one requester's wish for one body is not asked on a second time.
pub(super) const ONCE_MS: u64 = 5_000;
/// How long a way may lie idle, or a search go on.
const IDLE_MS: u64 = 30_000;

/// A request that was asked on.
#[derive(Clone, Debug)]
struct Route {
    wish: (Hash, NodeId),
    previous: NodeId,
    hops_left: u8,
    /// Whether an entry held here names the body.
    named: bool,
    /// While nobody answers: what to ask the next neighbour.
    request: Option<Box<BodyRequest>>,
    /// Who was asked, and how many answers may still come.
    asked: BTreeMap<NodeId, u8>,
    /// Who answers.
    next: Option<NodeId>,
    /// Parts that were asked for and did not pass yet.
    credit: usize,
    until: Millis,
}

/// All ways through this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    routes: BTreeMap<RequestId, Route>,
    /// Until when a wish is not asked on again.
    once: BTreeMap<(Hash, NodeId), Millis>,
}

impl Routes {
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    pub fn remembered(&self) -> usize {
        self.once.len()
    }

    pub fn wake_at(&self) -> Option<Millis> {
        let routes = self.routes.values().map(|route| route.until);
        routes.chain(self.once.values().copied()).min()
    }

    fn has_room(&self, from: &NodeId, named: bool) -> bool {
        let count = |of: &dyn Fn(&Route) -> bool| {
            let routes = self.routes.values();
            routes.filter(|route| of(route)).count()
        };
        let of_peer = count(&|route| route.previous == *from);
        let unknown = count(&|route| !route.named);
        let unknown_of_peer = count(&|route| !route.named && route.previous == *from);
        // One neighbour that makes up hashes leaves room for the others' honest ignorance.
        let room_for_unknown = unknown < BODY_ROUTES_UNKNOWN_MAX
            && unknown_of_peer < BODY_ROUTES_UNKNOWN_MAX.div_ceil(4);
        self.routes.len() < BODY_ROUTES_MAX
            && self.once.len() < 2 * BODY_ROUTES_MAX
            && of_peer < BODY_ROUTES_PER_PEER_MAX
            && (named || room_for_unknown)
    }

    /// Ends a way; with its end the wish may be asked on again, if it ended otherwise than by
    /// everybody's refusal.
    fn end(&mut self, id: &RequestId) -> Option<Route> {
        let route = self.routes.remove(id)?;
        self.once.remove(&route.wish);
        Some(route)
    }
}

impl Route {
    /// Those who have to be told that nobody waits for them.
    fn waiting_on(&self) -> BTreeSet<NodeId> {
        let open = self.asked.iter().filter(|(_, open)| **open > 0);
        open.map(|(node, _)| *node).chain(self.next).collect()
    }
}

fn wish_of(claim: &BodyClaim) -> (Hash, NodeId) {
    (claim.hash, claim.node)
}

fn ask(step: &mut Step<'_>, to: NodeId, hops_left: u8, request: &BodyRequest) {
    let message = BodyMessage::Request {
        hops_left: hops_left.saturating_sub(1),
        request: Box::new(request.clone()),
    };
    step.send(to, message);
}

impl Bodies {
    /// Asks on for a body that is not held here.
    pub(super) fn pass_on(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        hops_left: u8,
        request: Box<BodyRequest>,
        named: bool,
    ) {
        let id = request.id();
        let wish = wish_of(&request.claim);
        if hops_left == 0 {
            step.refuse(from, id, Refusal::Absent);
            return;
        }
        if let Some(route) = self.routes.routes.get_mut(&id) {
            // It came by a longer way first: by this one it reaches further.
            let reaches_further = route.next.is_none() && hops_left > route.hops_left;
            if !reaches_further {
                step.refuse(from, id, Refusal::Asked);
                return;
            }
            step.refuse(route.previous, id, Refusal::Asked);
            route.previous = from;
            route.hops_left = hops_left;
            for (node, open) in route.asked.iter_mut().take(BODY_FAN_OUT) {
                if let Some(request) = &route.request {
                    ask(step, *node, hops_left, request);
                    // Each copy is answered by itself: a late refusal of the first says nothing.
                    *open = open.saturating_add(1);
                    self.counters.passed_on += 1;
                }
            }
            return;
        }
        let recent = self.routes.once.get(&wish);
        if recent.is_some_and(|until| *until > step.now) {
            step.refuse(from, id, Refusal::Asked);
            return;
        }
        self.drop_older(step, &wish);
        if !self.routes.has_room(&from, named) {
            step.refuse(from, id, Refusal::Busy);
            return;
        }
        self.routes.once.insert(wish, step.now.plus(ONCE_MS));
        let route = Route {
            wish,
            previous: from,
            hops_left,
            named,
            request: Some(request),
            asked: BTreeMap::new(),
            next: None,
            credit: 0,
            until: step.now.plus(IDLE_MS),
        };
        self.routes.routes.insert(id, route);
        self.ask_on(step, id);
    }

    /// A requester that asks anew has given up what it asked before.
    fn drop_older(&mut self, step: &mut Step<'_>, wish: &(Hash, NodeId)) {
        let routes = self.routes.routes.iter();
        let older: Vec<RequestId> = routes
            .filter(|(_, route)| route.wish == *wish)
            .map(|(id, _)| *id)
            .collect();
        for id in older {
            self.end_route(step, &id);
        }
    }

    /// Ends a way and tells those behind it.
    fn end_route(&mut self, step: &mut Step<'_>, id: &RequestId) {
        if let Some(route) = self.routes.end(id) {
            for node in route.waiting_on() {
                step.done(node, *id);
            }
        }
    }

    /// Asks as many neighbours as may be asked at once; where none is left, says so.
    fn ask_on(&mut self, step: &mut Step<'_>, id: RequestId) {
        let Some(route) = self.routes.routes.get(&id) else {
            return;
        };
        let mut without: BTreeSet<NodeId> = route.asked.keys().copied().collect();
        without.extend([route.previous, route.wish.1]);
        let open = route.asked.values().filter(|open| **open > 0).count();
        let room = BODY_FAN_OUT
            .saturating_sub(open)
            .min(BODY_ASKED_MAX.saturating_sub(route.asked.len()));
        let candidates = self.candidates(&without);
        let Some(route) = self.routes.routes.get_mut(&id) else {
            return;
        };
        let Some(request) = route.request.as_ref() else {
            return;
        };
        for node in candidates.into_iter().take(room) {
            ask(step, node, route.hops_left, request);
            route.asked.insert(node, 1);
            self.counters.passed_on += 1;
        }
        if route.asked.values().all(|open| *open == 0) {
            let previous = route.previous;
            // The wish stays noted: who was just refused is not asked on again at once.
            self.routes.routes.remove(&id);
            step.refuse(previous, id, Refusal::Absent);
        }
    }

    /// A part on its way back; true where it fits something under way.
    pub(super) fn pass_back(&mut self, step: &mut Step<'_>, answer: Answer) -> bool {
        let Some(route) = self.routes.routes.get_mut(&answer.id) else {
            return false;
        };
        if answer.sealed.len() > sealed_len(BODY_PIECE_BYTES_MAX) {
            return false;
        }
        let from = answer.from;
        if route.next.is_none() && route.asked.get(&from).is_some_and(|open| *open > 0) {
            if answer.unit != Unit::Outline {
                return false;
            }
            route.next = Some(from);
            route.request = None;
            let others: Vec<NodeId> = route.waiting_on().into_iter().collect();
            route.asked.clear();
            for node in others.into_iter().filter(|node| *node != from) {
                step.done(node, answer.id);
            }
        } else if route.next == Some(from) && route.credit > 0 {
            route.credit -= 1;
        } else {
            return false;
        }
        route.until = step.now.plus(IDLE_MS);
        let message = BodyMessage::Answer {
            id: answer.id,
            hops: answer.hops.saturating_add(1).min(BODY_HOPS_MAX),
            unit: answer.unit,
            sealed: Bytes::clone(&answer.sealed),
        };
        self.counters.passed_back += 1;
        step.send(route.previous, message);
        true
    }

    /// Credit on its way to the holder; true where it fits something under way.
    pub(super) fn pass_ask(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        id: RequestId,
        units: Vec<Unit>,
    ) -> bool {
        let Some(route) = self.routes.routes.get_mut(&id) else {
            return false;
        };
        let Some(next) = route.next.filter(|_| route.previous == from) else {
            return false;
        };
        // Twice the window: what was lost is asked for again.
        route.credit = (route.credit + units.len()).min(2 * BODY_WINDOW_PIECES);
        route.until = step.now.plus(IDLE_MS);
        step.send(next, BodyMessage::Ask { id, units });
        true
    }

    /// Somebody who was asked refuses; true where that fits something under way.
    pub(super) fn on_route_refused(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        id: RequestId,
        refusal: Refusal,
    ) -> bool {
        let Some(route) = self.routes.routes.get_mut(&id) else {
            return false;
        };
        if route.next == Some(from) && refusal == Refusal::Asked {
            // It answers already; what it refuses is a second copy.
            return true;
        }
        if route.next == Some(from) {
            let previous = route.previous;
            self.routes.end(&id);
            step.refuse(previous, id, refusal);
            return true;
        }
        match route.asked.get_mut(&from) {
            Some(open) if *open > 0 => {
                // A neighbour that is gone answers nothing more.
                *open = if refusal == Refusal::Gone {
                    0
                } else {
                    *open - 1
                };
                self.ask_on(step, id);
                true
            }
            _ => false,
        }
    }

    /// The requester needs no more; true where that fits something under way.
    pub(super) fn on_route_done(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        id: RequestId,
    ) -> bool {
        let routes = &self.routes.routes;
        if routes.get(&id).is_none_or(|route| route.previous != from) {
            return false;
        }
        self.end_route(step, &id);
        true
    }

    /// A neighbour is gone: ways to it are cut, ways from it lead nowhere.
    pub(super) fn drop_routes_of(&mut self, step: &mut Step<'_>, peer: &NodeId) {
        let routes = self.routes.routes.iter();
        let touched: Vec<(RequestId, bool)> = routes
            .filter(|(_, route)| route.previous == *peer || route.waiting_on().contains(peer))
            .map(|(id, route)| (*id, route.previous == *peer))
            .collect();
        for (id, from_it) in touched {
            if from_it {
                self.end_route(step, &id);
            } else {
                self.on_route_refused(step, *peer, id, Refusal::Gone);
            }
        }
    }

    pub(super) fn wake_routes(&mut self, step: &mut Step<'_>) {
        self.routes.once.retain(|_, until| *until > step.now);
        let routes = self.routes.routes.iter();
        let idle: Vec<RequestId> = routes
            .filter(|(_, route)| route.until <= step.now)
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            let previous = self.routes.routes.get(&id).map(|route| route.previous);
            self.end_route(step, &id);
            if let Some(previous) = previous {
                step.refuse(previous, id, Refusal::Gone);
            }
        }
    }
}
