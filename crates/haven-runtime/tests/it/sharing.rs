//! Containers that share a namespace with another, or with the host.

use crate::fixture::{Place, Running, kill, read_until};
use haven_runtime::Launch;
use haven_runtime::oci::{Namespace, NamespaceType, TimeOffset};

fn share(launch: &mut Launch, kind: NamespaceType, with: Option<&Running>) {
    let namespaces = &mut launch.spec.linux.as_mut().unwrap().namespaces;
    namespaces.retain(|namespace| namespace.kind != kind);
    if let Some(other) = with {
        let path = format!("/proc/{}/ns/{}", other.launched.pid, kind.file());
        namespaces.push(Namespace { kind, path });
    }
}

fn other(place: &Place) -> Running {
    let running = place.start(&place.shell("echo up; exec sleep 1234"));
    read_until(&running.stream, "up");
    running
}

fn namespace(pid: &str, kind: NamespaceType) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/{}", kind.file())).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn another_containers_processes_are_seen_and_nobody_elses() {
    let place = Place::new("sharepid");
    let first = other(&place);
    let mut launch =
        place.shell("cat /proc/1/cmdline; echo; ls /proc | grep -c '^[0-9]'; readlink /proc/self/ns/pid");
    share(&mut launch, NamespaceType::Pid, Some(&first));
    let text = place.run(&launch).text();
    let pid = first.launched.pid.to_string();
    assert!(text.starts_with("sleep\u{0}1234"), "{text}");
    assert!(text.ends_with(&format!("{}\n", namespace(&pid, NamespaceType::Pid))), "{text}");
    // sleep, the shell, ls and grep: not the host's.
    let seen: u32 = text.lines().nth(1).unwrap().parse().unwrap();
    assert!((2..=5).contains(&seen), "{text}");
    kill(&first.launched.keeper);
    first.wait();
}

#[test]
fn another_containers_network_and_messages_are_shared() {
    let place = Place::new("sharenet");
    let first = other(&place);
    let mut launch = place.shell(
        "for n in net ipc; do readlink /proc/self/ns/$n; done; ls /sys/class/net; grep -c mqueue /proc/mounts; \
         (echo x > /sys/x) 2>&1",
    );
    share(&mut launch, NamespaceType::Network, Some(&first));
    share(&mut launch, NamespaceType::Ipc, Some(&first));
    let text = place.run(&launch).text();
    let pid = first.launched.pid.to_string();
    assert!(text.contains(&namespace(&pid, NamespaceType::Network)), "{text}");
    assert!(text.contains(&namespace(&pid, NamespaceType::Ipc)), "{text}");
    assert!(text.contains("\nlo\n1\n") && text.contains("Read-only file system"), "{text}");
    let launched = place.spawner.launch(&launch_again(&place, &first)).unwrap();
    assert!(launched.network.is_none(), "the network isn't its own");
    kill(&launched.keeper);
    kill(&first.launched.keeper);
    first.wait();
}

fn launch_again(place: &Place, first: &Running) -> Launch {
    let mut launch = place.shell("true");
    share(&mut launch, NamespaceType::Network, Some(first));
    launch
}

#[test]
fn the_hosts_network_processes_and_name_can_be_shared_with_users_of_its_own() {
    let place = Place::new("sharehost");
    let mut launch = place.shell(
        "for n in net pid uts ipc; do readlink /proc/self/ns/$n; done; cat /proc/1/comm; \
         cat /proc/self/uid_map; ls /sys/class/net | grep -c .; mount | grep -c 'mqueue'",
    );
    launch.spec.hostname.clear();
    for kind in [NamespaceType::Network, NamespaceType::Pid, NamespaceType::Uts, NamespaceType::Ipc] {
        share(&mut launch, kind, None);
    }
    let ended = place.run(&launch);
    let text = ended.text();
    for kind in [NamespaceType::Network, NamespaceType::Pid, NamespaceType::Uts, NamespaceType::Ipc] {
        assert!(text.contains(&namespace("self", kind)), "{kind}: {text}");
    }
    let first = std::fs::read_to_string("/proc/1/comm").unwrap();
    assert!(text.contains(&first) && text.contains("1000000      65536"), "{text}");
    assert_eq!(ended.exit.code, 0, "{text}");
}

#[test]
fn a_name_for_the_host_needs_a_namespace_of_its_own() {
    let place = Place::new("sharename");
    let mut launch = place.shell("true");
    share(&mut launch, NamespaceType::Uts, None);
    assert!(place.spawner.launch(&launch).unwrap_err().one_line().contains("UTS"));
}

#[test]
fn joining_users_is_refused_and_says_so() {
    let place = Place::new("shareusers");
    let first = other(&place);
    let mut launch = place.shell("true");
    launch.id_range = None;
    share(&mut launch, NamespaceType::User, Some(&first));
    let failure = place.spawner.launch(&launch).unwrap_err();
    assert_eq!(failure.kind(), haven_spec::Kind::Unsupported);
    kill(&first.launched.keeper);
    first.wait();
}

#[test]
fn clocks_can_be_offset() {
    let place = Place::new("clocks");
    let mut launch = place.shell("cat /proc/uptime");
    let linux = launch.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceType::Time, path: String::new() });
    linux.time_offsets.insert("boottime".into(), TimeOffset { secs: 500_000_000, nanosecs: 0 });
    let text = place.run(&launch).text();
    let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
    assert!(uptime > 500_000_000.0, "{text}");
}
