//! v2's device control: a program for the kernel's virtual machine that is asked at each access.
//!
//! It is assembled here, instruction by instruction; no compiler, no library. The rules are tried from the last to the
//! first. The access asked for may have several letters (`rw`), and each is decided by the last rule that names it: an
//! allowing rule crosses off its letters and says yes once none is left, a denying rule says no if it has any of those
//! left. So `r` allowed by one rule and `w` by another allow `rw`.
//!
//! See the kernel's `Documentation/bpf/standardization/instruction-set.rst` and `struct bpf_cgroup_dev_ctx`.

use super::devices::{NodeKind, Rule};

// Registers. The kernel passes the context in R1 and takes the verdict from R0.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const LEFT: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

// Offsets in the context.
const ACCESS_AND_KIND: i16 = 0;
const MAJOR_NUMBER: i16 = 4;
const MINOR_NUMBER: i16 = 8;

// Operations on 32 bits.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const COPY: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_NOT_EQUAL: u8 = 0x56;
const JUMP_EQUAL: u8 = 0x16;
const EXIT: u8 = 0x95;

/// One instruction as the kernel takes it: operation, registers, jump distance, constant.
fn instruction(operation: u8, destination: u8, source: u8, offset: i16, constant: u32) -> u64 {
    u64::from(operation)
        | u64::from(destination | source << 4) << 8
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(constant) << 32
}

/// The program for these rules, starting from "nothing is allowed".
pub(super) fn assemble(rules: &[Rule]) -> Vec<u64> {
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, ACCESS_AND_KIND, 0),
        instruction(COPY, LEFT, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, LEFT, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, MAJOR_NUMBER, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, MINOR_NUMBER, 0),
    ];
    for rule in rules.iter().rev() {
        append(&mut program, rule);
    }
    program.push(instruction(MOVE, VERDICT, 0, 0, 0));
    program.push(instruction(EXIT, 0, 0, 0, 0));
    program
}

fn append(program: &mut Vec<u64>, rule: &Rule) {
    let kind = match rule.nodes.kind {
        NodeKind::Block => 1,
        NodeKind::Character => 2,
    };
    let decision = if rule.allow {
        vec![
            instruction(AND, LEFT, 0, 0, !rule.access.0),
            instruction(JUMP_NOT_EQUAL, LEFT, 0, 2, 0),
            instruction(MOVE, VERDICT, 0, 0, 1),
            instruction(EXIT, 0, 0, 0, 0),
        ]
    } else {
        vec![
            instruction(COPY, SCRATCH, LEFT, 0, 0),
            instruction(AND, SCRATCH, 0, 0, rule.access.0),
            instruction(JUMP_EQUAL, SCRATCH, 0, 2, 0),
            instruction(MOVE, VERDICT, 0, 0, 0),
            instruction(EXIT, 0, 0, 0, 0),
        ]
    };
    let mut tests = vec![(KIND, kind)];
    tests.extend(rule.nodes.major.map(|number| (MAJOR, number)));
    tests.extend(rule.nodes.minor.map(|number| (MINOR, number)));
    // Each test that fails jumps over the rest of the rule; a rule has at most eight instructions.
    let mut rest = tests.len() + decision.len();
    for (register, number) in tests {
        rest -= 1;
        let distance = i16::try_from(rest).unwrap_or(i16::MAX);
        program.push(instruction(JUMP_NOT_EQUAL, register, 0, distance, number));
    }
    program.extend(decision);
}
