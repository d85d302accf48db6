//! Scenarios: named sequences on which designs like this one break, written as data.
//!
//! Each is a list of steps that [`player`] carries out; the seed moves what the steps leave open:
//! delays, and who dials whom. A step that expects something is checked on every node.

pub mod attacks;
pub mod documents;
pub mod expect;
pub mod player;
pub mod ranges;
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
        documents::all(),
        ranges::all(),
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
    use crate::scheme::Scheme;

    fn broken(seeds: std::ops::RangeInclusive<u64>, scheme: Scheme) -> Vec<String> {
        let mut broken = Vec::new();
        for scenario in all() {
            for seed in seeds.clone() {
                let violations = player::play(&scenario, seed, scheme).violations;
                let said = violations
                    .iter()
                    .map(|violation| format!("seed {seed}: {}", violation.what));
                broken.extend(said);
            }
        }
        broken
    }

    #[test]
    fn every_scenario_holds_with_some_seeds() {
        let broken = broken(1..=4, Scheme::Cheap);
        assert!(broken.is_empty(), "{broken:#?}");
    }

    #[test]
    fn every_scenario_holds_with_real_signatures() {
        let broken = broken(5..=5, Scheme::Real);
        assert!(broken.is_empty(), "{broken:#?}");
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
