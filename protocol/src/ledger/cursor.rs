//! The reading side of a pulled ledger.
