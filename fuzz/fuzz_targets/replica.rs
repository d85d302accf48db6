//! Any frames from a member to a replica.
#![no_main]

#[path = "../drivers/replica.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
