//! The compiler: a profile in, the program for seccomp(2) out.

use super::architecture::Architecture;
use super::calls;
use super::condition::{self, Condition};
use super::tree::{self, Range};
use crate::oci::{Seccomp, SeccompAction, SeccompArg, Syscall};
use haven_spec::{Failure, Outcome};
use std::collections::BTreeMap;

/// The kernel takes no longer programs.
const LONGEST: usize = 4096;

const ENOSYS: u32 = 38;
const EPERM: u32 = 1;
const HIGHEST_ERRNO: u32 = 4095;

// `SECCOMP_RET_…`
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

// `SECCOMP_FILTER_FLAG_…`
const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;

/// One instruction, as `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    pub code: u16,
    pub when_true: u8,
    pub when_false: u8,
    pub value: u32,
}

impl Instruction {
    pub(super) const EQUAL: u16 = 0x15;
    pub(super) const GREATER: u16 = 0x25;
    pub(super) const AT_LEAST: u16 = 0x35;

    pub(super) fn load(offset: u32) -> Self {
        Self { code: 0x20, when_true: 0, when_false: 0, value: offset }
    }

    pub(super) fn mask(mask: u32) -> Self {
        Self { code: 0x54, when_true: 0, when_false: 0, value: mask }
    }

    pub(super) fn jump(code: u16, value: u32, when_true: u8, when_false: u8) -> Self {
        Self { code, when_true, when_false, value }
    }

    pub(super) fn skip(count: usize) -> Self {
        // Programs are checked to be shorter than this could matter.
        Self { code: 0x05, when_true: 0, when_false: 0, value: u32::try_from(count).unwrap_or(u32::MAX) }
    }

    pub(super) fn verdict(value: u32) -> Self {
        Self { code: 0x06, when_true: 0, when_false: 0, value }
    }
}

/// A filter ready for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub instructions: Vec<Instruction>,
    /// For seccomp(2).
    pub flags: u32,
    /// Names in the profile that this build doesn't know on any architecture.
    pub unknown_calls: Vec<String>,
}

impl Program {
    /// The instructions as an array of `struct sock_filter`, in this machine's byte order.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.instructions.len() * 8);
        for one in &self.instructions {
            bytes.extend_from_slice(&one.code.to_ne_bytes());
            bytes.extend_from_slice(&[one.when_true, one.when_false]);
            bytes.extend_from_slice(&one.value.to_ne_bytes());
        }
        bytes
    }
}

/// Compiles a profile for this machine. [`super::compiled`] does it once per profile.
pub fn compile(profile: &Seccomp) -> Outcome<Program> {
    compile_for(profile, Architecture::NATIVE)
}

pub(super) fn compile_for(profile: &Seccomp, native: Architecture) -> Outcome<Program> {
    let flags = flags(profile)?;
    let default = verdict(profile.default_action, profile.default_errno_ret)?;
    let listed = listed(profile, native)?;
    let rules = rules(profile, default)?;
    let mut instructions = vec![Instruction::load(4)];
    for architecture in Architecture::runnable_on(native) {
        // x32 is found within x86_64's numbers.
        if *architecture == Architecture::X32 || !listed.contains(architecture) {
            continue;
        }
        let with_x32 = *architecture == Architecture::X86_64 && listed.contains(&Architecture::X32);
        let ranges = ranges(*architecture, with_x32, &rules, default)?;
        let code = tree::search(&tree::merged(ranges));
        instructions.push(Instruction::jump(Instruction::EQUAL, architecture.audit(), 1, 0));
        instructions.push(Instruction::skip(code.len() + 1));
        instructions.push(Instruction::load(0));
        instructions.extend(code);
    }
    instructions.push(Instruction::verdict(KILL_PROCESS));
    if instructions.len() > LONGEST {
        return Err(Failure::invalid(format!(
            "the seccomp profile makes a program of {} instructions; the kernel takes {LONGEST}",
            instructions.len()
        ))
        .hint("merge rules, or leave out argument comparisons"));
    }
    let mut unknown_calls: Vec<String> = profile
        .syscalls
        .iter()
        .flat_map(|rule| &rule.names)
        .filter(|name| !calls::is_known(name))
        .cloned()
        .collect();
    unknown_calls.sort_unstable();
    unknown_calls.dedup();
    Ok(Program { instructions, flags, unknown_calls })
}

