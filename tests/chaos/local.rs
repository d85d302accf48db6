//! Another user of the machine at the control socket.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::fleet::Fleet;
use super::ground::{Ground, absent};
use super::lab::Lab;
use super::machine::{Machine, refused};

fn open(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// What nobody at all is told.
fn asked_by_nobody(machine: &Machine, arguments: &[&str], code: i32, expect: &str) {
    let nobody = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--",
    ];
    let output = machine.regatta(&nobody, arguments).output();
    refused(&output.expect("nsenter started before"), code, expect);
}

#[test]
fn another_user_is_refused_at_the_control_socket() {
    let Some(lab) = Lab::open("another user at the control socket") else {
        return;
    };
    if lab.ground() == Ground::User {
        absent("another user at the control socket: only root can become somebody else");
        return;
    }
    let fleet = Fleet::found(lab, "acme", "m1");
    let machine = fleet.get("m1");
    let lock = "you may not use the control socket";
    // The folder hides it; then the socket's own mode does; then the node looks who calls.
    asked_by_nobody(machine, &["status"], 69, lock);
    open(fleet.lab.folder(), 0o755);
    open(&machine.state, 0o755);
    asked_by_nobody(machine, &["status"], 69, lock);
    asked_by_nobody(machine, &["invite"], 69, lock);
    open(&machine.state.join("control.sock"), 0o666);
    asked_by_nobody(machine, &["status"], 2, "may not use this node");
    asked_by_nobody(machine, &["invite"], 2, "may not use this node");
    assert_eq!(machine.json(&["get", "invites"]), serde_json::json!([]));
    let log = machine.log();
    assert!(
        log.contains("refused a caller") && log.contains("uid=65534"),
        "{log}"
    );
}
