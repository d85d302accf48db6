//! Trust: lapses, renewals, and what holds when nobody testifies.

use crate::scenarios::step::{DAY, MINUTE, Scenario, Step};

use Step::{Agree, Apart, Heal, Night, Nothing, Renew, Testify, Wait, Winner, WinnerOn, Write};

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "testimony renews a lapsing certificate",
            managers: 3,
            agents: 3,
            lives: &[(0, DAY)],
            steps: RENEWED,
        },
        Scenario {
            name: "what a lapsed manager wrote stays",
            managers: 3,
            agents: 3,
            lives: &[(0, DAY)],
            steps: LAPSED,
        },
        Scenario {
            name: "renewals do not feed on each other",
            managers: 3,
            agents: 3,
            lives: &[(0, DAY), (1, DAY)],
            steps: NOT_ITERATED,
        },
        Scenario {
            name: "a device that was away longer than a lapse",
            managers: 3,
            agents: 4,
            lives: &[(0, DAY)],
            steps: AWAY,
        },
    ]
}

const RENEWED: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Renew(1, 0, 30 * DAY),
    Agree(10_000),
    Night(2 * DAY),
    Write(0, "nav", "two"),
    Agree(10_000),
    Winner("nav", "two"),
];

const LAPSED: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Testify(1, "seen"),
    Night(2 * DAY),
    // Stamped after the end, it does not count; what stood before stays.
    Write(0, "nav", "too late"),
    Write(0, "lidar", "too late as well"),
    Agree(10_000),
    Winner("nav", "one"),
    Nothing("lidar"),
    Testify(2, "seen late"),
    Night(10 * DAY),
    Agree(10_000),
    Winner("nav", "one"),
    Write(1, "nav", "two"),
    Agree(10_000),
    Winner("nav", "two"),
];

const NOT_ITERATED: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    // Each renews the other for three days; after their own end neither can renew again.
    Renew(1, 0, 3 * DAY),
    Renew(0, 1, 3 * DAY),
    Agree(10_000),
    Night(2 * DAY),
    Write(0, "nav", "two"),
    Agree(10_000),
    Winner("nav", "two"),
    Renew(1, 0, 30 * DAY),
    Renew(0, 1, 30 * DAY),
    Agree(10_000),
    Night(2 * DAY),
    Write(0, "nav", "three"),
    Agree(10_000),
    Winner("nav", "two"),
];

const AWAY: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Apart(&[4]),
    Testify(1, "seen"),
    Night(3 * DAY),
    Write(1, "nav", "two"),
    Testify(2, "seen too"),
    Night(9 * DAY),
    WinnerOn(4, "nav", "one"),
    Heal,
    Wait(MINUTE),
    Agree(30_000),
    Winner("nav", "two"),
];
