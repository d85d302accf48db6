//! The machine that keeps ledgers equal.
