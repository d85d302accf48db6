//! The deterministic fold of entries into documents: heads, winner, conflict.
