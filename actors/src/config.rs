//! The actor of configuration.

pub mod ground;
pub mod hooks;
pub mod users;
