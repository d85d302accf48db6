//! Configuration: off for a month, cut off from every manager, written on two sides, half rolled out.

use regatta_protocol::config::document::Wave;
use regatta_protocol::config::outcome::Verdict;
use regatta_protocol::trust::certificate::Capability;

use crate::scenarios::configured::{ConfigStep, Doc, How, Stands, Waves};
use crate::scenarios::step::{DAY, Scenario, Step};
use crate::world::config::put::Said;

use ConfigStep::{
    DriverDies, EverOn, GoesOn, Put, Retry, Say, Settled, ShownOn, Shows, TornWrite, Torture,
};
use Step::{
    Agree, Apart, Clock, Config, Conflicts, Crash, Heal, NewKeyWithout, Night, Start, Wait,
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
    let large = |name, steps| Scenario {
        agents: 12,
        ..scenario(name, steps)
    };
    vec![
        scenario("a device that was off for a month catches up", MONTH),
        scenario("a laptop brings a cut-off site up to date", LAPTOP),
        scenario("a rebooted device finishes without a manager", REBOOT),
        scenario(
            "a document is written on both sides of a partition",
            BOTH_SIDES,
        ),
        scenario(
            "documents of one entry hold together or not at all",
            TOGETHER,
        ),
        scenario("a change that nobody confirms is taken back", UNCONFIRMED),
        scenario("a revision of an author who may not is not taken", MAY_NOT),
        scenario("a manager a day ahead writes configuration", AHEAD),
        scenario("a device is killed while it adopts", KILLED),
        large("the driver of a rollout dies", DRIVER),
        large("a rollout whose first wave fails is taken back", FAILS),
        large("a rollout that is well so far is taken back", ABORTED),
        large("a rollout leaves every site enough devices", SPARE),
        large("a device that was off follows a rollout", FOLLOWS),
        large("a rollout goes on on both sides of a partition", BOTH_ROLL),
    ]
}

const fn doc(name: &'static str, how: How) -> Doc {
    Doc {
        name,
        select: "",
        how,
        waves: None,
    }
}

const fn rolled(how: How, waves: Waves) -> Doc {
    Doc {
        waves: Some(waves),
        ..doc("nav", how)
    }
}

const NAV: &[Doc] = &[doc("nav", How::Well)];
const DOCK: &[Doc] = &[doc("dock", How::Thoroughly)];
const PAIR: &[Doc] = &[doc("nav", How::Well), doc("dock", How::Well)];
const BAD_PAIR: &[Doc] = &[doc("nav", How::Well), doc("dock", How::Unwell)];
const GONE: &[Doc] = &[doc("dock", How::Gone)];
const CONFIRMED: &[Doc] = &[doc("nav", How::Confirmed(20_000))];

const IN_THREE: Waves = Waves {
    waves: &[Wave::Count(1), Wave::Percent(50), Wave::Percent(100)],
    success: 100,
    pause_ms: 3_000,
    spare: None,
};
const SLOW: Waves = Waves {
    waves: &[Wave::Percent(50), Wave::Percent(100)],
    pause_ms: 3_600_000,
    ..IN_THREE
};
const SPARING: Waves = Waves {
    waves: &[Wave::Percent(100)],
    spare: Some(3),
    ..IN_THREE
};
const STAGED: &[Doc] = &[rolled(How::Well, IN_THREE)];
const STAGED_WRONG: &[Doc] = &[rolled(How::Wrong, IN_THREE)];
const STAGED_SLOW: &[Doc] = &[rolled(How::Well, SLOW)];
const STAGED_SPARING: &[Doc] = &[rolled(How::Well, SPARING)];

/// Certificates of devices last for thirty days.
const MONTH: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Wait(2_000),
    Config(Put(1, DOCK, "dock")),
    Config(Settled(60_000)),
    Crash(3),
    Config(Put(1, NAV, "two")),
    Config(Settled(60_000)),
    Night(29 * DAY),
    Config(Put(2, PAIR, "three")),
    Wait(2_000),
    Config(Put(0, GONE, "gone")),
    Config(Settled(60_000)),
    Config(Shows(3, "nav", Some("one"))),
    Start(3),
    Config(Settled(60_000)),
    Config(Shows(3, "nav", Some("three"))),
    Config(Shows(3, "dock", None)),
    Config(ConfigStep::Told(0, 3, "dock", Verdict::Removed)),
];

