//! Each path through an adoption: what happens, and what it asks for then.

use std::collections::{BTreeMap, BTreeSet};

use super::device::{chosen, name};
use crate::codec::Name;
use crate::config::adoption::{
    Adoption, AdoptionState, BACKS_MAX, Choice, Effect, Event, Hook, STARTS_MAX, Task, Wanted, Work,
};
use crate::config::outcome::{Outcome, Step};
use crate::ident::Hash;
use crate::machine::{Machine, Millis};

/// A machine, and what it keeps, as lines that can be compared.
pub struct Bench {
    machine: Adoption,
    pub kept: AdoptionState,
    now: Millis,
}

impl Bench {
    pub fn new() -> Self {
        let mut out = Vec::new();
        let machine = Adoption::restore(AdoptionState::default(), Millis(0), &mut out);
        assert_eq!(out, []);
        Self {
            machine,
            kept: AdoptionState::default(),
            now: Millis(0),
        }
    }

    fn lines(&mut self, out: Vec<Effect>) -> Vec<String> {
        let lines = out.into_iter().map(|effect| match effect {
            Effect::Keep(state) => {
                self.kept = *state;
                let attempt = self.kept.attempt.as_ref();
                attempt.map_or("keep".to_owned(), |attempt| {
                    format!("keep {} {} {}", attempt.number, attempt.step, attempt.index)
                })
            }
            Effect::Stage(staging) => format!("stage {:?}", texts(&staging.changes)),
            Effect::Check { document, .. } => format!("check {document}"),
            Effect::Write(_) => "write".to_owned(),
            Effect::Run { hook, .. } => {
                let version = hook.revision.place;
                format!("run {}@{version} {}", hook.document, hook.index)
            }
            Effect::Probe { document, .. } => format!("probe {document}"),
            Effect::AskManagers => "ask".to_owned(),
            Effect::Restore(_) => "restore".to_owned(),
            Effect::Discard { number } => format!("discard {number}"),
            Effect::Report(outcome) => told(&outcome),
        });
        lines.collect()
    }

    pub fn feed(&mut self, event: Event) -> Vec<String> {
        let mut out = Vec::new();
        self.machine.handle(self.now, event, &mut out);
        self.lines(out)
    }

    fn restart(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.machine = Adoption::restore(self.kept.clone(), self.now, &mut out);
        self.lines(out)
    }

    pub fn want(&mut self, documents: &[(&str, u8, u32)]) -> Vec<String> {
        let take = documents
            .iter()
            .map(|(document, entry, version)| (name(document), chosen(*entry, *version)));
        let wanted = Wanted::new(take.collect(), BTreeMap::new());
        self.feed(Event::Wanted(wanted.expect("few")))
    }

    fn task(&self) -> Task {
        let attempt = self.kept.attempt.as_ref().expect("an attempt");
        Task {
            attempt: attempt.number,
            step: attempt.step,
            index: attempt.index,
        }
    }

    pub fn staged(&mut self, work: Work) -> Vec<String> {
        let (task, result) = (self.task(), Ok(work));
        self.feed(Event::Staged { task, result })
    }

    fn done(&mut self) -> Vec<String> {
        let (task, result) = (self.task(), Ok(()));
        self.feed(Event::Done { task, result })
    }

    pub fn failed(&mut self, what: &str) -> Vec<String> {
        let (task, result) = (self.task(), Err(what.to_owned()));
        self.feed(Event::Done { task, result })
    }

    fn reported(&mut self) -> Vec<String> {
        let number = self.kept.outcomes;
        self.feed(Event::Reported(number))
    }

    /// `nav` at its first version, applied without anything to do.
    fn with_nav() -> Self {
        let mut bench = Self::new();
        bench.want(&[("nav", 1, 1)]);
        bench.staged(Work::default());
        bench.reported();
        bench
    }
}

fn texts(names: &BTreeSet<Name>) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

