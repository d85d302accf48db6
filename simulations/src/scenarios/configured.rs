//! Steps about configuration: documents written, rollouts driven, devices killed while they adopt.

use std::collections::BTreeSet;

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::config::adoption::Event;
use regatta_protocol::config::document::{RolloutSpec, Wave};
use regatta_protocol::config::outcome::Verdict;
use regatta_protocol::config::rollout::{RolloutState, turn};
use regatta_protocol::selector::Selector;

use crate::bodies::papers::device_name;
use crate::config::words::{Goes, words};
use crate::config::{Job, settled};
use crate::fleet::name;
use crate::network::NodeIndex;
use crate::pulled::agents;
use crate::scenarios::player::Play;
use crate::scenarios::step::{Label, Who};
use crate::world::config::of;
use crate::world::config::put::{Put, Said, draft, rollout_at, say};

/// A document that a step writes.
#[derive(Clone, Copy, Debug)]
pub struct Doc {
    /// Its name.
    pub name: &'static str,
    /// For whom, as selectors are typed.
    pub select: &'static str,
    /// What comes of it on a device.
    pub how: How,
    /// How it goes out, where it is not at once.
    pub waves: Option<Waves>,
}

/// What comes of a document on a device.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// All is well.
    Well,
    /// All is well, with a check, a hook and a probe.
    Thoroughly,
    /// Its check fails.
    Unchecked,
    /// Its hook fails.
    Wrong,
    /// Its hook fails on these.
    WrongOn(&'static [Who]),
    /// Its probe fails.
    Unwell,
    /// A manager has to be heard within so many milliseconds.
    Confirmed(u64),
    /// It is deleted.
    Gone,
}

/// How a document goes out.
#[derive(Clone, Copy, Debug)]
pub struct Waves {
    /// How far each reaches.
    pub waves: &'static [Wave],
    /// How many of a hundred have to be well.
    pub success: u8,
    /// How long a wave is watched.
    pub pause_ms: u64,
    /// How many stay untouched in each site; none where it does not matter.
    pub spare: Option<u32>,
}

/// How a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It goes on.
    Running,
    /// It was stopped.
    Paused,
    /// It was taken back.
    Aborted,
    /// Everybody is open.
    Complete,
}

