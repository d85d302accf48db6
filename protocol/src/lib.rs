//! Everything a Regatta fleet believes, remembers or refuses, decided without IO.
//!
//! No clock, randomness, file, socket or thread in here: machines are handed `now` and an event and
//! give back effects. Start at [`ledger::entry`], go on to [`ledger::chain`], [`trust::fold`],
//! [`catalog`] and [`ledger::replica`]; ARCHITECTURE.md names the whole path of an entry.

pub mod allowance;
pub mod catalog;
pub mod clock;
pub mod codec;
pub mod config;
pub mod contacts;
pub mod crypto;
pub mod ident;
pub mod ledger;
pub mod limits;
pub mod machine;
pub mod membership;
pub mod prng;
pub mod report;
pub mod selector;
pub mod trust;
