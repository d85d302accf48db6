//! Flipped bits, zeroed sectors, cut and lost files: never silent, never empty, and what is whole stays.

use regatta_protocol::prng::Prng;

use super::{Contents, contents, random_batch, reopen, seeds};
use crate::store::disk::Disk;
use crate::store::disk::simulated::SimulatedDisk;
use crate::store::{Batch, Harm, Opened, StoreError, Table, Writer};

/// A store of several segments, and everything that a key ever held in it.
fn grown(seed: u64) -> (SimulatedDisk, Contents, Vec<Contents>) {
    let disk = SimulatedDisk::new();
    let mut prng = Prng::from_number(seed);
    let (mut store, _) = reopen(&disk).expect("opens");
    let mut model = Contents::new();
    let mut past = vec![model.clone()];
    for _ in 0..60 {
        let (batch, after) = random_batch(&mut prng, &model);
        assert_eq!(store.commit(&[batch]), [Ok(())]);
        model = after;
        past.push(model.clone());
        if prng.chance(50_000) {
            store.compact_step().expect("works");
        }
    }
    drop(store);
    disk.kill();
    (disk, model, past)
}

fn harm(prng: &mut Prng, disk: &SimulatedDisk) -> String {
    let names = disk.list().expect("lists");
    let name = names[usize::try_from(prng.below(names.len() as u64)).expect("small")].clone();
    let length = disk.bytes(&name).map_or(0, |bytes| bytes.len());
    let at = usize::try_from(prng.below(length.max(1) as u64)).expect("small");
    match prng.below(10) {
        0..=3 => disk.damage(&name, |bytes| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
        }),
        4..=6 => disk.damage(&name, |bytes| {
            let sector = at / 512 * 512;
            let end = (sector + 512).min(bytes.len());
            if let Some(sector) = bytes.get_mut(sector..end) {
                sector.fill(0);
            }
        }),
        7..=8 => disk.damage(&name, |bytes| bytes.truncate(at)),
        _ => disk.lose(&name),
    }
    format!("{name} at {at}")
}

/// What a store holds, where each value was once under its key; and whether it is the latest state.
fn judged(store: &Writer, model: &Contents, past: &[Contents], trial: &str) -> bool {
    let found = contents(store).expect("all that is indexed can be read");
    for (key, value) in &found {
        let known = past.iter().any(|state| state.get(key) == Some(value));
        assert!(known, "{trial}: {key:?} holds what was never stored");
    }
    &found == model
}

#[test]
fn damage_anywhere_is_named_and_what_is_whole_stays() {
    let mut noticed = 0;
    let mut harmless = 0;
    for seed in seeds(12) {
        let (disk, model, past) = grown(seed);
        let mut prng = Prng::from_number(seed ^ 0xdead);
        for trial in 0..250 {
            let harmed = disk.copy();
            let what = harm(&mut prng, &harmed);
            let trial = format!("seed {seed}, trial {trial}, {what}");
            let (store, opened) =
                reopen(&harmed).unwrap_or_else(|error| panic!("{trial}: {error}"));
            let whole = judged(&store, &model, &past, &trial);
            let told = !opened.damaged.is_empty() || opened.cut.is_some();
            assert!(whole || told, "{trial}: lost without a word");
            assert!(
                opened.cut.is_none(),
                "{trial}: the mark says that it was durable: {opened:?}"
            );
            assert!(
                !opened.fresh,
                "{trial}: opened as if nothing had been there"
            );
            if told {
                noticed += 1;
                writes_go_on(&harmed, store, &opened, &trial);
            } else {
                harmless += 1;
            }
        }
    }
    assert!(noticed > harmless, "{noticed} noticed, {harmless} harmless");
}

/// What was mended stays mended.
fn writes_go_on(disk: &SimulatedDisk, mut store: Writer, opened: &Opened, trial: &str) {
    let before = contents(&store).expect("reads");
    let mut batch = Batch::new();
    batch
        .put(Table::Trust, b"after", b"the damage")
        .expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())], "{trial}");
    drop(store);
    disk.crash(1);
    let (store, again) = reopen(disk).unwrap_or_else(|error| panic!("{trial}: {error}"));
    assert_eq!(again.damaged, [], "{trial}: {opened:?}");
    assert!(contents(&store).expect("reads") == before, "{trial}");
    let after = store.reader().get(Table::Trust, b"after");
    assert_eq!(after, Ok(Some(b"the damage".to_vec())), "{trial}");
}

