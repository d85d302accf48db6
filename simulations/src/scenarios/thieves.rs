//! Thieves: stolen keys, lapsed and live, forks, and orders that answer them.

use crate::scenarios::step::{After, DAY, MINUTE, Says, Scenario, Step, Theft};

use Step::{
    Agree, Apart, Conflicts, Equal, Forked, Heal, ManagerStopped, NewKey, Night, Nothing, RootGood,
    RootStop, Steal, Stop, Stopped, Testify, Wait, Winner, Write,
};

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let scenario = |name, lives, steps| Scenario {
        name,
        managers: 3,
        agents: 4,
        lives,
        steps,
    };
    vec![
        scenario(
            "a stolen lapsed key writes into the past",
            LAPSES,
            LAPSED_KEY,
        ),
        scenario(
            "two peers testify against each other's heads",
            &[],
            AGAINST_EACH_OTHER,
        ),
        scenario("an order is corrected by a later one", &[], CORRECTED),
        scenario("a cut does not bring a replaced document back", &[], CUT),
        scenario("a cut undoes what a thief replaced", &[], UNDONE),
        scenario(
            "a thief's fork at number one erases no orders",
            &[],
            FORK_AT_ONE,
        ),
        scenario("a fork follows the earliest testimony", &[], FORK_FOLLOWED),
        scenario(
            "a fork that nobody testified counts below it",
            &[],
            FORK_UNTESTIFIED,
        ),
        scenario("a rotated key goes on beside the thief's", &[], NEW_KEY),
        scenario("an order to stop reaches everybody", &[], STOPPED),
        scenario("an order of a thief after the cut is void", &[], VOID_ORDER),
        scenario("a manager does not judge a manager", &[], PEERS),
    ]
}

/// A manager whose certificate ends after two days.
const LAPSES: &[(usize, u64)] = &[(0, 2 * DAY)];

const LAPSED_KEY: &[Step] = &[
    Write(0, "nav", "honest"),
    Agree(10_000),
    Testify(1, "seen"),
    Night(3 * DAY),
    Testify(1, "seen after the lapse"),
    Night(8 * DAY),
    Steal(Theft {
        key_of: 0,
        label: "forged",
        says: Says::Revision("nav", &["honest"]),
        after: After::Tip,
        off_ms: -(10 * DAY as i64),
        to: 2,
    }),
    Agree(30_000),
    Winner("nav", "honest"),
    Conflicts("nav", 0),
    Write(1, "nav", "next"),
    Agree(10_000),
    Winner("nav", "next"),
];

const AGAINST_EACH_OTHER: &[Step] = &[
    Write(0, "nav", "of the first"),
    Write(1, "lidar", "of the second"),
    Agree(10_000),
    Apart(&[0, 3]),
    Wait(15_000),
    Testify(0, "first of second"),
    Testify(1, "second of first"),
    Write(0, "nav", "later"),
    Write(1, "lidar", "later too"),
    Heal,
    Agree(20_000),
    Winner("nav", "later"),
    Winner("lidar", "later too"),
    ManagerStopped(0, false),
    ManagerStopped(1, false),
];

const CORRECTED: &[Step] = &[
    Write(0, "nav", "one"),
    Write(0, "nav", "two"),
    Write(0, "nav", "three"),
    Agree(10_000),
    RootStop(1, 0, &["one"], &[], "hasty"),
    Agree(20_000),
    ManagerStopped(0, true),
    Winner("nav", "one"),
    RootStop(1, 0, &["two"], &["hasty"], "better"),
    Agree(20_000),
    ManagerStopped(0, true),
    Winner("nav", "two"),
    RootGood(2, 0, &[], &["better"], "cleared"),
    Agree(20_000),
    ManagerStopped(0, false),
    Winner("nav", "three"),
];

