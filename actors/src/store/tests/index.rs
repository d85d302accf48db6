//! The index on a real disk: kept when it is right, rebuilt when it is not, never believed blindly.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use regatta_protocol::prng::Prng;
use tempfile::TempDir;

use super::{Contents, SALT, SMALL, contents, random_batch, reopen, seeds};
use crate::store::disk::real::RealDisk;
use crate::store::disk::simulated::SimulatedDisk;
use crate::store::index::on_disk::SledIndex;
use crate::store::index::{Index, IndexChange, IndexError, IndexItem, OpenedIndex};
use crate::store::{Batch, Opened, Sizes, Store, StoreError, Table, Writer, open};

fn reopen_real(folder: &Path) -> (Writer, Opened) {
    let disk = RealDisk::open(folder).expect("nobody else has it");
    let index = SledIndex::open(&folder.join("index"));
    open(Arc::new(disk), index, SALT, SMALL).expect("opens")
}

fn grown(folder: &Path, batches: usize) -> Contents {
    let (mut store, opened) = reopen_real(folder);
    assert!(opened.fresh);
    let mut prng = Prng::from_number(5);
    let mut model = Contents::new();
    for _ in 0..batches {
        let (batch, after) = random_batch(&mut prng, &model);
        assert_eq!(store.commit(&[batch]), [Ok(())]);
        model = after;
    }
    store.flush_index().expect("works");
    model
}

fn holds(folder: &Path, model: &Contents) -> Opened {
    let (mut store, opened) = reopen_real(folder);
    assert_eq!(opened.damaged, []);
    assert!(&contents(&store).expect("reads") == model, "{opened:?}");
    let mut batch = Batch::new();
    batch
        .put(Table::Trust, b"still", b"writes")
        .expect("it fits");
    assert_eq!(store.commit(&[batch]), [Ok(())]);
    store.flush_index().expect("works");
    opened
}

#[test]
fn what_is_in_the_index_is_not_replayed() {
    let folder = TempDir::new().expect("a folder");
    let model = grown(folder.path(), 100);
    let opened = holds(folder.path(), &model);
    assert!(opened.replayed <= 2, "{opened:?}");
    assert!(opened.notes.is_empty(), "{opened:?}");
}

#[test]
fn an_index_that_is_gone_is_rebuilt() {
    let folder = TempDir::new().expect("a folder");
    let model = grown(folder.path(), 100);
    fs::remove_dir_all(folder.path().join("index")).expect("was there");
    let opened = holds(folder.path(), &model);
    assert!(opened.replayed >= 100, "{opened:?}");
    assert_eq!(opened.notes, ["the index is rebuilt: it is empty"]);
}

#[test]
fn an_index_that_lags_behind_catches_up() {
    let folder = TempDir::new().expect("a folder");
    let mut model = grown(folder.path(), 60);
    let saved = TempDir::new().expect("a folder");
    copy(&folder.path().join("index"), saved.path());
    let (mut store, _) = reopen_real(folder.path());
    let mut prng = Prng::from_number(6);
    for _ in 0..60 {
        let (batch, after) = random_batch(&mut prng, &model);
        assert_eq!(store.commit(&[batch]), [Ok(())]);
        model = after;
        store.compact_step().expect("works");
    }
    drop(store);
    fs::remove_dir_all(folder.path().join("index")).expect("was there");
    copy(saved.path(), &folder.path().join("index"));
    let (store, opened) = reopen_real(folder.path());
    assert_eq!(opened.damaged, []);
    assert!(contents(&store).expect("reads") == model, "{opened:?}");
}

#[test]
fn half_a_snapshot_of_a_kill_does_not_matter() {
    let folder = TempDir::new().expect("a folder");
    let model = grown(folder.path(), 50);
    let half = folder.path().join("index/snap.0000000000001F0C.generating");
    fs::write(&half, b"").expect("writes");
    let opened = holds(folder.path(), &model);
    assert!(opened.notes.is_empty(), "{opened:?}");
    assert!(!half.exists());
}

/// Flipped bits, zeroed stretches and cuts in sled's own files.
#[test]
fn an_index_that_is_damaged_is_never_believed() {
    let folder = TempDir::new().expect("a folder");
    let model = grown(folder.path(), 200);
    let saved = TempDir::new().expect("a folder");
    copy(&folder.path().join("index"), saved.path());
    for seed in seeds(25) {
        let mut prng = Prng::from_number(seed);
        let index = folder.path().join("index");
        fs::remove_dir_all(&index).expect("was there");
        copy(saved.path(), &index);
        let files: Vec<_> = fs::read_dir(&index)
            .expect("lists")
            .map(|entry| entry.expect("lists").path())
            .filter(|path| path.is_file())
            .collect();
        let file = &files[usize::try_from(prng.below(files.len() as u64)).expect("small")];
        let mut bytes = fs::read(file).expect("reads");
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let at = usize::try_from(prng.below(used as u64)).expect("small");
        match prng.below(3) {
            0 => bytes[at] ^= 1 << (at % 8),
            1 => {
                let end = (at + 512).min(bytes.len());
                bytes[at..end].fill(0);
            }
            _ => bytes.truncate(at),
        }
        fs::write(file, bytes).expect("writes");
        let (store, opened) = reopen_real(folder.path());
        assert_eq!(opened.damaged, [], "seed {seed}: the segments are whole");
        assert!(
            contents(&store).expect("reads") == model,
            "seed {seed}: {opened:?}"
        );
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("makes");
    for entry in fs::read_dir(from).expect("lists") {
        let path = entry.expect("lists").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("copies");
        }
    }
}

