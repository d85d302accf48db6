//! All that a node holds, and what follows from it.
