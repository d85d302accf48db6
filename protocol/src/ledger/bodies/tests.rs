//! Tests of the machine: who may read, and whole meshes with cut links, loss and liars.

mod abuse;
mod fleet;
mod mesh;
mod readers;
mod searches;
mod swarm;
mod transfers;
