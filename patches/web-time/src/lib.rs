//! The clock that libp2p reads, which is tokio's: in place of the crate `web-time`.
//!
//! That crate is `std::time` wherever there is no browser. With tokio's `Instant` in its place libp2p
//! reads the very clock that its timers (`patches/futures-timer`) run on: the system's in the shipped
//! binary, and in tests one that can be paused.

pub use std::time::{Duration, SystemTime, SystemTimeError, UNIX_EPOCH};

pub use tokio::time::Instant;
