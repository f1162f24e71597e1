//! `--expires`: how long from now, or a time to come.

use super::{duration, instant};
use jiff::Timestamp;

const DAY_S: i64 = 86_400;

/// The API's form, seconds with nanoseconds since the Unix epoch: from days (`30d`), weeks (`2w`), a duration
/// (`12h`), or a time.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<String, String> {
    let whole = |unit: char| text.strip_suffix(unit).and_then(|digits| digits.parse::<i64>().ok());
    let ahead_ns = match (whole('d'), whole('w')) {
        (Some(days), _) => days.checked_mul(DAY_S * 1_000_000_000),
        (_, Some(weeks)) => weeks.checked_mul(7 * DAY_S * 1_000_000_000),
        _ => duration::parse(text).ok(),
    };
    if let Some(ahead_ns) = ahead_ns {
        if ahead_ns <= 0 {
            return Err(format!("`{text}` from now has passed already"));
        }
        let then = now
            .as_nanosecond()
            .checked_add(i128::from(ahead_ns))
            .and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).ok())
            .ok_or_else(|| format!("`{text}` from now is out of range"))?;
        return Ok(format!("{}.{:09}", then.as_second(), then.subsec_nanosecond()));
    }
    instant::parse(text, now)
        .map_err(|_| format!("`{text}` is neither a time nor a span; write 30d, 12h or 2027-01-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_ahead() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (text, seconds) in [
            ("1d", "1086400.000000000"),
            ("2w", "2209600.000000000"),
            ("1h30m", "1005400.000000000"),
            ("2027-01-31Z", "1801353600.000000000"),
        ] {
            assert_eq!(parse(text, now).as_deref(), Ok(seconds), "{text}");
        }
        for bad in ["", "0d", "-1d", "-5m", "tomorrow", "99999999999999d", "d"] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}
