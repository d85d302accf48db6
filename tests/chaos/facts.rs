//! Waiting for facts, and what is said about them.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often it is looked whether a fact is one.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until `look` finds what it looks for, and says how long that took. What it found last instead
/// is in the message of the failure.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> (T, Duration) {
    let began = Instant::now();
    loop {
        let last = match look() {
            Ok(found) => return (found, began.elapsed()),
            Err(last) => last,
        };
        assert!(
            began.elapsed() < limit,
            "not within {limit:?}: {what}; last seen: {last}"
        );
        sleep(LOOK_EVERY);
    }
}

/// Whether `look` goes on to hold for as long as this: for facts that something stays away.
pub fn while_for(what: &str, span: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let began = Instant::now();
    while began.elapsed() < span {
        if let Err(seen) = look() {
            panic!("{what}: {seen}, after {:?}", began.elapsed());
        }
        sleep(LOOK_EVERY);
    }
}

/// Says something that is not swallowed when the test passes: figures, and what was not run.
pub fn say(line: &str) {
    // Where nobody can read it, nobody misses it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `Ok` where it holds, else what was seen.
pub fn holds(fact: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if fact { Ok(()) } else { Err(seen()) }
}
