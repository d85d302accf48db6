//! What a run did, and its verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::invariants::{Seen, Violation};
use crate::network::Carried;
use crate::pulled::verdict::Figures;
use crate::run::Spec;
use crate::steady::Calm;
use crate::trace::Done;

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
    /// How the fleet came to rest after the storm.
    pub calm: Calm,
    /// What became of what devices wrote for managers to pull, where they did.
    pub pulled: Option<Figures>,
    /// Who differed in what, and what else was not as it must be in the calm.
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
        self.violations.is_empty()
            && self.calm.converged_ms.is_some()
            && self.disagreement.is_empty()
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
            "  events     {} ({} of membership, {} of pulled ledgers, {} of bodies) in {seconds:.2} s, {:.0} a second",
            self.done.events,
            self.done.membership,
            self.done.pulled,
            self.done.bodies,
            self.done.events as f64 / seconds
        )?;
        writeln!(out, "  trace      {:016x}", self.done.trace)?;
        let bodies = &seen.bodies;
        writeln!(
            out,
            "  bodies     {} written, {} rode along, {} fetched, {} times not; {} liars found",
            bodies.written, bodies.ridden, bodies.fetched, bodies.failed, bodies.liars
        )?;
        let config = &seen.config;
        writeln!(
            out,
            "  config     {} applied, {} failed, {} words on rollouts, {} writes torn",
            config.applied, config.failed, config.words, config.torn
        )?;
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
        if let Some(figures) = &self.pulled {
            writeln!(out, "  pulled     {figures}")?;
        }
        writeln!(out, "  calm       {}", self.calm)?;
        match self.calm.converged_ms {
            Some(ms) if self.is_good() => {
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

impl fmt::Display for Calm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("entries equal", self.equal_ms),
            ("homes", self.homes_ms),
            ("pulls", self.pulls_ms),
            ("presence", self.presence_ms),
            ("state equal", self.converged_ms),
            ("bodies", self.bodies_ms),
            ("configured", self.settled_ms),
            ("drained", self.drained_ms),
        ];
        for (name, ms) in named {
            match ms {
                Some(ms) => write!(out, "{name} after {ms} ms, ")?,
                None => write!(out, "{name} NEVER, ")?,
            }
        }
        match self.copies.per_mille() {
            Some(copies) => write!(
                out,
                "{}.{:03} copies an entry",
                copies / 1000,
                copies % 1000
            ),
            None => write!(out, "nothing written"),
        }
    }
}
