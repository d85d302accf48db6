//! What the `regatta` binary is assembled from.

pub mod cli;
pub mod control;
pub mod demo;
pub mod desk;
pub mod exit;
pub mod folder;
pub mod founding;
pub mod joining;
pub mod log;
pub mod machine;
pub mod manifest;
pub mod ports;
pub mod root_key;
pub mod running;
pub mod settings;
pub mod systemd;
pub mod text;
