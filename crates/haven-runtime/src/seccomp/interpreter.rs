//! The kernel's side of a filter, for tests: runs a program on one call's data.

use super::program::Instruction;

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) audit: u32,
    pub(super) arguments: [u64; 6],
}

impl Call {
    #[expect(clippy::cast_possible_truncation, reason = "halves are what is loaded")]
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.audit,
            16..64 if offset.is_multiple_of(4) => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
            other => panic!("no field at {other}"),
        }
    }
}

/// The verdict, and the number of steps to it.
pub(super) fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let mut accumulator = 0u32;
    let mut at = 0usize;
    for steps in 1..=program.len() {
        let Instruction { code, when_true, when_false, value } = program[at];
        at += 1;
        let mut branch = |taken: bool| at += usize::from(if taken { when_true } else { when_false });
        match code {
            0x20 => accumulator = call.word(value),
            0x54 => accumulator &= value,
            0x05 => at += value as usize,
            0x15 => branch(accumulator == value),
            0x25 => branch(accumulator > value),
            0x35 => branch(accumulator >= value),
            0x06 => return (value, steps),
            other => panic!("unknown instruction {other:#x}"),
        }
    }
    panic!("the program doesn't end");
}
