//! Sealing a value for a set of devices, and opening it.
