//! `--cpus`: a number of processors, exact to a billionth: `0.5`, `1.25`, `1/3` is too precise.

const BILLION: i128 = 1_000_000_000;
/// More digits than any sensible value has.
const LENGTH_LIMIT_BYTES: usize = 30;

/// Billionths of a processor.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    if text.len() > LENGTH_LIMIT_BYTES {
        return Err(invalid());
    }
    let (above, below) = match text.split_once('/') {
        Some((above, below)) => (above, below.parse::<u32>().map_err(|_| invalid())?),
        None => (text, 1),
    };
    let (negative, digits) = match above.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, above.strip_prefix('+').unwrap_or(above)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !numeric(whole) || !numeric(fraction) || below == 0 {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".into());
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    let fraction: i128 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
    let billionths = whole.checked_mul(BILLION).ok_or_else(invalid)? + fraction;
    if billionths % i128::from(below) != 0 {
        return Err("value is too precise".into());
    }
    let value = i64::try_from(billionths / i128::from(below)).map_err(|_| invalid())?;
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_exact_to_a_billionth() {
        for (text, nano) in [
            ("0", 0),
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            (".25", 250_000_000),
            ("1.", 1_000_000_000),
            ("1/4", 250_000_000),
            ("0.000000001", 1),
            ("1.5000000000000", 1_500_000_000),
            ("-1", -1_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(nano), "{text}");
        }
        for bad in ["", ".", "x", "1/0", "1/3", "0.0000000001", "1e3x", "99999999999999999999", "1.2.3"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
