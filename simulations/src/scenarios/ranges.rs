//! Ranges: long ones, in many frames and several answers, and pushes of which one was lost.

use crate::scenarios::step::{Scenario, Step};

use Step::{Agree, Apart, Heal, Mute, Wait, Winner, Write, WriteMany};

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let scenario = |name, agents, steps| Scenario {
        name,
        managers: 2,
        agents,
        lives: &[],
        steps,
    };
    vec![
        scenario("three hundred entries while somebody was away", 3, MANY),
        scenario("one of two pushes is lost", 0, PUSH_LOST),
    ]
}

const MANY: &[Step] = &[
    Write(0, "nav", "before"),
    Agree(10_000),
    Apart(&[1, 2]),
    Wait(15_000),
    WriteMany(0, "nav", 300, "last"),
    Wait(5_000),
    Heal,
    Agree(30_000),
    Winner("nav", "last"),
];

const PUSH_LOST: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(5_000),
    Mute(0, 1),
    Write(0, "nav", "lost"),
    Wait(500),
    Heal,
    Write(0, "nav", "next"),
    Agree(10_000),
    Winner("nav", "next"),
];
