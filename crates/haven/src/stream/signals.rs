//! Signals that this process gets, read from a queue, and passed on to a container.

use haven_spec::{Failure, Outcome, Signal};
use haven_sys::SignalQueue;

const INT: i32 = 2;
const TERM: i32 = 15;
pub(crate) const WINCH: i32 = 28;

/// Signals that only concern this process itself, or cannot be caught: ILL TRAP ABRT BUS FPE KILL SEGV PIPE CHLD STOP
/// URG, and two that C libraries keep.
const OWN: [i32; 13] = [4, 5, 6, 7, 8, 9, 11, 13, 17, 19, 23, 32, 33];

/// How many requests to end are enough to end for good.
const LAST_REQUEST: u8 = 3;

/// Blocks what can be passed on and queues it. Before any thread is started.
pub(crate) fn queue() -> Outcome<SignalQueue> {
    let wanted: Vec<i32> = (1..=64).filter(|number| !OWN.contains(number)).collect();
    SignalQueue::block(&wanted).map_err(|error| Failure::host("cannot take over signals").because(error))
}

/// Counts requests to end; a user who repeats Ctrl-C wants out.
#[derive(Debug, Default)]
pub(crate) struct Impatience(u8);

impl Impatience {
    /// Notes a signal; `true` when this was once too often.
    pub(crate) fn note(&mut self, signal: i32) -> bool {
        if signal == INT || signal == TERM {
            self.0 += 1;
        }
        self.0 >= LAST_REQUEST
    }
}

/// A signal's name for the API: `TERM`, `WINCH`, `RTMIN+3`.
pub(crate) fn name(number: i32) -> Option<String> {
    let signal = Signal::from_number(number).ok()?.to_string();
    Some(signal.strip_prefix("SIG").unwrap_or(&signal).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_request_to_end_is_the_last() {
        let mut impatience = Impatience::default();
        let answers: Vec<bool> =
            [WINCH, INT, TERM, WINCH, INT].map(|signal| impatience.note(signal)).to_vec();
        assert_eq!(answers, [false, false, false, false, true]);
        assert_eq!(name(TERM).as_deref(), Some("TERM"));
        assert_eq!(name(37).as_deref(), Some("RTMIN+3"));
        assert_eq!(name(99), None);
    }
}