fn told(outcome: &Outcome) -> String {
    let documents = outcome.documents.iter().map(|(name, told)| {
        let again = if told.again { " again" } else { "" };
        format!("{name}@{} {:?}{again}", told.version, told.verdict)
    });
    let faults = [&outcome.fault, &outcome.stuck].into_iter().flatten();
    let parts = documents.chain(faults.map(ToString::to_string));
    format!("tell {}", parts.collect::<Vec<_>>().join("; "))
}

pub fn hook(version: u32, index: u16) -> Hook {
    Hook {
        document: name("nav"),
        revision: chosen(1, version).revision,
        index,
    }
}

fn work() -> Work {
    Work {
        checks: vec![name("nav")],
        writes: true,
        hooks: vec![hook(2, 0), hook(2, 1)],
        probes: vec![name("nav")],
        confirm_ms: Some(20_000),
        back: vec![hook(1, 0)],
    }
}

#[test]
fn a_change_goes_through_every_step_and_each_is_kept_before_it_is_begun() {
    let mut bench = Bench::with_nav();
    assert_eq!(
        bench.want(&[("nav", 2, 2)]),
        ["keep 2 staging 0", "stage [\"nav\"]"]
    );
    assert_eq!(bench.staged(work()), ["keep 2 check 0", "check nav"]);
    assert_eq!(bench.done(), ["keep 2 writing 0", "write"]);
    assert_eq!(bench.done(), ["keep 2 hook 0", "run nav@2 0"]);
    assert_eq!(bench.done(), ["keep 2 hook 1", "run nav@2 1"]);
    assert_eq!(bench.done(), ["keep 2 healthy 0", "probe nav"]);
    assert_eq!(bench.machine.wake_at(), None);
    assert_eq!(bench.done(), ["keep 2 confirm 0", "ask"]);
    assert_eq!(bench.machine.wake_at(), Some(Millis(5_000)));
    bench.now = Millis(5_000);
    assert_eq!(bench.feed(Event::Wake), ["ask"]);
    assert_eq!(
        bench.feed(Event::ManagerHeard),
        ["keep", "discard 2", "tell nav@2 Applied"]
    );
    assert_eq!(bench.machine.wake_at(), None);
    assert_eq!(bench.reported(), ["keep"]);
    assert_eq!(bench.kept.good, Choice::from([(name("nav"), chosen(2, 2))]));
}

#[test]
fn what_changes_nothing_is_not_confirmed() {
    let mut bench = Bench::with_nav();
    bench.want(&[("nav", 2, 2)]);
    let nothing = Work {
        writes: false,
        confirm_ms: Some(20_000),
        ..Work::default()
    };
    assert_eq!(
        bench.staged(nothing),
        ["keep", "discard 2", "tell nav@2 Applied"]
    );
}

#[test]
fn what_fails_before_writing_is_refused_and_not_tried_again() {
    let mut bench = Bench::with_nav();
    bench.want(&[("nav", 2, 2)]);
    bench.staged(work());
    let refused = [
        "keep",
        "discard 2",
        "tell nav@2 Refused; check of nav: exit code 1",
    ];
    assert_eq!(bench.failed("exit code 1"), refused);
    bench.reported();
    assert_eq!(bench.want(&[("nav", 2, 2)]), [""; 0]);
    assert_eq!(bench.restart(), ["discard 2"]);
    assert_eq!(bench.want(&[("nav", 2, 2)]), [""; 0]);
    // Another one is wanted, and then this one after all.
    assert_eq!(bench.want(&[("nav", 1, 1)]), ["keep"]);
    assert_eq!(
        bench.want(&[("nav", 2, 2)]),
        ["keep 3 staging 0", "stage [\"nav\"]"]
    );
    bench.staged(work());
    bench.failed("exit code 1");
    bench.reported();
    let again = bench.feed(Event::Retry(Some(name("nav"))));
    assert_eq!(again, ["keep 4 staging 0", "stage [\"nav\"]"]);
}

