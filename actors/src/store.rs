//! The node's store: what was acknowledged is there after a power cut, or its loss is named.
//!
//! The truth is in append-only segments of our own; the index beside them can be thrown away at any
//! time. A batch is one frame: it is there wholly or not at all. Batches that arrive while others are
//! synced go down together with the next sync.
//!
//! # How it holds
//!
//! - A commit returns after `fdatasync` of the segment, and the index is written after that.
//! - A write or a sync that fails ends the store: the node starts again and reads what is there.
//! - Opening tells what a crash may tear, which is cut, from what it may not, which is reported.
//! - A disk that is full refuses ordinary writes; deletes, trust and compaction have space kept.

mod actor;
pub mod batch;
mod compact;
pub mod disk;
pub mod error;
mod frame;
mod handle;
pub mod index;
pub mod limits;
mod log;
mod mark;
mod open;
mod places;
mod reader;
mod replay;
mod scan;
mod space;
pub mod table;
mod usage;
mod writer;

#[cfg(test)]
mod tests;

pub use actor::{StoreActor, StoreMessage, StoreState, Waiting};
pub use batch::Batch;
pub use compact::Progress;
pub use error::{BatchError, StoreError};
pub use handle::{Pending, Store};
pub use limits::Sizes;
pub use open::{Opened, open};
pub use reader::{Item, Reader};
pub use replay::{Cut, Damage, Harm};
pub use table::Table;
pub use writer::{Health, Writer};
