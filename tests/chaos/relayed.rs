//! An agent that lets nobody in, and a manager that it cannot reach: its home relays.

use std::time::Duration;

use serde_json::Value;

use super::facts::{holds, say, until, while_for};
use super::fleet::{FORMS, Fleet};
use super::lab::Lab;

/// A way through a relay is found within that time.
const FOUND: Duration = Duration::from_secs(30);
/// Open sessions of a revoked node are cut within that time.
const CUT: Duration = Duration::from_secs(5);
/// Long enough for a node that may to have linked several times over.
const WATCHED: Duration = Duration::from_secs(6);

/// Two managers, and an agent that one of them reaches by the other alone.
fn formed(lab: Lab) -> Fleet {
    let mut fleet = Fleet::found(lab, "acme", "m1");
    fleet.manager("m2");
    let (mut agent, token) = fleet.invited("a1");
    agent.only_outgoing();
    fleet.lab.cut(&agent, fleet.get("m2"));
    agent.ok(&["join", &token, "--name", "a1"]);
    agent.up();
    fleet.machines.push(agent);
    fleet.all_ready(FORMS);
    fleet
}

/// Waits until the far manager has a path through the near one.
fn relayed(fleet: &Fleet) -> (Value, Duration) {
    until("a path through the home", FOUND, || {
        let path = fleet.get("m2").ask(&["path", "a1"])?;
        holds(path["path"] == "relayed", || path.to_string())?;
        Ok(path)
    })
}

#[test]
fn a_manager_reaches_an_agent_through_a_relay_of_its_home() {
    let Some(lab) = Lab::open("an agent behind a relay") else {
        return;
    };
    let fleet = formed(lab);
    let far = fleet.get("m2");
    let (path, took) = relayed(&fleet);
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

#[test]
fn a_revoked_agent_does_not_come_back_through_a_relay() {
    let Some(lab) = Lab::open("a revoked agent behind a relay") else {
        return;
    };
    let mut fleet = formed(lab);
    relayed(&fleet);
    fleet.get("m2").ok(&["revoke", "a1"]);
    let alone = |fleet: &Fleet| {
        let reach = &fleet.get("a1").ask(&["status"])?["reach"];
        holds(reach["links"] == 0, || reach.to_string())
    };
    let (_, cut) = until("its relayed session is cut too", CUT, || alone(&fleet));
    fleet.get_mut("a1").kill();
    fleet.get_mut("a1").up();
    while_for("a revoked agent came back", WATCHED, || {
        alone(&fleet)?;
        let links = &fleet.get("m2").ask(&["status"])?["reach"]["links"];
        holds(*links == 1, || format!("m2 has {links} links"))
    });
    say(&format!(
        "chaos: a revoked agent behind a relay is cut off after {} ms, and stays out",
        cut.as_millis()
    ));
}
