//! Every manager gone: agents go on, restart, and have what they had; then managers come back.

use std::time::Duration;

use super::facts::{holds, say, until};
use super::fleet::{FORMS, Fleet};
use super::lab::Lab;

/// Agents that lost their managers have each other within that time.
const TOGETHER: Duration = Duration::from_secs(30);

/// Waits until each agent has a link with another, and none with a manager.
fn among_themselves(fleet: &Fleet) {
    until("agents have each other alone", TOGETHER, || {
        for agent in fleet.agents() {
            let reach = &agent.ask(&["status"])?["reach"];
            let links = reach["links"].as_u64().unwrap_or_default();
            holds(links > 0 && reach["managers"] == 0, || {
                format!("{}: {reach}", agent.name)
            })?;
        }
        Ok(())
    });
}

#[test]
fn agents_go_on_and_restart_with_every_manager_gone() {
    let Some(lab) = Lab::open("every manager gone") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 2, 3);
    fleet.get("m1").ok(&["label", "a1", "shelf=7"]);
    fleet.get("m2").ok(&["label", "a2", "shelf=8"]);
    fleet.get("m2").ok(&["revoke", "a3"]);
    fleet.out.push("a3".to_owned());
    fleet.agreed(FORMS);
    until("managers have made agents neighbours", TOGETHER, || {
        for agent in fleet.agents().iter().filter(|it| it.name != "a3") {
            let reach = &agent.ask(&["status"])?["reach"];
            let links = reach["links"].as_u64() > reach["managers"].as_u64();
            holds(links, || format!("{}: {reach}", agent.name))?;
        }
        Ok(())
    });
    // It was let in no more, so it is none of those who go on.
    fleet.get_mut("a3").kill();
    fleet.machines.pop();

    let managers = fleet.managers;
    for manager in &mut fleet.machines[..managers] {
        manager.kill();
    }
    among_themselves(&fleet);
    let held = |fleet: &Fleet| {
        let held = fleet.agents().iter();
        let held = held.map(|agent| agent.json(&["status"])["ledgers"].take());
        held.collect::<Vec<_>>()
    };
    let before = held(&fleet);
    assert_eq!(before[0], before[1], "both hold the same");
    assert_ne!(before[0]["entries"], 0, "and something");

    for agent in &mut fleet.machines[managers..] {
        agent.kill();
    }
    for agent in &mut fleet.machines[managers..] {
        agent.up();
    }
    assert_eq!(held(&fleet), before, "all is there without any manager");
    among_themselves(&fleet);
    assert_eq!(held(&fleet), before, "and stays when they meet");

    for manager in &mut fleet.machines[..managers] {
        manager.up();
    }
    let took = fleet.all_ready(FORMS);
    fleet.agreed(FORMS);
    say(&format!(
        "chaos: every manager gone and back: all ready {} ms after",
        took.as_millis()
    ));
}
