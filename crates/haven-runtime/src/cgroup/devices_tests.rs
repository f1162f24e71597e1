//! The device rules' two forms against what the rules say, and the program in the kernel's own hands.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the interpreter takes instructions apart as the kernel does"
)]

use super::*;
use crate::cgroup::device_program::assemble;

fn rule(allow: bool, kind: &str, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
    DeviceRule { allow, kind: kind.to_owned(), major, minor, access: access.to_owned() }
}

/// What the rules say, letter by letter: the last rule that names the node and the letter.
fn says(rules: &[Rule], node: Nodes, access: u32) -> bool {
    [Access::MAKE, Access::READ, Access::WRITE].iter().filter(|letter| access & *letter != 0).all(|letter| {
        rules
            .iter()
            .rev()
            .find(|rule| rule.nodes.covers(&node) && rule.access.0 & letter != 0)
            .is_some_and(|rule| rule.allow)
    })
}

/// Runs a program as the kernel would; only the instructions the assembler uses.
fn run(program: &[u64], node: Nodes, access: u32) -> bool {
    let kind = if node.kind == NodeKind::Block { 1 } else { 2 };
    let context = [access << 16 | kind, node.major.unwrap(), node.minor.unwrap()];
    let mut registers = [0u32; 11];
    let mut at = 0usize;
    for _ in 0..100_000 {
        let code = program[at];
        let operation = code & 0xff;
        let (to, from) = ((code >> 8 & 15) as usize, (code >> 12 & 15) as usize);
        let offset = (code >> 16) as u16 as i16;
        let constant = (code >> 32) as u32;
        let jump = |taken: bool| if taken { offset as usize } else { 0 };
        match operation {
            0x61 => registers[to] = context[offset as usize / 4],
            0xb4 => registers[to] = constant,
            0xbc => registers[to] = registers[from],
            0x54 => registers[to] &= constant,
            0x74 => registers[to] >>= constant,
            0x56 => at += jump(registers[to] != constant),
            0x16 => at += jump(registers[to] == constant),
            0x95 => return registers[0] != 0,
            other => panic!("unknown operation {other:#x}"),
        }
        at += 1;
    }
    panic!("the program doesn't end")
}

fn nodes() -> Vec<Nodes> {
    let mut all = Vec::new();
    for kind in [NodeKind::Character, NodeKind::Block] {
        for major in [0, 1, 5, 10, 136, 4095] {
            for minor in [0, 3, 5, 229, 1_048_575] {
                all.push(Nodes { kind, major: Some(major), minor: Some(minor) });
            }
        }
    }
    all
}

#[test]
fn the_program_decides_as_the_rules_say_for_every_node_and_access() {
    // A small generator with a fixed seed: the same cases every time.
    let mut seed = 7u64;
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut lists = vec![default_device_rules(), vec![], vec![rule(true, "a", None, None, "rwm")]];
    for _ in 0..60 {
        lists.push(
            (0..next(8))
                .map(|_| {
                    let number = |choice: u64, list: [i64; 3]| list.get(choice as usize).copied();
                    let kind = ["a", "b", "c"][next(3) as usize];
                    let access = ["r", "w", "m", "rw", "rm", "wm", "rwm", ""][next(8) as usize];
                    rule(
                        next(2) == 1,
                        kind,
                        number(next(4), [1, 5, 10]),
                        number(next(5), [0, 3, 229]),
                        access,
                    )
                })
                .collect(),
        );
    }
    for list in lists {
        let rules = rules(&list).unwrap();
        let program = assemble(&rules);
        for node in nodes() {
            for access in 1..8 {
                assert_eq!(
                    run(&program, node, access),
                    says(&rules, node, access),
                    "{list:?} {node} {access}"
                );
            }
        }
    }
}

