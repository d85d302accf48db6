//! Four managers and sixteen agents, real processes, cut in two for a minute and healed: how long until
//! every manager says who is gone, and until every manager says that all are back.
//!
//! `cargo bench -p regatta-node --bench partition -- 3` (times)

#![allow(clippy::print_stdout, reason = "figures are what a benchmark is for")]

mod chaos;

use std::thread::sleep;
use std::time::{Duration, Instant};

use chaos::facts::{holds, until};
use chaos::fleet::{FORMS, Fleet};
use chaos::lab::Lab;
use chaos::machine::Machine;
use serde_json::Value;

const MANAGERS: usize = 4;
const AGENTS: usize = 16;
const CUT: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);
/// Homes are chosen and neighbours found by then.
const SETTLES: Duration = Duration::from_secs(30);

/// On which side a machine with this number stands.
fn side(machine: &Machine) -> bool {
    let digits = machine.name.trim_start_matches(['m', 'a']);
    digits.parse::<u32>().is_ok_and(|number| number % 2 == 0)
}

/// Whether every manager says of every agent what it should: `ready` as `expect` has it.
fn all_say(
    fleet: &Fleet,
    expect: impl Fn(&Machine, &Machine) -> Option<bool>,
) -> Result<(), String> {
    for manager in fleet.managers() {
        let devices = manager.ask(&["get", "devices"])?;
        let devices = devices.as_array().ok_or("a list")?;
        for agent in fleet.agents() {
            let row = devices
                .iter()
                .find(|row| row["name"] == agent.name.as_str());
            let state = row.map_or(&Value::Null, |row| &row["state"]);
            let Some(ready) = expect(manager, agent) else {
                continue;
            };
            holds((state == "ready") == ready, || {
                format!("{}: {} is {state}", manager.name, agent.name)
            })?;
        }
    }
    Ok(())
}

fn seconds(times: &[Duration]) -> String {
    let each = times.iter().map(|it| format!("{:.1}", it.as_secs_f64()));
    each.collect::<Vec<_>>().join(" ")
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let times: usize = arguments
        .next_back()
        .and_then(|it| it.parse().ok())
        .unwrap_or(3);
    let Some(lab) = Lab::open("a partition for a minute") else {
        return;
    };
    let fleet = Fleet::formed(lab, MANAGERS, AGENTS);
    sleep(SETTLES);
    let (mut gone, mut homed, mut agreed, mut back) = (vec![], vec![], vec![], vec![]);
    for _ in 0..times {
        let (one, other): (Vec<&Machine>, Vec<&Machine>) =
            fleet.machines.iter().partition(|machine| side(machine));
        let began = Instant::now();
        fleet.lab.part(&one, &other);
        let left = |took: Duration| PATIENCE.saturating_sub(took);
        until("the other side is not called ready", PATIENCE, || {
            all_say(&fleet, |manager, agent| {
                (side(manager) != side(agent)).then_some(false)
            })
        });
        gone.push(began.elapsed());
        until("and the own side is", left(began.elapsed()), || {
            all_say(&fleet, |manager, agent| Some(side(manager) == side(agent)))
        });
        homed.push(began.elapsed());
        // On each side something is written that the other has to learn.
        for manager in &fleet.managers()[..2] {
            manager.ok(&["invite", "--ttl", "1h"]);
        }
        sleep(left(began.elapsed()).min(CUT));
        let began = Instant::now();
        fleet.lab.heal(&fleet.machines.iter().collect::<Vec<_>>());
        agreed.push(fleet.agreed(PATIENCE));
        until("all are ready everywhere", PATIENCE, || {
            all_say(&fleet, |_, _| Some(true))
        });
        back.push(began.elapsed());
        fleet.all_ready(FORMS);
        sleep(SETTLES);
    }
    println!(
        "{MANAGERS} managers, {AGENTS} agents, cut in two for {} s, {times} times; seconds:",
        CUT.as_secs()
    );
    println!("no manager calls the other side ready   {}", seconds(&gone));
    println!(
        "and every manager hears its own side    {}",
        seconds(&homed)
    );
    println!(
        "healed: one digest on all nodes         {}",
        seconds(&agreed)
    );
    println!("healed: all ready with every manager    {}", seconds(&back));
}
