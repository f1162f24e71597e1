//! Compiled programs against what the profile says, for every call of every architecture.

use super::architecture::Architecture;
use super::default::profile_under;
use super::interpreter::{Call, run};
use super::program::{compile_for, verdict};
use super::{Circumstances, Program, calls};
use crate::capability::CapabilitySet;
use crate::oci::{Seccomp, SeccompAction, SeccompArg, SeccompOperator, Syscall};

const ENOSYS: u32 = 0x0005_0000 | 38;
const EPERM: u32 = 0x0005_0000 | 1;
const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

/// A generator with a fixed seed: the same cases every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Near the values programs use and the edges of words.
    fn argument(&mut self) -> u64 {
        let base = self.pick(&[
            0,
            1,
            8,
            38,
            40,
            0xffff,
            0x2_0000,
            0x7e02_0000,
            0x1000_0000,
            0xffff_ffff,
            0x1_0000_0000,
            0x8000_0000_0000_0000,
            u64::MAX,
        ]);
        match self.below(4) {
            0 => base,
            1 => base.wrapping_add(1),
            2 => base.wrapping_sub(1),
            _ => self.next(),
        }
    }
}

/// What the profile says of one call, read off the profile itself.
fn says(profile: &Seccomp, architecture: Architecture, number: u32, arguments: &[u64; 6]) -> u32 {
    let default = verdict(profile.default_action, profile.default_errno_ret).unwrap();
    let width = if matches!(architecture, Architecture::X86 | Architecture::Arm) {
        u64::from(u32::MAX)
    } else {
        u64::MAX
    };
    let holds = |one: &SeccompArg| {
        let argument = arguments[one.index as usize] & width;
        let (value, two) = (one.value & width, one.value_two & width);
        match one.op {
            SeccompOperator::NotEqual => argument != value,
            SeccompOperator::LessThan => argument < value,
            SeccompOperator::LessOrEqual => argument <= value,
            SeccompOperator::Equal => argument == value,
            SeccompOperator::GreaterOrEqual => argument >= value,
            SeccompOperator::GreaterThan => argument > value,
            SeccompOperator::MaskedEqual => argument & value == two,
        }
    };
    let acting: Vec<(&Syscall, u32)> = profile
        .syscalls
        .iter()
        .map(|rule| (rule, verdict(rule.action, rule.errno_ret).unwrap()))
        .filter(|(_, verdict)| *verdict != default)
        .collect();
    let numbers = |name: &String| calls::number(architecture, name);
    let named = |rule: &Syscall| rule.names.iter().filter_map(numbers).any(|one| one == number);
    if let Some((_, verdict)) = acting.iter().find(|(rule, _)| rule.args.is_empty() && named(rule)) {
        return *verdict;
    }
    // The words under which the call may be carried by an older one.
    let carried = |rule: &Syscall| {
        rule.names.iter().any(|name| {
            calls::carrier(architecture, name).is_some_and(|(carrier, selector)| {
                let selected =
                    if carrier == "ipc" { arguments[0] & 0xffff } else { arguments[0] & 0xffff_ffff };
                numbers(&carrier.to_owned()) == Some(number) && selected == u64::from(selector)
            })
        })
    };
    for (rule, verdict) in &acting {
        let mut indices: Vec<u32> = rule.args.iter().map(|one| one.index).collect();
        indices.sort_unstable();
        indices.dedup();
        let met = if indices.len() < rule.args.len() {
            rule.args.iter().any(holds)
        } else {
            rule.args.iter().all(holds)
        };
        if named(rule) && !rule.args.is_empty() && met {
            return *verdict;
        }
        let permits = matches!(rule.action, SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace);
        if carried(rule) && (rule.args.is_empty() || !permits) {
            return *verdict;
        }
    }
    // Calls that carry others count as named.
    let permits = |rule: &Syscall| {
        matches!(rule.action, SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace)
    };
    let carriers = |rule: &Syscall| -> Vec<u32> {
        let carrier = |name: &String| numbers(&calls::carrier(architecture, name)?.0.to_owned());
        if rule.args.is_empty() || !permits(rule) {
            rule.names.iter().filter_map(carrier).collect()
        } else {
            Vec::new()
        }
    };
    let is_apart = |one: &u32| calls::apart(architecture).is_some_and(|apart| apart.contains(one));
    let newest = acting
        .iter()
        .flat_map(|(rule, _)| rule.names.iter().filter_map(numbers).chain(carriers(rule)))
        .filter(|one| !is_apart(one))
        .max();
    let permissive =
        matches!(profile.default_action, SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace);
    match newest {
        Some(newest) if number > newest && !is_apart(&number) && !permissive => ENOSYS,
        _ => default,
    }
}

