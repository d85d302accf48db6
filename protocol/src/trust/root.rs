//! Root documents and their rotation.
