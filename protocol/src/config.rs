//! Configuration: what a document says, what a device makes of all of them, and how it takes it on.

pub mod document;
pub mod resolve;
pub mod value;
