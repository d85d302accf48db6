//! Reference time: the lower median of what managers lately signed, never below its stored floor.
