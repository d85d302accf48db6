//! What the `regatta` binary is assembled from.

pub mod cli;
pub mod exit;
