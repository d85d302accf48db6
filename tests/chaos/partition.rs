//! Two sides that cannot talk, both written on: afterwards there is one state, and nothing is lost.

use std::time::{Duration, Instant};

use super::facts::{holds, say, until};
use super::fleet::Fleet;
use super::history::History;
use super::lab::Lab;
use super::machine::Machine;

/// All are equal within that time of healing.
const HEALS: Duration = Duration::from_secs(10);
/// A link that went silent is noticed within that time.
const NOTICED: Duration = Duration::from_secs(75);

/// Writes of one side: keys of its own, a key that both write, invites given and stopped.
fn write(history: &mut History, at: &Machine, devices: &[&str], round: u32) {
    let side = &at.name;
    for device in devices {
        assert!(history.label(at, device, side, &format!("{round}-first")));
        assert!(history.label(at, device, side, &format!("{round}-last")));
        assert!(history.label(at, device, "both", &format!("{round}-{side}")));
    }
    let kept = history.invite(at);
    assert!(kept.is_some(), "{side} gives invites alone too");
    let stopped = history.invite(at).expect("as before");
    assert!(history.stop_invite(at, &stopped));
}

fn healed(fleet: &Fleet, history: &History, what: &str) {
    let began = Instant::now();
    fleet.lab.heal(&fleet.machines.iter().collect::<Vec<_>>());
    fleet.agreed(HEALS);
    until("nothing that was acknowledged is lost", HEALS, || {
        for manager in fleet.managers() {
            let lost = history.lost(manager)?;
            holds(lost.is_empty(), || lost.join("\n"))?;
        }
        Ok(())
    });
    let took = began.elapsed();
    assert!(took < HEALS, "{what}: {took:?}");
    say(&format!(
        "chaos: {what}: one digest and all {} acknowledged writes on {} nodes {} ms after healing",
        history.acknowledged(),
        fleet.machines.len() - fleet.out.len(),
        took.as_millis()
    ));
}

#[test]
fn both_sides_of_a_partition_are_written_and_heal_to_one_state() {
    let Some(lab) = Lab::open("both sides of a partition") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 3, 4);
    let devices = ["a1", "a2", "a3"];
    let part = |fleet: &Fleet| {
        let one = fleet.some(&["m1", "m2", "a1", "a2"]);
        let other = fleet.some(&["m3", "a3", "a4"]);
        fleet.lab.part(&one, &other);
    };
    let mut history = History::default();

    // Shorter than it takes anybody to notice: sessions go on.
    part(&fleet);
    for name in ["m1", "m2", "m3"] {
        write(&mut history, fleet.get(name), &devices, 1);
    }
    healed(&fleet, &history, "a short partition");

    // Everybody has noticed, so nothing is left but to find each other again.
    part(&fleet);
    let (_, noticed) = until("each side has given the other up", NOTICED, || {
        for (name, expect) in [("m1", 1), ("m2", 1), ("m3", 0)] {
            let reach = &fleet.get(name).ask(&["status"])?["reach"];
            holds(reach["managers"] == expect, || format!("{name}: {reach}"))?;
        }
        Ok(())
    });
    say(&format!("chaos: noticed after {} ms", noticed.as_millis()));
    for name in ["m1", "m2", "m3"] {
        write(&mut history, fleet.get(name), &devices, 2);
    }
    assert!(history.stop(fleet.get("m3"), "a4"));
    fleet.out.push("a4".to_owned());
    let before: Vec<_> = fleet.machines.iter().map(super::fleet::digest).collect();
    assert_ne!(before[0], before[2], "the two sides differ");
    healed(&fleet, &history, "a long partition");
}
