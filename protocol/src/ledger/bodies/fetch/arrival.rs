//! What comes back to a requester: a part is opened, checked, kept; a refusal closes a way.

use crate::codec::Bytes;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::message::{Binding, Refusal, RequestId};
use crate::ledger::bodies::tree::Unit;
use crate::ledger::bodies::{Bodies, Effect, Failure, Misdeed, Step};

/// A part that came.
#[derive(Clone, Debug)]
pub(in crate::ledger::bodies) struct Answer {
    pub from: NodeId,
    pub id: RequestId,
    pub hops: u8,
    pub unit: Unit,
    pub sealed: Bytes,
}

impl Bodies {
    /// A part came; true where it fits something under way.
    pub(in crate::ledger::bodies) fn on_answer(
        &mut self,
        step: &mut Step<'_>,
        answer: Answer,
    ) -> bool {
        let Some(hash) = self.fetches.by_id(&answer.id) else {
            return self.pass_back(step, answer);
        };
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return false;
        };
        let Some(search) = fetch.search.as_mut() else {
            return false;
        };
        let (from, unit) = (answer.from, answer.unit);
        let awaited = if unit == Unit::Outline {
            search.asked.get(&from) == Some(&true) && !search.ways.contains(&from)
        } else {
            search.ways.first() == Some(&from) && fetch.in_flight.contains_key(&unit)
        };
        if !awaited {
            return false;
        }
        fetch.in_flight.remove(&unit);
        let fleet = step.library.fleet();
        let binding = Binding {
            fleet: &fleet,
            hash: &hash,
            nonce: search.request.claim.nonce,
            unit,
        };
        let fresh = !fetch.partial.has(unit);
        let opened = search.secret.open(&binding, &answer.sealed).ok();
        let taken = opened.filter(|bytes| fetch.partial.take(&hash, fetch.layout, unit, bytes));
        let Some(bytes) = taken else {
            self.on_wrong(step, hash, &answer);
            return true;
        };
        if unit == Unit::Outline {
            search.ways.push(from);
        }
        search.stalls = 0;
        if search.probe == Some(unit) {
            search.probe = None;
            fetch.in_flight.clear();
        }
        let due = step.now.plus(search.patience_ms);
        fetch.in_flight.values_mut().for_each(|at| *at = due);
        if fresh {
            fetch.tries = 0;
            step.out.push(Effect::Store { hash, unit, bytes });
        }
        if fetch.partial.is_complete(fetch.layout) {
            self.have.insert(hash, fetch.bytes);
            self.drop_fetch(step, &hash);
            step.out.push(Effect::Complete(hash));
        } else {
            self.ask_parts(step, hash);
        }
        true
    }

    /// Bytes that do not belong to the body. Only one who says "I am the holder" is to blame:
    /// somebody further on may have sealed them, and who is between cannot tell.
    fn on_wrong(&mut self, step: &mut Step<'_>, hash: Hash, answer: &Answer) {
        self.counters.wrong += 1;
        if let Some(fetch) = self.fetches.0.get_mut(&hash) {
            fetch.suspects.insert(answer.from);
            fetch.last = Failure::WrongBytes;
        }
        step.done(answer.from, answer.id);
        if answer.hops == 0 {
            self.condemn(step, answer.from, Misdeed::WrongBytes);
        }
        self.lose_way(step, hash, &answer.from);
    }

    /// Somebody who was asked refuses; true where that fits something under way.
    pub(in crate::ledger::bodies) fn on_fetch_refused(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        id: RequestId,
        refusal: Refusal,
    ) -> bool {
        let Some(hash) = self.fetches.by_id(&id) else {
            return false;
        };
        let fetch = self.fetches.0.get_mut(&hash);
        let asked = fetch.filter(|fetch| {
            let search = fetch.search.as_ref();
            search.is_some_and(|search| search.asked.get(&from) == Some(&true))
        });
        let Some(fetch) = asked else {
            return false;
        };
        let search = fetch.search.as_ref();
        if refusal != Refusal::Asked {
            // "Not for you" says more than that somebody else was asked already.
            fetch.last = Failure::Refused(refusal);
        } else if search.is_some_and(|search| search.ways.contains(&from)) {
            // It answers already; what it refuses is a second copy that came by another way.
            return true;
        }
        self.lose_way(step, hash, &from);
        true
    }
}
