//! `audit --since`: as `logs --since`, and also days and weeks ago (`7d`, `2w`).

use super::instant;
use jiff::Timestamp;

const DAY_S: i64 = 86_400;

/// The API's form, seconds with nanoseconds since the Unix epoch.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<String, String> {
    let whole = |unit: char| text.strip_suffix(unit).and_then(|digits| digits.parse::<i64>().ok());
    let days = whole('d').or_else(|| whole('w').and_then(|weeks| weeks.checked_mul(7)));
    let Some(days) = days else { return instant::parse(text, now) };
    let seconds = days.checked_mul(DAY_S).and_then(|ago| now.as_second().checked_sub(ago));
    match seconds {
        Some(seconds) if days >= 0 => Ok(format!("{seconds}.000000000")),
        _ => Err(format!("`{text}` ago is out of range")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_weeks_are_reckoned_back() {
        let now = Timestamp::from_second(10_000_000).unwrap();
        assert_eq!(parse("2d", now).as_deref(), Ok("9827200.000000000"));
        assert_eq!(parse("1w", now).as_deref(), Ok("9395200.000000000"));
        assert_eq!(parse("1h", now).as_deref(), Ok("9996400.000000000"));
        for bad in ["-1d", "99999999999999999d", "yesterday"] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}