#[test]
fn what_fails_later_is_taken_back_with_the_old_hooks() {
    for (good_steps, step) in [(1, "writing"), (2, "hook of nav"), (4, "healthy of nav")] {
        let mut bench = Bench::with_nav();
        bench.want(&[("nav", 2, 2)]);
        bench.staged(work());
        for _ in 0..good_steps {
            bench.done();
        }
        assert_eq!(bench.failed("broken"), ["keep 2 restoring 0", "restore"]);
        assert_eq!(
            bench.done(),
            ["keep 2 hook when going back 0", "run nav@1 0"]
        );
        let told = format!("tell nav@2 TakenBack; {step}: broken");
        assert_eq!(bench.done(), ["keep", "discard 2", told.as_str()]);
        assert_eq!(bench.kept.good[&name("nav")].version, 1);
        assert_eq!(bench.kept.faults.len(), 1);
    }
}

#[test]
fn what_no_manager_confirms_is_taken_back() {
    let mut bench = Bench::with_nav();
    bench.want(&[("nav", 2, 2)]);
    bench.staged(work());
    assert_eq!(
        bench.feed(Event::ManagerHeard),
        [""; 0],
        "too early to count"
    );
    for _ in 0..5 {
        bench.done();
    }
    // The time starts anew with the node.
    bench.now = Millis(19_000);
    assert_eq!(bench.restart(), ["discard 1", "keep 2 confirm 0", "ask"]);
    bench.now = Millis(38_999);
    assert_eq!(bench.feed(Event::Wake), ["ask"]);
    bench.now = Millis(39_000);
    assert_eq!(bench.feed(Event::Wake), ["keep 2 restoring 0", "restore"]);
    bench.done();
    let told = "tell nav@2 TakenBack; confirm: no manager was heard within 20000 ms";
    assert_eq!(bench.done(), ["keep", "discard 2", told]);
}

#[test]
fn after_a_kill_the_task_is_begun_again_and_a_hook_is_told_of() {
    let mut bench = Bench::with_nav();
    let killed = |bench: &mut Bench, expected: &[&str]| {
        let mut lines = vec!["discard 1"];
        lines.extend(expected);
        assert_eq!(bench.restart(), lines);
    };
    bench.want(&[("nav", 2, 2)]);
    killed(&mut bench, &["stage [\"nav\"]"]);
    bench.staged(work());
    killed(&mut bench, &["keep 2 check 0", "check nav"]);
    bench.done();
    killed(&mut bench, &["write"]);
    bench.done();
    killed(&mut bench, &["keep 2 hook 0", "run nav@2 0"]);
    bench.done();
    bench.done();
    killed(&mut bench, &["keep 2 healthy 0", "probe nav"]);
    bench.done();
    killed(&mut bench, &["keep 2 confirm 0", "ask"]);
    let told = "tell nav@2 Applied again";
    assert_eq!(bench.feed(Event::ManagerHeard), ["keep", "discard 2", told]);
    // It was not said that the outcome was taken, so it is told again.
    assert_eq!(bench.restart(), ["discard 2", told]);
    assert_eq!(bench.want(&[("nav", 3, 3)]), [""; 0], "that comes first");
    assert_eq!(bench.reported(), ["keep 3 staging 0", "stage [\"nav\"]"]);
}

