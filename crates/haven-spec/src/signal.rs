//! Signals by name or number, as in signal(7).

use crate::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A signal number between 1 and 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Signal(i32);

/// Numbers for x86_64 and aarch64, which agree.
const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The first and last real-time signal as C libraries number them; two below are theirs.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    pub const TERM: Signal = Signal(15);
    pub const KILL: Signal = Signal(9);
    pub const HUP: Signal = Signal(1);
    pub const INT: Signal = Signal(2);

    pub fn from_number(number: i32) -> Outcome<Self> {
        if (1..=RTMAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Failure::invalid(format!("Invalid signal: {number}")))
        }
    }

    /// `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`, `SIGRTMAX-1`.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = || Failure::invalid(format!("Invalid signal: {text}"));
        if let Ok(number) = text.parse::<i32>() {
            return Self::from_number(number).map_err(|_| refuse());
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(*number));
        }
        let realtime = |rest: &str, base: i32, sign: i32| -> Option<i32> {
            if rest.is_empty() {
                return Some(base);
            }
            let digits = rest.strip_prefix(if sign > 0 { '+' } else { '-' })?;
            Some(base + sign * digits.parse::<u8>().ok().map(i32::from)?)
        };
        let number = match name.strip_prefix("RTMIN") {
            Some(rest) => realtime(rest, RTMIN, 1),
            None => name.strip_prefix("RTMAX").and_then(|rest| realtime(rest, RTMAX, -1)),
        };
        number.filter(|n| (RTMIN..=RTMAX).contains(n)).map(Self).ok_or_else(refuse)
    }

    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 >= RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<i32> for Signal {
    type Error = Failure;
    fn try_from(number: i32) -> Outcome<Self> {
        Self::from_number(number)
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> i32 {
        signal.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_number() {
        for (text, number) in
            [("TERM", 15), ("SIGKILL", 9), ("sigint", 2), ("1", 1), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
        {
            assert_eq!(Signal::parse(text).unwrap().number(), number, "{text}");
        }
        for bad in ["", "0", "65", "-1", "SIGFOO", "RTMIN+99", "RTMAX+1", "RTMIN-1"] {
            assert!(Signal::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
    }
}
