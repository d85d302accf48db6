//! Any text to the parser of selectors.
#![no_main]

#[path = "../drivers/selector.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
