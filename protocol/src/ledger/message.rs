//! What replicas say to each other.
