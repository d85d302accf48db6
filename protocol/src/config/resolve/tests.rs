//! The rules of the effective tree, each in a table, and all of them against a plain one.
