//! Attacks: entries that break a rule of form, floods, capabilities that somebody does not have.

use regatta_protocol::trust::certificate::Capability;

use crate::scenarios::step::{After, Says, Scenario, Step, Theft};

use Step::{
    Agree, Allow, Clock, Critical, Flood, Forge, Holds, HungUp, Near, NewKey, NewKeyWithout,
    Nothing, RootStop, Steal, Stop, Stopped, Wait, Winner, Write, WriteUnknown,
};

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let scenario = |name, steps| Scenario {
        name,
        managers: 3,
        agents: 3,
        lives: &[],
        steps,
    };
    vec![
        scenario("a thief leaves numbers out", SKIPPING),
        scenario(
            "a thief goes on in an incarnation of a later key",
            OTHER_HAND,
        ),
        scenario("a manager writes into another's ledger", INTO_ANOTHERS),
        scenario("kinds of a later build are passed on", LATER_BUILD),
        scenario("a member floods another", FLOOD),
        scenario("a member forges all day", FORGERIES),
        scenario(
            "what nobody signed over and over is hung up on once",
            FORGERY_ONCE,
        ),
        scenario("a manager without config.write writes", NO_WRITE),
        scenario("a manager without stop stops a device", NO_STOP),
        scenario("managers without time tell the time", NO_TIME),
        scenario("a verdict on one device frees no other", NOT_ANOTHER),
        scenario("a manager does not overrule the root", NOT_THE_ROOT),
    ]
}

const fn stolen(label: &'static str, says: Says, after: After) -> Step {
    Steal(Theft {
        key_of: 0,
        label,
        says,
        after,
        off_ms: 0,
        to: 2,
    })
}

const SKIPPING: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    stolen("far on", Says::Revision("nav", &["one"]), After::Skipping),
    Agree(20_000),
    Holds(2, "far on", false),
    Winner("nav", "one"),
];

const OTHER_HAND: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    NewKey(0, 1),
    Agree(10_000),
    Write(0, "nav", "two"),
    Agree(10_000),
    // The thief has the old key, and writes on where the new one stands.
    stolen(
        "old key",
        Says::Revision("nav", &["two"]),
        After::Entry("two"),
    ),
    Agree(20_000),
    Holds(2, "old key", false),
    Winner("nav", "two"),
];

const INTO_ANOTHERS: &[Step] = &[
    Write(1, "nav", "one"),
    Agree(10_000),
    stolen(
        "misplaced",
        Says::Revision("nav", &["one"]),
        After::TipOf(1),
    ),
    Agree(20_000),
    Holds(2, "misplaced", false),
    Winner("nav", "one"),
];

const LATER_BUILD: &[Step] = &[
    WriteUnknown(0, false, "harmless"),
    Agree(10_000),
    Holds(5, "harmless", true),
    Critical(false),
    WriteUnknown(0, true, "critical"),
    Agree(10_000),
    Holds(5, "critical", true),
    Critical(true),
    Write(0, "nav", "after it"),
    Agree(10_000),
    Winner("nav", "after it"),
];

const FLOOD: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Flood(3, 0, 5_000),
    HungUp,
    Write(0, "nav", "two"),
    Agree(20_000),
    Winner("nav", "two"),
];

const FORGERIES: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Forge(3, 0, 100),
    HungUp,
    Agree(20_000),
    Winner("nav", "one"),
];

const FORGERY_ONCE: &[Step] = &[
    Write(0, "nav", "one"),
    Agree(10_000),
    Forge(3, 0, 1),
    Agree(20_000),
    Winner("nav", "one"),
];

const NO_WRITE: &[Step] = &[
    Write(1, "nav", "one"),
    Agree(10_000),
    NewKeyWithout(0, 1, Capability::ConfigWrite),
    Agree(10_000),
    Write(0, "nav", "not allowed"),
    Write(0, "lidar", "not allowed either"),
    Agree(10_000),
    Winner("nav", "one"),
    Nothing("lidar"),
];

const NO_STOP: &[Step] = &[
    Stop(1, 5, "stop"),
    NewKeyWithout(0, 1, Capability::Stop),
    Agree(10_000),
    Stop(0, 4, "not allowed"),
    Allow(0, 5, "stop", "not allowed either"),
    Agree(10_000),
    Stopped(4, false),
    Stopped(5, true),
];

const NO_TIME: &[Step] = &[
    NewKeyWithout(0, 1, Capability::Time),
    NewKeyWithout(2, 1, Capability::Time),
    Agree(10_000),
    Clock(0, 3_600_000),
    Clock(2, 3_600_000),
    Wait(20 * 60_000),
    Near(3, 180_000),
];

const NOT_ANOTHER: &[Step] = &[
    Stop(0, 5, "stop"),
    Agree(10_000),
    Allow(1, 4, "stop", "on another"),
    Agree(10_000),
    Stopped(5, true),
    Stopped(4, false),
    Allow(1, 5, "stop", "on this one"),
    Agree(10_000),
    Stopped(5, false),
];

const NOT_THE_ROOT: &[Step] = &[
    RootStop(1, 5, &[], &[], "of the root"),
    Agree(10_000),
    Stopped(5, true),
    Allow(0, 5, "of the root", "of a manager"),
    Agree(10_000),
    Stopped(5, true),
];
