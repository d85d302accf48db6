//! Documents: two writers, partitions, restored and wiped managers, scopes, sets, expiry.

use crate::scenarios::step::{DAY, MINUTE, Scenario, Step};

use Step::{
    Agree, Apart, Backup, Clock, Conflicts, Contested, Crash, Delete, Enrol, EnrolForged, Heal,
    Holds, Night, Nothing, Restore, Start, Wait, Winner, WinnerOn, Wipe, Write, WriteExpiring,
    WriteFor, WriteSet,
};

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let scenario = |name, managers, agents, steps| Scenario {
        name,
        managers,
        agents,
        lives: &[],
        steps,
    };
    vec![
        scenario("two sides of a partition write one name", 4, 8, TWO_SIDES),
        scenario("a later revision settles a conflict", 3, 5, SETTLED),
        scenario("a manager restored from a backup writes on", 3, 5, RESTORED),
        scenario(
            "a wiped manager writes only when its ledgers are back",
            3,
            5,
            WIPED,
        ),
        scenario(
            "all managers gone, agents restart and pass on",
            2,
            6,
            MANAGERS_GONE,
        ),
        scenario("thirty days off line", 3, 4, AWAY),
        scenario("what is for one device stays near it", 2, 6, SCOPED),
        scenario("a set counts together", 2, 4, SET),
        scenario("a deleted document stays deleted", 3, 4, DELETED),
        scenario("a revision expires everywhere", 2, 4, EXPIRED),
        scenario("a hundred restarts", 2, 3, RESTARTS),
        scenario(
            "an invite used on both sides of a partition",
            3,
            3,
            INVITE_TWICE,
        ),
        scenario(
            "an invite answered twice because the first answer was lost",
            3,
            3,
            INVITE_REPEATED,
        ),
        scenario(
            "an invite is not overfilled by who has seen it",
            3,
            3,
            INVITE_FORGED,
        ),
        scenario(
            "rank and clock decide, not the order of arrival",
            3,
            5,
            LATER_WINS,
        ),
    ]
}

const TWO_SIDES: &[Step] = &[
    Write(0, "nav", "before"),
    Agree(10_000),
    Apart(&[0, 1, 4, 5, 6, 7]),
    Wait(15_000),
    Write(0, "nav", "left"),
    Wait(5_000),
    Write(2, "nav", "right"),
    Wait(10_000),
    WinnerOn(1, "nav", "left"),
    WinnerOn(3, "nav", "right"),
    Heal,
    Agree(10_000),
    Winner("nav", "right"),
    Conflicts("nav", 1),
];

const SETTLED: &[Step] = &[
    Apart(&[0, 3]),
    Wait(15_000),
    Write(0, "nav", "left"),
    Write(1, "nav", "right"),
    Heal,
    Agree(20_000),
    Conflicts("nav", 1),
    Write(2, "nav", "settled"),
    Agree(10_000),
    Winner("nav", "settled"),
    Conflicts("nav", 0),
];

const LATER_WINS: &[Step] = &[
    Apart(&[0, 3]),
    Wait(15_000),
    Write(1, "nav", "first"),
    Wait(2_000),
    Write(0, "nav", "second"),
    Wait(2_000),
    Write(1, "nav", "third"),
    Heal,
    Agree(20_000),
    Winner("nav", "third"),
    Conflicts("nav", 1),
];

const RESTORED: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Backup(0),
    Write(0, "nav", "two"),
    Write(0, "lidar", "kept"),
    Agree(10_000),
    Apart(&[0]),
    Wait(10_000),
    Restore(0),
    Write(0, "dock", "from the backup"),
    Wait(1_000),
    Heal,
    Agree(20_000),
    Winner("nav", "two"),
    Winner("lidar", "kept"),
    Winner("dock", "from the backup"),
    Write(0, "nav", "three"),
    Agree(10_000),
    Winner("nav", "three"),
];

const WIPED: &[Step] = &[
    Write(0, "nav", "one"),
    Write(0, "nav", "two"),
    Agree(10_000),
    Apart(&[0]),
    Wait(10_000),
    Wipe(0),
    Write(0, "nav", "too early"),
    Wait(1_000),
    Heal,
    Agree(20_000),
    Winner("nav", "two"),
    Write(0, "nav", "three"),
    Agree(10_000),
    Winner("nav", "three"),
    Conflicts("nav", 0),
];

