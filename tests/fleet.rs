//! Whole nodes in one process, in virtual time: forming, partitions, losses, power cuts.

#[path = "fleet/failures.rs"]
mod failures;
#[path = "fleet/forming.rs"]
mod forming;
#[path = "fleet/losses.rs"]
mod losses;
#[path = "fleet/partitions.rs"]
mod partitions;
#[path = "fleet/strangers.rs"]
mod strangers;