const LAPTOP: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Apart(&[4, 5, 6]),
    Wait(20_000),
    Config(Put(1, NAV, "two")),
    Wait(2_000),
    Config(Put(0, PAIR, "pair")),
    Wait(2_000),
    Config(Put(2, STAGED, "staged")),
    Wait(60_000),
    Config(Shows(3, "nav", Some("staged"))),
    Config(Shows(4, "nav", Some("one"))),
    Apart(&[3, 4, 5, 6]),
    Wait(60_000),
    Config(ShownOn("dock", "pair+1", 4)),
    // Of those heard all were well: it is complete, and open for whom nobody heard.
    Config(ShownOn("nav", "staged", 4)),
    Heal,
    Config(Settled(180_000)),
    Wait(60_000),
    Config(Settled(60_000)),
    Config(ShownOn("nav", "staged", 4)),
];

const REBOOT: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Config(Put(0, &[doc("nav", How::Thoroughly)], "two")),
    Config(TornWrite(3, 10_000)),
    Crash(0),
    Crash(1),
    Crash(2),
    Apart(&[3]),
    Start(3),
    Wait(10_000),
    Config(Shows(3, "nav", Some("two"))),
    Crash(3),
    Start(3),
    Wait(10_000),
    Config(Shows(3, "nav", Some("two"))),
    Heal,
    Start(0),
    Start(1),
    Start(2),
    Config(Settled(180_000)),
    Config(ConfigStep::Told(1, 3, "nav", Verdict::Applied)),
];

const BOTH_SIDES: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Apart(&[1, 3, 4]),
    Wait(20_000),
    Config(Put(0, NAV, "here")),
    Wait(1_000),
    Config(Put(1, NAV, "there")),
    Wait(30_000),
    Config(Shows(5, "nav", Some("here"))),
    Config(Shows(3, "nav", Some("there"))),
    Heal,
    Agree(60_000),
    Config(Settled(120_000)),
    Conflicts("nav", 1),
    Step::Winner("nav", "there"),
    Config(ShownOn("nav", "there", 4)),
    Config(Put(2, NAV, "both")),
    Config(Settled(60_000)),
    Conflicts("nav", 0),
    Config(ShownOn("nav", "both", 4)),
];

const TOGETHER: &[Step] = &[
    Config(Put(0, PAIR, "good")),
    Config(Settled(60_000)),
    Config(Put(1, BAD_PAIR, "bad")),
    Config(Put(1, &[doc("lidar", How::Well)], "lidar")),
    Config(Settled(120_000)),
    Config(ShownOn("nav", "good", 4)),
    Config(ShownOn("dock", "good+1", 4)),
    Config(ShownOn("lidar", "lidar", 4)),
    Config(ConfigStep::Told(2, 4, "nav", Verdict::TakenBack)),
    // It is no better for being asked, and nothing else suffers from it.
    Config(Retry(4)),
    Wait(20_000),
    Config(Settled(60_000)),
    Config(ShownOn("nav", "good", 4)),
    Config(Put(2, PAIR, "mended")),
    Config(Settled(60_000)),
    Config(ShownOn("dock", "mended+1", 4)),
];

const UNCONFIRMED: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Apart(&[4, 5, 6]),
    Wait(20_000),
    Config(Put(1, CONFIRMED, "two")),
    Wait(30_000),
    Config(Shows(3, "nav", Some("two"))),
    Apart(&[3, 4, 5, 6]),
    Wait(90_000),
    Config(EverOn("two", 4)),
    Config(ShownOn("nav", "one", 3)),
    Heal,
    Config(Settled(180_000)),
    Config(ConfigStep::Told(0, 4, "nav", Verdict::TakenBack)),
    Config(Retry(4)),
    Wait(10_000),
    Config(Settled(60_000)),
    Config(Shows(4, "nav", Some("two"))),
];

const MAY_NOT: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    NewKeyWithout(1, 0, Capability::ConfigWrite),
    Config(Put(1, NAV, "two")),
    Config(Put(1, STAGED, "three")),
    Wait(60_000),
    Config(Settled(60_000)),
    Config(ShownOn("nav", "one", 4)),
    Config(EverOn("two", 0)),
    Config(EverOn("three", 0)),
];