/// The architectures to let in.
fn listed(profile: &Seccomp, native: Architecture) -> Outcome<Vec<Architecture>> {
    let mut listed = vec![native];
    for name in &profile.architectures {
        listed.extend(Architecture::parse(name)?);
    }
    Ok(listed)
}

fn flags(profile: &Seccomp) -> Outcome<u32> {
    // Without a wish, without the mitigation: it slows every program, and kernels since 5.16 leave it off too.
    if profile.flags.is_empty() {
        return Ok(FLAG_SPEC_ALLOW);
    }
    profile.flags.iter().try_fold(0, |flags, name| {
        Ok(flags
            | match name.as_str() {
                "SECCOMP_FILTER_FLAG_LOG" => FLAG_LOG,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => FLAG_SPEC_ALLOW,
                // There is one thread when the filter is installed.
                "SECCOMP_FILTER_FLAG_TSYNC" => 0,
                // Speaks of notifications, which are refused where they are asked for.
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => 0,
                other => return Err(Failure::invalid(format!("`{other}` is not a seccomp flag"))),
            })
    })
}

/// `SECCOMP_RET_…` for an action.
pub(super) fn verdict(action: SeccompAction, errno: Option<u32>) -> Outcome<u32> {
    let number = |base: u32| {
        let errno = errno.unwrap_or(EPERM);
        if errno > HIGHEST_ERRNO {
            return Err(Failure::invalid(format!("{errno} is not an error number (0 to {HIGHEST_ERRNO})")));
        }
        Ok(base | errno)
    };
    Ok(match action {
        SeccompAction::Kill | SeccompAction::KillThread => KILL_THREAD,
        SeccompAction::KillProcess => KILL_PROCESS,
        SeccompAction::Trap => TRAP,
        SeccompAction::Errno => number(ERRNO)?,
        SeccompAction::Trace => number(TRACE)?,
        SeccompAction::Allow => ALLOW,
        SeccompAction::Log => LOG,
        SeccompAction::Notify => {
            return Err(Failure::unsupported("seccomp notifications (`SCMP_ACT_NOTIFY`) are not supported")
                .hint("use another action, like `SCMP_ACT_ERRNO`"));
        }
    })
}

/// A rule that does something, with its alternatives.
struct Rule<'profile> {
    names: &'profile [String],
    verdict: u32,
    /// Lists of comparisons of which one has to hold; empty: always.
    alternatives: Vec<&'profile [SeccompArg]>,
}

fn rules(profile: &Seccomp, default: u32) -> Outcome<Vec<Rule<'_>>> {
    let mut rules = Vec::with_capacity(profile.syscalls.len());
    for Syscall { names, action, errno_ret, args } in &profile.syscalls {
        let verdict = verdict(*action, *errno_ret)?;
        if verdict == default {
            continue;
        }
        let twice =
            args.iter().enumerate().any(|(at, one)| args[..at].iter().any(|other| other.index == one.index));
        let alternatives = match (args.as_slice(), twice) {
            ([], _) => Vec::new(),
            (all, false) => vec![all],
            (all, true) => all.chunks(1).collect(),
        };
        rules.push(Rule { names, verdict, alternatives });
    }
    Ok(rules)
}

/// What happens to one number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Treatment {
    always: Option<u32>,
    when: Vec<(Vec<Condition>, u32)>,
}

impl Treatment {
    fn code(&self, default: u32) -> Vec<Instruction> {
        if let Some(verdict) = self.always {
            return vec![Instruction::verdict(verdict)];
        }
        let mut code = Vec::new();
        for (conditions, verdict) in &self.when {
            code.extend(condition::rule(conditions, *verdict));
        }
        code.push(Instruction::verdict(default));
        code
    }
}

