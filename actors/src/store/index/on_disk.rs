//! An index in sled: it survives a restart, and nothing that it says is believed unchecked.
//!
//! sled 0.34 syncs with `sync_file_range`, opens a truncated file as an empty database, loses keys to
//! a flipped bit without a word, and refuses for ever a `snap.*.generating` that a kill left behind.
//! So opening is guarded here, and [`super::super::places`] checks a sum over all that is in it.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::memory::MemoryIndex;
use super::{Index, IndexChange, IndexError, IndexItem, OpenedIndex};
use crate::store::limits::{SLED_CACHE_BYTES, SLED_FLUSH_MS, SLED_OPEN_MS_MAX};

/// An index in a folder of its own; the folder above it is locked by whoever opens this.
pub struct SledIndex(sled::Db);

impl SledIndex {
    /// Opens the index of `folder`; where that fails an empty one; where that fails too, as on a full
    /// disk, one in memory. Blocks: sled may take its time.
    #[must_use]
    pub fn open(folder: &Path) -> OpenedIndex {
        let mut notes = Vec::new();
        for _ in 0..2 {
            match Self::attempt(folder) {
                Ok(index) => {
                    let index = Arc::new(index);
                    return OpenedIndex { index, notes };
                }
                Err(error) => notes.push(error.0),
            }
            if let Err(error) = put_aside(folder) {
                notes.push(format!("putting {} aside: {error}", folder.display()));
                break;
            }
        }
        notes.push("the index is kept in memory until the next start".to_owned());
        let index = Arc::new(MemoryIndex::default());
        OpenedIndex { index, notes }
    }

    fn attempt(folder: &Path) -> Result<Self, IndexError> {
        remove_half_snapshots(folder).map_err(|error| IndexError(error.to_string()))?;
        let (done, opened) = mpsc::channel();
        let owned = folder.to_owned();
        // sled can hang on a damaged file; then the thread is left behind with its folder.
        let spawned = thread::Builder::new()
            .name("open-index".to_owned())
            .spawn(move || {
                let config = sled::Config::new()
                    .path(owned)
                    .cache_capacity(SLED_CACHE_BYTES)
                    .mode(sled::Mode::LowSpace)
                    .flush_every_ms(Some(SLED_FLUSH_MS));
                let _ = done.send(guarded(|| config.open()));
            });
        spawned.map_err(|error| IndexError(error.to_string()))?;
        match opened.recv_timeout(Duration::from_millis(SLED_OPEN_MS_MAX)) {
            Ok(opened) => opened.map(Self),
            Err(error) => Err(IndexError(format!("opening took too long: {error}"))),
        }
    }
}

/// A panic of sled is an error like any other.
fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| IndexError(error.to_string())),
        Err(_) => Err(IndexError("sled panicked".to_owned())),
    }
}

/// A kill between create and rename leaves an empty one, and sled then refuses to open.
fn remove_half_snapshots(folder: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Keeps one broken index for a person to look at.
fn put_aside(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut name = folder.as_os_str().to_owned();
    name.push(".broken");
    let aside = PathBuf::from(name);
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(folder, aside)
}

impl Index for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let found = guarded(|| self.0.get(key))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn apply(&self, changes: Vec<IndexChange>) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        guarded(|| self.0.apply_batch(batch))
    }

    fn scan(
        &self,
        from: &[u8],
        until: &[u8],
        items_max: usize,
    ) -> Result<Vec<IndexItem>, IndexError> {
        if from >= until {
            return Ok(Vec::new());
        }
        guarded(|| {
            let found = self.0.range(from..until).take(items_max);
            found
                .map(|item| item.map(|(key, value)| (key.to_vec(), value.to_vec())))
                .collect()
        })
    }

    fn clear(&self) -> Result<(), IndexError> {
        guarded(|| self.0.clear())
    }

    fn flush(&self) -> Result<(), IndexError> {
        guarded(|| self.0.flush().map(|_| ()))
    }
}
