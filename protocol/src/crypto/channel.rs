//! The Noise channel between two members, as a state machine.

pub(crate) mod noise;
