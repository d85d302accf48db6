//! A disk that fills up: reads and important writes go on, ordinary ones are refused and come back.

use regatta_protocol::prng::Prng;

use super::{Contents, SMALL, contents, random_batch, reopen, seeds};
use crate::store::disk::simulated::SimulatedDisk;
use crate::store::{Batch, Progress, StoreError, Table, Writer};

fn filled() -> (SimulatedDisk, Writer, u32) {
    let disk = SimulatedDisk::new();
    disk.set_capacity(256 * 1024);
    let (mut store, _) = reopen(&disk).expect("opens");
    for key in 0_u32.. {
        let mut batch = Batch::new();
        batch
            .put(Table::Entries, &key.to_be_bytes(), &[7; 1000])
            .expect("it fits");
        match store.commit(&[batch]).remove(0) {
            Ok(()) => {}
            Err(StoreError::Full { .. }) => return (disk, store, key),
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("a disk has an end")
}

#[test]
fn a_full_disk_refuses_ordinary_writes_and_says_so() {
    let (_, mut store, keys) = filled();
    assert!(keys > 100);
    let mut batch = Batch::new();
    batch.put(Table::Entries, b"x", b"y").expect("it fits");
    let error = store.commit(&[batch]).remove(0).expect_err("it is full");
    assert!(
        error.to_string().starts_with("the disk is full: "),
        "{error}"
    );
    assert_eq!(store.health().failed, None);
    let found = store.reader().get(Table::Entries, &0_u32.to_be_bytes());
    assert_eq!(found, Ok(Some(vec![7; 1000])), "reads go on");
    let mut batch = Batch::new().important();
    batch
        .put(Table::Trust, b"verdict", b"stopped")
        .expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())], "trust is written");
}

#[test]
fn deletes_make_room_and_ordinary_writes_come_back() {
    let (_, mut store, keys) = filled();
    for key in 0..keys / 2 {
        let mut batch = Batch::new();
        batch
            .delete(Table::Entries, &key.to_be_bytes())
            .expect("it fits");
        assert_eq!(store.commit(&[batch]), [Ok(())]);
    }
    while store.compact_step().expect("works") != Progress::Idle {}
    let mut batch = Batch::new();
    batch.put(Table::Entries, b"x", b"y").expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
}

#[test]
fn when_others_took_everything_the_ballast_carries_what_matters() {
    let (disk, mut store, _) = filled();
    // Others write until nothing is left at all.
    disk.set_capacity(disk.used());
    assert!(disk.bytes("ballast").is_some());
    let mut batch = Batch::new().important();
    batch
        .put(Table::Trust, b"verdict", b"stopped")
        .expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
    assert!(disk.bytes("ballast").is_none(), "released");
    assert!(store.health().nearly_full);
    // And back, with nothing but space.
    disk.heal();
    store.look_for_space();
    assert!(disk.bytes("ballast").is_some(), "taken again");
    let mut batch = Batch::new();
    batch.put(Table::Entries, b"x", b"y").expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
}

#[test]
fn a_store_on_a_full_disk_opens() {
    let (disk, store, keys) = filled();
    drop(store);
    disk.kill();
    disk.set_capacity(disk.used());
    let (store, opened) = reopen(&disk).expect("opens");
    assert_eq!(opened.damaged, []);
    assert_eq!(contents(&store).expect("reads").len(), keys as usize);
}

#[test]
fn a_compaction_without_room_waits_for_the_next_write() {
    let (disk, mut store, keys) = filled();
    // A third of each segment stays, so that a rewrite needs room.
    for key in (0..keys).filter(|key| key % 3 != 0) {
        let mut batch = Batch::new();
        batch
            .delete(Table::Entries, &key.to_be_bytes())
            .expect("it fits");
        if store.commit(&[batch]) != [Ok(())] {
            break;
        }
    }
    disk.set_capacity(disk.used());
    let mut steps = 0;
    while store.is_compaction_due() {
        let _ = store.compact_step();
        // What it frees others take.
        disk.set_capacity(disk.used());
        steps += 1;
        assert!(steps < 10_000, "it spins");
    }
    disk.heal();
    let mut batch = Batch::new();
    batch.put(Table::Entries, b"x", b"y").expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
    assert!(store.is_compaction_due(), "it goes on");
    while store.compact_step().expect("there is room") != Progress::Idle {}
    assert!(!store.is_compaction_due());
}

/// Commits some batches with one sync; whether any was refused.
fn group(store: &mut Writer, prng: &mut Prng, model: &mut Contents, seed: u64) -> bool {
    let kinds: Vec<bool> = (0..=prng.below(2)).map(|_| prng.chance(300_000)).collect();
    let mut batches = Vec::new();
    for (place, important) in kinds.iter().enumerate() {
        // Keys of their own, so that each is there or not whatever became of the others.
        let mut batch = Batch::new();
        let key = [u8::try_from(place).expect("few"), 0];
        let value = prng.bytes::<100>();
        batch.put(Table::Node, &key, &value).expect("it fits");
        let batch = if *important { batch.important() } else { batch };
        batches.push((batch, key, value));
    }
    let (last, after) = random_batch(prng, model);
    let alone = prng.chance(200_000);
    let sent: Vec<Batch> = match alone {
        true => vec![last],
        false => batches.iter().map(|(batch, ..)| batch.clone()).collect(),
    };
    let outcomes = store.commit(&sent);
    for (place, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(()) if alone => model.clone_from(&after),
            Ok(()) => {
                let (_, key, value) = &batches[place];
                model.insert((Table::Node, key.to_vec()), value.to_vec());
            }
            Err(StoreError::Full { .. }) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    outcomes.iter().any(Result::is_err)
}

/// Space comes and goes below the store's feet, also in the middle of a write.
#[test]
fn what_was_refused_stays_away_and_what_was_taken_stays() {
    for seed in seeds(600) {
        let disk = SimulatedDisk::new();
        let mut prng = Prng::from_number(seed);
        let (mut store, _) = reopen(&disk).expect("opens");
        let mut model = Contents::new();
        for _ in 0..80 {
            let used = disk.used();
            match prng.below(5) {
                // A write finds the end in its middle.
                0 => {
                    disk.set_capacity(used + prng.below(300));
                    disk.claim_free(u64::MAX);
                }
                1 => disk.set_capacity(used + prng.below(SMALL.free_min * 2)),
                2 => disk.heal(),
                _ => {}
            }
            if prng.chance(300_000) {
                let done = store.compact_step();
                assert!(
                    matches!(done, Ok(_) | Err(StoreError::Full { .. })),
                    "{done:?}"
                );
            }
            let refused = group(&mut store, &mut prng, &mut model, seed);
            assert!(contents(&store).expect("reads") == model, "seed {seed}");
            if refused && prng.chance(100_000) {
                break;
            }
        }
        drop(store);
        disk.crash(seed);
        disk.heal();
        let (store, opened) = reopen(&disk).expect("opens");
        assert_eq!(opened.damaged, [], "seed {seed}");
        assert!(contents(&store).expect("reads") == model, "seed {seed}");
    }
}
