//! Power cuts anywhere, thousands of them: what was acknowledged stays, the rest is whole or absent.

use regatta_protocol::prng::Prng;

use super::{Contents, SALT, SMALL, contents, random_batch, reopen, seeds};
use crate::store::disk::simulated::{SimulatedDisk, Step};
use crate::store::index::OpenedIndex;
use crate::store::limits::{FREE_BYTES_MIN, Sizes};
use crate::store::{Batch, Progress, Table, Writer, open};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the disk may hold after a power cut: what was acknowledged, with more and more of what was
/// not, in its order.
struct Possible(Vec<Contents>);

/// Commits groups and compacts until the power goes or the work is done.
fn work(store: &mut Writer, prng: &mut Prng, model: &mut Contents) -> Possible {
    for _ in 0..prng.below(60) {
        if prng.chance(400_000) {
            match store.compact_step() {
                Ok(Progress::Idle | Progress::Working | Progress::Freed) => continue,
                Err(_) => break,
            }
        }
        let mut states = vec![model.clone()];
        let mut batches = Vec::new();
        for _ in 0..=prng.below(4) {
            let (batch, after) = random_batch(prng, &states[states.len() - 1]);
            batches.push(batch);
            states.push(after);
        }
        let outcomes = store.commit(&batches);
        if outcomes.iter().all(Result::is_ok) {
            model.clone_from(&states[states.len() - 1]);
            continue;
        }
        assert!(
            outcomes.iter().all(Result::is_err),
            "all of a group, or none"
        );
        assert!(
            store.commit(&batches).iter().all(Result::is_err),
            "failed for good"
        );
        return Possible(states);
    }
    Possible(vec![model.clone()])
}

/// How often the power went in each step of the work; `None`: between two.
type Cuts = BTreeMap<Option<Step>, u64>;

fn live(seed: u64, cuts: &mut Cuts) {
    let disk = SimulatedDisk::new();
    let mut prng = Prng::from_number(seed);
    let mut model = Contents::new();
    for life in 0..6 {
        if prng.chance(700_000) {
            disk.cut_power_after(prng.below(60));
        }
        let opened = reopen(&disk);
        let possible = match opened {
            Ok((mut store, opened)) => {
                assert_eq!(opened.damaged, [], "seed {seed}, life {life}");
                let found = contents(&store).expect("works");
                assert!(
                    found == model,
                    "seed {seed}, life {life}: changed before a write"
                );
                work(&mut store, &mut prng, &mut model)
            }
            Err(_) => Possible(vec![model.clone()]),
        };
        match prng.below(5) {
            0 => disk.kill(),
            _ => disk.crash(prng.next_u64()),
        }
        *cuts.entry(disk.power_failed_in()).or_default() += 1;
        disk.heal();
        let (store, opened) =
            reopen(&disk).unwrap_or_else(|e| panic!("seed {seed}, life {life}: {e}"));
        assert_eq!(opened.damaged, [], "seed {seed}, life {life}");
        let found = contents(&store).expect("works");
        assert!(
            possible.0.contains(&found),
            "seed {seed}, life {life}: lost, torn or out of order"
        );
        model = found;
        drop(store);
        disk.kill();
    }
}

#[test]
#[allow(
    clippy::print_stderr,
    reason = "where the power went is worth a look: `-- --nocapture`"
)]
fn what_was_acknowledged_outlasts_power_cuts_anywhere() {
    let mut cuts = Cuts::new();
    for seed in seeds(300) {
        live(seed, &mut cuts);
    }
    let all: u64 = cuts.values().sum();
    for (step, count) in &cuts {
        let step = step.map_or_else(|| "between two".to_owned(), |step| step.to_string());
        let bar = "#".repeat(usize::try_from(count * 50 / all).unwrap_or(0));
        eprintln!("{step:12} {count:6} {bar}");
    }
    for step in [
        Step::Create,
        Step::Write,
        Step::Sync,
        Step::SyncFolder,
        Step::Remove,
    ] {
        assert!(
            cuts.contains_key(&Some(step)),
            "no power cut in a {step}: {cuts:?}"
        );
    }
}

