//! Commands that ask the node of this machine, where there is none.

use regatta_node::exit::Exit;

use super::{code, fails, run, text};

const ASKING: [&[&str]; 22] = [
    &["status"],
    &["status", "-o", "json", "--watch"],
    &["get", "devices"],
    &["get", "devices", "-l", "site=osaka", "-o", "json"],
    &["get", "managers", "-o", "yaml"],
    &["get", "invites", "-o", "wide"],
    &["get", "requests"],
    &["describe", "device", "amr-07"],
    &["describe", "manager", "m1"],
    &[
        "invite",
        "--label",
        "site=osaka",
        "--uses",
        "1",
        "--ttl",
        "24h",
    ],
    &["label", "amr-07", "amr-08", "site=kyoto", "dock-"],
    &["label", "-l", "site=osaka", "site=kyoto", "--yes"],
    &["revoke", "amr-07", "amr-08", "--reason", "stolen"],
    &["revoke", "-l", "site=osaka", "--yes"],
    &["forget", "amr-07"],
    &["replace", "amr-07"],
    &["renew"],
    &["renew", "amr-07"],
    &[
        "grant",
        "exec.run",
        "--to",
        "nav-team",
        "--key",
        "abc",
        "-l",
        "site=osaka",
        "--as",
        "nav",
    ],
    &["ping", "amr-07", "--count", "3"],
    &["path", "amr-07"],
    &["doctor"],
];

#[test]
fn a_node_that_does_not_run_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().display().to_string();
    let expect = format!(
        "regatta: no node runs with state folder {state}: start it with `regatta up --state-dir {state}`\n"
    );
    for command in ASKING {
        let arguments = [command, &["--state-dir", &state]].concat();
        let output = run(&arguments);
        fails(&output, Exit::UNREACHABLE, "no node runs");
        assert_eq!(text(&output.stderr), expect, "{command:?}");
    }
}

#[test]
fn the_state_folder_and_the_socket_come_from_the_environment_too() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, value) in [
        ("REGATTA_STATE_DIR", folder.path().to_owned()),
        ("REGATTA_CONTROL_SOCKET", folder.path().join("mine.sock")),
    ] {
        let output = super::regatta().arg("status").env(name, value).output();
        fails(
            &output.expect("it starts"),
            Exit::UNREACHABLE,
            "no node runs with state folder",
        );
    }
}

#[test]
fn a_socket_that_may_not_be_opened_is_no_missing_node() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("control.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(&socket, closed).expect("ours");
    // Root may open it all the same; then there is nothing to see here.
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        return;
    }
    let output = run(&[
        "status",
        "--state-dir",
        &folder.path().display().to_string(),
    ]);
    fails(
        &output,
        Exit::UNREACHABLE,
        "become a member of the unix group",
    );
}

#[test]
fn completions_get_no_names_and_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(&[
        "__names",
        "--state-dir",
        &folder.path().display().to_string(),
    ]);
    assert_eq!(code(&output), Some(0));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}
