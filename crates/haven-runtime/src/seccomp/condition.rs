//! Comparing 64-bit arguments with a machine that has 32-bit words.
//!
//! Arguments are loaded half by half. Each comparison is a few loads and jumps that go on to the next comparison when it
//! holds, and out of the rule when it doesn't.

use super::architecture::Architecture;
use super::program::Instruction;
use crate::oci::{SeccompArg, SeccompOperator};
use haven_spec::{Failure, Outcome};

/// Offset of the first argument in `struct seccomp_data`; both machines are little-endian.
const ARGUMENTS: u32 = 16;

/// One comparison, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    index: u32,
    operator: SeccompOperator,
    value: u64,
    value_two: u64,
    /// Only the lower halves count.
    narrow: bool,
}

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The next instruction.
    Next,
    /// The comparison holds.
    Holds,
    /// It doesn't.
    Fails,
}

/// A step of a comparison.
enum Step {
    Load(u32),
    Mask(u32),
    Jump { code: u16, value: u32, when_true: Target, when_false: Target },
}

impl Condition {
    pub(super) fn new(argument: &SeccompArg, architecture: Architecture) -> Outcome<Self> {
        if argument.index > 5 {
            return Err(Failure::invalid(format!(
                "a seccomp rule compares argument {}: system calls have arguments 0 to 5",
                argument.index
            )));
        }
        Ok(Self {
            index: argument.index,
            operator: argument.op,
            value: argument.value,
            value_two: argument.value_two,
            narrow: architecture.is_narrow(),
        })
    }

    /// The first argument equals `selector`, in its lower 16 bits or in 32.
    pub(super) fn selects(selector: u32, bits: u32) -> Self {
        let mask = if bits < 32 { (1u64 << bits) - 1 } else { u64::from(u32::MAX) };
        Self {
            index: 0,
            operator: SeccompOperator::MaskedEqual,
            value: mask,
            value_two: u64::from(selector),
            narrow: true,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let (high, low) = (upper(self.value), lower(self.value));
        let load_high = || Step::Load(ARGUMENTS + 8 * self.index + 4);
        let load_low = || Step::Load(ARGUMENTS + 8 * self.index);
        let jump = |code, value, when_true, when_false| Step::Jump { code, value, when_true, when_false };
        use Target::{Fails, Holds, Next};
        let (equal, greater, at_least) = (Instruction::EQUAL, Instruction::GREATER, Instruction::AT_LEAST);
        // "Less" is "not at least", "less or equal" is "not greater": the same steps with the ends exchanged.
        let ordered = |code, yes, no| {
            let last = jump(code, low, yes, no);
            if self.narrow {
                vec![load_low(), last]
            } else {
                vec![
                    load_high(),
                    jump(greater, high, yes, Next),
                    jump(equal, high, Next, no),
                    load_low(),
                    last,
                ]
            }
        };
        match self.operator {
            SeccompOperator::Equal if self.narrow => vec![load_low(), jump(equal, low, Holds, Fails)],
            SeccompOperator::Equal => {
                vec![load_high(), jump(equal, high, Next, Fails), load_low(), jump(equal, low, Holds, Fails)]
            }
            SeccompOperator::NotEqual if self.narrow => vec![load_low(), jump(equal, low, Fails, Holds)],
            SeccompOperator::NotEqual => {
                vec![load_high(), jump(equal, high, Next, Holds), load_low(), jump(equal, low, Fails, Holds)]
            }
            SeccompOperator::GreaterThan => ordered(greater, Holds, Fails),
            SeccompOperator::GreaterOrEqual => ordered(at_least, Holds, Fails),
            SeccompOperator::LessThan => ordered(at_least, Fails, Holds),
            SeccompOperator::LessOrEqual => ordered(greater, Fails, Holds),
            SeccompOperator::MaskedEqual => {
                let mut steps = Vec::with_capacity(6);
                if !self.narrow {
                    steps.extend([
                        load_high(),
                        Step::Mask(high),
                        jump(equal, upper(self.value_two), Next, Fails),
                    ]);
                }
                steps.extend([load_low(), Step::Mask(low), jump(equal, lower(self.value_two), Holds, Fails)]);
                steps
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn lower(value: u64) -> u32 {
    value as u32
}

fn upper(value: u64) -> u32 {
    lower(value >> 32)
}

/// The instructions for "when all of these hold, return `verdict`, else go on after them".
pub(super) fn rule(conditions: &[Condition], verdict: u32) -> Vec<Instruction> {
    let steps: Vec<Vec<Step>> = conditions.iter().map(Condition::steps).collect();
    // A rule has at most 6 × 6 steps and a return: every jump fits into a byte.
    let end = steps.iter().map(Vec::len).sum::<usize>() + 1;
    let mut code = Vec::with_capacity(end);
    let mut condition_end = 0;
    for steps in steps {
        condition_end += steps.len();
        for step in steps {
            let distance = |target| {
                let to = match target {
                    Target::Next => code.len() + 1,
                    Target::Holds => condition_end,
                    Target::Fails => end,
                };
                u8::try_from(to - code.len() - 1).unwrap_or(u8::MAX)
            };
            let instruction = match step {
                Step::Load(offset) => Instruction::load(offset),
                Step::Mask(mask) => Instruction::mask(mask),
                Step::Jump { code, value, when_true, when_false } => {
                    Instruction::jump(code, value, distance(when_true), distance(when_false))
                }
            };
            code.push(instruction);
        }
    }
    code.push(Instruction::verdict(verdict));
    code
}