#[test]
fn v1s_form_says_the_same_or_refuses() {
    let list = [
        rule(true, "b", Some(8), Some(0), "rwm"),
        rule(false, "a", None, None, "rwm"),
        rule(true, "c", Some(1), Some(3), "rw"),
        rule(true, "c", Some(1), Some(3), "m"),
        rule(true, "c", Some(10), Some(229), "rwm"),
        rule(false, "c", Some(10), None, "w"),
    ];
    let form = Exceptions::of(&rules(&list).unwrap()).unwrap();
    let lines: Vec<String> =
        form.but.iter().map(|(nodes, access)| format!("{nodes} {}", Access(*access))).collect();
    assert!(!form.allow_by_default);
    assert_eq!(lines, ["c 1:3 rwm", "c 10:229 rm"]);
    let cut = [rule(true, "c", Some(1), None, "rwm"), rule(false, "c", Some(1), Some(5), "w")];
    let failure = Exceptions::of(&rules(&cut).unwrap()).unwrap_err();
    assert_eq!(failure.to_string(), "v1 control groups can't deny `c 1:5` within `c 1:*`");
    let open = [rule(true, "a", None, None, ""), rule(false, "b", Some(8), None, "w")];
    let form = Exceptions::of(&rules(&open).unwrap()).unwrap();
    assert!(form.allow_by_default && form.but.len() == 1);
}

#[test]
fn v1s_list_is_read_back() {
    let list = "c *:* m\nb *:* m\nc 1:3 rwm\nodd\nc 1-3 r\nx 1:1 r\nc 136:* rwm\n";
    let form = Exceptions::read(list);
    assert_eq!(form.but.len(), 4);
    assert!(!form.allow_by_default);
    assert!(Exceptions::read("a *:* rwm\n").allow_by_default);
    let wanted = Exceptions::of(&rules(&default_device_rules()).unwrap()).unwrap();
    assert!(form.but.iter().all(|(nodes, access)| wanted.access_of(nodes) == *access));
}

#[test]
fn rules_with_odd_words_are_refused_by_name() {
    for (bad, word) in [
        (rule(true, "x", None, None, "r"), "`x`"),
        (rule(true, "c", Some(-7), None, "r"), "`-7`"),
        (rule(true, "c", Some(1), Some(1 << 40), "r"), "`1099511627776`"),
        (rule(true, "c", None, None, "rx"), "`rx`"),
    ] {
        let failure = rules(&[bad]).unwrap_err();
        assert!(failure.to_string().contains(word), "{failure}");
    }
}

/// Privileged: makes a group in the v2 hierarchy (hybrid machines have one too), puts programs on it and enters it.
#[test]
fn the_kernel_takes_the_program_and_obeys_it() {
    use crate::cgroup::{GroupPath, Layout};
    let layout = Layout::detect().unwrap();
    let path = GroupPath::parse(&format!("haven-test-devices-{}", std::process::id())).unwrap();
    let group = layout.create(&path).unwrap();
    let result = std::panic::catch_unwind(|| {
        let directory = group.unified().expect("a v2 hierarchy, alone or beside v1");
        let install = |list: &[DeviceRule]| {
            haven_sys::bpf::replace_device_program(directory.as_fd(), &assemble(&rules(list).unwrap()))
                .unwrap();
            assert_eq!(haven_sys::bpf::device_programs(directory.as_fd()).unwrap(), 1);
        };
        let procs = directory.path().join("cgroup.procs");
        let may = |access: &str| {
            let script = format!("echo 0 > {}; exec 3{access}", procs.display());
            std::process::Command::new("sh").args(["-c", &script]).output().unwrap().status.success()
        };
        install(&default_device_rules());
        assert!(may("<>/dev/null") && may("</dev/urandom"));
        assert!(!may("</dev/kmsg"));
        // Read by one rule and written by another is both; the later denial wins.
        install(&[
            rule(true, "c", Some(1), Some(3), "r"),
            rule(true, "c", Some(1), None, "w"),
            rule(false, "c", Some(1), Some(5), "w"),
        ]);
        assert!(may("<>/dev/null") && may("</dev/null") && may(">/dev/null"));
        assert!(!may(">/dev/zero") && !may("</dev/zero"));
        install(&[rule(true, "a", None, None, "rwm")]);
        assert!(may("<>/dev/zero") && may("</dev/kmsg"));
    });
    group.remove(std::time::Duration::from_secs(2)).unwrap();
    result.unwrap();
}
