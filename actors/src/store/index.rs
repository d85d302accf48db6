//! Where things are: an ordered map of bytes beside the segments, which it can always be rebuilt from.

use std::sync::Arc;

use thiserror::Error;

pub mod memory;
pub mod on_disk;

/// A key with its new value; none removes it.
pub type IndexChange = (Vec<u8>, Option<Vec<u8>>);

/// A key with its value.
pub type IndexItem = (Vec<u8>, Vec<u8>);

/// What an index says when it cannot go on. The store then leaves it and builds another.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct IndexError(pub String);

/// An ordered map. It need not be durable, but what one [`Index::apply`] changed is there wholly or
/// not at all, and nothing later is there without it.
pub trait Index: Send + Sync {
    /// What stands under a key.
    ///
    /// # Errors
    /// When the index is broken.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Makes changes, all together.
    ///
    /// # Errors
    /// When the index is broken.
    fn apply(&self, changes: Vec<IndexChange>) -> Result<(), IndexError>;

    /// Keys from `from` on and below `until`, in order, at most `items_max` of them.
    ///
    /// # Errors
    /// When the index is broken.
    fn scan(
        &self,
        from: &[u8],
        until: &[u8],
        items_max: usize,
    ) -> Result<Vec<IndexItem>, IndexError>;

    /// Forgets everything.
    ///
    /// # Errors
    /// When the index is broken.
    fn clear(&self) -> Result<(), IndexError>;

    /// Writes what is still in memory; before the node ends.
    ///
    /// # Errors
    /// When the index is broken.
    fn flush(&self) -> Result<(), IndexError>;
}

/// An index that was opened, and what there is to say about it.
pub struct OpenedIndex {
    /// The index.
    pub index: Arc<dyn Index>,
    /// Why it is not the one that was there, or not the one that was asked for.
    pub notes: Vec<String>,
}

impl OpenedIndex {
    /// An empty one in memory: for a store whose records are read back in a moment.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            index: Arc::new(memory::MemoryIndex::default()),
            notes: Vec::new(),
        }
    }
}