const AHEAD: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Clock(1, DAY as i64),
    Wait(1_000),
    Config(Put(1, NAV, "ahead")),
    Config(Settled(120_000)),
    Config(Put(0, NAV, "two")),
    Config(Settled(120_000)),
    Config(ShownOn("nav", "two", 4)),
    Config(Put(0, STAGED, "staged")),
    Wait(120_000),
    Config(Settled(60_000)),
    Config(ShownOn("nav", "staged", 4)),
    Clock(1, 0),
    Config(Put(1, NAV, "three")),
    Config(Settled(120_000)),
    Config(ShownOn("nav", "three", 4)),
];

const KILLED: &[Step] = &[
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Config(Torture(3, 200)),
    Config(Settled(120_000)),
    Config(Put(1, PAIR, "two")),
    Config(Settled(60_000)),
    Config(ShownOn("nav", "two", 4)),
];

/// Noticed within eight seconds, looked at within five.
const DRIVER: &[Step] = &[
    Wait(15_000),
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Config(Put(0, STAGED, "two")),
    Config(DriverDies("two")),
    Config(GoesOn("two", 13_500)),
    Config(DriverDies("two")),
    Config(GoesOn("two", 13_500)),
    Wait(90_000),
    Config(ShownOn("nav", "two", 12)),
    Config(ConfigStep::Stands("two", Stands::Complete)),
    Start(0),
    Start(1),
    Start(2),
    Wait(60_000),
    Config(Settled(120_000)),
    Config(ConfigStep::Stands("two", Stands::Complete)),
];

const FAILS: &[Step] = &[
    Wait(15_000),
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Config(Put(1, STAGED_WRONG, "two")),
    Wait(60_000),
    Config(ConfigStep::Stands("two", Stands::Paused)),
    Config(EverOn("two", 1)),
    Config(ShownOn("nav", "one", 12)),
    Config(Say(2, "two", Said::Abort)),
    Config(Settled(60_000)),
    Config(ConfigStep::Stands("two", Stands::Aborted)),
    Config(ShownOn("nav", "one", 12)),
    Config(Put(1, STAGED, "three")),
    Wait(90_000),
    Config(Settled(60_000)),
    Config(ConfigStep::Stands("three", Stands::Complete)),
    Config(ShownOn("nav", "three", 12)),
];

const ABORTED: &[Step] = &[
    Wait(15_000),
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Config(Put(1, STAGED_SLOW, "two")),
    Wait(30_000),
    Config(Settled(60_000)),
    Config(ConfigStep::Stands("two", Stands::Running)),
    Config(ShownOn("nav", "two", 6)),
    Config(Say(2, "two", Said::Pause)),
    Config(Settled(60_000)),
    Config(ConfigStep::Stands("two", Stands::Paused)),
    Config(Say(0, "two", Said::Abort)),
    Config(Settled(60_000)),
    Config(ConfigStep::Stands("two", Stands::Aborted)),
    Config(ShownOn("nav", "one", 12)),
    Config(EverOn("two", 6)),
];

/// Two sites, of eight devices and of four.
const SPARE: &[Step] = &[
    Wait(15_000),
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Crash(3),
    Wait(30_000),
    Config(Put(1, STAGED_SPARING, "two")),
    Wait(180_000),
    Config(ConfigStep::Stands("two", Stands::Complete)),
    Config(ShownOn("nav", "two", 11)),
    Start(3),
    Config(Settled(120_000)),
    Config(ShownOn("nav", "two", 12)),
];

const FOLLOWS: &[Step] = &[
    Wait(15_000),
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Crash(5),
    Crash(9),
    Wait(30_000),
    Config(Put(1, STAGED, "two")),
    Wait(120_000),
    Config(ShownOn("nav", "two", 10)),
    Config(ConfigStep::Stands("two", Stands::Complete)),
    Start(5),
    Start(9),
    Config(Settled(120_000)),
    Config(ShownOn("nav", "two", 12)),
];

const BOTH_ROLL: &[Step] = &[
    Wait(15_000),
    Config(Put(0, NAV, "one")),
    Config(Settled(60_000)),
    Config(Put(0, STAGED, "two")),
    Wait(1_000),
    Apart(&[1, 3, 4, 5, 6, 7, 8]),
    Wait(120_000),
    Heal,
    Config(Settled(180_000)),
    Wait(60_000),
    Config(Settled(60_000)),
    Config(ConfigStep::Stands("two", Stands::Complete)),
    Config(ShownOn("nav", "two", 12)),
];
