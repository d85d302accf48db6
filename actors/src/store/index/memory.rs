//! An index in memory: for simulated disks, and when the real one cannot be used.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use super::{Index, IndexChange, IndexError, IndexItem};

/// Gone with the process: opening replays all segments.
#[derive(Debug, Default)]
pub struct MemoryIndex(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(map.get(key).cloned())
    }

    fn apply(&self, changes: Vec<IndexChange>) -> Result<(), IndexError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(())
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
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = map.range(from.to_vec()..until.to_vec()).take(items_max);
        Ok(found
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn clear(&self) -> Result<(), IndexError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.clear();
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
