//! What operators do on a good day: a second manager, labels, new hardware, the root's work.

use std::process::Stdio;

use super::super::{code, regatta, text};
use super::Fleet;

/// Has a second manager join, which waits until the root has signed.
fn second_manager(fleet: &mut Fleet) {
    let token = fleet.invite(&["--manager", "--root-key", "acme.key"]);
    let mut join = regatta();
    join.args(["join", &token, "--name", "m2", "--state-dir"]);
    join.arg(fleet.path("m2")).stdout(Stdio::piped());
    let joining = join.stderr(Stdio::piped()).spawn().expect("it starts");
    fleet.until("the request", |fleet| {
        let requests = fleet.json("m1", &["get", "requests"]);
        requests.as_array().is_some_and(|all| all.len() == 1)
    });
    assert!(
        fleet
            .does("m1", &["status"])
            .contains("m2 waits to become a manager")
    );
    let said = fleet.does(
        "m1",
        &["root", "sign", "m2", "--yes", "--root-key", "acme.key"],
    );
    assert!(said.starts_with("m2 is a manager (saved, on "), "{said}");
    let joined = joining.wait_with_output().expect("it ends");
    assert_eq!(code(&joined), Some(0), "{}", text(&joined.stderr));
    assert!(text(&joined.stdout).starts_with("joined acme as m2"));
    fleet.start("m2");
}

#[test]
fn a_fleet_of_two_managers_and_two_agents_works() {
    let mut fleet = Fleet::found();
    fleet.join("amr-01", &["site=osaka"]);
    second_manager(&mut fleet);
    fleet.join("amr-02", &["site=kyoto"]);
    fleet.until_ready("amr-01");
    fleet.until_ready("amr-02");
    fleet.until("m2 knows both", |fleet| {
        let devices = fleet.json("m2", &["get", "devices"]);
        let devices = devices.as_array().expect("an array");
        devices.len() == 2 && devices.iter().all(|one| one["state"] == "ready")
    });
    let said = fleet.does("m2", &["label", "amr-01", "amr-02", "line=3"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0].starts_with("amr-01 is labelled (saved, on 2 of 2"),
        "{said}"
    );
    let again = fleet.does("m2", &["label", "amr-01", "line=3"]);
    assert_eq!(again, "amr-01 has these labels already\n");
    let pings = fleet.does("m1", &["ping", "amr-01", "-c", "2", "-i", "100ms"]);
    assert_eq!(pings.matches("amr-01: direct ").count(), 2, "{pings}");
    assert!(
        fleet
            .does("m1", &["path", "amr-02"])
            .starts_with("amr-02: direct")
    );
    assert!(fleet.does("m1", &["doctor"]).ends_with("checks are well\n"));
    valid_everywhere(&fleet);
    let grant = [
        "grant",
        "exec.run",
        "--to",
        "nav",
        "--key",
        &"ab".repeat(32),
    ];
    assert!(!fleet.does("m1", &grant).is_empty());
    fleet.does("amr-01", &["renew"]);
    fleet.does("m1", &["renew", "amr-02"]);
    the_roots_work(&mut fleet);
}

/// What scripts read is JSON, whatever is asked.
fn valid_everywhere(fleet: &Fleet) {
    for command in [
        &["status"] as &[&str],
        &["doctor"],
        &["settings"],
        &["get", "devices"],
        &["get", "managers"],
        &["get", "invites"],
        &["get", "requests"],
        &["describe", "device", "amr-01"],
        &["describe", "manager", "m2"],
        &["path", "amr-01"],
        &["invite"],
        &["replace", "amr-02"],
    ] {
        fleet.json("m1", command);
        for format in ["yaml", "wide"] {
            let shown = fleet.does("m1", &[command, &["-o", format]].concat());
            assert!(shown.ends_with('\n'), "{command:?}: {shown}");
        }
    }
    for line in fleet.does("m1", &["ping", "amr-01", "-o", "json"]).lines() {
        let one: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(one["name"], "amr-01");
    }
}

