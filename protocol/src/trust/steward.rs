//! The duties of a manager.
