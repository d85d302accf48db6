//! The control API: what a node answers on its unix socket, and how the command line asks.

pub mod api;
pub mod client;
pub mod server;
