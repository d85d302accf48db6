//! How long something lasts, as it is typed: `30m`, `24h`, `7d`.

use std::time::Duration;

/// Reads a length of time, in milliseconds.
///
/// # Errors
/// When it is none, or nothing.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = |error: String| format!("{error}; write it as 90s, 30m, 24h or 7d");
    let read: Duration = humantime::parse_duration(text)
        .map_err(|_| wrong("that is no length of time".to_owned()))?;
    let ms = u64::try_from(read.as_millis()).map_err(|_| wrong("too long".to_owned()))?;
    if ms == 0 {
        return Err(wrong("that is no time at all".to_owned()));
    }
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_people_type_is_read_and_nonsense_says_how_to_write_it() {
        assert_eq!(parse("90s"), Ok(90_000));
        assert_eq!(parse("24h"), Ok(86_400_000));
        assert_eq!(parse("1d 12h"), Ok(129_600_000));
        for wrong in ["", "24", "soon", "0s", "99999999999999999999h", "-1h"] {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains("90s, 30m, 24h or 7d"), "{wrong}: {error}");
        }
    }
}
