//! Scenarios: named sequences on which designs like this one break, written as data.
//!
//! Each is a list of steps that [`player`] carries out; the seed moves what the steps leave open:
//! delays, and who dials whom. A step that expects something is checked on every node.

pub mod attacks;
pub mod bodies;
pub mod config;
pub mod configured;
pub mod documents;
pub mod dress;
pub mod expect;
pub mod player;
pub mod ranges;
pub mod secrets;
pub mod steal;
pub mod step;
pub mod thieves;
pub mod time;
pub mod trust;
pub mod verdicts;

use crate::scenarios::step::Scenario;

/// Every scenario.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [
        attacks::all(),
        bodies::all(),
        config::all(),
        documents::all(),
        ranges::all(),
        secrets::all(),
        thieves::all(),
        time::all(),
        trust::all(),
        verdicts::all(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::{all, player};
    use crate::scenarios::step::DAY;
    use crate::scheme::Scheme;

    /// What is broken in scenarios that take at most so much virtual time.
    fn broken(seed: u64, scheme: Scheme, ms_max: u64) -> Vec<String> {
        let mut broken = Vec::new();
        for scenario in all()
            .iter()
            .filter(|scenario| scenario.waits_ms() <= ms_max)
        {
            let violations = player::play(scenario, seed, scheme).violations;
            let said = violations.iter().map(|violation| violation.what.clone());
            broken.extend(said);
        }
        broken
    }

    #[test]
    fn every_scenario_holds() {
        let broken = broken(1, Scheme::Cheap, u64::MAX);
        assert!(broken.is_empty(), "{broken:#?}");
    }

    #[test]
    fn every_scenario_of_hours_holds_with_more_seeds_and_real_signatures() {
        for (seed, scheme) in [(2, Scheme::Cheap), (3, Scheme::Cheap), (4, Scheme::Real)] {
            let broken = broken(seed, scheme, DAY);
            assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<&str> = all().iter().map(|scenario| scenario.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
