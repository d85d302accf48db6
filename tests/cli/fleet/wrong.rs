//! What people type at three in the morning: each mistake is one line that says what to do.

use regatta_node::exit::Exit;

use super::super::{code, fails, regatta, text};
use super::Fleet;

#[test]
fn wrong_names_are_said_in_one_line() {
    let mut fleet = Fleet::found();
    fleet.join("amr-01", &["site=osaka"]);
    let nobody = "no device is called 'nobody'; `regatta get devices` lists them";
    for command in [
        &["ping", "nobody"] as &[&str],
        &["path", "nobody"],
        &["describe", "device", "nobody"],
        &["label", "nobody", "a=b"],
        &["revoke", "nobody"],
        &["forget", "nobody"],
        &["renew", "nobody"],
        &["replace", "nobody"],
    ] {
        fails(&fleet.run("m1", command), Exit::ALL_FAILED, nobody);
    }
    let only_root = "only the root stops one: `regatta root revoke m1`";
    for command in [&["revoke", "m1"] as &[&str], &["forget", "m1"]] {
        fails(&fleet.run("m1", command), Exit::ALL_FAILED, only_root);
    }
    let itself = fleet.run("m1", &["ping", "m1"]);
    fails(&itself, Exit::ALL_FAILED, "m1 is this node itself");
    let refused = fleet.run("amr-01", &["get", "devices"]);
    fails(&refused, Exit::ALL_FAILED, "this node is an agent");
    let label = fleet.run("m1", &["label", "amr-01", "bad key=1"]);
    fails(&label, Exit::USAGE, "\"bad key=1\": a name has ' '");
    let selector = fleet.run("m1", &["get", "devices", "-l", "site=="]);
    assert_eq!(text(&selector.stderr).matches("selector").count(), 1);
    let some = fleet.run("m1", &["label", "amr-01", "nobody", "a=b"]);
    assert_eq!(code(&some), Some(1), "one of two");
    assert!(text(&some.stdout).starts_with("amr-01 is labelled"));
    assert!(text(&some.stderr).starts_with("regatta: nobody: no device"));
}

#[test]
fn a_ping_says_who_is_stopped_and_who_does_not_answer() {
    let mut fleet = Fleet::found();
    fleet.join("amr-01", &[]);
    fleet.join("amr-02", &[]);
    fleet.until_ready("amr-01");
    fleet.does("m1", &["revoke", "amr-01"]);
    let stopped = fleet.run("m1", &["ping", "amr-01"]);
    fails(
        &stopped,
        Exit::ALL_FAILED,
        "amr-01 is stopped: it was revoked",
    );
    fleet.until("the revoked one knows", |fleet| {
        let status = fleet.does("amr-01", &["status"]);
        status.contains("refused this node's certificate")
    });
    fleet.until_ready("amr-02");
    fleet.stop("amr-02");
    let silent = fleet.run("m1", &["ping", "amr-02", "-c", "1"]);
    let (out, err) = (text(&silent.stdout), text(&silent.stderr));
    assert_eq!(code(&silent), Some(2));
    assert_eq!(out, "amr-02: no answer to probe 1\n");
    assert!(
        err.starts_with("regatta: amr-02 cannot be reached: "),
        "{err}"
    );
    assert!(err.len() < 250, "one line that can be read: {err}");
}

