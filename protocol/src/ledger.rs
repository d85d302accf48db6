//! Ledgers: append-only, hash-chained, signed sequences of entries, and how they travel.

pub mod bodies;
pub mod chain;
pub mod cursor;
pub mod digest;
pub mod entry;
pub mod holdings;
pub mod message;
pub mod replica;
pub mod spool;
