//! Points in time: the clock, RFC 3339 from the daemon, and local time as Docker prints it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds since the Unix epoch.
pub(crate) fn now_s() -> i64 {
    Timestamp::now().as_second()
}

/// An RFC 3339 time; `None` for what is not one and for Docker's zero time.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|time: &Timestamp| time.as_second() > -62_135_596_800)
}

/// `2026-11-22 02:10:16 +0000 UTC` in the local zone.
pub(crate) fn local_time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => seconds.to_string(),
    }
}