#[test]
fn an_invite_that_is_no_good_says_why() {
    let mut fleet = Fleet::found();
    let short = fleet.invite(&["--ttl", "1s"]);
    let used = fleet.invite(&[]);
    fleet.does("amr-01", &["join", &used, "--name", "amr-01"]);
    fleet.until("the invite has expired", |fleet| {
        let invites = fleet.json("m1", &["get", "invites"]);
        let mut invites = invites.as_array().expect("an array").iter();
        invites.any(|one| one["state"] == "expired")
    });
    let expired = fleet.run("amr-02", &["join", &short]);
    fails(&expired, Exit::ALL_FAILED, "expired at 20");
    let again = fleet.run("amr-02", &["join", &used]);
    fails(&again, Exit::ALL_FAILED, "used up");
    let text = std::fs::read_to_string(used.trim_start_matches('@')).expect("a token");
    let cut = fleet.run("amr-02", &["join", &text[..300]]);
    fails(&cut, Exit::USAGE, "it ends at character 300, in the middle");
    let none = fleet.run("amr-02", &["join", "@nowhere"]);
    fails(&none, Exit::ALL_FAILED, "cannot read nowhere");
    for folder in ["m1", "amr-01"] {
        let member = fleet.run(folder, &["join", &used]);
        fails(&member, Exit::ALL_FAILED, "of the fleet 'acme' already");
        let founder = fleet.run(folder, &["init", "other", "--root-key", "other.key"]);
        fails(&founder, Exit::ALL_FAILED, "of the fleet 'acme' already");
        assert!(!fleet.path("other.key").exists(), "no key without a fleet");
    }
    fleet.stop("m1");
    let open = fleet.run("amr-02", &["join", &used, "--timeout", "2s"]);
    let said = super::super::text(&open.stderr);
    assert_eq!(code(&open), Some(2));
    assert!(said.contains("is a manager reachable from here"), "{said}");
    assert!(!said.contains("\\n"), "{said}");
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let mut fleet = Fleet::found();
    fleet.join("amr-01", &[]);
    let role = fleet.run("amr-01", &["up", "--role", "manager"]);
    fails(&role, Exit::ALL_FAILED, "makes it an agent, not a manager");
    let twice = fleet.run("m1", &["up", "--log-level", "error"]);
    fails(&twice, Exit::ALL_FAILED, "is in use by process");
    assert!(!text(&twice.stderr).contains("panicked"));
    let ports = fleet.path("m1").join("ports.toml");
    assert!(
        !ports.exists(),
        "the port of the one that runs stays its own"
    );
    let nowhere = fleet.run("amr-02", &["up"]);
    fails(&nowhere, Exit::ALL_FAILED, "belongs to no fleet yet");
    std::fs::write(
        fleet.path("amr-01").join("regatta.toml"),
        "[network]\nlissten = []\n",
    )
    .expect("written");
    let typo = fleet.run("amr-01", &["up"]);
    fails(&typo, Exit::USAGE, "did you mean `network.listen`");
}

#[test]
fn a_founder_that_was_stopped_before_its_first_entry_writes_after_all() {
    let mut fleet = Fleet::found();
    // Nothing was asked of it; that is no lost store.
    fleet.stop("m1");
    fleet.start("m1");
    fleet.stop("m1");
    fleet.start("m1");
    fleet.join("amr-01", &[]);
    fleet.until_ready("amr-01");
}

#[test]
fn a_manager_whose_store_is_gone_says_so() {
    let mut fleet = Fleet::found();
    fleet.invite(&[]);
    fleet.stop("m1");
    for part in ["store", "index"] {
        std::fs::remove_dir_all(fleet.path("m1").join(part)).expect("it is there");
    }
    for _ in 0..2 {
        fleet.start("m1");
        let status = fleet.does("m1", &["status"]);
        assert!(
            status.contains("warning: this node's store was lost"),
            "{status}"
        );
        let refused = fleet.run("m1", &["invite"]);
        fails(&refused, Exit::ALL_FAILED, "this node lost its ledgers");
        fleet.stop("m1");
    }
}

#[test]
fn a_node_that_is_stopped_leaves_no_socket() {
    let mut fleet = Fleet::found();
    assert!(
        fleet
            .does("m1", &["status"])
            .starts_with("m1 is a manager of acme")
    );
    fleet.stop("m1");
    let status = fleet.run("m1", &["status"]);
    fails(&status, Exit::UNREACHABLE, "no node runs with state folder");
    let mut at_home = regatta();
    let home = fleet.path("home");
    at_home.arg("settings").env("HOME", &home);
    let shown = text(&at_home.output().expect("it starts").stdout);
    let system = shown.contains("/var/lib/regatta");
    let own = shown.contains(&format!("{}/.local/state/regatta", home.display()));
    assert!(
        system != own,
        "root has the machine's, others their own: {shown}"
    );
}
