//! A state folder that is not as it should be, or that somebody uses already; a port that is taken.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use super::fleet::Fleet;
use super::lab::Lab;
use super::machine::Machine;

#[test]
fn keys_that_others_may_read_are_refused() {
    let Some(lab) = Lab::open("keys that others may read") else {
        return;
    };
    let mut fleet = Fleet::found(lab, "acme", "m1");
    let manager = fleet.get_mut("m1");
    manager.terminate();
    let keys = manager.state.join("identity/keys.toml");
    set_permissions(&keys, Permissions::from_mode(0o644)).expect("it is ours");
    manager.refuses(&["up"], 2, "chmod 600");
    set_permissions(&keys, Permissions::from_mode(0o600)).expect("it is ours");
    manager.up();
}

#[test]
fn a_second_node_in_one_folder_is_refused() {
    let Some(lab) = Lab::open("two nodes in one folder") else {
        return;
    };
    let fleet = Fleet::found(lab, "acme", "m1");
    let manager = fleet.get("m1");
    let before = manager.json(&["status"]);
    let said = manager.refuses(&["up"], 2, "is in use by process");
    assert!(!said.contains("panicked"), "{said}");
    let after = manager.json(&["status"]);
    assert_eq!(before["addresses"], after["addresses"]);
    assert!(before["uptime_ms"].as_u64() <= after["uptime_ms"].as_u64());
    manager.json(&["invite"]);
}

/// The addresses at which it listens, without those that end otherwise.
fn ports(machine: &Machine) -> Vec<String> {
    let status = machine.json(&["status"]);
    let addresses = status["addresses"].as_array().into_iter().flatten();
    let words = addresses.filter_map(|it| it.as_str()?.split("/tcp/").nth(1));
    let mut ports: Vec<String> = words.map(str::to_owned).collect();
    ports.dedup();
    ports
}

#[test]
fn a_port_that_is_taken_is_another_one_from_then_on() {
    let Some(lab) = Lab::open("a port that is taken") else {
        return;
    };
    let mut fleet = Fleet::found(lab, "acme", "m1");
    assert_eq!(ports(fleet.get("m1")), ["4700"]);
    let invite = fleet.get("m1").json(&["invite"]);
    let token = fleet.token(&invite);
    let mut second = fleet.get("m1").beside("a1");
    second.ok(&["join", &token, "--name", "a1"]);
    second.up();
    let chosen = ports(&second);
    assert_eq!(chosen.len(), 1, "{chosen:?}");
    assert_ne!(chosen, ["4700"]);
    assert!(second.log().contains("port 4700 is taken"));
    second.terminate();
    // The usual one is free now, and others have remembered the one that was chosen.
    fleet.get_mut("m1").terminate();
    second.up();
    assert_eq!(ports(&second), chosen);
}
