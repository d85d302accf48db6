//! Bodies: asked for by those whom they are not for, handed out wrong, and gone with their holder.

use crate::scenarios::step::{Readers, Scenario, Step};

use Readers::{Everybody, Named, Scoped};
use Step::{
    Agree, AskFor, Backup, Bodies, Crash, HasBody, LiarFound, Lie, Restore, Start, Stop, Wait,
    Wipe, WriteBody,
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
        scenario("a member asks for a body that is not for it", NOT_FOR_IT),
        scenario("a body in a device's scope is for that device", SCOPED),
        scenario("a short body rides to its readers alone", RIDING),
        scenario("a neighbour hands out wrong bytes", LIAR),
        scenario("a device hands out wrong bytes", LYING_DEVICE),
        scenario("the only holder of a body goes and comes back", ONLY_HOLDER),
        scenario("a node stops in the middle of a body", IN_THE_MIDDLE),
        scenario("managers get bodies back from devices", FROM_DEVICES),
        scenario("a restored device fetches what it lacks", RESTORED),
        scenario("a stopped device gets no body", STOPPED),
    ]
}

const NOT_FOR_IT: &[Step] = &[
    WriteBody(0, Named(3), 5_000, false, "map"),
    Agree(10_000),
    Bodies(30_000),
    HasBody(3, "map", true),
    AskFor(4, "map"),
    Wait(60_000),
    HasBody(4, "map", false),
];

const SCOPED: &[Step] = &[
    WriteBody(0, Scoped(3), 40_000, false, "key"),
    Agree(10_000),
    Bodies(30_000),
    HasBody(3, "key", true),
    AskFor(4, "key"),
    AskFor(5, "key"),
    Wait(60_000),
    HasBody(4, "key", false),
    HasBody(5, "key", false),
];

const RIDING: &[Step] = &[
    WriteBody(0, Named(3), 500, true, "note"),
    WriteBody(1, Everybody, 500, true, "news"),
    WriteBody(1, Scoped(5), 500, true, "own"),
    Agree(10_000),
    Bodies(30_000),
    HasBody(3, "note", true),
    HasBody(4, "note", false),
    HasBody(4, "news", true),
    HasBody(5, "own", true),
    HasBody(6, "own", false),
];

const LIAR: &[Step] = &[
    Lie(0, true),
    WriteBody(0, Everybody, 100_000, false, "map"),
    Wait(120_000),
    LiarFound,
    HasBody(1, "map", false),
    HasBody(3, "map", false),
    Lie(0, false),
    Bodies(300_000),
    HasBody(3, "map", true),
];

const LYING_DEVICE: &[Step] = &[
    WriteBody(0, Everybody, 20_000, false, "map"),
    Agree(10_000),
    Bodies(30_000),
    Lie(3, true),
    Lie(4, true),
    // Nobody else has it: the managers lost their disks, two of four devices lie.
    Wipe(0),
    Wipe(1),
    Wipe(2),
    Wipe(5),
    Agree(60_000),
    Bodies(300_000),
    HasBody(5, "map", true),
    HasBody(0, "map", true),
];

const ONLY_HOLDER: &[Step] = &[
    WriteBody(0, Everybody, 500_000, false, "map"),
    Wait(8),
    Crash(0),
    Wait(120_000),
    HasBody(1, "map", false),
    HasBody(3, "map", false),
    Start(0),
    Agree(60_000),
    Bodies(180_000),
    HasBody(1, "map", true),
    HasBody(3, "map", true),
];

const IN_THE_MIDDLE: &[Step] = &[
    WriteBody(0, Everybody, 300_000, false, "map"),
    Wait(12),
    Crash(3),
    Crash(1),
    Wait(1_000),
    Start(3),
    Start(1),
    Agree(60_000),
    Bodies(60_000),
    HasBody(3, "map", true),
    HasBody(1, "map", true),
];

const FROM_DEVICES: &[Step] = &[
    WriteBody(0, Everybody, 50_000, false, "map"),
    Agree(10_000),
    Bodies(30_000),
    Wipe(0),
    Wipe(1),
    Wipe(2),
    HasBody(0, "map", false),
    Agree(60_000),
    Bodies(180_000),
    HasBody(0, "map", true),
    HasBody(2, "map", true),
];

const RESTORED: &[Step] = &[
    WriteBody(0, Everybody, 500, true, "one"),
    Agree(10_000),
    Bodies(30_000),
    Backup(3),
    WriteBody(0, Everybody, 500, true, "two"),
    WriteBody(0, Named(3), 50_000, false, "three"),
    Agree(10_000),
    Bodies(30_000),
    Restore(3),
    HasBody(3, "one", true),
    HasBody(3, "three", false),
    Agree(60_000),
    Bodies(60_000),
    HasBody(3, "two", true),
    HasBody(3, "three", true),
];

const STOPPED: &[Step] = &[
    Stop(0, 5, "stop"),
    Agree(10_000),
    WriteBody(0, Everybody, 500, true, "rides"),
    WriteBody(0, Everybody, 5_000, false, "fetched"),
    Agree(10_000),
    AskFor(5, "fetched"),
    Wait(60_000),
    HasBody(4, "rides", true),
    HasBody(4, "fetched", true),
    HasBody(5, "rides", false),
    HasBody(5, "fetched", false),
];
