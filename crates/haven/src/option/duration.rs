//! Durations as Go writes them: `1h30m`, `1.5s`, `200ms`.

/// Nanoseconds.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid duration \"{text}\"; write it like 30s, 1m30s or 500ms");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let units: [(&str, f64); 8] = [
            ("ns", 1.0),
            ("us", 1e3),
            ("µs", 1e3),
            ("μs", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 60e9),
            ("h", 3600e9),
        ];
        let (unit, size) = units.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(invalid)?;
        total += number * size;
        rest = &rest[unit.len()..];
    }
    if total > 9.2e18 {
        return Err(invalid());
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the range was checked; fractions of nanoseconds are dropped"
    )]
    let whole = total.round() as i64;
    Ok(if negative { -whole } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("500ms", 500_000_000),
            ("3us", 3_000),
            ("-2ns", -2),
            (".5s", 500_000_000),
        ] {
            assert_eq!(parse(text), Ok(nanoseconds), "{text}");
        }
        for bad in ["", "10", "s", "1x", "1s2", "1..5s", "--1s", "99999999999h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
