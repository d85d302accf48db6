//! Rollout, rule by rule, and simulated.

mod fleet;
mod rules;
