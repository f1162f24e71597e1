//! Finding the range a number is in, in as few steps as there are bits in the number of ranges.

use super::program::Instruction;

/// What happens from `first` on, up to the next range's first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    /// Ends with a verdict on every way through.
    pub(super) treatment: Vec<Instruction>,
}

/// Joins neighbours with the same treatment.
pub(super) fn merged(ranges: Vec<Range>) -> Vec<Range> {
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last() {
            Some(last) if last.treatment == range.treatment => {}
            _ => merged.push(range),
        }
    }
    merged
}

/// Code that expects the number in the accumulator. The first range must start at 0, the others in rising order.
pub(super) fn search(ranges: &[Range]) -> Vec<Instruction> {
    let (left, right) = match ranges {
        [] => return Vec::new(),
        [only] => return only.treatment.clone(),
        several => several.split_at(several.len() / 2),
    };
    let boundary = right[0].first;
    let below = search(left);
    let above = search(right);
    let mut code = Vec::with_capacity(below.len() + above.len() + 2);
    match u8::try_from(below.len()) {
        Ok(distance) => code.push(Instruction::jump(Instruction::AT_LEAST, boundary, distance, 0)),
        Err(_) => {
            // Too far for a conditional jump's byte.
            code.push(Instruction::jump(Instruction::AT_LEAST, boundary, 0, 1));
            code.push(Instruction::skip(below.len()));
        }
    }
    code.extend(below);
    code.extend(above);
    code
}