const MANAGERS_GONE: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Apart(&[7]),
    Wait(12_000),
    Write(1, "nav", "two"),
    Wait(10_000),
    Crash(0),
    Crash(1),
    Wait(10 * MINUTE),
    Crash(3),
    Start(3),
    Wait(10_000),
    WinnerOn(3, "nav", "two"),
    Heal,
    Wait(5 * MINUTE),
    WinnerOn(7, "nav", "two"),
    Start(0),
    Start(1),
    Agree(30_000),
    Winner("nav", "two"),
];

const AWAY: &[Step] = &[
    Write(0, "nav", "old"),
    Agree(10_000),
    Apart(&[3]),
    Night(DAY),
    Write(0, "nav", "day one"),
    Night(9 * DAY),
    Write(1, "nav", "day ten"),
    Write(2, "lidar", "new"),
    Night(20 * DAY),
    WinnerOn(3, "nav", "old"),
    Heal,
    Agree(30_000),
    Winner("nav", "day ten"),
    Winner("lidar", "new"),
];

const SCOPED: &[Step] = &[
    WriteFor(0, 3, "for three"),
    WriteFor(1, 4, "for four"),
    Agree(20_000),
    Holds(0, "for four", true),
    Holds(1, "for three", true),
    Holds(3, "for three", true),
    Apart(&[3, 0]),
    Wait(15_000),
    WriteFor(1, 3, "later"),
    Wait(5_000),
    Holds(3, "later", false),
    Heal,
    Agree(20_000),
    Holds(3, "later", true),
];

const SET: &[Step] = &[
    Write(1, "nav", "alone"),
    Agree(10_000),
    WriteSet(0, ["nav", "lidar"], "together"),
    Agree(10_000),
    Winner("nav", "together"),
    Winner("lidar", "together+1"),
    Conflicts("nav", 0),
];

const DELETED: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Apart(&[3]),
    Wait(12_000),
    Delete(1, "nav", "gone"),
    Crash(0),
    Wait(10_000),
    Heal,
    Start(0),
    Agree(20_000),
    Winner("nav", "gone"),
    Conflicts("nav", 0),
];

const EXPIRED: &[Step] = &[
    WriteExpiring(0, "nav", 2 * MINUTE, "brief"),
    Agree(10_000),
    Winner("nav", "brief"),
    Crash(3),
    Wait(3 * MINUTE),
    Start(3),
    Agree(20_000),
    Nothing("nav"),
    // A clock that is set back does not bring it back.
    Clock(4, -10 * MINUTE as i64),
    Wait(MINUTE),
    Nothing("nav"),
];

const RESTARTS: &[Step] = &[
    Write(0, "a", "a"),
    Crash(0),
    Start(0),
    Write(0, "a", "b"),
    Crash(0),
    Start(0),
    Write(0, "a", "c"),
    Crash(0),
    Start(0),
    Write(0, "a", "d"),
    Crash(0),
    Start(0),
    Write(0, "a", "e"),
    Crash(1),
    Start(1),
    Write(1, "a", "f"),
    Crash(1),
    Start(1),
    Write(1, "a", "g"),
    Crash(0),
    Start(0),
    Write(0, "a", "h"),
    Crash(0),
    Start(0),
    Write(0, "a", "i"),
    Crash(0),
    Start(0),
    Write(0, "a", "j"),
    Crash(0),
    Start(0),
    Crash(0),
    Start(0),
    Crash(0),
    Start(0),
    Crash(0),
    Start(0),
    Crash(0),
    Start(0),
    Wait(20_000),
    Write(0, "a", "last"),
    Agree(20_000),
    Winner("a", "last"),
];

const INVITE_TWICE: &[Step] = &[
    Apart(&[0, 3]),
    Wait(15_000),
    Enrol(0, 1),
    Enrol(1, 2),
    Heal,
    Agree(10_000),
    Contested(2),
];

const INVITE_REPEATED: &[Step] = &[
    Apart(&[0, 3]),
    Wait(15_000),
    Enrol(0, 1),
    Enrol(1, 1),
    Heal,
    Agree(10_000),
    Contested(0),
];

const INVITE_FORGED: &[Step] = &[
    Enrol(0, 1),
    EnrolForged(1, 2),
    EnrolForged(2, 3),
    Agree(10_000),
    Contested(0),
];
