//! The key sequence that detaches: held back while it may still become complete, passed on when it doesn't.

/// What to do with keys that were typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Send these.
    Keys(Vec<u8>),
    /// Send these, then leave.
    Detach(Vec<u8>),
}

#[derive(Debug)]
pub(crate) struct Escape {
    sequence: Vec<u8>,
    /// How much of the sequence was typed.
    matched: usize,
}

impl Escape {
    /// An empty sequence never matches.
    pub(crate) fn new(sequence: Vec<u8>) -> Self {
        Self { sequence, matched: 0 }
    }

    pub(crate) fn feed(&mut self, keys: &[u8]) -> Typed {
        let mut passed = Vec::with_capacity(keys.len());
        for key in keys {
            if self.sequence.get(self.matched) == Some(key) {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    return Typed::Detach(passed);
                }
                continue;
            }
            passed.extend_from_slice(&self.sequence[..self.matched]);
            self.matched = 0;
            if self.sequence.first() == Some(key) {
                self.matched = 1;
                if self.sequence.len() == 1 {
                    return Typed::Detach(passed);
                }
            } else {
                passed.push(*key);
            }
        }
        Typed::Keys(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_sequence_detaches() {
        for (typed, expected) in [
            (vec![&b"abc"[..]], Typed::Keys(b"abc".to_vec())),
            (vec![b"a\x10\x11b"], Typed::Detach(b"a".to_vec())),
            (vec![b"a\x10", b"\x11"], Typed::Detach(Vec::new())),
            (vec![b"\x10", b"x"], Typed::Keys(b"\x10x".to_vec())),
            (vec![b"\x10\x10\x11"], Typed::Detach(b"\x10".to_vec())),
            (vec![b"\x11"], Typed::Keys(b"\x11".to_vec())),
        ] {
            let mut escape = Escape::new(vec![16, 17]);
            let mut last = Typed::Keys(Vec::new());
            for keys in typed {
                last = escape.feed(keys);
            }
            assert_eq!(last, expected);
        }
        assert_eq!(Escape::new(Vec::new()).feed(b"\x10\x11"), Typed::Keys(b"\x10\x11".to_vec()));
    }
}
