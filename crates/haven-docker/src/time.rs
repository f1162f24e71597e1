//! Times as the Docker API writes and reads them, and durations as `docker ps` words them.

use crate::refusal::{Answer, Refusal};
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND_NS: i64 = 1_000_000_000;

/// What stands for "never".
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

/// Nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// RFC 3339 with as many digits of the second as are not zero; 0 is "never".
pub(crate) fn rfc3339(time_ns: i64) -> String {
    if time_ns == 0 {
        return ZERO.to_owned();
    }
    jiff::Timestamp::from_nanosecond(i128::from(time_ns)).map_or_else(|_| ZERO.to_owned(), |t| t.to_string())
}

/// RFC 3339 in whole seconds, as volumes show when they were made.
pub(crate) fn rfc3339_seconds(time_ns: i64) -> String {
    rfc3339(time_ns.div_euclid(SECOND_NS) * SECOND_NS)
}

/// RFC 3339 with exactly nine digits of the second, as `docker logs --timestamps` shows.
pub(crate) fn rfc3339_nine(time_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time_ns))
        .map_or_else(|_| ZERO.to_owned(), |t| format!("{t:.9}"))
}

/// `90s`, `1h30m`, `1.5h`, `-2m` as Go writes durations; `None` when it isn't one.
fn go_duration_ns(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let scale = match &rest[..unit] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += value * scale;
        rest = &rest[unit..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is what is wanted")]
    let total = total as i64;
    Some(if negative { -total } else { total })
}

/// `1700000000` or `1700000000.123456789`.
fn unix_ns(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.checked_mul(SECOND_NS)?.checked_add(nanos)
}

/// A moment as clients give it: seconds since the epoch, RFC 3339 (without a zone: UTC), a date, or a duration
/// back from now.
pub(crate) fn moment_ns(key: &str, text: &str) -> Answer<i64> {
    let refuse = || {
        Refusal::invalid(format!(
            "invalid value for `{key}`: `{text}` is not a time (seconds since the epoch, RFC 3339, or a duration like 10m)"
        ))
    };
    if let Some(time) = unix_ns(text) {
        return Ok(time);
    }
    if let Some(duration) = go_duration_ns(text) {
        return Ok(now_ns().saturating_sub(duration));
    }
    let with_zone = text.parse::<jiff::Timestamp>().ok();
    let timestamp = with_zone.or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    });
    timestamp.and_then(|t| i64::try_from(t.as_nanosecond()).ok()).ok_or_else(refuse)
}

/// A time span as people say it: `Less than a second`, `3 minutes`, `About an hour`.
pub(crate) fn human_span(span_ns: i64) -> String {
    let seconds = span_ns.max(0) / SECOND_NS;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        assert_eq!(rfc3339(0), ZERO);
        assert_eq!(rfc3339(1_795_313_877_500_000_000), "2026-11-22T02:17:57.5Z");
        assert_eq!(rfc3339(1_795_313_877_000_000_000), "2026-11-22T02:17:57Z");
        assert_eq!(rfc3339(1_795_313_877_974_605_173), "2026-11-22T02:17:57.974605173Z");
        assert_eq!(rfc3339_nine(1_795_313_877_500_000_000), "2026-11-22T02:17:57.500000000Z");
        assert_eq!(rfc3339_seconds(1_795_313_877_974_605_173), "2026-11-22T02:17:57Z");
    }

    #[test]
    fn moments_are_read_in_every_form_clients_send() {
        for (text, time) in [
            ("1795313877", 1_795_313_877_000_000_000),
            ("1795313877.5", 1_795_313_877_500_000_000),
            ("1795313877.000000001", 1_795_313_877_000_000_001),
            ("2026-11-22T02:17:57Z", 1_795_313_877_000_000_000),
            ("2026-11-22T03:17:57+01:00", 1_795_313_877_000_000_000),
            ("2026-11-22T02:17:57", 1_795_313_877_000_000_000),
            ("2026-11-22", 1_795_305_600_000_000_000),
        ] {
            assert_eq!(moment_ns("since", text).unwrap(), time, "{text}");
        }
        let ago = now_ns() - moment_ns("since", "1h30m").unwrap();
        assert!((ago - 5400 * SECOND_NS).abs() < SECOND_NS);
        for bad in ["x", "1.2.3", "10q", "-", "1795313877.0000000001", "99999999999999999999"] {
            assert!(moment_ns("since", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_read_as_in_docker_ps() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (3 * 86_400, "3 days"),
            (21 * 86_400, "3 weeks"),
            (90 * 86_400, "3 months"),
            (800 * 86_400, "2 years"),
        ] {
            assert_eq!(human_span(seconds * SECOND_NS), words);
        }
    }
}