#[test]
fn a_hook_that_ends_the_node_each_time_is_taken_back() {
    let mut bench = Bench::with_nav();
    bench.want(&[("nav", 2, 2)]);
    bench.staged(work());
    bench.done();
    bench.done();
    for _ in 0..STARTS_MAX {
        let again = ["discard 1", "keep 2 hook 0", "run nav@2 0"];
        assert_eq!(bench.restart(), again);
    }
    assert_eq!(
        bench.restart(),
        ["discard 1", "keep 2 restoring 0", "restore"]
    );
    // With the old files it does the same.
    assert_eq!(bench.done()[1], "run nav@1 0");
    for _ in 0..STARTS_MAX {
        assert_eq!(bench.restart()[2], "run nav@1 0");
    }
    let told = "tell nav@2 Stuck again; hook of nav: the node ended 8 times while this went on; hook when \
                going back of nav: the node ended 8 times while this went on";
    assert_eq!(bench.restart(), ["discard 1", "keep 2 stuck 0", told]);
    assert_eq!(bench.restart(), ["discard 1", told], "and the device lives");
    bench.reported();
    assert_eq!(bench.want(&[("nav", 2, 2)]), [""; 0]);
    assert_eq!(bench.want(&[("nav", 3, 3)])[2], "stage [\"nav\"]");
}

#[test]
fn what_comes_late_does_not_count() {
    let mut bench = Bench::with_nav();
    bench.want(&[("nav", 2, 2)]);
    let staging = bench.task();
    bench.staged(work());
    let check = bench.task();
    let result = Ok(Work::default());
    assert_eq!(
        bench.feed(Event::Staged {
            task: staging,
            result
        }),
        [""; 0]
    );
    bench.done();
    let result = Err("late".to_owned());
    assert_eq!(
        bench.feed(Event::Done {
            task: check,
            result
        }),
        [""; 0]
    );
    let older = Task {
        attempt: 1,
        ..bench.task()
    };
    let result = Ok(());
    assert_eq!(
        bench.feed(Event::Done {
            task: older,
            result
        }),
        [""; 0]
    );
    assert_eq!(bench.task().step, Step::Writing);
}

#[test]
fn of_several_groups_the_bad_one_is_found_and_the_others_hold() {
    let mut bench = Bench::new();
    let three = [("a", 1, 1), ("b", 2, 2), ("c", 1, 3)];
    assert_eq!(bench.want(&three)[1], "stage [\"a\", \"b\", \"c\"]");
    let apart = "tell a@1 Apart; b@2 Apart; c@3 Apart; staging: no";
    let task = bench.task();
    let no = |task: Task| {
        let result = Err("no".to_owned());
        Event::Staged { task, result }
    };
    assert_eq!(bench.feed(no(task)), ["keep", "discard 1", apart]);
    assert_eq!(bench.restart(), ["discard 1", apart]);
    bench.reported();
    assert_eq!(bench.want(&three)[1], "stage [\"a\", \"c\"]");
    // What is wanted meanwhile waits until each was tried by itself.
    assert_eq!(
        bench.want(&[three[0], three[1], three[2], ("d", 9, 9)]),
        [""; 0]
    );
    let task = bench.task();
    let told = "tell a@1 Refused; c@3 Refused; staging: no";
    assert_eq!(bench.feed(no(task)), ["keep", "discard 2", told]);
    assert_eq!(bench.reported()[1], "stage [\"b\"]");
    bench.staged(Work::default());
    assert_eq!(bench.reported()[1], "stage [\"d\"]");
    bench.staged(Work::default());
    assert_eq!(bench.reported(), ["keep"]);
    // The whole group is tried when one of it is asked for.
    let again = bench.feed(Event::Retry(Some(name("c"))));
    assert_eq!(again[1], "stage [\"a\", \"c\"]");
}

#[test]
fn what_one_entry_ends_and_brings_goes_together() {
    let mut bench = Bench::with_nav();
    let take = Choice::from([(name("navigation"), chosen(5, 5))]);
    let ended = BTreeMap::from([(name("nav"), Hash([5; 32]))]);
    let wanted = Wanted::new(take, ended).expect("few");
    let lines = bench.feed(Event::Wanted(wanted));
    assert_eq!(lines[1], "stage [\"nav\", \"navigation\"]");
    let told = "tell nav@1 Removed; navigation@5 Applied";
    assert_eq!(bench.staged(Work::default()), ["keep", "discard 2", told]);
}

