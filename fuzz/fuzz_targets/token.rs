//! Any text to the parser of invite tokens.
#![no_main]

#[path = "../drivers/token.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
