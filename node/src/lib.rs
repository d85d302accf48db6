//! What the `regatta` binary is assembled from.

pub mod cli;
pub mod control;
pub mod desk;
pub mod exit;
pub mod log;
pub mod settings;
pub mod systemd;
