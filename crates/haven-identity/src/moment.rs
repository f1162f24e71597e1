//! A point in time as the vault counts it: milliseconds since 1970, handed in by the caller.
//!
//! This room never looks at a clock by itself, so that a test can let ten hours pass and so that what is decided
//! depends on arguments alone. Arithmetic saturates: a hostile number makes an early or a late moment, no panic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    pub const fn as_ms(self) -> u64 {
        self.0
    }

    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(ms(time)))
    }

    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(ms(time)))
    }

    /// How long after `earlier` this is; nothing when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Moment {
    /// A clock before 1970 reads as 1970.
    fn from(time: SystemTime) -> Self {
        Self(ms(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

/// Whole milliseconds, the largest number for what doesn't fit.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let now = Moment::from_ms(1_000);
        assert_eq!(now.plus(Duration::MAX), Moment::from_ms(u64::MAX));
        assert_eq!(now.minus(Duration::from_secs(2)), Moment::from_ms(0));
        assert_eq!(now.since(Moment::from_ms(5_000)), Duration::ZERO);
        assert_eq!(Moment::from_ms(5_000).since(now), Duration::from_secs(4));
    }
}