#[test]
fn damage_in_a_segment_is_found_behind_an_index_that_is_right() {
    let folder = TempDir::new().expect("a folder");
    grown(folder.path(), 100);
    let first = folder.path().join("0000000001.segment");
    let length = fs::metadata(&first).expect("is there").len();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&first)
        .expect("opens");
    file.set_len(length / 2).expect("cuts");
    let (_, opened) = reopen_real(folder.path());
    assert_eq!(opened.damaged.len(), 1, "{opened:?}");
    assert_eq!(opened.damaged[0].segment, 1);
}

#[test]
fn a_folder_belongs_to_one_process_and_says_to_whom() {
    let folder = TempDir::new().expect("a folder");
    let first = RealDisk::open(folder.path()).expect("opens");
    let refused = RealDisk::open(folder.path()).expect_err("it is taken");
    let pid = std::process::id().to_string();
    assert!(
        matches!(&refused, StoreError::Locked { pid: by, .. } if *by == pid),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains(&format!("in use by process {pid}"))
    );
    drop(first);
    RealDisk::open(folder.path()).expect("free again");
}

/// Answers until it is told to break.
#[derive(Default)]
struct Fragile {
    inner: crate::store::index::memory::MemoryIndex,
    broken: std::sync::atomic::AtomicBool,
}

impl Fragile {
    fn check(&self) -> Result<(), IndexError> {
        match self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err(IndexError("simulated".to_owned())),
            false => Ok(()),
        }
    }
}

impl Index for Fragile {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.check()?;
        self.inner.get(key)
    }

    fn apply(&self, changes: Vec<IndexChange>) -> Result<(), IndexError> {
        self.check()?;
        self.inner.apply(changes)
    }

    fn scan(&self, from: &[u8], until: &[u8], most: usize) -> Result<Vec<IndexItem>, IndexError> {
        self.check()?;
        self.inner.scan(from, until, most)
    }

    fn clear(&self) -> Result<(), IndexError> {
        self.check()?;
        self.inner.clear()
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.check()
    }
}

#[test]
fn an_index_that_breaks_in_a_write_is_replaced_and_nothing_is_lost() {
    let disk = SimulatedDisk::new();
    let fragile = Arc::new(Fragile::default());
    let index = OpenedIndex {
        index: fragile.clone(),
        notes: Vec::new(),
    };
    let (mut store, _) = open(Arc::new(disk.clone()), index, SALT, SMALL).expect("opens");
    let mut prng = Prng::from_number(1);
    let mut model = Contents::new();
    for round in 0..80 {
        if round == 40 {
            fragile
                .broken
                .store(true, std::sync::atomic::Ordering::SeqCst);
        }
        let (batch, after) = random_batch(&mut prng, &model);
        assert_eq!(store.commit(&[batch]), [Ok(())]);
        model = after;
        store.compact_step().expect("works");
        assert!(contents(&store).expect("reads") == model, "round {round}");
    }
    assert_eq!(store.health().index_lost.as_deref(), Some("simulated"));
    drop(store);
    disk.crash(1);
    let (store, opened) = reopen(&disk).expect("opens");
    assert_eq!(opened.damaged, []);
    assert!(contents(&store).expect("reads") == model);
}

#[tokio::test]
async fn an_index_that_breaks_in_a_read_is_replaced() {
    let fragile = Arc::new(Fragile::default());
    let index = OpenedIndex {
        index: fragile.clone(),
        notes: Vec::new(),
    };
    let disk = Arc::new(SimulatedDisk::new());
    let (store, _) = Store::open(disk, || index, (SALT, Sizes::default()), None)
        .await
        .expect("opens");
    let mut batch = Batch::new();
    batch.put(Table::Node, b"id", b"1").expect("it fits");
    assert_eq!(store.commit(batch).await, Ok(()));
    fragile
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let first = store.get(Table::Node, b"id").await;
    assert!(matches!(first, Err(StoreError::Index(_))), "{first:?}");
    let mut found = first;
    for _ in 0..1000 {
        found = store.get(Table::Node, b"id").await;
        if found.is_ok() {
            break;
        }
    }
    assert_eq!(found, Ok(Some(b"1".to_vec())));
}

#[tokio::test]
async fn a_store_on_a_real_disk_opens_again_after_it_was_closed() {
    let folder = TempDir::new().expect("a folder");
    for round in 0_u8..3 {
        let disk = Arc::new(RealDisk::open(folder.path()).expect("nobody else has it"));
        let path = folder.path().join("index");
        let index = move || SledIndex::open(&path);
        let (store, opened) = Store::open(disk, index, (SALT, Sizes::default()), None)
            .await
            .expect("opens");
        assert_eq!(opened.fresh, round == 0);
        let known = store.scan(Table::Node, b"", None, 10, usize::MAX).await;
        assert_eq!(known.expect("reads").len(), usize::from(round));
        let mut batch = Batch::new();
        batch
            .put(Table::Node, &[round], b"was here")
            .expect("it fits");
        assert_eq!(store.commit(batch).await, Ok(()));
        assert_eq!(store.close().await, Ok(()));
    }
}