const CUT: &[Step] = &[
    Write(1, "nav", "old"),
    Agree(10_000),
    Write(0, "dock", "mark"),
    Agree(10_000),
    Write(0, "nav", "of the stopped"),
    Agree(10_000),
    Write(2, "nav", "newest"),
    Agree(10_000),
    RootStop(1, 0, &["mark"], &[], "order"),
    Agree(20_000),
    Winner("nav", "newest"),
    Conflicts("nav", 0),
];

const UNDONE: &[Step] = &[
    Write(1, "nav", "old"),
    Write(0, "dock", "mark"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "stolen",
        says: Says::Revision("nav", &["old"]),
        after: After::Tip,
        off_ms: 0,
        to: 2,
    }),
    Agree(20_000),
    Winner("nav", "stolen"),
    RootStop(1, 0, &["mark"], &[], "order"),
    Agree(20_000),
    Winner("nav", "old"),
    Conflicts("nav", 0),
];

const FORK_AT_ONE: &[Step] = &[
    Stop(0, 5, "stop"),
    Write(0, "nav", "honest"),
    Agree(10_000),
    Testify(1, "seen"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "fork",
        says: Says::Allow(5, &[]),
        after: After::Nothing,
        off_ms: -(MINUTE as i64),
        to: 2,
    }),
    Agree(20_000),
    Stopped(5, true),
    Winner("nav", "honest"),
];

const FORK_FOLLOWED: &[Step] = &[
    Write(0, "nav", "base"),
    Write(0, "lidar", "testified"),
    Agree(10_000),
    Testify(1, "seen"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "fork",
        says: Says::Revision("nav", &["base"]),
        after: After::Beside("testified"),
        off_ms: 0,
        to: 2,
    }),
    Agree(20_000),
    Forked(0),
    Winner("nav", "base"),
    Winner("lidar", "testified"),
    // What the honest author writes on counts once a peer has testified to it.
    Write(0, "dock", "after the fork"),
    Equal(20_000),
    Nothing("dock"),
    Testify(2, "seen again"),
    Agree(20_000),
    Winner("dock", "after the fork"),
];

const FORK_UNTESTIFIED: &[Step] = &[
    Write(0, "nav", "base"),
    Write(0, "lidar", "beside"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "fork",
        says: Says::Revision("dock", &[]),
        after: After::Beside("beside"),
        off_ms: 0,
        to: 2,
    }),
    Agree(20_000),
    Winner("nav", "base"),
    Nothing("lidar"),
    Nothing("dock"),
];

const NEW_KEY: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    NewKey(0, 1),
    Agree(10_000),
    Write(0, "nav", "two"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "with the old key",
        says: Says::Revision("lidar", &[]),
        after: After::Entry("one"),
        off_ms: 0,
        to: 2,
    }),
    Agree(20_000),
    RootStop(1, 0, &["one"], &[], "order on the old key"),
    Agree(20_000),
    Winner("nav", "two"),
    Nothing("lidar"),
    Write(0, "nav", "three"),
    Agree(10_000),
    Winner("nav", "three"),
];

const STOPPED: &[Step] = &[
    Apart(&[4]),
    Wait(15_000),
    Stop(0, 5, "stop"),
    Wait(5_000),
    Heal,
    Agree(15_000),
    Stopped(5, true),
    Step::Allow(1, 5, "stop", "allow"),
    Agree(15_000),
    Stopped(5, false),
];

const VOID_ORDER: &[Step] = &[
    Write(0, "nav", "mark"),
    Agree(10_000),
    Steal(Theft {
        key_of: 0,
        label: "stolen order",
        says: Says::Stop(4),
        after: After::Tip,
        off_ms: 0,
        to: 2,
    }),
    Agree(20_000),
    Stopped(4, true),
    RootStop(1, 0, &["mark"], &[], "order"),
    Agree(20_000),
    Stopped(4, false),
];

const PEERS: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Stop(1, 0, "of a peer"),
    Agree(10_000),
    ManagerStopped(0, false),
    Winner("nav", "one"),
];
