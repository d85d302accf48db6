//! Everything that follows from what a node holds, in words that do not depend on arrival.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::catalog::{DocumentKey, Heads, RevisionId};
use regatta_protocol::ident::{Hash, Serial};
use regatta_protocol::ledger::entry::{Entry, LedgerId};
use regatta_protocol::ledger::holdings::{Holdings, Offered};
use regatta_protocol::ledger::message::Group;
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::fold::Judgement;
use regatta_protocol::trust::roll::{Enrolled, InviteState, Roll};

use crate::fixture::{Fixture, deliver};

/// What two nodes of one state share.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    pub digest: Hash,
    pub trust: Hash,
    pub judgement: Judgement,
    pub documents: BTreeMap<DocumentKey, (Option<Heads>, Vec<RevisionId>)>,
    pub counting: BTreeSet<(LedgerId, Hash)>,
    pub forked: BTreeSet<Hash>,
    pub managers: BTreeSet<Serial>,
    pub contested: BTreeSet<Hash>,
    pub roll: (Vec<Enrolled>, Vec<InviteState>),
    pub is_critical: bool,
}

/// Reads the state out.
pub fn state(holdings: &mut Holdings) -> State {
    let (digest, trust) = (holdings.state_digest(), holdings.digest(Group::Trust));
    let catalog = holdings.catalog();
    let keys: BTreeSet<DocumentKey> = catalog.held().map(|held| held.document()).collect();
    let documents = keys.into_iter().map(|key| {
        let said = (catalog.heads(&key).cloned(), catalog.to_replace(&key));
        (key, said)
    });
    let chains = holdings.chains();
    let counting = chains.iter().flat_map(|(ledger, chain)| {
        let counts = chain
            .links()
            .filter(|(link, _)| holdings.counts(ledger, *link));
        counts.map(|(_, link)| (*ledger, link.hash))
    });
    let forked = chains.values().flat_map(|chain| {
        let forked = chain.forked().iter();
        forked.map(|link| chain.link(*link).hash)
    });
    let contested = holdings.contested();
    let roll = Roll::of(holdings);
    for enrolled in roll.devices() {
        assert_eq!(roll.device(&enrolled.node), Some(enrolled));
    }
    State {
        digest,
        trust,
        judgement: holdings.judgement().clone(),
        documents: documents.collect(),
        counting: counting.collect(),
        forked: forked.collect(),
        managers: holdings.record().managers().keys().copied().collect(),
        contested: contested.iter().map(|held| held.written.entry).collect(),
        roll: (roll.devices(), roll.invites()),
        is_critical: holdings.has_unknown_critical(),
    }
}

/// Entries delivered in this order and judged at one time.
pub fn after(fixture: &Fixture, entries: &[Entry], reference: Millis) -> Holdings {
    let mut holdings = fixture.holdings();
    deliver(&mut holdings, entries);
    holdings.settle(reference);
    holdings
}

/// Entries taken back from a store in some order.
pub fn restored(fixture: &Fixture, entries: &[&Entry], reference: Millis) -> Holdings {
    let mut holdings = fixture.holdings();
    let mut open = entries.to_vec();
    loop {
        let before = open.len();
        open.retain(|entry| {
            let offered = holdings.restore(entry);
            !matches!(offered, Offered::Added { .. } | Offered::Duplicate)
        });
        if open.len() == before {
            break;
        }
    }
    assert!(open.is_empty(), "all that was stored is taken back");
    holdings.settle(reference);
    holdings
}

/// How long something takes. The machines read no clock; a test of their speed must.
#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "measures the code, decides nothing in it"
)]
pub fn timed<T>(run: impl FnOnce() -> T) -> (T, std::time::Duration) {
    let begun = std::time::Instant::now();
    let done = run();
    (done, begun.elapsed())
}

/// A random order.
pub fn shuffle<T>(items: &mut [T], prng: &mut Prng) {
    for last in (1..items.len()).rev() {
        let other = prng.below(last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

/// The `number`th permutation, in no particular sequence.
pub fn permutation<T: Clone>(items: &[T], mut number: usize) -> Vec<T> {
    let mut rest = items.to_vec();
    let mut permuted = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let index = number % rest.len();
        number /= rest.len();
        permuted.push(rest.remove(index));
    }
    permuted
}

/// Every order of these entries, after those of `before`, gives one state.
pub fn all_orders_agree(fixture: &Fixture, before: &[Entry], entries: &[Entry], at: Millis) {
    assert!(entries.len() <= 6, "720 orders are enough");
    let orders: usize = (1..=entries.len()).product();
    let mut first: Option<State> = None;
    for number in 0..orders {
        let mut holdings = after(fixture, before, at);
        for entry in permutation(entries, number) {
            holdings.offer(&entry);
            holdings.settle(at);
        }
        deliver(&mut holdings, entries);
        holdings.settle(at);
        let found = state(&mut holdings);
        match &first {
            None => first = Some(found),
            Some(first) => assert_eq!(*first, found, "order {number}"),
        }
    }
}
