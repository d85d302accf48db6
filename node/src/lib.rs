//! What the `regatta` binary is assembled from.

pub mod cli;
pub mod control;
pub mod desk;
pub mod exit;
