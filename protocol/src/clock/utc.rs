//! A moment of wall time as people read it: RFC 3339 in UTC, to the second.

use std::fmt;

use crate::machine::Millis;

/// The last second that has such a text; later ones are shown as it.
const LAST_SECOND: u64 = 253_402_300_799;
const DAY_SECONDS: u64 = 86_400;

/// Wall time, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc(pub Millis);

impl fmt::Display for Utc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.0.0 / 1000).min(LAST_SECOND);
        let (year, month, day) = date(seconds / DAY_SECONDS);
        let rest = seconds % DAY_SECONDS;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// The date so many days after 1970-01-01, counted in years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::Utc;
    use crate::machine::Millis;

    #[test]
    fn moments_are_dates_and_the_far_future_is_its_last_second() {
        let text = |seconds: u64| Utc(Millis(seconds * 1000 + 999)).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(text(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(text(1_772_323_200), "2026-03-01T00:00:00Z");
        let last = Utc(Millis(u64::MAX)).to_string();
        assert_eq!(last, "9999-12-31T23:59:59Z");
    }
}
