//! Seeded simulator of whole fleets.
