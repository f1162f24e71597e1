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

/// `2026-11-22T02:10:16Z` in the local zone.
pub(crate) fn rfc3339(seconds: i64) -> String {
    shown(Timestamp::from_second(seconds).ok(), "%Y-%m-%dT%H:%M:%S")
}

/// `2026-11-22T02:10:16.000000001Z` in the local zone.
pub(crate) fn rfc3339_nano(nanoseconds: i64) -> String {
    shown(Timestamp::from_nanosecond(i128::from(nanoseconds)).ok(), "%Y-%m-%dT%H:%M:%S.%9f")
}

fn shown(time: Option<Timestamp>, format: &str) -> String {
    let Some(time) = time else { return String::new() };
    let zoned = time.to_zoned(TimeZone::system());
    let zone = if zoned.offset().seconds() == 0 { "Z".to_owned() } else { zoned.strftime("%:z").to_string() };
    format!("{}{zone}", zoned.strftime(format))
}

/// `2026-11-22 02:10:16.000000001 +0000 UTC` in the local zone.
pub(crate) fn local_moment(time: Timestamp) -> String {
    let zoned = time.to_zoned(TimeZone::system());
    let fraction = zoned.strftime("%.f").to_string();
    format!("{}{fraction} {}", zoned.strftime("%Y-%m-%d %H:%M:%S"), zoned.strftime("%z %Z"))
}

/// `2026-11-22 02:10:16 +0000 UTC` in the local zone.
pub(crate) fn local_time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => seconds.to_string(),
    }
}
