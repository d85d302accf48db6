//! Verdicts: what orders, testimony, forks and lapses leave of a ledger, at their edges.

use crate::scenarios::step::{After, DAY, MINUTE, Says, Scenario, Step, Theft, Who};

use Step::{
    Agree, Apart, Clock, Crash, Equal, Heal, Holds, Near, Night, Nothing, Renew, RootStop, Start,
    Steal, Stop, Stopped, Testify, Wait, Winner, Write,
};

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let scenario = |name, agents, lives, steps| Scenario {
        name,
        managers: 3,
        agents,
        lives,
        steps,
    };
    vec![
        scenario("a manager's word does not renew itself", 1, DAYS_1, ITSELF),
        scenario(
            "what was seen in the week after a lapse counts",
            1,
            DAYS_1,
            WEEK,
        ),
        scenario("old testimony takes nothing back", 1, DAYS_9, OLD),
        scenario("an order to stop is never held", 3, &[], NOT_HELD),
        scenario("a fork takes no order to stop back", 3, &[], FORKED_STOP),
        scenario("of two orders the lowest heads hold", 3, &[], LOWEST),
        scenario(
            "a new incarnation escapes no order",
            3,
            &[],
            NEW_INCARNATION,
        ),
        scenario("an unlisted ledger of a stopped manager", 3, &[], UNLISTED),
        scenario(
            "a longer fork does not win by later testimony",
            3,
            &[],
            LONGER_FORK,
        ),
        scenario("short branches reach the other side", 3, &[], SHORT_BRANCH),
        scenario(
            "an order takes back what the stopped said of time",
            3,
            &[],
            TIME_BACK,
        ),
        scenario(
            "a restart without any manager keeps the time",
            3,
            &[],
            FLOOR,
        ),
        scenario("the earlier of two words holds", 3, &[], EARLIER),
    ]
}

const DAYS_1: &[(Who, u64)] = &[(0, DAY)];
const DAYS_9: &[(Who, u64)] = &[(0, 9 * DAY)];

const fn stolen(label: &'static str, says: Says, after: After, off_ms: i64) -> Step {
    Steal(Theft {
        key_of: 0,
        label,
        says,
        after,
        off_ms,
        to: 2,
    })
}

const ITSELF: &[Step] = &[
    Write(0, "nav", "one"),
    Renew(0, 0, 30 * DAY),
    Agree(10_000),
    Night(2 * DAY),
    Write(0, "nav", "two"),
    Agree(10_000),
    Winner("nav", "one"),
];

const WEEK: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Testify(1, "seen"),
    Write(0, "nav", "two"),
    Agree(10_000),
    Night(2 * DAY),
    Testify(1, "seen after the end"),
    Agree(10_000),
    Winner("nav", "two"),
];

const OLD: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Testify(1, "seen"),
    Night(3 * DAY),
    Write(0, "nav", "two"),
    Agree(10_000),
    Night(7 * DAY),
    Agree(10_000),
    Winner("nav", "two"),
];

const NOT_HELD: &[Step] = &[
    stolen("ahead", Says::Stop(5), After::Nothing, 10 * MINUTE as i64),
    Agree(10_000),
    Stopped(5, true),
];

const FORKED_STOP: &[Step] = &[
    Stop(0, 5, "stop"),
    Agree(10_000),
    stolen("fork", Says::Allow(5, &["stop"]), After::Nothing, 0),
    Agree(20_000),
    Stopped(5, true),
];

const LOWEST: &[Step] = &[
    Write(0, "nav", "one"),
    Write(0, "nav", "two"),
    Write(0, "nav", "three"),
    Agree(10_000),
    RootStop(1, 0, &["one"], &[], "low"),
    RootStop(2, 0, &["two"], &[], "high"),
    Agree(20_000),
    Winner("nav", "one"),
];

const NEW_INCARNATION: &[Step] = &[
    Write(0, "nav", "mark"),
    Agree(10_000),
    RootStop(1, 0, &["mark"], &[], "order"),
    Agree(20_000),
    stolen("anew", Says::Revision("nav", &["mark"]), After::TipAnew, 0),
    // Asked before the second theft: a fork would hide the first.
    Agree(20_000),
    Winner("nav", "mark"),
    stolen(
        "from nothing",
        Says::Revision("lidar", &[]),
        After::Nothing,
        0,
    ),
    Agree(20_000),
    Winner("nav", "mark"),
    Nothing("lidar"),
];

const UNLISTED: &[Step] = &[
    Write(0, "nav", "mark"),
    Agree(10_000),
    // The order lists the fleet ledger alone, so that the trust ledger counts for nothing.
    RootStop(1, 0, &["mark"], &[], "order"),
    Agree(20_000),
    stolen("stop", Says::Stop(5), After::Nothing, -(MINUTE as i64)),
    Agree(20_000),
    Stopped(5, false),
    Winner("nav", "mark"),
];

const LONGER_FORK: &[Step] = &[
    Write(0, "nav", "base"),
    Write(0, "lidar", "honest"),
    Agree(10_000),
    Testify(1, "seen"),
    Agree(10_000),
    stolen(
        "fork",
        Says::Revision("lidar", &[]),
        After::Beside("honest"),
        0,
    ),
    stolen(
        "longer",
        Says::Revision("dock", &[]),
        After::Entry("fork"),
        0,
    ),
    Agree(20_000),
    Testify(2, "seen wrong"),
    Agree(20_000),
    Winner("lidar", "honest"),
    Nothing("dock"),
];

const SHORT_BRANCH: &[Step] = &[
    Write(0, "nav", "one"),
    Write(0, "nav", "two"),
    Write(0, "nav", "three"),
    Agree(10_000),
    Apart(&[0, 2]),
    Wait(15_000),
    stolen(
        "short",
        Says::Revision("dock", &[]),
        After::Beside("two"),
        0,
    ),
    stolen(
        "shorter",
        Says::Revision("lidar", &[]),
        After::Beside("one"),
        0,
    ),
    Heal,
    Agree(20_000),
    Holds(0, "short", true),
    Holds(1, "shorter", true),
];

const TIME_BACK: &[Step] = &[
    Write(0, "nav", "mark"),
    Agree(10_000),
    Apart(&[0, 3]),
    Wait(15_000),
    Clock(0, DAY as i64),
    // The others' words age, so that the device has nothing but the one that is wrong.
    Wait(20 * MINUTE),
    Crash(2),
    RootStop(1, 0, &["mark"], &[], "order"),
    Heal,
    Wait(20 * MINUTE),
    Equal(30_000),
    Near(3, 20 * MINUTE),
    Start(2),
    Clock(0, 0),
    Agree(30_000),
    Near(3, 20 * MINUTE),
];

const FLOOR: &[Step] = &[
    Wait(180 * MINUTE),
    Apart(&[3]),
    Crash(3),
    Clock(3, -1_795_132_800_000),
    Start(3),
    Wait(1_000),
    Near(3, 3 * MINUTE),
];

const EARLIER: &[Step] = &[
    Crash(2),
    Clock(0, 60 * MINUTE as i64),
    Wait(20 * MINUTE),
    Near(3, 3 * MINUTE),
    Near(4, 3 * MINUTE),
];
