//! A node that stands still for a while and then goes on.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::facts::{holds, say, until};
use super::fleet::{FORMS, Fleet, state};
use super::lab::Lab;

/// It stands still for that long at least.
const STILL: Duration = Duration::from_secs(30);
/// A link whose other end says nothing is given up after a minute.
const NOTICED: Duration = Duration::from_secs(75);
/// It is ready again within that time.
const BACK: Duration = Duration::from_secs(5);

#[test]
fn a_frozen_agent_is_not_said_to_be_ready_and_is_back_soon() {
    let Some(lab) = Lab::open("a frozen agent") else {
        return;
    };
    let fleet = Fleet::formed(lab, 2, 2);
    let began = Instant::now();
    fleet.get("a1").signal("STOP");
    let (_, noticed) = until("managers notice", NOTICED, || {
        for manager in fleet.managers() {
            let state = state(manager, "a1")?;
            let honest = state == "unreachable" || state == "unknown";
            holds(honest, || format!("{}: {state}", manager.name))?;
        }
        Ok(())
    });
    // The time is the fault: long enough for sessions to end on both sides.
    sleep(STILL.saturating_sub(began.elapsed()));
    for manager in fleet.managers() {
        let state = state(manager, "a1").expect("it answers");
        assert_ne!(state, "ready", "{}", manager.name);
    }
    fleet.get("a1").signal("CONT");
    let back = fleet.all_ready(BACK);
    fleet.agreed(FORMS);
    say(&format!(
        "chaos: an agent that stood still: noticed after {} ms, ready {} ms after it went on",
        noticed.as_millis(),
        back.as_millis()
    ));
}
