//! `make demo`: what Haven does, shown on a private daemon that is gone afterwards. Every line after a `$` was run.

use haven_tests::{Call, House, Options, SINGLE, debian_archive, probe, say, single_archive};

/// Enough for a file system archive of a Debian on a slow disk.
const LONG: std::time::Duration = std::time::Duration::from_secs(300);

fn main() {
    title("Images: a Debian made by debootstrap, and one static file");
    say("(debootstrap runs once; the archive is kept under target/)");
    let debian = debian_archive().display().to_string();
    let mut house = House::open_with(Options { images: vec![single_archive()], ..Options::default() });
    show(house.haven("import").args([debian.as_str(), "debian"]).limit(LONG));
    show(house.haven("images"));

    title("A container runs to its end");
    show(house.haven("run --rm debian cat /etc/os-release"));
    show(house.haven("run --rm").arg(SINGLE));
    show(house.haven("run --rm debian sh -c").arg("exit 42"));

    title("A service with limits, a volume and a published port");
    let serve = format!("{}:/serve:ro", probe().display());
    show(
        house
            .haven("run -d --name web --memory 128m --cpus 0.5 --pids-limit 64 -p 8080:80 -v data:/srv -v")
            .args([serve.as_str(), "debian", "/serve", "serve", "80", "hello from the container"]),
    );
    show(house.haven("ps"));
    haven_tests::eventually("the port answers", || ask(&house).run().code == 0);
    say("from another machine:");
    show(ask(&house));
    show(
        house
            .haven("exec web sh -c")
            .arg("echo kept > /srv/file; hostname; ps -e 2>/dev/null || ls -d /proc/[0-9]*"),
    );
    show(house.haven("stats --no-stream"));

    title("What isolates it");
    isolation(&house);

    title("The daemon is killed; the container goes on");
    house.kill_daemon();
    say("(kill -9)");
    show(ask(&house));
    house.start_daemon();
    show(house.haven("ps"));
    show(house.haven("exec web cat /srv/file"));

    title("And goes");
    show(house.haven("stop --time 1 web"));
    show(house.haven("rm web"));
    show(house.haven("volume ls"));
    drop(house);
    say(
        "\nNo mount, cgroup, network device, rule, process or directory of a container is left: asked from the kernel's own lists.",
    );
}

/// A client beyond the host's network.
fn ask(house: &House) -> Call {
    house.outside(&format!("{} get 192.0.2.1 8080", probe().display()))
}

fn isolation(house: &House) {
    let pid = house.inspect("web", "{{.State.Pid}}");
    say("namespaces, the host's and the container's:");
    for namespace in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let read = |process: &str| {
            house.host(&format!("readlink /proc/{process}/ns/{namespace}")).run().stdout.trim().to_owned()
        };
        say(&format!("  {namespace:7} {:24} {}", read("self"), read(&pid)));
    }
    let status = house.host(&format!("cat /proc/{pid}/status")).succeeds();
    let line = |name: &str| {
        status.lines().find(|line| line.starts_with(name)).unwrap_or_default().replace('\t', " ")
    };
    let map = house.host(&format!("cat /proc/{pid}/uid_map")).succeeds();
    say(&format!(
        "root inside is the host's user: {} (inside, outside, count)",
        map.split_whitespace().collect::<Vec<_>>().join(" ")
    ));
    for name in ["CapEff", "CapBnd", "NoNewPrivs", "Seccomp:", "Seccomp_filters"] {
        say(&format!("  {}", line(name)));
    }
    show(house.haven("exec web sh -c").arg("cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern; mount -t tmpfs none /mnt; dmesg | head -n 1; true"));
    show(house.haven("inspect --format").args(["memory {{.HostConfig.Memory}}, processors {{.HostConfig.NanoCpus}}e-9, processes {{.HostConfig.PidsLimit}}", "web"]));
}

fn title(text: &str) {
    say(&format!("\n== {text}"));
}

/// Runs it and shows the line, what it printed, and how long it took.
fn show(call: Call) {
    let answer = call.run();
    say(&format!("$ {}", answer.line));
    for line in answer.stdout.lines().chain(answer.stderr.lines()) {
        say(&format!("  {line}"));
    }
    if answer.code != 0 {
        say(&format!("  (exit code {})", answer.code));
    }
    say(&format!("  ({:.0?})", answer.took));
}
