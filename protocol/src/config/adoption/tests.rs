//! Adoption, path by path, and under torture.

mod device;
mod kept;
mod paths;
mod torture;
