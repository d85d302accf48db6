//! Who is not let in: strangers, invites that are over, the revoked.

use std::time::Duration;

use super::facts::{holds, say, until, while_for};
use super::fleet::{FORMS, Fleet, state};
use super::lab::Lab;

/// Long enough for a node that may to have linked several times over.
const WATCHED: Duration = Duration::from_secs(6);
/// A revocation is everywhere, and open sessions are cut, within that time.
const CUT: Duration = Duration::from_secs(5);

#[test]
fn an_invite_that_is_over_is_refused_in_one_line() {
    let Some(lab) = Lab::open("invites that are over") else {
        return;
    };
    let mut fleet = Fleet::found(lab, "acme", "m1");
    let (one, token) = fleet.invited("a1");
    one.ok(&["join", &token, "--name", "a1"]);
    let late = fleet.lab.machine("late");
    late.refuses(&["join", &token, "--name", "late"], 2, "used up");

    let short = fleet.get("m1").json(&["invite", "--ttl", "1s"]);
    let token = fleet.token(&short);
    until("the invite has expired", FORMS, || {
        let invites = fleet.get("m1").ask(&["get", "invites"])?;
        let mut rows = invites.as_array().into_iter().flatten();
        let found = rows.find(|it| it["id"] == short["id"]);
        let state = found.map(|it| it["state"].clone());
        holds(state.as_ref().is_some_and(|it| it == "expired"), || {
            format!("{state:?}")
        })
    });
    late.refuses(&["join", &token, "--name", "late"], 2, "expired");

    let stopped = fleet.get("m1").json(&["invite"]);
    let token = fleet.token(&stopped);
    let id = stopped["id"].as_str().expect("invites have ids");
    fleet.get("m1").ok(&["revoke", id]);
    late.refuses(&["join", &token, "--name", "late"], 2, "stopped");
    // None of that made it a member, or spoilt the folder for an invite that is good.
    let (_, token) = fleet.invited("spare");
    late.ok(&["join", &token, "--name", "late"]);
}

#[test]
fn another_fleets_node_is_a_stranger() {
    let Some(lab) = Lab::open("a stranger") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 1, 1);
    let mut theirs = fleet.lab.machine("b1");
    let mut manager = fleet.lab.machine("bm");
    let key = fleet.lab.folder().join("b-root.key");
    let key = key.to_string_lossy().into_owned();
    manager.ok(&["init", "beta", "--name", "bm", "--root-key", &key]);
    manager.up();
    let token = fleet.token(&manager.json(&["invite", "--uses", "2"]));
    theirs.ok(&["join", &token, "--name", "b1"]);

    // Addresses change hands: where their manager was, ours is now.
    manager.kill();
    let address = format!("{}/24", manager.address());
    manager.does(&["ip", "address", "del", &address, "dev", "eth0"]);
    fleet
        .get("m1")
        .does(&["ip", "address", "add", &address, "dev", "eth0"]);
    theirs.does(&["ip", "neighbour", "flush", "dev", "eth0"]);
    let newcomer = fleet.lab.machine("b2");
    theirs.up();
    while_for("a stranger was let in", WATCHED, || {
        let reach = &theirs.ask(&["status"])?["reach"];
        holds(reach["links"] == 0, || reach.to_string())
    });
    let output = newcomer.run(&["join", &token, "--name", "b2", "--timeout", "6s"]);
    let said = String::from_utf8(output.stderr).expect("messages are UTF-8");
    assert_eq!(output.status.code(), Some(2), "{said}");
    // It said once that it asks again, and then why it gave up.
    let said = said.lines().last().expect("it says why");
    assert!(said.contains("of another fleet"), "{said}");
    let known = fleet.get("m1").json(&["get", "devices"]);
    let known = known.as_array().expect("a list").iter();
    let known: Vec<_> = known.map(|it| it["name"].clone()).collect();
    assert_eq!(known, ["a1"], "nothing was written about it");
    let reach = &fleet.get("m1").json(&["status"])["reach"];
    assert_eq!(reach["links"], 1, "our own agent alone: {reach}");
    say(&format!("chaos: a stranger's join: {}", said));
}

#[test]
fn a_revoked_agent_is_refused_after_a_restart() {
    let Some(lab) = Lab::open("a revoked agent") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 2, 3);
    fleet.get("m2").ok(&["revoke", "a2", "--reason", "stolen"]);
    fleet.out.push("a2".to_owned());
    let alone = |fleet: &Fleet| {
        let reach = &fleet.get("a2").ask(&["status"])?["reach"];
        holds(reach["links"] == 0, || reach.to_string())
    };
    let (_, cut) = until("its open sessions are cut", CUT, || alone(&fleet));
    say(&format!(
        "chaos: a revoked agent is cut off after {} ms",
        cut.as_millis()
    ));
    // One that may, so that a refusal is told from a node that is merely slow.
    for name in ["a1", "a2"] {
        fleet.get_mut(name).kill();
        fleet.get_mut(name).up();
    }
    // What everybody else hears of from now on. Of its own end it may have heard before it was cut off.
    let invite = fleet.get("m1").json(&["invite"]);
    let invite = invite["id"].as_str().expect("invites have ids");
    fleet.get("m1").ok(&["revoke", invite, "--yes"]);
    fleet.all_ready(FORMS);
    fleet.agreed(FORMS);
    while_for("a revoked agent came back", WATCHED, || {
        alone(&fleet)?;
        for manager in fleet.managers() {
            let state = state(manager, "a2")?;
            holds(state == "stopped", || format!("{}: {state}", manager.name))?;
        }
        Ok(())
    });
    let digest = |name| super::fleet::digest(fleet.get(name));
    assert_ne!(digest("a1"), digest("a2"), "it is told nothing any more");
}
