//! Selectors over labels.
