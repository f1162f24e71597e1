//! Containers begin, say something, and end.

use crate::fixture::{Place, kill, read_until};
use haven_runtime::{CommandError, ExitRecord, Keeper, RootFs, read_exit};

#[test]
fn a_command_runs_and_its_exit_code_is_told() {
    let place = Place::new("exit");
    let launch = place.shell("echo out; echo err >&2; exit 7");
    let ended = place.run(&launch);
    assert_eq!(ended.exit.code, 7, "{ended:?}");
    assert_eq!(ended.exit.signal, None);
    assert!(ended.text().contains("out\n") && ended.text().contains("err\n"));
    assert_eq!(read_exit(&launch.run_dir).unwrap(), Some(ended.exit));
    assert!(!Keeper::of_container(&launch.run_dir).is_alive());
}

#[test]
fn a_killed_command_is_told_with_its_signal() {
    let place = Place::new("killed");
    let running = place.start(&place.shell("echo up; sleep 100"));
    read_until(&running.stream, "up");
    kill(&running.launched.keeper);
    let exit = running.wait();
    assert!(
        matches!(exit, ExitRecord { code: 137, signal: Some(9), oom_killed: false, error: None, .. }),
        "{exit:?}"
    );
}

#[test]
fn a_missing_command_and_an_unusable_one_are_told_apart() {
    let place = Place::new("missing");
    for (command, code, words) in [
        ("nosuch", 127, "exec: \"nosuch\": executable file not found in $PATH"),
        ("/nosuch", 127, "exec: \"/nosuch\": stat /nosuch: no such file or directory"),
        ("/etc/passwd", 126, "exec: \"/etc/passwd\": permission denied"),
        ("/etc", 126, "exec: \"/etc\": is a directory"),
    ] {
        let launch = place.container(&[command]);
        let launched = place.spawner.launch(&launch).unwrap();
        let failure = launched.keeper.start().unwrap_err();
        assert_eq!(
            CommandError::of(&failure).map(CommandError::exit_code),
            Some(code),
            "{}",
            failure.one_line()
        );
        assert_eq!(failure.to_string(), words);
    }
}

#[test]
fn a_file_that_is_no_program_is_unusable() {
    let place = Place::new("format");
    std::fs::write(place.top.join("image/bin/text"), "just text").unwrap();
    std::fs::write(place.top.join("image/bin/orphan"), "#!/no/such/interpreter\n").unwrap();
    for name in ["text", "orphan"] {
        let path = place.top.join("image/bin").join(name);
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let start = |command: &str| {
        place.spawner.launch(&place.container(&[command])).unwrap().keeper.start().unwrap_err()
    };
    assert_eq!(CommandError::of(&start("text")), Some(CommandError::Unusable));
    assert_eq!(CommandError::of(&start("orphan")), Some(CommandError::Missing));
}

#[test]
fn the_working_directory_is_entered_and_made_when_missing() {
    let place = Place::new("cwd");
    let mut launch = place.shell("pwd");
    launch.spec.process.as_mut().unwrap().cwd = "/some/new/place".into();
    assert_eq!(place.run(&launch).text(), "/some/new/place\n");
    let mut launch = place.shell("pwd");
    launch.spec.process.as_mut().unwrap().cwd = "/etc/passwd".into();
    let failure = place.spawner.launch(&launch).unwrap().keeper.start().unwrap_err();
    assert!(
        failure.one_line().contains("cannot enter the working directory `/etc/passwd`"),
        "{}",
        failure.one_line()
    );
}

#[test]
fn users_are_those_of_the_image() {
    let place = Place::new("user");
    let mut launch = place.shell("id; echo $HOME");
    launch.user = Some("app".into());
    launch.group_add = vec!["77".into()];
    assert_eq!(place.run(&launch).text(), "uid=1000(app) gid=1001(app) groups=10(wheel),77\n/home/app\n");
    let mut launch = place.shell("true");
    launch.user = Some("nobody".into());
    let failure = place.spawner.launch(&launch).unwrap().keeper.start().unwrap_err();
    assert!(failure.one_line().contains("unable to find user nobody"), "{}", failure.one_line());
}

#[test]
fn a_container_may_share_the_hosts_users() {
    let place = Place::new("hostusers");
    let mut launch = place.shell("cat /proc/self/uid_map; touch /x; stat -c %u /x /dev/null");
    launch.id_range = None;
    launch.spec.linux.as_mut().unwrap().namespaces.retain(|namespace| namespace.kind.word() != "user");
    let text = place.run(&launch).text();
    assert!(text.contains("0          0 4294967295"), "{text}");
    assert!(text.ends_with("0\n0\n"), "{text}");
}

#[test]
fn a_plain_directory_can_be_the_root() {
    let place = Place::new("directory");
    let mut launch = place.shell("touch /made; stat -c %u /made");
    launch.rootfs = RootFs::Directory { path: place.top.join("image"), idmap: true };
    assert_eq!(place.run(&launch).text(), "0\n");
    let made = std::fs::metadata(place.top.join("image/made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 0, "on disk ids are the container's");
}

#[test]
fn a_small_init_reaps_orphans_and_passes_signals_on() {
    let place = Place::new("init");
    let mut launch =
        place.shell("(sleep 0.1 &) ; trap 'echo got; exit 5' TERM; echo up $$; while :; do sleep 0.05; done");
    launch.init = true;
    let running = place.start(&launch);
    read_until(&running.stream, "up 2");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (_, init) = running.launched.keeper.identify().unwrap();
    rustix::process::pidfd_send_signal(&init, rustix::process::Signal::TERM).unwrap();
    read_until(&running.stream, "got");
    assert_eq!(running.wait().code, 5);
}

#[test]
fn a_launch_that_cannot_be_says_why_and_leaves_nothing() {
    let place = Place::new("refused");
    let mut launch = place.shell("true");
    launch.spec.mounts.push(haven_runtime::oci::Mount {
        destination: "/data".into(),
        source: "/no/such/place".into(),
        options: vec!["bind".into()],
        ..Default::default()
    });
    let launched = place.spawner.launch(&launch).unwrap();
    let failure = launched.keeper.start().unwrap_err();
    assert!(
        failure.one_line().contains("cannot mount `/no/such/place` on `/data`"),
        "{}",
        failure.one_line()
    );
    let mut launch = place.shell("true");
    launch.run_dir = "/no/such/run".into();
    let failure = place.spawner.launch(&launch).unwrap_err();
    assert!(failure.one_line().contains("/no/such/run"), "{}", failure.one_line());
    let layout = haven_runtime::cgroup::Layout::detect().unwrap();
    let path = haven_runtime::cgroup::GroupPath::parse(&launch.cgroup).unwrap();
    assert!(layout.open(&path).unwrap().is_none());
}
