//! The formats of control group files: single values, flat keyed, nested keyed.
//!
//! A value that should be a number and isn't is an absent value, a line that isn't understood is passed over: kernels
//! add lines. See "Interface Files" in the kernel's `cgroup-v2.rst`.

use std::collections::BTreeMap;

/// A single number; `None` for `max`, an empty file, or anything else.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A limit: `None` for `max`, and for v1's way of saying so, a number close to the largest.
pub(super) fn limit(text: &str) -> Option<u64> {
    // v1 rounds its "unlimited" down to a page, whatever the page's size (4 KiB to 64 KiB).
    const PRACTICALLY_UNLIMITED: u64 = (i64::MAX as u64) - (1 << 16);
    number(text).filter(|value| *value < PRACTICALLY_UNLIMITED)
}

/// Lines of `key value`.
pub(super) fn flat(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), number(value)?))
        })
        .collect()
}

/// The value of one key in lines of `key value`.
pub(super) fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}

/// `MAJOR:MINOR` of a block device.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_limits_are_read() {
        assert_eq!(number("12\n"), Some(12));
        for not in ["", "max\n", "-1", "1 2", "0x1", "18446744073709551616"] {
            assert_eq!(number(not), None, "{not}");
        }
        assert_eq!(limit("4096\n"), Some(4096));
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("max"), None);
    }

    #[test]
    fn keyed_lines_are_read_and_others_passed_over() {
        let text = "low 0\noom_kill 3\nodd\nword x\n\noom_kill_disable 1\n";
        assert_eq!(value_of(text, "oom_kill"), Some(3));
        assert_eq!(value_of(text, "oom"), None);
        assert_eq!(flat(text).keys().collect::<Vec<_>>(), ["low", "oom_kill", "oom_kill_disable"]);
        assert_eq!(device("8:16"), Some((8, 16)));
        assert_eq!(device("8-16"), None);
    }
}