/// The whole line of numbers, cut where the treatment may change.
fn ranges(
    architecture: Architecture,
    with_x32: bool,
    rules: &[Rule<'_>],
    default: u32,
) -> Outcome<Vec<Range>> {
    let mut ranges = part(architecture, 0, rules, default)?;
    if architecture == Architecture::X86_64 {
        if with_x32 {
            ranges.extend(part(Architecture::X32, Architecture::X32_BIT, rules, default)?);
        } else {
            // As a kernel without x32 answers.
            let treatment = vec![Instruction::verdict(ERRNO | ENOSYS)];
            ranges.push(Range { first: Architecture::X32_BIT, treatment });
        }
    }
    Ok(ranges)
}

/// The numbers of one architecture, from `first` on.
fn part(architecture: Architecture, first: u32, rules: &[Rule<'_>], default: u32) -> Outcome<Vec<Range>> {
    let mut treatments: BTreeMap<u32, Treatment> = BTreeMap::new();
    for rule in rules {
        for name in rule.names {
            if let Some(number) = calls::number(architecture, name) {
                treat(treatments.entry(number).or_default(), rule, architecture)?;
            }
            if let Some((carrier, selector)) = calls::carrier(architecture, name)
                && let Some(number) = calls::number(architecture, carrier)
            {
                treat_carried(treatments.entry(number).or_default(), rule, carrier, selector);
            }
        }
    }
    // Beyond the newest call named (but for those numbered out of order) are calls the profile's author can't have known.
    let apart = calls::apart(architecture);
    let is_apart = |number: u32| apart.as_ref().is_some_and(|apart| apart.contains(&number));
    let newest = treatments.keys().rev().find(|number| !is_apart(**number)).copied();
    let beyond = if refuses(default) { ERRNO | ENOSYS } else { default };
    let unnamed = |number: u32| {
        let old = is_apart(number) || newest.is_none_or(|newest| number <= newest);
        vec![Instruction::verdict(if old { default } else { beyond })]
    };
    // Where the treatment of unnamed calls may change.
    let mut cuts: Vec<u32> = newest.map(|newest| newest + 1).into_iter().collect();
    if let Some(apart) = &apart {
        cuts.extend([*apart.start(), apart.end() + 1]);
    }
    let mut starts: Vec<u32> = treatments.keys().flat_map(|number| [*number, number + 1]).collect();
    starts.push(first);
    starts.extend(cuts);
    starts.sort_unstable();
    starts.dedup();
    Ok(starts
        .into_iter()
        .map(|first| {
            let treatment = treatments.get(&first).map_or_else(|| unnamed(first), |one| one.code(default));
            Range { first, treatment }
        })
        .collect())
}

/// Whether a verdict keeps a call from being made.
fn refuses(verdict: u32) -> bool {
    !matches!(verdict & 0xffff_0000, ALLOW | LOG | TRACE)
}

fn treat(treatment: &mut Treatment, rule: &Rule<'_>, architecture: Architecture) -> Outcome<()> {
    if rule.alternatives.is_empty() {
        // The first rule without conditions holds.
        treatment.always.get_or_insert(rule.verdict);
        return Ok(());
    }
    for alternative in &rule.alternatives {
        let conditions: Outcome<Vec<Condition>> =
            alternative.iter().map(|argument| Condition::new(argument, architecture)).collect();
        treatment.when.push((conditions?, rule.verdict));
    }
    Ok(())
}

/// i386 makes socket and System V IPC calls also through `socketcall` and `ipc`, with the arguments in memory where a
/// filter can't look: a refusal with comparisons refuses the whole call there, a permission with comparisons doesn't
/// extend to it.
fn treat_carried(treatment: &mut Treatment, rule: &Rule<'_>, carrier: &str, selector: u32) {
    if !rule.alternatives.is_empty() && !refuses(rule.verdict) {
        return;
    }
    // The upper half of ipc's selector is a version.
    let bits = if carrier == "ipc" { 16 } else { 32 };
    treatment.when.push((vec![Condition::selects(selector, bits)], rule.verdict));
}
