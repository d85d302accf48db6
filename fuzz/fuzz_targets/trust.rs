//! Any bytes to the decoders of what the root and managers sign.
#![no_main]

#[path = "../drivers/trust.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
