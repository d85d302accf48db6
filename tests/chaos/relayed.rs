//! An agent that lets nobody in, and a manager that it cannot reach: its home relays.

use std::time::Duration;

use super::facts::{holds, say, until};
use super::fleet::{FORMS, Fleet};
use super::lab::Lab;

/// A way through a relay is found within that time.
const FOUND: Duration = Duration::from_secs(30);

#[test]
fn a_manager_reaches_an_agent_through_a_relay_of_its_home() {
    let Some(lab) = Lab::open("an agent behind a relay") else {
        return;
    };
    let mut fleet = Fleet::found(lab, "acme", "m1");
    fleet.manager("m2");
    let (mut agent, token) = fleet.invited("a1");
    agent.only_outgoing();
    fleet.lab.cut(&agent, fleet.get("m2"));
    agent.ok(&["join", &token, "--name", "a1"]);
    agent.up();
    fleet.machines.push(agent);
    fleet.all_ready(FORMS);
    let far = fleet.get("m2");
    let (path, took) = until("a path through the home", FOUND, || {
        let path = far.ask(&["path", "a1"])?;
        holds(path["path"] == "relayed", || path.to_string())?;
        Ok(path)
    });
    let pong = far.ok(&["ping", "a1", "--count", "2", "--interval", "100ms"]);
    assert!(pong.contains("relayed"), "{pong}");
    let near = fleet.get("m1").json(&["path", "a1"]);
    assert_eq!(near["path"], "direct", "{near}");
    say(&format!(
        "chaos: a way through a relay after {} ms: {}",
        took.as_millis(),
        path["address"]
    ));
}
