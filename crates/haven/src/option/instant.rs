//! `--since` and `--until`: a time, a time stamp, or how long ago.

use super::duration;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// The API's form, seconds with nanoseconds since the Unix epoch: from RFC 3339 or a part of it, seconds, or a
/// duration before `now`.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<String, String> {
    if let Ok(ago) = duration::parse(text)
        && text != "0"
    {
        let then = now
            .as_nanosecond()
            .checked_sub(i128::from(ago))
            .and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).ok())
            .ok_or_else(|| format!("`{text}` ago is out of range"))?;
        return Ok(written(then));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.matches('.').count() <= 1
    {
        return Ok(text.to_owned());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(written(time));
    }
    // Without a zone the time is local; `Z` at the end of a date alone is dropped.
    let bare = text.strip_suffix('Z').unwrap_or(text);
    let civil = bare
        .parse::<DateTime>()
        .ok()
        .or_else(|| bare.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)))
        .or_else(|| DateTime::strptime("%Y-%m-%dT%H:%M", bare).ok())
        .or_else(|| DateTime::strptime("%Y-%m-%dT%H", bare).ok());
    let zone = if bare.len() < text.len() { TimeZone::UTC } else { TimeZone::system() };
    civil
        .and_then(|civil| civil.to_zoned(zone).ok())
        .map(|zoned| written(zoned.timestamp()))
        .ok_or_else(|| format!("`{text}` is not a time; write 2026-01-02T15:04:05, seconds since 1970, or 10m for ten minutes ago"))
}

fn written(time: Timestamp) -> String {
    format!("{}.{:09}", time.as_second(), time.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (text, seconds) in [
            ("10m", "999400.000000000"),
            ("1.5s", "999998.500000000"),
            ("1136073600", "1136073600"),
            ("1136073600.000000001", "1136073600.000000001"),
            ("2006-01-02T15:04:05.999999999Z", "1136214245.999999999"),
            ("2006-01-02T15:04:05+02:00", "1136207045.000000000"),
            ("2006-01-02Z", "1136160000.000000000"),
            ("2006-01-02T15:04Z", "1136214240.000000000"),
        ] {
            assert_eq!(parse(text, now).as_deref(), Ok(seconds), "{text}");
        }
        for bad in ["", "yesterday", "2006-13-01", "1.2.3", "10x"] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}
