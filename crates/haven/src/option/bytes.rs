//! Amounts of memory: `128m`, `1.5g`, `64KiB`, always in powers of 1024.

/// Bytes from a number with an optional unit `b`, `k`, `m`, `g`, `t` or `p`, itself with an optional `b` or `ib`.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
    let (number, suffix) = match text.as_bytes()[last] {
        b' ' => (&text[..last], &text[last + 1..]),
        _ => (&text[..=last], &text[last + 1..]),
    };
    if number.is_empty()
        || !number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+'))
    {
        return Err(invalid());
    }
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let suffix = suffix.to_ascii_lowercase();
    let bad_suffix = || format!("invalid suffix: '{suffix}'");
    let shift: u32 = match suffix.chars().next() {
        None => 0,
        Some('b') => {
            return if suffix == "b" { whole(number).ok_or_else(invalid) } else { Err(bad_suffix()) };
        }
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        Some('p') => 50,
        Some(_) => return Err(bad_suffix()),
    };
    if suffix.len() > 1 && !matches!(&suffix[1..], "b" | "ib") {
        return Err(bad_suffix());
    }
    whole(number * (1_u64 << shift) as f64).ok_or_else(invalid)
}

/// As [`parse`], and `-1` for no limit.
pub(crate) fn parse_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { parse(text) }
}

fn whole(number: f64) -> Option<i64> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the range is checked; fractions of bytes are dropped"
    )]
    (0.0..9.2e18).contains(&number).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("128", 128),
            ("32b", 32),
            ("1k", 1024),
            ("128m", 128 << 20),
            ("1.5g", 3 << 29),
            ("2GB", 2 << 30),
            ("64KiB", 64 << 10),
            ("1 g", 1 << 30),
            ("1t", 1 << 40),
            ("1P", 1 << 50),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for bad in
            ["", "abc", "-1", "1x", "1kx", "1bb", "m", "1..2m", "1e99", "inf", "nan1", "9999999p", "١m"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_or_unlimited("-1"), Ok(-1));
    }
}
