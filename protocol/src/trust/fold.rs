//! The fold of trust.
