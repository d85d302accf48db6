//! One manager is killed again and again while it and another are written: it lost nothing it promised.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::draw::Draw;
use super::facts::{holds, say, until};
use super::fleet::{FORMS, Fleet};
use super::history::History;
use super::lab::Lab;
use super::machine::Machine;

const ROUNDS: u32 = 20;
/// A node lives at most that long in a round, from when it says that it is ready.
const LIVES_MS_MAX: u64 = 400;
/// Another run of this one draws the same moments.
const SEED: u64 = 7;

/// Writes as fast as one hand does until it is told to stop.
fn write(at: &Machine, key: &str, round: u32, stop: &AtomicBool) -> History {
    let mut history = History::default();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        history.label(at, "a1", key, &format!("{round}-{number}"));
    }
    history
}

#[test]
fn a_manager_killed_at_any_moment_has_all_that_it_acknowledged() {
    let Some(lab) = Lab::open("one manager killed again and again") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 2, 1);
    let mut draw = Draw(SEED);
    let (mut own, mut all) = (History::default(), History::default());
    let mut slowest = Duration::ZERO;
    for round in 1..=ROUNDS {
        let stop = AtomicBool::new(false);
        let lives = Duration::from_millis(draw.below(LIVES_MS_MAX));
        let (machines, stop) = (&mut fleet.machines, &stop);
        let (first, others) = machines.split_at_mut(1);
        let (victim, other) = (&mut first[0], &others[0]);
        let (at_victim, at_other) = scope(|scope| {
            let victim: &Machine = victim;
            let at_other = scope.spawn(move || write(other, "m2", round, stop));
            let at_victim = scope.spawn(move || write(victim, "m1", round, stop));
            // The moment is the fault: nothing is waited for.
            sleep(lives);
            victim.signal("KILL");
            stop.store(true, Ordering::Relaxed);
            let joined = |it: std::thread::ScopedJoinHandle<'_, History>| it.join();
            (
                joined(at_victim).expect("it writes"),
                joined(at_other).expect("it writes"),
            )
        });
        victim.gone();
        own.join(at_victim.clone());
        all.join(at_victim);
        all.join(at_other);
        let began = Instant::now();
        victim.up();
        slowest = slowest.max(began.elapsed());
        // By itself, before anybody could have told it what it forgot.
        let lost = own.lost(victim).expect("it answers");
        assert!(lost.is_empty(), "round {round}: {}", lost.join("\n"));
    }
    until("nothing acknowledged is lost anywhere", FORMS, || {
        for manager in fleet.managers() {
            let lost = all.lost(manager)?;
            holds(lost.is_empty(), || lost.join("\n"))?;
        }
        Ok(())
    });
    let agreed = fleet.agreed(FORMS);
    fleet.all_ready(FORMS);
    say(&format!(
        "chaos: {ROUNDS} rounds of SIGKILL, seed {SEED}: {} writes acknowledged, {} of them by the victim, \
         0 lost; back within {} ms, one digest {} ms later",
        all.acknowledged(),
        own.acknowledged(),
        slowest.as_millis(),
        agreed.as_millis()
    ));
}