#[test]
fn a_failed_sync_is_never_acknowledged_and_never_asked_again() {
    for seed in seeds(100) {
        let disk = SimulatedDisk::new();
        let mut prng = Prng::from_number(seed);
        let (mut store, _) = reopen(&disk).expect("works");
        let mut model = Contents::new();
        disk.fail_sync_after(prng.below(40));
        let mut states = Vec::new();
        for _ in 0..60 {
            let (batch, after) = random_batch(&mut prng, &model);
            let outcome = store.commit(std::slice::from_ref(&batch)).remove(0);
            states = vec![model.clone(), after.clone()];
            if outcome.is_err() {
                break;
            }
            model = after;
        }
        let syncs = disk.syncs();
        // The disk would now say yes, to pages that it has forgotten.
        disk.heal();
        assert!(store.commit(&[random_batch(&mut prng, &model).0])[0].is_err());
        assert!(store.compact_step().is_err());
        assert_eq!(disk.syncs(), syncs, "seed {seed}");
        drop(store);
        if seed % 2 == 0 {
            // The process ends, the machine does not: what is seen then must stay.
            disk.kill();
            let (store, _) = reopen(&disk).expect("works");
            let seen = contents(&store).expect("works");
            // What was not acknowledged may be in memory only.
            assert!(seen == states[0], "seed {seed}");
            states = vec![seen];
        }
        disk.crash(seed);
        let (store, opened) = reopen(&disk).expect("works");
        assert_eq!(opened.damaged, [], "seed {seed}");
        assert!(
            states.contains(&contents(&store).expect("works")),
            "seed {seed}"
        );
    }
}

#[test]
fn every_prefix_of_the_last_64_kib_opens_and_keeps_whole_batches() {
    let disk = SimulatedDisk::new();
    let mut prng = Prng::from_number(7);
    let large = Sizes {
        segment: 1024 * 1024,
        ..SMALL
    };
    let (mut store, _) = open(
        Arc::new(disk.clone()),
        OpenedIndex::in_memory(),
        SALT,
        large,
    )
    .expect("works");
    let mut states = vec![(0, Contents::new())];
    let name = "0000000001.segment";
    while disk.bytes(name).map_or(0, |bytes| bytes.len()) < 70 * 1024 {
        let (batch, after) = random_batch(&mut prng, &states[states.len() - 1].1);
        assert_eq!(store.commit(&[batch]), [Ok(())]);
        states.push((disk.bytes(name).expect("works").len(), after));
    }
    drop(store);
    let whole = disk.bytes(name).expect("works");
    // Without the mark this is what a crash leaves; with it, a loss that must be named.
    let first = whole.len() - 64 * 1024;
    // Every one of them on demand, and around each end of a frame.
    let all = std::env::var("REGATTA_SEEDS").is_ok();
    for length in first..whole.len() {
        let near = states.iter().any(|(end, _)| length.abs_diff(*end) <= 1);
        if !all && !near && length % 101 != 0 {
            continue;
        }
        for with_mark in [false, true] {
            let torn = disk.copy();
            torn.damage(name, |bytes| bytes.truncate(length));
            if !with_mark {
                torn.lose("mark");
            }
            let (store, opened) =
                open(Arc::new(torn), OpenedIndex::in_memory(), SALT, large).expect("works");
            let (end, state) = states
                .iter()
                .rev()
                .find(|(end, _)| *end <= length)
                .expect("works");
            assert!(&contents(&store).expect("works") == state, "{length} bytes");
            if with_mark {
                assert!(
                    !opened.damaged.is_empty(),
                    "{length} bytes: the end is missing"
                );
            } else {
                assert_eq!(opened.damaged, [], "{length} bytes");
                assert_eq!(opened.cut.is_some(), *end != length, "{length} bytes");
            }
        }
    }
}

#[test]
fn a_batch_that_was_refused_does_not_come_back() {
    let disk = SimulatedDisk::new();
    let (mut store, _) = reopen(&disk).expect("works");
    disk.set_capacity(FREE_BYTES_MIN);
    let mut batch = Batch::new();
    batch.put(Table::Node, b"a", b"first").expect("works");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
    assert_eq!(
        store.reader().get(Table::Node, b"a"),
        Ok(Some(b"first".to_vec()))
    );
    assert_eq!(store.reader().get(Table::Node, b"b"), Ok(None));
}
