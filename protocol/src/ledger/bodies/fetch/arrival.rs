//! What comes back to a requester: a part is opened, checked, kept; a refusal closes a way.

use super::{Fetch, SEARCH_MS, Search};
use crate::codec::Bytes;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::fetch::ways::Way;
use crate::ledger::bodies::message::{Binding, Refusal, RequestId};
use crate::ledger::bodies::tree::{Layout, Unit};
use crate::ledger::bodies::{Bodies, Effect, Failure, Misdeed, Step};

/// A part that came sealed, by whatever way.
#[derive(Clone, Debug)]
pub(in crate::ledger::bodies) struct Answer {
    pub from: NodeId,
    pub id: RequestId,
    pub hops: u8,
    pub unit: Unit,
    pub sealed: Bytes,
}

/// A part that a neighbour hands out itself.
#[derive(Clone, Debug)]
pub(in crate::ledger::bodies) struct Part {
    pub from: NodeId,
    pub id: RequestId,
    pub whole: bool,
    pub unit: Unit,
    pub bytes: Bytes,
}

/// What a neighbour says that it has, or gave to others.
#[derive(Clone, Debug)]
pub(in crate::ledger::bodies) struct News {
    pub from: NodeId,
    pub id: RequestId,
    pub lists: Vec<u16>,
    pub pieces: Vec<u16>,
    pub given: Vec<u16>,
}

/// A part as it came in, opened.
struct Arrived {
    from: NodeId,
    hash: Hash,
    unit: Unit,
    /// None where it could not be opened.
    bytes: Option<Bytes>,
    direct: bool,
    whole: bool,
}

impl Search {
    /// Whether a part may come from somebody now.
    fn awaits(&mut self, from: &NodeId, unit: Unit) -> bool {
        match (self.way(from), unit) {
            (Some(way), _) => way.in_flight.contains_key(&unit),
            (None, Unit::Outline) => {
                self.asked.get(from) == Some(&true) || self.later.contains(from)
            }
            (None, _) => false,
        }
    }

    /// Notes a way; of a long body those that hand it out themselves come first.
    fn begin_way(&mut self, way: Way, shared: bool) {
        self.later.remove(&way.peer);
        self.asked.insert(way.peer, true);
        let direct = self.ways.iter().take_while(|way| way.direct).count();
        let first = shared && way.direct;
        let at = if first { direct } else { self.ways.len() };
        self.ways.insert(at, way);
    }
}

impl Bodies {
    fn search(&mut self, id: &RequestId) -> Option<(Hash, &mut Fetch)> {
        let hash = self.fetches.by_id(id)?;
        Some((hash, self.fetches.0.get_mut(&hash)?))
    }

    /// A part came; true where it fits something under way.
    pub(in crate::ledger::bodies) fn on_answer(
        &mut self,
        step: &mut Step<'_>,
        answer: Answer,
    ) -> bool {
        let Some((hash, fetch)) = self.search(&answer.id) else {
            return self.pass_back(step, answer);
        };
        let (from, unit) = (answer.from, answer.unit);
        let Some(search) = fetch.search.as_mut() else {
            return false;
        };
        if !search.awaits(&from, unit) {
            return false;
        }
        let fleet = step.library.fleet();
        let binding = Binding {
            fleet: &fleet,
            hash: &hash,
            nonce: search.request.claim.nonce,
            unit,
        };
        let arrived = Arrived {
            from,
            hash,
            unit,
            bytes: search.secret.open(&binding, &answer.sealed).ok(),
            direct: answer.hops == 0,
            whole: true,
        };
        self.arrive(step, arrived);
        true
    }

    /// A part came from one who hands it out; true where it fits something under way.
    pub(in crate::ledger::bodies) fn on_part(&mut self, step: &mut Step<'_>, part: Part) -> bool {
        let (from, unit) = (part.from, part.unit);
        let Some((hash, fetch)) = self.search(&part.id) else {
            return false;
        };
        let search = fetch.search.as_mut();
        if !search.is_some_and(|search| search.awaits(&from, unit)) {
            return false;
        }
        let arrived = Arrived {
            from,
            hash,
            unit,
            bytes: Some(part.bytes),
            direct: true,
            whole: part.whole,
        };
        self.arrive(step, arrived);
        true
    }

    fn arrive(&mut self, step: &mut Step<'_>, arrived: Arrived) {
        let (from, hash, unit) = (arrived.from, arrived.hash, arrived.unit);
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        let (fresh, shared) = (!fetch.partial.has(unit), fetch.is_shared());
        let opened = arrived.bytes.as_ref();
        let taken = opened.filter(|bytes| fetch.partial.take(&hash, fetch.layout, unit, bytes));
        let (Some(bytes), Some(search)) = (taken.cloned(), fetch.search.as_mut()) else {
            self.on_wrong(step, &arrived);
            return;
        };
        search.until = step.now.plus(SEARCH_MS);
        search.hungry_at = None;
        match search.way(&from) {
            None => {
                let way = Way::new(from, arrived.direct, arrived.whole, shared);
                search.begin_way(way, shared);
            }
            Some(way) => way.landed(step.now, unit),
        }
        if fresh {
            fetch.tries = 0;
            step.out.push(Effect::Store { hash, unit, bytes });
        }
        let complete = fetch.partial.is_complete(fetch.layout);
        if complete {
            self.have.insert(hash, fetch.bytes);
        }
        if fresh {
            self.share(step, &hash, unit);
        }
        if complete {
            self.drop_fetch(step, &hash);
            step.out.push(Effect::Complete(hash));
        } else {
            self.ask_parts(step, hash);
        }
    }