fn check(profile: &Seccomp, native: Architecture, numbers: &mut Numbers, rounds: usize) -> Program {
    let program = compile_for(profile, native).unwrap();
    for architecture in Architecture::runnable_on(native) {
        let base = if *architecture == Architecture::X32 { Architecture::X32_BIT } else { 0 };
        let mut all: Vec<u32> = calls::all(*architecture).map(|(_, number)| number).collect();
        all.extend((0..600).map(|number| base + number));
        all.extend([base + 0x3fff_ffff, base + 0x10000]);
        let listed = profile.architectures.iter().any(|name| name == architecture.oci_name());
        for number in all {
            for _ in 0..rounds {
                let mut arguments = [0u64; 6].map(|_| numbers.argument());
                if matches!(architecture, Architecture::X86 | Architecture::Arm) {
                    arguments = arguments.map(|one| one & 0xffff_ffff);
                }
                let call = Call { number, audit: architecture.audit(), arguments };
                let expected = match (listed || *architecture == native, *architecture) {
                    (true, _) => says(profile, *architecture, number, &arguments),
                    (false, Architecture::X32) => ENOSYS,
                    (false, _) => KILL_PROCESS,
                };
                let (got, _) = run(&program.instructions, &call);
                assert_eq!(got, expected, "{architecture:?} {number} {arguments:x?}\n{profile:?}");
            }
        }
    }
    let foreign = Call { number: 0, audit: 0x8000_0016, arguments: [0; 6] };
    assert_eq!(run(&program.instructions, &foreign).0, KILL_PROCESS);
    program
}

fn under(capabilities: CapabilitySet, architecture: Architecture) -> Circumstances {
    Circumstances { capabilities, architecture, kernel: (6, 18) }
}

#[test]
fn the_default_profile_is_compiled_exactly_for_every_call() {
    let mut numbers = Numbers(11);
    for native in [Architecture::X86_64, Architecture::Aarch64] {
        for capabilities in [CapabilitySet::EMPTY, CapabilitySet::DEFAULT, CapabilitySet::KNOWN] {
            check(&profile_under(&under(capabilities, native)), native, &mut numbers, 12);
        }
    }
}

#[test]
fn random_profiles_are_compiled_exactly_for_every_call() {
    let mut numbers = Numbers(5);
    let natives = [Architecture::X86_64, Architecture::Aarch64];
    let names: Vec<&str> =
        calls::all(Architecture::X86_64).chain(calls::all(Architecture::X86)).map(|(name, _)| name).collect();
    let actions = [
        SeccompAction::Allow,
        SeccompAction::Errno,
        SeccompAction::Kill,
        SeccompAction::KillProcess,
        SeccompAction::Trap,
        SeccompAction::Trace,
        SeccompAction::Log,
    ];
    let operators = [
        SeccompOperator::NotEqual,
        SeccompOperator::LessThan,
        SeccompOperator::LessOrEqual,
        SeccompOperator::Equal,
        SeccompOperator::GreaterOrEqual,
        SeccompOperator::GreaterThan,
        SeccompOperator::MaskedEqual,
    ];
    for round in 0..16 {
        let native = natives[round % 2];
        let rule = |numbers: &mut Numbers| {
            let arguments = numbers.pick(&[0, 0, 0, 1, 1, 2, 3, 6]);
            let count = numbers.below(if arguments == 0 { 60 } else { 8 });
            Syscall {
                names: (0..count).map(|_| numbers.pick(&names).to_owned()).collect(),
                action: numbers.pick(&actions),
                errno_ret: numbers.pick(&[None, Some(0), Some(38), Some(4095)]),
                args: (0..arguments)
                    .map(|_| {
                        let op = numbers.pick(&operators);
                        let value = numbers.argument();
                        let value_two = if op == SeccompOperator::MaskedEqual {
                            let one = numbers.argument();
                            numbers.pick(&[0, value, one & value, one])
                        } else {
                            0
                        };
                        SeccompArg { index: u32::try_from(numbers.below(6)).unwrap(), value, value_two, op }
                    })
                    .collect(),
            }
        };
        let mut syscalls: Vec<Syscall> = (0..numbers.below(20)).map(|_| rule(&mut numbers)).collect();
        syscalls.push(Syscall {
            names: vec!["socket".into(), "msgget".into(), "futex".into()],
            ..rule(&mut numbers)
        });
        let mut architectures = Vec::new();
        for one in Architecture::runnable_on(native) {
            if numbers.below(3) > 0 {
                architectures.push(one.oci_name().to_owned());
            }
        }
        architectures.push("SCMP_ARCH_S390X".to_owned());
        let profile = Seccomp {
            default_action: numbers.pick(&actions),
            default_errno_ret: numbers.pick(&[None, Some(1), Some(38)]),
            architectures,
            flags: Vec::new(),
            listener_path: String::new(),
            listener_metadata: String::new(),
            syscalls,
        };
        check(&profile, native, &mut numbers, 3);
    }
}

