//! Keys, signatures, sealed values and the channel between two members.

pub mod channel;
pub mod seal;
pub mod sign;
