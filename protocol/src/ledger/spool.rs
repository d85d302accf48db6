//! The writing side of a pulled ledger.
