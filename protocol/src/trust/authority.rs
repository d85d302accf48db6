//! The one function that answers who may do what.
