//! Rewriting: bounded space, deletions that hold as long as they must, and no longer.

use regatta_protocol::prng::Prng;

use super::{Contents, SMALL, contents, random_batch, reopen, seeds};
use crate::store::disk::simulated::SimulatedDisk;
use crate::store::{Batch, Progress, Table, Writer};

fn put(store: &mut Writer, key: u32, value: &[u8]) {
    let mut batch = Batch::new();
    batch
        .put(Table::SpoolEntries, &key.to_be_bytes(), value)
        .expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
}

fn delete(store: &mut Writer, key: u32) {
    let mut batch = Batch::new();
    batch
        .delete(Table::SpoolEntries, &key.to_be_bytes())
        .expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
}

fn compact(store: &mut Writer) {
    while store.compact_step().expect("works") != Progress::Idle {}
}

#[test]
fn a_spool_that_is_filled_and_released_for_ever_keeps_its_size() {
    let disk = SimulatedDisk::new();
    let (mut store, _) = reopen(&disk).expect("opens");
    // Something that stays, below all that comes and goes.
    put(&mut store, u32::MAX, &[1; 3000]);
    for number in 0..5000 {
        put(&mut store, number, &[2; 100]);
        if number >= 50 {
            delete(&mut store, number - 50);
        }
        if number % 10 == 0 {
            compact(&mut store);
        }
    }
    compact(&mut store);
    let health = store.health();
    assert!(health.segments <= 12, "{health:?}");
    drop(store);
    disk.crash(3);
    let (store, opened) = reopen(&disk).expect("opens");
    assert_eq!(opened.damaged, []);
    assert_eq!(contents(&store).expect("reads").len(), 51);
}

#[test]
fn one_key_that_is_written_for_ever_keeps_its_size() {
    let disk = SimulatedDisk::new();
    let (mut store, _) = reopen(&disk).expect("opens");
    for round in 0_u32..5000 {
        put(&mut store, 1, &round.to_be_bytes());
        if round % 10 == 0 {
            compact(&mut store);
        }
    }
    let health = store.health();
    assert!(health.segments <= 3, "{health:?}");
}

#[test]
fn a_deletion_outlasts_its_segment_while_the_put_is_older() {
    let disk = SimulatedDisk::new();
    let (mut store, _) = reopen(&disk).expect("opens");
    // Segment 1: what will be deleted, among things that keep the segment worth keeping.
    put(&mut store, 1, &[1; 100]);
    put(&mut store, 2, &[2; 3500]);
    // Segment 2: the deletion, among things that will not keep it.
    put(&mut store, 3, &[3; 1000]);
    delete(&mut store, 1);
    put(&mut store, 4, &[4; 2500]);
    delete(&mut store, 3);
    delete(&mut store, 4);
    put(&mut store, 5, &[5; 3500]);
    compact(&mut store);
    assert!(
        disk.bytes("0000000001.segment").is_some(),
        "still worth keeping"
    );
    assert!(disk.bytes("0000000002.segment").is_none(), "rewritten");
    drop(store);
    disk.kill();
    let (store, _) = reopen(&disk).expect("opens");
    let found = store
        .reader()
        .get(Table::SpoolEntries, &1_u32.to_be_bytes());
    assert_eq!(found, Ok(None), "deleted stays deleted");
}

#[test]
fn a_step_is_bounded() {
    let disk = SimulatedDisk::new();
    let (mut store, _) = reopen(&disk).expect("opens");
    for number in 0..200 {
        put(&mut store, number, &[7; 100]);
    }
    for number in (0..200).filter(|number| number % 3 != 0) {
        delete(&mut store, number);
    }
    let mut steps = 0;
    let mut freed = 0;
    loop {
        let before = store.health().bytes;
        match store.compact_step().expect("works") {
            Progress::Idle => break,
            Progress::Working => {
                let written = store.health().bytes.saturating_sub(before);
                assert!(
                    written <= SMALL.compaction_step + 1024,
                    "{written} bytes in one step"
                );
            }
            Progress::Freed => freed += 1,
        }
        steps += 1;
    }
    assert!(
        freed >= 4 && steps > 2 * freed,
        "{steps} steps freed {freed}"
    );
}

/// Power cuts at every single operation of a compaction, not at random ones.
#[test]
fn a_cut_at_any_step_loses_nothing_and_doubles_nothing() {
    for seed in seeds(8) {
        for changes in 0..60 {
            let disk = SimulatedDisk::new();
            let mut prng = Prng::from_number(seed);
            let (mut store, _) = reopen(&disk).expect("opens");
            let mut model = Contents::new();
            for _ in 0..50 {
                let (batch, after) = random_batch(&mut prng, &model);
                assert_eq!(store.commit(&[batch]), [Ok(())]);
                model = after;
            }
            disk.cut_power_after(changes);
            let mut ended = false;
            while let Ok(progress) = store.compact_step() {
                if progress == Progress::Idle {
                    ended = true;
                    break;
                }
            }
            drop(store);
            disk.crash(seed ^ changes);
            let (mut store, opened) = reopen(&disk).expect("opens");
            assert_eq!(opened.damaged, [], "seed {seed}, {changes} changes");
            let found = contents(&store).expect("reads");
            assert!(found == model, "seed {seed}, {changes} changes");
            compact(&mut store);
            assert!(
                contents(&store).expect("reads") == model,
                "seed {seed}, {changes} changes"
            );
            if ended {
                break;
            }
        }
    }
}
