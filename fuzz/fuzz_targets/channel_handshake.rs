//! Any bytes to each side of a channel, in each of its states.
#![no_main]

#[path = "../drivers/channel_handshake.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| driver::run(bytes));