#[test]
fn the_default_profile_is_short_and_shallow() {
    let profile = profile_under(&under(CapabilitySet::DEFAULT, Architecture::X86_64));
    let program = compile_for(&profile, Architecture::X86_64).unwrap();
    assert!(
        program.unknown_calls.iter().all(|name| name.starts_with("riscv") || name.contains("64")),
        "{:?}",
        program.unknown_calls
    );
    assert!(program.instructions.len() < 700, "{}", program.instructions.len());
    let deepest = (0..470)
        .map(|number| {
            let audit = Architecture::X86_64.audit();
            run(&program.instructions, &Call { number, audit, arguments: [0; 6] }).1
        })
        .max();
    assert!(deepest < Some(24), "{deepest:?}");
}

#[test]
fn new_calls_are_unknown_and_old_ones_refused() {
    let profile = profile_under(&under(CapabilitySet::DEFAULT, Architecture::X86_64));
    let program = compile_for(&profile, Architecture::X86_64).unwrap();
    let verdict = |architecture: Architecture, number| {
        run(&program.instructions, &Call { number, audit: architecture.audit(), arguments: [0; 6] }).0
    };
    let of = |name| verdict(Architecture::X86_64, calls::number(Architecture::X86_64, name).unwrap());
    assert_eq!(of("read"), ALLOW);
    for refused in
        ["mount", "bpf", "keyctl", "io_uring_setup", "io_uring_enter", "kexec_load", "userfaultfd", "unshare"]
    {
        assert_eq!(of(refused), EPERM, "{refused}");
    }
    assert_eq!(of("clone3"), ENOSYS);
    assert_eq!(verdict(Architecture::X86_64, 1000), ENOSYS);
    assert_eq!(verdict(Architecture::X32, Architecture::X32_BIT | 1000), ENOSYS);
    assert_eq!(verdict(Architecture::X86, 1000), ENOSYS);
    assert_eq!(verdict(Architecture::Aarch64, 63), KILL_PROCESS);
    assert_eq!(verdict(Architecture::X86_64, u32::MAX), ENOSYS);
}

#[test]
fn what_cannot_be_compiled_is_refused_by_name() {
    let profile = |change: fn(&mut Seccomp)| {
        let mut profile = profile_under(&under(CapabilitySet::EMPTY, Architecture::X86_64));
        change(&mut profile);
        compile_for(&profile, Architecture::X86_64).unwrap_err().to_string()
    };
    assert!(profile(|one| one.default_action = SeccompAction::Notify).contains("SCMP_ACT_NOTIFY"));
    assert!(profile(|one| one.default_errno_ret = Some(4096)).contains("4096 is not an error number"));
    assert!(profile(|one| one.architectures.push("SCMP_ARCH_TOASTER".into())).contains("TOASTER"));
    assert!(profile(|one| one.flags.push("SECCOMP_FILTER_FLAG_FAST".into())).contains("FAST"));
    assert!(profile(|one| one.syscalls[2].args[0].index = 6).contains("argument 6"));
    let long = profile(|one| {
        let rule = one.syscalls[2].clone();
        one.syscalls = (0..2000)
            .map(|value| {
                let mut rule = rule.clone();
                rule.args[0].value = value;
                rule
            })
            .collect();
    });
    assert!(long.contains("the kernel takes 4096"), "{long}");
}

#[test]
fn flags_are_understood() {
    let mut profile = profile_under(&under(CapabilitySet::EMPTY, Architecture::X86_64));
    let flags = |profile: &Seccomp| compile_for(profile, Architecture::X86_64).unwrap().flags;
    assert_eq!(flags(&profile), 4);
    profile.flags = vec!["SECCOMP_FILTER_FLAG_LOG".into(), "SECCOMP_FILTER_FLAG_TSYNC".into()];
    assert_eq!(flags(&profile), 2);
}

#[test]
fn a_profile_is_compiled_once() {
    let profile = profile_under(&under(CapabilitySet::EMPTY, Architecture::NATIVE));
    let (one, two) = (super::compiled(&profile).unwrap(), super::compiled(&profile.clone()).unwrap());
    assert!(std::sync::Arc::ptr_eq(&one, &two));
    assert_eq!(one.bytes().len(), one.instructions.len() * 8);
}
