//! What the control API says, as JSON that scripts may rely on.
//!
//! Names come before ids, states are lower-case words, moments are RFC 3339 in UTC, and durations
//! are whole numbers whose name ends in their unit. Fields are added and never change their meaning.

mod asks;
mod config;
mod devices;
mod invites;
mod paths;
mod problem;
mod status;

pub use self::asks::{GrantAsk, InviteAsk, LabelAsk, RevokeAsk, SignedInviteText, StatementText};
pub use self::config::{
    Applied, ApplyAsk, BodyGiven, ConfigCounts, ConfigDetail, ConfigDevice, ConfigState,
    ConfigSummary, ConfigVersion, Conflict, DocumentChange, DriftedFile, Effective, Explanation,
    LocalValue, Preview, RollbackAsk, RolloutAction, RolloutAsk, RolloutCounts, RolloutStatus,
    Saying,
};
pub use self::devices::{
    Copied, Device, DeviceDetail, DeviceState, Enrolment, Heard, KeyPrint, Labels, Papers, Role,
};
pub use self::invites::{Granted, Invite, InviteGiven, InviteState, ManagerRequest, Saved};
pub use self::paths::{Check, Metric, MetricKind, PathKind, PathReport, Pong, PongLine};
pub use self::problem::{Problem, ProblemKind, one_line};
pub use self::status::{
    DeviceCounts, Disk, FleetInfo, FleetName, Ledgers, Manager, ManagerState, ManagerStop,
    NodeName, Reach, Status, Time,
};

/// A moment: RFC 3339 in UTC, to the second.
pub type Moment = String;

/// A moment as the API writes it, from milliseconds since 1970.
#[must_use]
pub fn moment(unix_ms: u64) -> Moment {
    // The last second of the year 9999: later ones have no RFC 3339 text.
    const SECONDS_MAX: u64 = 253_402_300_799;
    let seconds = std::time::Duration::from_secs((unix_ms / 1000).min(SECONDS_MAX));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339_in_utc_and_never_fail() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_767_225_600_999), "2026-01-01T00:00:00Z");
        assert_eq!(moment(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
