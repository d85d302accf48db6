//! Configuration on this machine: what a device's documents make of its files.

pub mod render;
