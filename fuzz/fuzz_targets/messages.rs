//! Any bytes to the decoders of everything that members say to each other.
#![no_main]

#[path = "../drivers/messages.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
