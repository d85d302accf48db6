//! Adoption, path by path, and under torture.

mod device;
mod paths;
mod torture;
