//! Any bytes to the decoders of headers and parcels.
#![no_main]

#[path = "../drivers/entry.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
