//! The fuzzer's seeds as an ordinary test: known bombs and genuine inputs, each quick and small.
//!
//! A crash that the fuzzer finds becomes a named file in `fuzz/corpus/<target>/`, and is in here.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads its inputs; the library itself touches no file"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

#[path = "../../fuzz/drivers/channel_handshake.rs"]
mod channel_handshake;
#[path = "../../fuzz/drivers/config.rs"]
mod config;
#[path = "../../fuzz/drivers/entry.rs"]
mod entry;
#[path = "../../fuzz/drivers/messages.rs"]
mod messages;
#[path = "../../fuzz/drivers/replica.rs"]
mod replica;
#[path = "../../fuzz/drivers/seal_open.rs"]
mod seal_open;
#[path = "../../fuzz/drivers/selector.rs"]
mod selector;
#[path = "../../fuzz/drivers/token.rs"]
mod token;
#[path = "../../fuzz/drivers/trust.rs"]
mod trust;

/// Far more than any of them takes, far less than a bomb that goes off.
const SEED_MS_MAX: u64 = 2_000;
const GROWTH_KIB_MAX: u64 = 32 * 1024;

#[test]
fn selector_bombs() {
    each_seed("selector", selector::run);
}

#[test]
fn entry_bombs() {
    each_seed("entry", entry::run);
}

#[test]
fn channel_handshake_bombs() {
    each_seed("channel_handshake", channel_handshake::run);
}

#[test]
fn seal_open_bombs() {
    each_seed("seal_open", seal_open::run);
}

#[test]
fn messages_bombs() {
    each_seed("messages", messages::run);
}

#[test]
fn trust_bombs() {
    each_seed("trust", trust::run);
}

#[test]
fn token_bombs() {
    each_seed("token", token::run);
}

#[test]
fn replica_bombs() {
    each_seed("replica", replica::run);
}

#[test]
fn config_bombs() {
    each_seed("config", config::run);
}

#[test]
fn every_target_has_a_driver_and_seeds() {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(fuzz().join(folder)).expect("the fuzz folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let stems = paths.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned));
        let mut names: Vec<String> = stems.collect();
        names.sort();
        names
    };
    assert_eq!(names("fuzz_targets"), names("drivers"));
    assert_eq!(names("fuzz_targets"), names("corpus"));
}

fn fuzz() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn each_seed(target: &str, run: fn(&[u8])) {
    let folder = fuzz().join("corpus").join(target);
    let entries = fs::read_dir(folder).expect("a folder of seeds");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "seed"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    for path in paths {
        let bytes = fs::read(&path).expect("a seed");
        let (before, peak) = (cpu(), peak_kib());
        run(&bytes);
        let name = path.display();
        let took = cpu().saturating_sub(before);
        assert!(
            took < Duration::from_millis(SEED_MS_MAX),
            "{name}: {took:?}"
        );
        let grown = peak_kib().saturating_sub(peak);
        assert!(grown < GROWTH_KIB_MAX, "{name}: {grown} KiB");
    }
}

/// CPU time of this thread, so that a busy machine fails nothing; zero where Linux is not.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = stat.split_whitespace().next();
    Duration::from_nanos(spent.and_then(|spent| spent.parse().ok()).unwrap_or(0))
}

/// The most memory that this process ever had; zero where Linux is not.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0)
}