fn two_segments() -> (SimulatedDisk, Writer) {
    let disk = SimulatedDisk::new();
    let (mut store, _) = reopen(&disk).expect("opens");
    for key in 0_u8..40 {
        let mut batch = Batch::new();
        batch
            .put(Table::Entries, &[key], &[key; 150])
            .expect("it fits");
        assert_eq!(store.commit(&[batch]), [Ok(())]);
    }
    (disk, store)
}

#[test]
fn batches_behind_damage_are_used_and_the_segment_is_kept_aside() {
    let (disk, store) = two_segments();
    drop(store);
    disk.damage("0000000001.segment", |bytes| bytes[1000] ^= 0x10);
    let (store, opened) = reopen(&disk).expect("opens");
    let harms: Vec<_> = opened
        .damaged
        .iter()
        .map(|damage| (damage.segment, damage.what))
        .collect();
    assert_eq!(harms, [(1, Harm::Frames)]);
    assert_eq!(contents(&store).expect("reads").len(), 39);
    assert!(disk.bytes("0000000001.segment").is_none());
    assert!(disk.bytes("0000000001.segment.damaged").is_some());
}

#[test]
fn a_store_whose_segments_are_all_gone_does_not_open_as_new() {
    let (disk, store) = two_segments();
    drop(store);
    for name in disk.list().expect("lists") {
        if name != "mark" {
            disk.lose(&name);
        }
    }
    let (_, opened) = reopen(&disk).expect("opens");
    assert!(!opened.fresh);
    assert_eq!(opened.damaged[0].what, Harm::Missing);
}

#[test]
fn bytes_that_a_peer_stored_do_not_pass_for_a_frame() {
    use crate::store::frame::{FrameHeader, Kind};
    let disk = SimulatedDisk::new();
    let (mut store, _) = reopen(&disk).expect("opens");
    // A frame as it would stand here, but for the salt, which does not leave the node.
    let mut inner = Batch::new();
    inner
        .put(Table::Trust, b"root", b"forged")
        .expect("it fits");
    let header = FrameHeader::new(Kind::Batch, 3, 3, inner.payload()).encode(*b"guessed!");
    let value = [&header[..], inner.payload()].concat();
    for key in [b"1", b"2", b"3"] {
        let mut batch = Batch::new();
        batch.put(Table::Bodies, key, &value).expect("it fits");
        assert_eq!(store.commit(&[batch]), [Ok(())]);
    }
    drop(store);
    // The frame's own header is gone; the search for the next one goes through the value.
    disk.damage("0000000001.segment", |bytes| bytes[90] ^= 1);
    let (store, opened) = reopen(&disk).expect("opens");
    assert_eq!(opened.damaged.len(), 1);
    assert_eq!(store.reader().get(Table::Trust, b"root"), Ok(None));
    assert!(
        store
            .reader()
            .get(Table::Bodies, b"3")
            .expect("reads")
            .is_some()
    );
}

#[test]
fn damage_that_comes_while_it_runs_is_an_error_of_that_read_alone() {
    let (disk, store) = two_segments();
    disk.damage("0000000001.segment", |bytes| bytes[1000] ^= 0x10);
    let read = |key: u8| store.reader().get(Table::Entries, &[key]);
    let damaged: Vec<u8> = (0..40).filter(|key| read(*key).is_err()).collect();
    assert_eq!(damaged.len(), 1);
    assert!(matches!(read(damaged[0]), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_segment_of_a_later_version_is_refused_and_left_alone() {
    let (disk, store) = two_segments();
    drop(store);
    disk.damage("0000000002.segment", |bytes| {
        bytes[8] = 9;
        let crc = crc32c::crc32c(&bytes[..36]);
        bytes[36..40].copy_from_slice(&crc.to_le_bytes());
    });
    let before = disk.list().expect("lists");
    let Err(error) = reopen(&disk) else {
        panic!("it opened");
    };
    let text = error.to_string();
    assert!(text.contains("0000000002.segment: version 9"), "{text}");
    assert_eq!(disk.list().expect("lists"), before);
}