fn the_roots_work(fleet: &mut Fleet) {
    let rotate = ["root", "rotate", "--root-key", "acme.key", "--next-key"];
    fleet.does("m1", &[&rotate[..], &["acme-next.key"]].concat());
    let stale = fleet.run("m1", &["invite", "--manager", "--root-key", "acme.key"]);
    assert!(text(&stale.stderr).contains("is it of before a rotation"));
    let key = "acme-next.key";
    let all = ["root", "revoke", "m1", "m2", "--root-key", key];
    let refused = fleet.run("m1", &all);
    assert_eq!(code(&refused), Some(2));
    assert!(text(&refused.stderr).contains("no manager would be left"));
    let said = fleet.does("m1", &["root", "revoke", "m2", "--root-key", key]);
    assert!(said.starts_with("m2 is stopped by the root"), "{said}");
    // It need not hear of it: whoever stopped it hangs up. Where it does, it says so and writes no more.
    fleet.until("m1 lists it as stopped", |fleet| {
        let managers = fleet.json("m1", &["get", "managers"]);
        let managers = managers.as_array().expect("an array").clone();
        managers
            .iter()
            .any(|one| one["name"] == "m2" && one["state"] == "stopped")
    });
}

#[test]
fn a_manager_that_knows_that_it_is_stopped_says_so_and_writes_nothing() {
    let mut fleet = Fleet::found();
    second_manager(&mut fleet);
    fleet.join("amr-01", &[]);
    let key = "acme.key";
    let said = fleet.does("m1", &["root", "revoke", "m1", "--root-key", key]);
    assert!(said.starts_with("m1 is stopped by the root"), "{said}");
    let status = fleet.does("m1", &["status"]);
    assert!(
        status.contains("warning: the root has stopped this manager"),
        "{status}"
    );
    for command in [&["label", "amr-01", "a=b"] as &[&str], &["invite"]] {
        let refused = fleet.run("m1", command);
        assert_eq!(code(&refused), Some(2), "{command:?}");
        assert!(text(&refused.stderr).contains("the root has stopped this manager"));
    }
    assert_eq!(code(&fleet.run("m1", &["doctor"])), Some(1));
}

#[test]
fn new_hardware_takes_a_devices_place_and_the_old_board_is_stopped() {
    let mut fleet = Fleet::found();
    fleet.join("amr-01", &["site=osaka"]);
    fleet.until_ready("amr-01");
    fleet.stop("amr-01");
    let given = fleet.json("m1", &["replace", "amr-01"]);
    let token = given["invite"].as_str().expect("a token");
    let joined = fleet.does("board-2", &["join", token]);
    assert!(joined.starts_with("joined acme as amr-01"), "{joined}");
    fleet.start("board-2");
    fleet.until("the new one is ready, the old one stopped", |fleet| {
        let devices = fleet.json("m1", &["get", "devices"]);
        let mut states: Vec<String> = devices
            .as_array()
            .expect("an array")
            .iter()
            .map(|one| one["state"].to_string())
            .collect();
        states.sort();
        states == ["\"ready\"", "\"stopped\""]
    });
    // A selector means who is a member now, each by its id: two have had this name.
    let label = ["label", "-l", "site=osaka", "line=9", "--yes"];
    let said = fleet.does("m1", &label);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("amr-01 is labelled"), "{said}");
    fleet.start("amr-01");
    fleet.until("the old board knows that it is not wanted", |fleet| {
        let status = fleet.does("amr-01", &["status"]);
        status.contains("warning: this node was revoked") || status.contains("refused this node")
    });
    let revoke = ["revoke", "-l", "site=osaka", "--yes"];
    let said = fleet.does("m1", &revoke);
    assert_eq!(said.lines().count(), 1, "{said}");
    let nobody = fleet.run("m1", &revoke);
    assert_eq!(code(&nobody), Some(2));
    assert!(text(&nobody.stderr).contains("no live device matches"));
    let said = fleet.does("m1", &["forget", "-l", "site=osaka", "--yes"]);
    assert_eq!(said.lines().count(), 2, "stopped ones too: {said}");
}

#[test]
fn what_operators_change_is_one_line_of_the_log() {
    let mut fleet = Fleet::found();
    fleet.join("amr-01", &["site=osaka"]);
    fleet.does("m1", &["label", "amr-01", "site=kyoto", "dock-"]);
    fleet.does("m1", &["revoke", "amr-01", "--reason", "stolen"]);
    // It dials again and again, and is refused each time; that is said once.
    for _ in 0..2 {
        fleet.stop("amr-01");
        fleet.start("amr-01");
        fleet.until("it was refused again", |fleet| {
            let status = fleet.does("amr-01", &["status"]);
            status.contains("refused this node's certificate")
        });
    }
    let log = fleet.stop("m1");
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("amr-01 is labelled: site=kyoto,dock-"), 1, "{log}");
    assert_eq!(lines("amr-01 is stopped\""), 1, "{log}");
    // One for the invite, one for each change.
    assert_eq!(lines("done for an operator"), 3, "{log}");
    assert!(lines("refused") <= 1, "{log}");
}
