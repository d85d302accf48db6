//! Any bytes as a few bodies of configuration: documents, words on rollouts, reports, what is stored.
#![no_main]

#[path = "../drivers/config.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