    /// Bytes that do not belong to the body. Only one who hands it out is to blame: somebody further on
    /// may have sealed them, and who is between cannot tell.
    fn on_wrong(&mut self, step: &mut Step<'_>, arrived: &Arrived) {
        self.counters.wrong += 1;
        let (from, hash) = (arrived.from, arrived.hash);
        let mut id = None;
        if let Some(fetch) = self.fetches.0.get_mut(&hash) {
            fetch.suspects.insert(from);
            fetch.last = Failure::WrongBytes;
            id = fetch.search.as_ref().map(|search| search.id);
        }
        if let Some(id) = id {
            step.done(from, id);
        }
        if arrived.direct {
            self.condemn(step, from, Misdeed::WrongBytes);
        }
        self.lose_way(step, hash, &from);
    }

    /// Somebody says what it has by now; true where that fits something under way.
    pub(in crate::ledger::bodies) fn on_shares(&mut self, step: &mut Step<'_>, news: News) -> bool {
        let Some((hash, fetch)) = self.search(&news.id) else {
            return false;
        };
        let layout = fetch.layout;
        let Some(search) = fetch.search.as_mut() else {
            return false;
        };
        let Some(way) = search.way(&news.from) else {
            return false;
        };
        if take_news(way, layout, &news) {
            search.hungry_at = None;
            search.until = step.now.plus(SEARCH_MS);
        }
        self.ask_parts(step, hash);
        true
    }

    /// Somebody who was asked refuses; true where that fits something under way.
    pub(in crate::ledger::bodies) fn on_fetch_refused(
        &mut self,
        step: &mut Step<'_>,
        from: NodeId,
        id: RequestId,
        refusal: Refusal,
    ) -> bool {
        let Some((hash, fetch)) = self.search(&id) else {
            return false;
        };
        let shared = fetch.is_shared();
        let Some(search) = fetch.search.as_mut() else {
            return false;
        };
        if refusal == Refusal::Asked && search.way(&from).is_some() {
            // It answers already; what it refuses is a second copy that came by another way.
            return true;
        }
        if search.later.remove(&from) {
            return true;
        }
        if search.asked.get(&from) != Some(&true) {
            return false;
        }
        if refusal == Refusal::Asked && shared {
            search.later.insert(from);
        }
        if refusal != Refusal::Asked {
            // "Not for you" says more than that somebody else was asked already.
            fetch.last = Failure::Refused(refusal);
        }
        self.lose_way(step, hash, &from);
        true
    }
}

/// Whether it says anything that was not known.
fn take_news(way: &mut Way, layout: Layout, news: &News) -> bool {
    let mut new = false;
    let pieces = layout.pieces();
    let known = |index: &u16| *index < pieces;
    for index in news.given.iter().copied().filter(known) {
        new |= way.given.insert(index);
        // It was asked for by another a moment before, and does not come from there.
        way.in_flight.remove(&Unit::Piece(index));
    }
    if let Some(share) = way.share.as_mut() {
        let lists = news.lists.iter().copied();
        for index in lists.filter(|index| *index < layout.lists()) {
            new |= share.lists.insert(index);
        }
        for index in news.pieces.iter().copied().filter(known) {
            new |= share.pieces.insert(index);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::{News, take_news};
    use crate::ident::{NodeId, Serial};
    use crate::ledger::bodies::fetch::ways::Way;
    use crate::ledger::bodies::message::RequestId;
    use crate::ledger::bodies::tree::Layout;

    /// Else whoever repeats himself keeps a hungry one from asking the source.
    #[test]
    fn what_was_said_before_is_no_news() {
        let layout = Layout::of(20_000_000).expect("within the limit");
        let mut way = Way::new(NodeId([1; 16]), true, false, true);
        let mut says = |lists: &[u16], pieces: &[u16], given: &[u16]| {
            let news = News {
                from: NodeId([1; 16]),
                id: RequestId(Serial([2; 16])),
                lists: lists.to_vec(),
                pieces: pieces.to_vec(),
                given: given.to_vec(),
            };
            take_news(&mut way, layout, &news)
        };
        assert!(!says(&[], &[], &[]));
        assert!(says(&[0], &[], &[]) && says(&[], &[7], &[]) && says(&[], &[], &[9]));
        assert!(!says(&[0], &[7], &[9]));
        assert!(
            !says(&[99], &[60_000], &[60_000]),
            "there are no such parts"
        );
    }
}
