//! What the `regatta` binary is assembled from.
