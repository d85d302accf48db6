//! Times, sizes, labels and states in the words of a person.

use crate::control::api::{DeviceState, Labels};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long something is: `4 s`, `3 min`, `2 h`, `5 d`.
#[must_use]
pub fn span(ms: u64) -> String {
    match ms {
        0..SECOND => format!("{ms} ms"),
        SECOND..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => format!("{} min", ms / MINUTE),
        HOUR..DAY => format!("{} h", ms / HOUR),
        _ => format!("{} d", ms / DAY),
    }
}

/// How long ago something was: `4 s ago`, `never`.
#[must_use]
pub fn ago(ms: Option<u64>) -> String {
    match ms {
        None => "never".to_owned(),
        Some(0..SECOND) => "now".to_owned(),
        Some(ms) => format!("{} ago", span(ms)),
    }
}

/// There and back: `2.1 ms`.
#[must_use]
pub fn round_trip(us: u64) -> String {
    match us {
        0..1000 => format!("{us} µs"),
        1000..100_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ => format!("{} ms", us / 1000),
    }
}

/// How large something is: `12.3 MB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10)),
        None => format!("{bytes} B"),
    }
}

/// `site=osaka,role=amr`; with what is pending in brackets.
#[must_use]
pub fn labels(labels: &Labels, pending: Option<&Labels>) -> String {
    let text = listed(labels);
    match pending {
        Some(pending) if pending.is_empty() => format!("{text} (pending: none)"),
        Some(pending) => format!("{text} (pending: {})", listed(pending)),
        None => text,
    }
}

fn listed(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    or_dash(&pairs.join(","))
}

/// A dash where there is nothing, so that columns stay columns.
#[must_use]
pub fn or_dash(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

/// `1 use`, `2 uses`.
#[must_use]
pub fn counted(number: u32, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// The colour of a device's state, as an SGR code: green, red, yellow, grey.
#[must_use]
pub fn colour(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Ready => "32",
        DeviceState::Unreachable | DeviceState::Stopped => "31",
        DeviceState::Unknown | DeviceState::Pending => "33",
        DeviceState::Forgotten => "90",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_as_somebody_would_say_them() {
        assert_eq!(ago(None), "never");
        assert_eq!(ago(Some(999)), "now");
        assert_eq!(ago(Some(4_900)), "4 s ago");
        assert_eq!(ago(Some(3 * MINUTE)), "3 min ago");
        assert_eq!(ago(Some(25 * HOUR)), "1 d ago");
        assert_eq!(span(2 * HOUR), "2 h");
        assert_eq!(round_trip(900), "900 µs");
        assert_eq!(round_trip(2_149), "2.1 ms");
        assert_eq!(round_trip(250_000), "250 ms");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(12_345_678), "12.3 MB");
        assert_eq!(size(u64::MAX), "18446744.0 TB");
        assert_eq!(counted(1, "use"), "1 use");
        assert_eq!(counted(0, "use"), "0 uses");
    }

    #[test]
    fn pending_labels_stand_beside_those_in_force() {
        let of = |pairs: &[(&str, &str)]| -> Labels {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let now = of(&[("role", "amr"), ("site", "osaka")]);
        assert_eq!(labels(&now, None), "role=amr,site=osaka");
        let next = of(&[("site", "kyoto")]);
        assert_eq!(
            labels(&now, Some(&next)),
            "role=amr,site=osaka (pending: site=kyoto)"
        );
        assert_eq!(labels(&of(&[]), Some(&of(&[]))), "- (pending: none)");
    }
}
