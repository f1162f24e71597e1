//! Terminals and attached streams: `-it`, `-i`, attach, detach keys, resize.

use haven_tests::{BUSYBOX, House, eventually};

#[test]
fn a_container_with_a_terminal_has_one_on_all_three_streams() {
    let house = House::open();
    let answer = house
        .haven("run --rm -it")
        .args([BUSYBOX, "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && tty && exit 5"])
        .on_a_terminal()
        .run();
    assert_eq!(answer.code, 5, "{}", answer.story());
    answer.says("/dev/pts/0");
}

#[test]
fn what_is_typed_reaches_the_shell_and_its_output_comes_back() {
    let house = House::open();
    let mut shell = house.haven("run --rm -it").args([BUSYBOX, "sh"]).on_a_terminal().start();
    shell.wait_for("/ # ");
    shell.say(b"echo $((6*7))\n");
    shell.wait_for("42");
    shell.say(b"exit 3\n");
    assert_eq!(shell.finish().code, 3);
}

#[test]
fn an_interrupt_typed_at_the_terminal_reaches_the_process() {
    let house = House::open();
    let mut shell = house.haven("run --rm -it").args([BUSYBOX, "sh"]).on_a_terminal().start();
    shell.wait_for("/ # ");
    shell.say(b"echo begin; sleep 100\n");
    shell.wait_for("begin\r\n");
    // The shell has to be in its wait before the key is typed.
    std::thread::sleep(std::time::Duration::from_millis(300));
    shell.say(b"\x03");
    shell.say(b"echo went-$((1+1))-on\n");
    shell.wait_for("went-2-on");
    shell.say(b"exit\n");
    shell.finish();
}

#[test]
fn input_is_piped_and_its_end_is_seen() {
    let house = House::open();
    let answer = house.haven("run --rm -i").args([BUSYBOX, "wc", "-c"]).input("12345").exits(0);
    assert_eq!(answer.stdout.trim(), "5");
    let large = vec![b'x'; 3 << 20];
    let answer = house.haven("run --rm -i").args([BUSYBOX, "wc", "-c"]).input(large).exits(0);
    assert_eq!(answer.stdout.trim(), (3 << 20).to_string());
}

#[test]
fn standard_output_and_standard_error_stay_apart_without_a_terminal() {
    let house = House::open();
    let answer = house.haven("run --rm").args([BUSYBOX, "sh", "-c", "echo out; echo err >&2"]).exits(0);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn the_last_bytes_before_the_end_arrive() {
    let house = House::open();
    for _ in 0..10 {
        let answer = house.haven("run --rm").args([BUSYBOX, "sh", "-c", "seq 1 20000"]).exits(0);
        assert!(answer.stdout.ends_with("\n20000\n"), "{} bytes", answer.stdout.len());
    }
}

#[test]
fn detach_keys_leave_the_container_running_and_attach_comes_back() {
    let house = House::open();
    let mut shell = house.haven("run -it --name held").args([BUSYBOX, "sh"]).on_a_terminal().start();
    shell.wait_for("/ # ");
    shell.say(b"x=kept\n");
    shell.say(b"\x10\x11");
    let answer = shell.finish();
    assert_eq!(answer.code, 0, "{}", answer.story());
    assert_eq!(house.inspect("held", "{{.State.Status}}"), "running");
    let mut again = house.haven("attach held").on_a_terminal().start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    again.say(b"echo x is $x\n");
    again.wait_for("x is kept");
    again.say(b"exit\n");
    again.finish();
}

#[test]
fn attach_shows_output_and_ends_with_the_containers_code() {
    let house = House::open();
    house.detached("--name talker", "while ! test -e /tmp/go; do sleep 0.05; done; echo here; exit 4");
    let mut attached = house.haven("attach talker").start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    house.haven("exec talker touch /tmp/go").succeeds();
    attached.wait_for("here");
    assert_eq!(attached.finish().code, 4);
}

#[test]
fn exec_with_a_terminal_has_its_size() {
    let house = House::open();
    house.detached("--name box", "sleep 1000");
    let mut shell = house.haven("exec -it box sh").on_a_terminal().start();
    shell.wait_for("/ # ");
    shell.say(b"stty size; test -t 0 && echo is-a-$((1))-terminal\n");
    shell.wait_for("is-a-1-terminal");
    shell.say(b"exit 6\n");
    assert_eq!(shell.finish().code, 6);
}

#[test]
fn a_killed_client_leaves_the_container_running() {
    let house = House::open();
    let mut run = house.haven("run --name on").args([BUSYBOX, "sh", "-c", "echo up; sleep 1000"]).start();
    run.wait_for("up");
    run.kill();
    eventually("the container runs", || house.inspect("on", "{{.State.Running}}") == "true");
}