/// A step about configuration.
#[derive(Clone, Copy, Debug)]
pub enum ConfigStep {
    /// A manager writes documents, that count together where they are several.
    Put(Who, &'static [Doc], Label),
    /// An operator at a manager says something of a revision's rollout.
    Say(Who, Label, Said),
    /// An operator at a device has it try again what it refused.
    Retry(Who),
    /// Within so long everything is as it must be.
    Settled(u64),
    /// A device shows a labelled revision of a document, or nothing.
    Shows(Who, &'static str, Option<Label>),
    /// So many devices show a labelled revision of a document.
    ShownOn(&'static str, Label, usize),
    /// A labelled revision was ever written on so many devices.
    EverOn(Label, usize),
    /// A manager's last word from a device on a document.
    Told(Who, Who, &'static str, Verdict),
    /// A revision's rollout stands so on every manager that is up.
    Stands(Label, Stands),
    /// A device stops in the midst of writing files, within so long.
    TornWrite(Who, u64),
    /// A device is killed so many times, at random effects, while documents keep coming.
    Torture(Who, u32),
    /// The manager whose turn it is with a rollout stops.
    DriverDies(Label),
    /// Within so long after that another writes a word on it.
    GoesOn(Label, u64),
}

/// Carries out a step about configuration.
pub fn carry_out(play: &mut Play, step: &ConfigStep) {
    match *step {
        ConfigStep::Put(who, docs, label) => write(play, who, docs, label),
        ConfigStep::Say(who, label, said) => {
            let id = play.written(label).revision();
            if !say(&mut play.world, who as NodeIndex, &id, said) {
                let what = format!("nobody can say {said:?} of {label}");
                play.world
                    .invariants
                    .broken(play.world.now, who as NodeIndex, what);
            }
        }
        ConfigStep::Retry(who) => play.world.tell_config(who as NodeIndex, Event::Retry(None)),
        ConfigStep::TornWrite(who, within_ms) => torn_write(play, who, within_ms),
        ConfigStep::Torture(who, times) => torture(play, who, times),
        ConfigStep::DriverDies(label) => driver_dies(play, label),
        _ => {}
    }
}

fn write(play: &mut Play, who: Who, docs: &[Doc], label: Label) {
    let puts: Vec<Put> = docs.iter().map(|doc| put_of(play, doc)).collect();
    if let Some(draft) = draft(&mut play.world, who as NodeIndex, &puts) {
        play.write_as(who, draft, label);
    }
}

fn put_of(play: &mut Play, doc: &Doc) -> Put {
    let goes = match doc.how {
        How::Well => Some(Goes::Well),
        How::Thoroughly => Some(Goes::Thoroughly),
        How::Unchecked => Some(Goes::Unchecked),
        How::Wrong => Some(Goes::Wrong),
        How::WrongOn(on) => Some(Goes::WrongOn(
            on.iter().map(|who| device_name(*who)).collect(),
        )),
        How::Unwell => Some(Goes::Unwell),
        How::Confirmed(ms) => Some(Goes::Confirmed(ms)),
        How::Gone => None,
    };
    let rollout = doc.waves.map(|waves| RolloutSpec {
        waves: waves.waves.to_vec(),
        success_percent: waves.success,
        pause_ms: waves.pause_ms,
        min_available: waves
            .spare
            .map(|least| (name("site"), least))
            .into_iter()
            .collect(),
    });
    let number = play.world.prng().below(u64::MAX);
    Put {
        name: name(doc.name),
        select: Selector::parse(doc.select).unwrap_or_else(|_| Selector::everything()),
        words: goes.map(|goes| words(number, &goes, rollout)),
    }
}

fn torn_write(play: &mut Play, who: Who, within_ms: u64) {
    let until = play.world.now.plus(within_ms);
    while play.world.now < until {
        let config = of(&play.world.nodes[who]);
        if let Some(Job::Write(_)) = config.and_then(|config| config.jobs.front()) {
            return play.world.crash(who as NodeIndex);
        }
        play.world.run_until(play.world.now.plus(1));
    }
    let what = "the device never came to write".to_owned();
    play.world
        .invariants
        .broken(play.world.now, who as NodeIndex, what);
}

/// How long words on a rollout may take to all managers.
const SPREAD_MS: u64 = 30_000;

/// The managers that are up.
fn managers_up(play: &Play) -> Vec<NodeIndex> {
    let managers = play.world.managers().into_iter();
    managers
        .filter(|index| play.world.nodes[*index as usize].is_up())
        .collect()
}

/// The driver stops once the others know what it wrote: what only it knew is gone with it.
fn driver_dies(play: &mut Play, label: Label) {
    let id = play.written(label).revision();
    let managers = managers_up(play);
    let until = play.world.now.plus(SPREAD_MS);
    loop {
        let words = managers.iter();
        let words: Vec<_> = words
            .map(|it| rollout_at(&mut play.world, *it, &id))
            .collect();
        let known = words.iter().all(|word| word.is_some() && *word == words[0]);
        if known || play.world.now >= until {
            break;
        }
        play.world.run_until(play.world.now.plus(20));
    }
    let nodes = managers
        .iter()
        .map(|it| play.world.nodes[*it as usize].identity.node);
    let driver = turn(&id, nodes).and_then(|node| play.world.place_of(&node));
    play.died = play.world.invariants.config().words_on(&id);
    if let Some(driver) = driver {
        play.world.crash(driver);
    }
}

/// Effects of a device after which it is killed, at most.
const KILLED_AFTER: u64 = 60;

fn torture(play: &mut Play, who: Who, times: u32) {
    let hows = [
        How::Well,
        How::Wrong,
        How::Thoroughly,
        How::Unwell,
        How::Unchecked,
    ];
    for turn in 0..times {
        if turn % 4 == 0 {
            let how = hows[play.world.prng().below(hows.len() as u64) as usize];
            let name = ["nav", "dock", "lidar"][play.world.prng().below(3) as usize];
            let select = "";
            let waves = None;
            let doc = Doc {
                name,
                select,
                how,
                waves,
            };
            write(play, 0, &[doc], "torture");
        }
        let after = play.world.prng().below(KILLED_AFTER) as u32;
        play.world.nodes[who].crash_after = Some(after);
        let pause = 50 + play.world.prng().below(2_000);
        play.world.run_until(play.world.now.plus(pause));
        play.world.start(who as NodeIndex);
    }
    play.world.nodes[who].crash_after = None;
    play.world.start(who as NodeIndex);
}

/// Checks what a step about configuration expects.
///
/// # Errors
/// What was found instead.
pub fn check(play: &mut Play, step: &ConfigStep) -> Result<(), String> {
    match *step {
        ConfigStep::Settled(ms) => match settled::wait(&mut play.world, ms) {
            Some(_) => Ok(()),
            None => Err(format!("{:#?}", settled::complaints(&play.world))),
        },
        ConfigStep::Shows(who, document, label) => {
            let wanted = label.map(|label| play.written(label).revision());
            let found = shows(play, who, document);
            expect(who, found == wanted, &found)
        }
        ConfigStep::ShownOn(document, label, count) => {
            let wanted = Some(play.written(label).revision());
            let devices = agents(&play.world).into_iter();
            let found = devices.filter(|it| shows(play, *it as Who, document) == wanted);
            let found: Vec<NodeIndex> = found.collect();
            expect(0, found.len() == count, &found)
        }
        ConfigStep::EverOn(label, count) => {
            let id = play.written(label).revision();
            let wrote = &play.world.invariants.config().wrote;
            let found: BTreeSet<NodeIndex> = wrote
                .keys()
                .filter(|(of, _)| *of == id)
                .map(|(_, device)| *device)
                .collect();
            expect(0, found.len() == count, &found)
        }
        ConfigStep::Told(manager, device, document, verdict) => {
            let node = play.id(device);
            let config = of(&play.world.nodes[manager]);
            let reports = config.map(|config| &config.known.reports);
            let told = reports.and_then(|it| it.standing(&node, &name(document)));
            let found = told.map(|standing| standing.last.verdict);
            expect(manager, found == Some(verdict), &found)
        }
        ConfigStep::Stands(label, wanted) => stands(play, label, wanted),
        ConfigStep::GoesOn(label, ms) => {
            let id = play.written(label).revision();
            let until = play.world.now.plus(ms);
            let words = |play: &Play| play.world.invariants.config().words_on(&id);
            while words(play) == play.died && play.world.now < until {
                play.world.run_until(play.world.now.plus(100));
            }
            let found = words(play);
            expect(0, found > play.died, &found)
        }
        _ => Ok(()),
    }
}

fn stands(play: &mut Play, label: Label, wanted: Stands) -> Result<(), String> {
    let id = play.written(label).revision();
    let until = play.world.now.plus(SPREAD_MS);
    for manager in managers_up(play) {
        loop {
            let found = rollout_at(&mut play.world, manager, &id).map(|it| it.state);
            let stands = found.as_ref().map(|state| match state {
                RolloutState::Running => Stands::Running,
                RolloutState::Paused { .. } => Stands::Paused,
                RolloutState::Aborted { .. } => Stands::Aborted,
                RolloutState::Complete => Stands::Complete,
            });
            if stands == Some(wanted) {
                break;
            }
            if play.world.now >= until {
                return expect(manager as Who, false, &found);
            }
            play.world.run_until(play.world.now.plus(250));
        }
    }
    Ok(())
}

fn shows(play: &Play, who: Who, document: &str) -> Option<RevisionId> {
    let device = &play.world.nodes[who].disk.config.device;
    device.shows(&name(document))
}

fn expect(node: Who, holds: bool, found: &impl std::fmt::Debug) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("on node {node} found {found:?}"))
    }
}