/// An attempt that is on its way back after its probe failed.
pub fn going_back() -> Bench {
    let mut bench = Bench::with_nav();
    bench.want(&[("nav", 2, 2)]);
    bench.staged(work());
    for _ in 0..4 {
        bench.done();
    }
    bench.failed("sick");
    bench
}

#[test]
fn what_cannot_be_restored_is_stuck_and_tried_at_starts_when_asked_and_when_more_is_wanted() {
    let mut bench = going_back();
    let told = "tell nav@2 Stuck; healthy of nav: sick; restoring: disk full";
    assert_eq!(bench.failed("disk full"), ["keep 2 stuck 0", told]);
    bench.reported();
    assert_eq!(bench.want(&[("nav", 2, 2)]), [""; 0], "nothing new");
    for _ in 0..BACKS_MAX {
        assert_eq!(
            bench.restart(),
            ["discard 1", "keep 2 restoring 0", "restore"]
        );
        bench.failed("disk full");
        bench.reported();
    }
    assert_eq!(bench.restart(), ["discard 1"], "that was often enough");
    assert_eq!(bench.want(&[("nav", 2, 2)]), [""; 0]);
    assert_eq!(
        bench.want(&[("nav", 3, 3)]),
        ["keep 2 restoring 0", "restore"]
    );
    bench.failed("disk full");
    bench.reported();
    let asked = bench.feed(Event::Retry(None));
    assert_eq!(asked, ["keep 2 restoring 0", "restore"]);
    bench.done();
    assert_eq!(
        bench.done()[2],
        "tell nav@2 TakenBack; healthy of nav: sick"
    );
    assert_eq!(bench.reported()[1], "stage [\"nav\"]");
}

#[test]
fn a_hook_that_fails_on_the_way_back_holds_up_nothing_else_and_stays_owed() {
    let mut bench = going_back();
    assert_eq!(
        bench.done(),
        ["keep 2 hook when going back 0", "run nav@1 0"]
    );
    let told = "tell nav@2 Stuck; healthy of nav: sick; hook when going back of nav: exit 1";
    assert_eq!(bench.failed("exit 1"), ["keep 2 stuck 0", told]);
    assert_eq!(bench.kept.owed, BTreeSet::from([hook(1, 0)]));
    bench.reported();
    // Asked, it goes back again and then tries what was asked for.
    assert_eq!(
        bench.feed(Event::Retry(None)),
        ["keep 2 restoring 0", "restore"]
    );
    bench.done();
    bench.failed("exit 1");
    bench.reported();
    // Another document is not held up, and the revision that holds is a change while it is owed.
    let lines = bench.want(&[("nav", 1, 1), ("map", 4, 4)]);
    assert_eq!(
        lines,
        ["keep 3 staging 0", "discard 2", "stage [\"map\", \"nav\"]"]
    );
    let hooks = Work {
        hooks: vec![hook(1, 0)],
        ..Work::default()
    };
    bench.staged(hooks);
    assert_eq!(bench.done()[2], "tell map@4 Applied; nav@1 Applied");
    assert_eq!(bench.kept.owed, BTreeSet::new());
}

#[test]
fn what_is_owed_is_made_up_for_when_the_next_try_is_refused() {
    let mut bench = going_back();
    bench.done();
    bench.failed("exit 1");
    bench.reported();
    bench.want(&[("nav", 3, 3)]);
    // Nothing of it is written, so no other hook would tell nav of the files that hold.
    let task = bench.task();
    let result = Err("no".to_owned());
    let back = ["keep 3 hook when going back 0", "run nav@1 0"];
    assert_eq!(bench.feed(Event::Staged { task, result }), back);
    assert_eq!(bench.done()[2], "tell nav@3 Refused; staging: no");
    assert_eq!(bench.kept.owed, BTreeSet::new());
}
