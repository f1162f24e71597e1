//! Sizes for people: decimal (`21.5MB`) for storage and traffic, binary (`1.5MiB`) for memory.

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// Four significant digits, units of 1000.
pub(crate) fn decimal_size(bytes: f64) -> String {
    scaled(bytes, 1000.0, &DECIMAL, 4)
}

/// `digits` significant digits, units of 1000.
pub(crate) fn decimal_size_with(bytes: f64, digits: usize) -> String {
    scaled(bytes, 1000.0, &DECIMAL, digits)
}

/// Four significant digits, units of 1024.
pub(crate) fn binary_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, &BINARY, 4)
}

fn scaled(bytes: f64, base: f64, units: &[&str; 9], digits: usize) -> String {
    let mut size = bytes;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", general(size, digits), units[unit])
}

/// C's `%.{digits}g`: significant digits, no trailing zeros, an exponent when the number needs more digits.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{number:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    without_zeros(&format!("{number:.decimals$}")).to_owned()
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_docker_rounds_them() {
        for (bytes, text) in [
            (0.0, "0B"),
            (999.0, "999B"),
            (1000.0, "1kB"),
            (21_512_345.0, "21.51MB"),
            (1_981_234.0, "1.981MB"),
            (999_999.0, "1e+03kB"),
            (5e24, "5YB"),
        ] {
            assert_eq!(decimal_size_with(bytes, if bytes == 999_999.0 { 3 } else { 4 }), text);
        }
        assert_eq!(decimal_size_with(21_512_345.0, 3), "21.5MB");
        assert_eq!(binary_size(1536.0), "1.5KiB");
        assert_eq!(binary_size(25_100_000_000.0), "23.38GiB");
        assert_eq!(decimal_size(123.0), "123B");
    }
}
