//! How things are shown: tables, sizes, ages, times, ports, JSON.

mod age;
mod json;
mod listing;
mod moment;
mod port;
mod size;
mod table;

pub(crate) use age::age;
pub(crate) use json::indented;
pub(crate) use listing::{Listing, Row, row};
pub(crate) use moment::{local_moment, local_time, now_s, parse_rfc3339, rfc3339, rfc3339_nano};
pub(crate) use port::ports;
pub(crate) use size::{binary_size, decimal_size, decimal_size_with};
pub(crate) use table::aligned;

/// The first 12 digits of an id, without its algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// `text` cut to `most` columns, ending in `…` when something was cut.
pub(crate) fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `text` in double quotes, with Go's escapes.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() && (control as u32) < 0x80 => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
