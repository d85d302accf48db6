//! What the root says.
