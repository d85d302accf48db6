//! What a run did, and its verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::invariants::{Seen, Violation};
use crate::network::Carried;
use crate::run::Spec;
use crate::world::Done;

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What kind of fleet it had.
    pub spec: Spec,
    /// What happened to it.
    pub happened: BTreeMap<&'static str, u64>,
    /// What the machines handled.
    pub done: Done,
    /// What the network carried.
    pub carried: Carried,
    /// What the invariants saw.
    pub seen: Seen,
    /// How long the fleet took after the storm to hold the same; none where it did not.
    pub equal_ms: Option<u64>,
    /// How long it took to draw the same from it; none where it did not.
    pub converged_ms: Option<u64>,
    /// Who differed in what, where they never agreed.
    pub disagreement: Vec<String>,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// Wall time of the run.
    pub took: Duration,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.converged_ms.is_some()
    }

    /// Events that machines handled.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.done.events
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.spec;
        let push = if spec.push { "on" } else { "off" };
        writeln!(
            out,
            "seed {}: {} nodes, {} managers, push {push}, {:?} signatures",
            spec.seed, spec.nodes, spec.managers, spec.scheme
        )?;
        let acts: Vec<String> = self
            .happened
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        writeln!(out, "  happened   {}", acts.join(", "))?;
        let seen = &self.seen;
        writeln!(
            out,
            "  entries    {} written, {} refused; alarms: {} forks, {} restored; {} hung up",
            seen.written, seen.refused, seen.forks, seen.restored, seen.hung_up
        )?;
        writeln!(
            out,
            "  network    {} messages, {} bytes, {} lost",
            self.carried.messages, self.carried.bytes, self.carried.lost
        )?;
        let seconds = self.took.as_secs_f64().max(1e-9);
        writeln!(
            out,
            "  events     {} in {seconds:.2} s, {:.0} a second",
            self.done.events,
            self.done.events as f64 / seconds
        )?;
        writeln!(out, "  trace      {:016x}", self.done.trace)?;
        for violation in &self.violations {
            writeln!(
                out,
                "  BROKEN     at {} ms, node {}: {}",
                violation.at.0, violation.node, violation.what
            )?;
        }
        for line in &self.disagreement {
            writeln!(out, "  differs    {line}")?;
        }
        if let Some(ms) = self.equal_ms {
            writeln!(out, "  equal      {ms} ms after the storm")?;
        }
        match self.converged_ms {
            Some(ms) if self.violations.is_empty() => {
                write!(out, "  verdict    good; all agreed {ms} ms after the storm")
            }
            Some(ms) => write!(
                out,
                "  verdict    BROKEN; all agreed {ms} ms after the storm"
            ),
            None => write!(
                out,
                "  verdict    BROKEN; the nodes never agreed after the storm"
            ),
        }
    }
}
