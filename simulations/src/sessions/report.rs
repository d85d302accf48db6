//! What a run of sessions did, and its verdict.

use std::collections::BTreeMap;
use std::fmt;

use regatta_protocol::crypto::channel::Effect;
use regatta_protocol::machine::Millis;

use super::wire::EndId;
use crate::invariants::Violation;

/// What was done so far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Effects that machines asked for.
    pub events: u64,
    /// A running digest over all of them, in order.
    pub trace: u64,
    /// How often what happened.
    pub happened: BTreeMap<&'static str, u64>,
    /// The last stream's number.
    pub streams: u32,
    /// Whether the storm is over.
    pub calm: bool,
}

impl Counts {
    /// Something happened.
    pub fn note(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// A machine asked for something.
    pub fn handled(&mut self, now: Millis, end: EndId, effect: &Effect) {
        let (kind, length) = match effect {
            Effect::Send(frame) => (1, frame.len()),
            Effect::Early { requests, .. } => (2, requests.len()),
            Effect::EarlyRefused { count, .. } => (3, *count),
            Effect::Opened { greeting, .. } => (4, greeting.len()),
            Effect::Message(bytes) => (5, bytes.len()),
            Effect::RekeyDone { .. } => (6, 0),
            Effect::RenewalDue => (7, 0),
            Effect::Refused(_) => (8, 0),
            Effect::Closed { .. } => (9, 0),
        };
        match effect {
            Effect::Message(_) => self.note("messages delivered"),
            Effect::RekeyDone { .. } => self.note("keys changed"),
            Effect::RenewalDue => self.note("renewals due"),
            Effect::EarlyRefused { .. } => self.note("early requests refused"),
            _ => {}
        }
        self.events += 1;
        let words = [
            now.0,
            u64::from(end.stream),
            u64::from(end.side),
            kind,
            length as u64,
        ];
        for word in words {
            self.trace = (self.trace ^ word)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
        }
    }
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Effects that machines asked for.
    pub events: u64,
    /// How often what happened.
    pub happened: BTreeMap<&'static str, u64>,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// A digest over everything in order: equal for equal seeds.
    pub trace: u64,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, events, trace) = (self.seed, self.events, self.trace);
        writeln!(
            out,
            "sessions of seed {seed}: {events} events, trace {trace:016x}"
        )?;
        for (what, times) in &self.happened {
            writeln!(out, "  {times:>8} {what}")?;
        }
        for violation in &self.violations {
            let (at, node, what) = (violation.at.0, violation.node, &violation.what);
            writeln!(out, "  BROKEN at {at} ms on node {node}: {what}")?;
        }
        let verdict = if self.is_good() { "all held" } else { "BROKEN" };
        write!(out, "  {verdict}")
    }
}
