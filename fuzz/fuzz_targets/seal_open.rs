//! Any bytes to what opens sealed things, and any value through sealing and back.
#![no_main]

#[path = "../drivers/seal_open.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
