//! Style rules as ordinary tests.
