//! Whole nodes in one process, in virtual time: forming, partitions, losses, power cuts.
#![expect(
    clippy::print_stdout,
    reason = "figures of a run, for whoever asks with --nocapture"
)]

#[path = "fleet/certificates.rs"]
mod certificates;
#[path = "fleet/clocks.rs"]
mod clocks;
#[path = "fleet/clones.rs"]
mod clones;
#[path = "fleet/config.rs"]
mod config;
#[path = "fleet/disks.rs"]
mod disks;
#[path = "fleet/failures.rs"]
mod failures;
#[path = "fleet/floods.rs"]
mod floods;
#[path = "fleet/forming.rs"]
mod forming;
#[path = "fleet/great.rs"]
mod great;
#[path = "fleet/lan.rs"]
mod lan;
#[path = "fleet/lapses.rs"]
mod lapses;
#[path = "fleet/losses.rs"]
mod losses;
#[path = "fleet/managers.rs"]
mod managers;
#[path = "fleet/partitions.rs"]
mod partitions;
#[path = "fleet/rollouts.rs"]
mod rollouts;
#[path = "fleet/strangers.rs"]
mod strangers;
