//! Time: clocks ahead and behind, stamps from the future, a single manager that is wrong.

use crate::scenarios::step::{After, DAY, MINUTE, Says, Scenario, Step, Theft};

use Step::{
    Agree, Apart, Clock, Conflicts, Crash, Equal, Heal, Near, RootStop, Start, Steal, Wait, Winner,
    WinnerOn, Write,
};

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let scenario = |name, steps| Scenario {
        name,
        managers: 3,
        agents: 4,
        lives: &[],
        steps,
    };
    vec![
        scenario("the only manager in reach signs 2036", FAR_AHEAD),
        scenario(
            "a stamp from the future is released after somebody wrote over it",
            RELEASED,
        ),
        scenario("a stamp of ten years ahead sticks to no name", STUCK),
        scenario("a device boots in 1970", BOOT_1970),
        scenario("a manager's clock is a day behind", BEHIND),
        scenario("a manager's clock is a day ahead", AHEAD),
    ]
}

const TEN_YEARS: i64 = 3650 * DAY as i64;

const FAR_AHEAD: &[Step] = &[
    Write(1, "nav", "one"),
    Agree(10_000),
    Apart(&[0, 3]),
    Wait(15_000),
    Clock(0, TEN_YEARS),
    Wait(5 * MINUTE),
    // The certificate of 2026 does not cover 2036, so its word is no time at all.
    Near(3, 5_000),
    Heal,
    // Nothing was written, so all agree at once; the links need a moment more.
    Wait(20_000),
    Agree(10_000),
    Near(3, 5_000),
    Write(1, "nav", "two"),
    Agree(10_000),
    Winner("nav", "two"),
];

const RELEASED: &[Step] = &[
    Write(1, "nav", "one"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "ahead",
        says: Says::Revision("nav", &["one"]),
        after: After::Tip,
        off_ms: 10 * MINUTE as i64,
        to: 2,
    }),
    Agree(20_000),
    Winner("nav", "one"),
    Write(1, "nav", "over it"),
    Agree(10_000),
    Winner("nav", "over it"),
    Wait(15 * MINUTE),
    Agree(10_000),
    Winner("nav", "over it"),
    Conflicts("nav", 0),
];

const STUCK: &[Step] = &[
    Write(1, "nav", "one"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "far ahead",
        says: Says::Revision("nav", &["one"]),
        after: After::Tip,
        off_ms: TEN_YEARS,
        to: 2,
    }),
    Agree(20_000),
    Winner("nav", "one"),
    Write(2, "nav", "two"),
    Agree(10_000),
    Winner("nav", "two"),
    // The stolen ledger's own later entries count: one bad stamp does not stop an author.
    Write(0, "lidar", "later"),
    Agree(10_000),
    Winner("lidar", "later"),
];

const BOOT_1970: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Crash(3),
    Clock(3, -1_795_132_800_000),
    Wait(MINUTE),
    Start(3),
    Wait(10_000),
    WinnerOn(3, "nav", "one"),
    Near(3, 5_000),
    Write(1, "nav", "two"),
    Agree(10_000),
    WinnerOn(3, "nav", "two"),
];

const BEHIND: &[Step] = &[
    Clock(0, -(DAY as i64)),
    Wait(5 * MINUTE),
    // An agent may have its word from another agent, who cannot vouch for its age.
    Near(3, 3 * MINUTE),
    Write(1, "nav", "one"),
    Agree(10_000),
    Write(0, "nav", "of the slow one"),
    Agree(10_000),
    Winner("nav", "of the slow one"),
];

const AHEAD: &[Step] = &[
    Write(0, "nav", "before"),
    Agree(10_000),
    Apart(&[0]),
    Wait(15_000),
    Clock(0, DAY as i64),
    // Beyond the age at which the others' words stop speaking.
    Wait(20 * MINUTE),
    Write(0, "nav", "a day ahead"),
    Heal,
    Equal(30_000),
    WinnerOn(1, "nav", "before"),
    Write(1, "nav", "now"),
    Equal(20_000),
    WinnerOn(1, "nav", "now"),
    Clock(0, 0),
    Wait(20 * MINUTE),
    Agree(30_000),
    Winner("nav", "now"),
    RootStop(1, 0, &["before"], &[], "order"),
    Agree(20_000),
    Winner("nav", "now"),
];
