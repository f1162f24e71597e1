//! No bytes on disk make it panic, and no alteration of a record passes for an intact one.

use crate::scratch::{Scratch, at, changes};
use haven_audit::{Limits, Log, Query, verify};

/// A small generator of its own: the same sequence every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit as u64).max(1)).unwrap()
    }
}

fn mutate(content: &mut Vec<u8>, chance: &mut Chance) {
    let length = content.len();
    let place = chance.below(length);
    match chance.below(8) {
        0 => content.truncate(place),
        1 => content[place..].iter_mut().for_each(|byte| *byte = 0),
        2 => {
            let (from, count) = (chance.below(length), chance.below(300));
            let piece = content[from..(from + count).min(length)].to_vec();
            content.splice(place..place, piece);
        }
        3 => {
            let end = (place + chance.below(300)).min(length);
            content.drain(place..end);
        }
        4 => content.insert(place, b'\n'),
        5 => {
            let digit = (0..length).cycle().skip(place).take(length).find(|at| content[*at].is_ascii_digit());
            if let Some(digit) = digit {
                content.splice(digit..digit, *b"99999999999999999999");
            }
        }
        6 => content[place] = u8::try_from(chance.below(256)).unwrap(),
        _ => content[place] ^= 1 << chance.below(8),
    }
}

/// The records' lines of all segments.
fn records(scratch: &Scratch) -> Vec<Vec<u8>> {
    let contents = scratch.segments().into_iter().map(|path| std::fs::read(path).unwrap());
    contents
        .flat_map(|content| content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .filter(|line| line.starts_with(b"{"))
        .collect()
}

#[test]
fn altered_files_never_panic_and_altered_records_never_pass() {
    let original = Scratch::new();
    let (mut log, _) = original.open_with(1500);
    changes(&mut log, 8);
    log.archive(3, &at(0), &mut |_| Ok(())).unwrap();
    let kept = [log.checkpoint().clone()];
    drop(log);
    let key = original.key();
    let intact = records(&original);
    let names: Vec<_> =
        std::fs::read_dir(original.record()).unwrap().map(|file| file.unwrap().file_name()).collect();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut opened = 0;
    for round in 0..600 {
        let copy = original.copy();
        for _ in 0..=chance.below(3) {
            let path = copy.record().join(&names[chance.below(names.len())]);
            let mut content = std::fs::read(&path).unwrap();
            if !content.is_empty() {
                mutate(&mut content, &mut chance);
                std::fs::write(&path, content).unwrap();
            }
        }
        let verification = verify(&copy.record(), &key, &kept).unwrap();
        if records(&copy) != intact {
            assert!(!verification.is_intact(), "round {round}");
        }
        Query::default().ask(&copy.record()).unwrap();
        if let Ok((mut log, _)) = Log::open(&copy.record(), "example.org/test", Limits::default(), &at(0)) {
            opened += 1;
            changes(&mut log, 1);
            let size = log.checkpoint().size();
            drop((log.prove_inclusion(3), log.prove_consistency(5), log.prove_consistency(size)));
            drop(log.archive(1, &at(0), &mut |_| Ok(())));
            drop(log);
        }
        drop(Log::open_anyway(&copy.record(), "example.org/test", Limits::default(), &at(0)).unwrap());
    }
    assert!(opened > 50, "{opened}");
}

#[test]
fn files_of_nothing_but_noise_are_refused() {
    let mut chance = Chance(7);
    for round in 0..100 {
        let scratch = Scratch::new();
        drop(scratch.open());
        let noise: Vec<u8> =
            (0..chance.below(3000)).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
        std::fs::write(&scratch.segments()[0], &noise).unwrap();
        assert!(!verify(&scratch.record(), &scratch.key(), &[]).unwrap().is_intact(), "round {round}");
        assert!(Log::open(&scratch.record(), "x", Limits::default(), &at(0)).is_err());
        let key = scratch.record().join("key");
        std::fs::write(&key, &noise).unwrap();
        let failure = Log::open(&scratch.record(), "x", Limits::default(), &at(0)).unwrap_err().one_line();
        assert!(failure.contains("this is not a signing key"), "{failure}");
    }
}
