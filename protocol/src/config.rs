//! Configuration: what a document says, what a device makes of all of them, and how it takes it on.

pub mod adoption;
pub mod document;
pub mod outcome;
pub mod resolve;
pub mod rollout;
pub mod selection;
pub mod standing;
pub mod value;
