//! A thief's look into this process's memory. What is looked for is kept masked, so that it doesn't find itself.

#![allow(dead_code, reason = "several test programs include this file, and each uses its part")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

const MASK: u8 = 0xa5;

/// Shortest piece of a secret that counts as found: shorter ones occur by chance or help nobody.
const PIECE: usize = 12;

/// A secret nobody sees in clear.
pub(crate) struct Masked(Vec<u8>);

impl Masked {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| byte ^ MASK).collect())
    }

    pub(crate) fn random_password() -> Self {
        let mut bytes = [0_u8; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).expect("random numbers");
        Self(bytes.iter().map(|byte| (b'a' + byte % 26) ^ MASK).collect())
    }

    /// For a type that wipes it.
    pub(crate) fn reveal(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len());
        bytes.extend(self.0.iter().map(|byte| byte ^ MASK));
        bytes
    }

    /// Whether any piece of it stands in `bytes`.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.windows(PIECE).step_by(4).any(|piece| {
            let first = piece[0] ^ MASK;
            bytes
                .windows(PIECE)
                .any(|window| window[0] == first && window.iter().zip(piece).all(|(a, b)| *a == *b ^ MASK))
        })
    }
}

/// All memory of this process that can be written and read, in pieces, as a dump would have it.
pub(crate) fn memory_has(secret: &Masked) -> bool {
    process_has("self", secret)
}

/// The same of another process.
pub(crate) fn process_has(process: &str, secret: &Masked) -> bool {
    let maps = BufReader::new(File::open(format!("/proc/{process}/maps")).expect("the map of memory"));
    let mut memory = File::open(format!("/proc/{process}/mem")).expect("memory");
    let mut looked_at = 0_u64;
    for line in maps.lines() {
        let line = line.expect("a line");
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().expect("a range"), fields.next().expect("rights"));
        let (from, to) = range.split_once('-').expect("a range");
        let (from, to) = (
            u64::from_str_radix(from, 16).expect("an address"),
            u64::from_str_radix(to, 16).expect("an address"),
        );
        if !rights.starts_with("rw") {
            continue;
        }
        if memory.seek(SeekFrom::Start(from)).is_err() {
            continue;
        }
        let mut piece = Vec::new();
        // Pages that can't be read (guards, devices) hold nothing of ours.
        if memory.by_ref().take(to - from).read_to_end(&mut piece).is_err() && piece.is_empty() {
            continue;
        }
        looked_at += piece.len() as u64;
        if secret.is_in(&piece) {
            return true;
        }
    }
    assert!(looked_at > 100_000, "only {looked_at} bytes of memory were looked at");
    false
}
