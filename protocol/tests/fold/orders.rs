//! One state, whatever the order of arrival: random histories in random orders.

use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::prng::Prng;

use crate::fixture::{day, deliver};
use crate::history::{History, history};
use crate::state::{after, all_orders_agree, restored, shuffle, state};

/// Orders that `cargo test` runs; `REGATTA_ORDERS=1000000 cargo test --release` runs a million.
const ORDERS: u64 = 4_000;
/// Orders in which one history arrives.
const ORDERS_EACH: u64 = 20;

fn orders() -> u64 {
    let asked = std::env::var("REGATTA_ORDERS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(ORDERS)
}

/// One arrival: some entries twice, some too early, judged now and then with a clock that steps.
fn arrive(
    of: &History,
    last: u64,
    prng: &mut Prng,
) -> regatta_protocol::ledger::holdings::Holdings {
    let mut entries: Vec<&Entry> = of.entries.iter().collect();
    shuffle(&mut entries, prng);
    let mut holdings = of.fixture.holdings();
    for entry in &entries {
        holdings.offer(entry);
        if prng.chance(300_000) {
            holdings.settle(day(prng.below(60)));
        }
    }
    deliver(&mut holdings, entries);
    if prng.chance(500_000) {
        holdings.settle(day(prng.below(60)));
    }
    holdings.settle(day(last));
    holdings
}

#[test]
fn any_order_of_arrival_gives_one_state() {
    for seed in 0..orders().div_ceil(ORDERS_EACH) {
        let mut prng = Prng::from_number(seed ^ 0x0072_6567_6174_7461);
        let steps = 2 + prng.below(22);
        let history = history(seed, steps);
        let last = prng.below(60);
        let expected = state(&mut after(&history.fixture, &history.entries, day(last)));
        for order in 0..ORDERS_EACH {
            let found = state(&mut arrive(&history, last, &mut prng));
            assert_eq!(expected, found, "seed {seed}, order {order}, day {last}");
        }
    }
}

#[test]
fn incremental_equals_from_scratch() {
    for seed in 0..200 {
        let mut prng = Prng::from_number(seed);
        let history = history(seed, 24);
        let last = prng.below(60);
        let mut live = arrive(&history, last, &mut prng);
        let held = |entry: &&Entry| {
            let chain = live.chains().get(&entry.header.ledger);
            chain.is_some_and(|chain| chain.find(&entry.hash).is_some())
        };
        let mut stored: Vec<&Entry> = history.entries.iter().filter(held).collect();
        shuffle(&mut stored, &mut prng);
        let mut rebuilt = restored(&history.fixture, &stored, day(last));
        assert_eq!(state(&mut live), state(&mut rebuilt), "seed {seed}");
    }
}

#[test]
fn every_permutation_of_six_entries_gives_one_state() {
    for seed in 1000..1012 {
        let history = history(seed, 24);
        let (before, entries) = history.entries.split_at(4);
        let six = &entries[..entries.len().min(6)];
        all_orders_agree(&history.fixture, before, six, day(20));
    }
}
