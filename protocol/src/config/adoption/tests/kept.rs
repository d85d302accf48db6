//! What an adoption keeps: its bytes and its bounds.

use std::collections::BTreeMap;

use super::device::{chosen, name};
use super::paths::{Bench, going_back, hook};
use crate::codec;
use crate::config::adoption::{
    AdoptionState, Attempt, Change, Choice, DOCUMENTS_MAX, Event, FAULTS_MAX, Hook, Refusal,
    TASKS_MAX, TooManyDocuments, Wanted, Work,
};
use crate::config::outcome::{
    DocumentOutcome, FAULT_BYTES_MAX, Fault, OUTCOME_DOCUMENTS_MAX, Outcome, Step, Verdict,
};
use crate::ident::Hash;

#[test]
fn more_tasks_than_are_run_at_once_are_refused() {
    let mut bench = Bench::new();
    bench.want(&[("nav", 1, 1)]);
    let work = Work {
        hooks: vec![hook(1, 0); TASKS_MAX + 1],
        ..Work::default()
    };
    let told =
        "tell nav@1 Refused; staging: 1025 checks, hooks and probes; at most 1024 are run at once";
    assert_eq!(bench.staged(work)[2], told);
}

fn many(count: usize, prefix: &str) -> Choice {
    let documents = 0..count;
    documents
        .map(|index| (name(&format!("{prefix}{index:063}")), chosen(1, 1)))
        .collect()
}

#[test]
fn more_documents_than_a_device_takes_are_said() {
    let found = DOCUMENTS_MAX + 1;
    let wanted = Wanted::new(many(found, "a"), BTreeMap::new());
    assert_eq!(wanted, Err(TooManyDocuments { found }));
}

#[test]
fn many_documents_are_told_of_in_parts() {
    let mut bench = Bench::new();
    let wanted = Wanted::new(many(OUTCOME_DOCUMENTS_MAX + 1, "a"), BTreeMap::new());
    bench.feed(Event::Wanted(wanted.expect("few enough")));
    assert_eq!(bench.staged(Work::default()).len(), 4);
    let documents = |outcome: &Outcome| outcome.documents.len();
    let parts: Vec<usize> = bench.kept.reports.iter().map(documents).collect();
    assert_eq!(parts, [OUTCOME_DOCUMENTS_MAX, 1]);
}

fn large_state() -> AdoptionState {
    let (good, wanted) = (many(DOCUMENTS_MAX, "a"), many(DOCUMENTS_MAX, "b"));
    let fault = Fault::new(
        Step::Restoring,
        Some(name(&"n".repeat(64))),
        &"x".repeat(FAULT_BYTES_MAX),
    );
    let by = Some(Hash([1; 32]));
    let leave = good.keys().map(|name| (name.clone(), Change::Leave { by }));
    let take = wanted
        .iter()
        .map(|(name, chosen)| (name.clone(), Change::Take(*chosen)));
    let changes: BTreeMap<_, _> = leave.chain(take).collect();
    let document = DocumentOutcome {
        revision: Some(chosen(1, 1).revision),
        version: 1,
        verdict: Verdict::Apart,
        again: true,
    };
    let documents: Vec<_> = changes
        .keys()
        .map(|name| (name.clone(), document.clone()))
        .collect();
    let reports = documents
        .chunks(OUTCOME_DOCUMENTS_MAX)
        .map(|documents| Outcome {
            number: 1,
            attempt: 1,
            documents: documents.iter().cloned().collect(),
            fault: Some(fault.clone()),
            stuck: Some(fault.clone()),
        });
    let hook = Hook {
        document: name(&"n".repeat(64)),
        revision: chosen(1, 1).revision,
        index: 1,
    };
    let reports = reports.collect();
    let attempt = Attempt {
        number: 1,
        step: Step::Restoring,
        index: 1,
        work: Work {
            hooks: vec![hook.clone(); TASKS_MAX],
            confirm_ms: Some(1),
            ..Work::default()
        },
        fault: Some(fault.clone()),
        stuck: Some(fault.clone()),
        again: changes.keys().take(TASKS_MAX).cloned().collect(),
        backs: 1,
        retry: true,
        changes,
    };
    AdoptionState {
        refused: BTreeMap::new(),
        faults: (0..FAULTS_MAX as u64)
            .map(|number| (number, fault.clone()))
            .collect(),
        apart: attempt.changes.keys().cloned().collect(),
        owed: (0..TASKS_MAX as u16)
            .map(|index| Hook {
                index,
                ..hook.clone()
            })
            .collect(),
        attempt: Some(attempt),
        attempts: 1,
        reports,
        outcomes: 1,
        good,
    }
}

#[test]
fn the_largest_state_fits() {
    // What is refused is not changed at the same time, and costs less.
    let state = large_state();
    assert!(codec::fits(&state), "{}", codec::encoded_len(&state));
}

#[test]
fn a_state_keeps_its_bytes() {
    let mut bench = going_back();
    bench.failed("disk full");
    let mut state = bench.kept;
    state.apart.insert(name("map"));
    state.owed.insert(hook(1, 0));
    let change = Change::Leave {
        by: Some(Hash([8; 32])),
    };
    state
        .refused
        .insert(name("old"), Refusal { change, attempt: 1 });
    let bytes = codec::encode(&state);
    assert_eq!(codec::decode::<AdoptionState>(&bytes).as_ref(), Ok(&state));
    let hash = Hash::of(&bytes).to_string();
    assert_eq!((bytes.len(), &hash[..16]), (769, "0c8d240bf1b5110c"));
}
