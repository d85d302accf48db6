//! Invites and their uses.
