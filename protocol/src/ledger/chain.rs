//! One ledger as a tree of links.
