//! A node that is started a hundred times in a row, ended now gently and now not, loses nothing.

use std::time::{Duration, Instant};

use super::facts::say;
use super::fleet::{FORMS, Fleet};
use super::history::History;
use super::lab::Lab;

const TIMES: u32 = 100;

#[test]
fn a_manager_restarted_a_hundred_times_loses_nothing() {
    let Some(lab) = Lab::open("a hundred restarts") else {
        return;
    };
    let mut fleet = Fleet::found(lab, "acme", "m1");
    fleet.agent("a1");
    fleet.all_ready(FORMS);
    let mut history = History::default();
    let mut slowest = Duration::ZERO;
    for time in 0..TIMES {
        let manager = fleet.get("m1");
        assert!(history.label(manager, "a1", "restart", &time.to_string()));
        let victim = fleet.get_mut("m1");
        match time % 2 {
            0 => victim.kill(),
            _ => victim.terminate(),
        }
        let began = Instant::now();
        victim.up();
        slowest = slowest.max(began.elapsed());
        let lost = history.lost(victim).expect("it answers");
        assert!(lost.is_empty(), "restart {time}: {}", lost.join("\n"));
    }
    fleet.all_ready(FORMS);
    let agreed = fleet.agreed(FORMS);
    say(&format!(
        "chaos: {TIMES} restarts: {} writes acknowledged, 0 lost; ready within {} ms each time, one digest \
         {} ms after the last",
        history.acknowledged(),
        slowest.as_millis(),
        agreed.as_millis()
    ));
}
