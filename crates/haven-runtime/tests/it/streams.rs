//! Output, input, terminals and logs.

use crate::fixture::{
    EVERYTHING, Place, exec_request, read_everything, read_frame, read_until, send_input, text,
};
use haven_runtime::{AttachRequest, LogTarget, STREAM_STDERR, STREAM_STDOUT, StdinMode};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

fn log_lines(launch: &haven_runtime::Launch, file: &str) -> Vec<serde_json::Value> {
    let LogTarget::JsonFile { directory, .. } = &launch.log else { panic!() };
    let text = std::fs::read_to_string(directory.join(file)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn streams_are_told_apart_and_logged() {
    let place = Place::new("streams");
    let launch = place.shell("echo one; echo two >&2; printf three");
    let ended = place.run(&launch);
    let of = |number| {
        text(&ended.output.iter().filter(|(stream, _)| *stream == number).cloned().collect::<Vec<_>>())
    };
    assert_eq!(of(STREAM_STDOUT), "one\nthree");
    assert_eq!(of(STREAM_STDERR), "two\n");
    let lines = log_lines(&launch, "json.log");
    let logged: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["stream"].as_str().unwrap(), line["log"].as_str().unwrap())).collect();
    assert_eq!(logged.len(), 3);
    for expected in [("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "three")] {
        assert!(logged.contains(&expected), "{logged:?}");
    }
}

#[test]
fn a_client_with_backpressure_gets_all_of_100_megabytes() {
    let place = Place::new("lossless");
    let mut launch = place.shell("dd if=/dev/zero bs=1M count=100 2>/dev/null");
    launch.log = LogTarget::None;
    let running = place.start(&launch);
    let mut total = 0;
    let mut frames = 0_u32;
    while let Some((_, data)) = read_frame(&running.stream) {
        total += data.len();
        frames += 1;
        if frames.is_multiple_of(500) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(total, 100 << 20);
    assert_eq!(running.wait().code, 0);
}

#[test]
fn a_slow_client_without_backpressure_never_holds_the_process_up() {
    let place = Place::new("slow");
    let mut launch = place.shell("dd if=/dev/zero bs=1M count=60 2>/dev/null; echo end");
    launch.log = LogTarget::None;
    let launched = place.spawner.launch(&launch).unwrap();
    let slow = launched.keeper.attach(AttachRequest { backpressure: false, ..EVERYTHING }).unwrap();
    let watch = launched.keeper.watch().unwrap();
    launched.keeper.start().unwrap();
    watch.wait().unwrap();
    let got: usize = read_everything(&slow).iter().map(|(_, data)| data.len()).sum();
    assert!(got < 60 << 20, "it was let go of");
}

#[test]
fn the_last_words_reach_a_client_that_reads_late() {
    let place = Place::new("late");
    let mut launch = place.shell("dd if=/dev/zero bs=1k count=500 2>/dev/null; echo the end");
    launch.log = LogTarget::None;
    let running = place.start(&launch);
    // The process can only end once the client has read most of it; the exit is told at once after that.
    let mut total = 0;
    while total < 470 << 10 {
        total += read_frame(&running.stream).unwrap().1.len();
    }
    assert_eq!(running.wait().code, 0);
    let rest = read_everything(&running.stream);
    assert!(text(&rest).ends_with("the end\n"));
    assert_eq!(total + rest.iter().map(|(_, data)| data.len()).sum::<usize>(), (500 << 10) + 8);
}

#[test]
fn input_reaches_the_process_and_ends() {
    let place = Place::new("input");
    let mut launch = place.container(&["/bin/cat"]);
    launch.stdin = StdinMode::Once;
    let running = place.start(&launch);
    for _ in 0..100 {
        send_input(&running.stream, &[b'x'; 10_000]);
        let mut back = 0;
        while back < 10_000 {
            back += read_frame(&running.stream).unwrap().1.len();
        }
    }
    send_input(&running.stream, b"");
    assert!(read_everything(&running.stream).is_empty());
    assert_eq!(running.wait().code, 0);
}

#[test]
fn input_ends_with_the_first_client_when_it_was_wished_so() {
    let place = Place::new("once");
    let mut launch = place.shell("cat; echo ended");
    launch.stdin = StdinMode::Once;
    let running = place.start(&launch);
    let other = running.launched.keeper.attach(AttachRequest { stdin: false, ..EVERYTHING }).unwrap();
    send_input(&running.stream, b"hello\n");
    read_until(&other, "hello");
    drop(running.stream.try_clone());
    rustix::net::shutdown(&running.stream, rustix::net::Shutdown::Both).unwrap();
    read_until(&other, "ended");
}

#[test]
fn without_a_keeper_of_input_there_is_nothing_to_read() {
    let place = Place::new("noinput");
    assert_eq!(place.says("cat; echo done"), "done\n");
}

#[test]
fn the_user_may_open_its_own_streams_again() {
    let place = Place::new("reopen");
    let mut launch = place.shell("echo again > /dev/stdout; echo err > /dev/stderr");
    launch.user = Some("app".into());
    let ended = place.run(&launch);
    assert_eq!(ended.exit.code, 0, "{}", ended.text());
    assert!(ended.text().contains("again\n") && ended.text().contains("err\n"));
}

#[test]
fn a_terminal_is_the_containers_own_and_can_be_resized() {
    let place = Place::new("tty");
    let mut launch = place
        .shell("tty; stat -c %t /dev/console; stty size; read x; stty size; echo got $x; ls -l /dev/pts");
    let process = launch.spec.process.as_mut().unwrap();
    process.terminal = true;
    process.console_size = Some(haven_runtime::oci::ConsoleSize { height: 33, width: 77 });
    launch.stdin = StdinMode::Open;
    let running = place.start(&launch);
    let said = read_until(&running.stream, "33 77");
    assert!(said.starts_with("/dev/pts/0\r\n88\r\n"), "{said}");
    running.launched.keeper.resize(44, 99).unwrap();
    send_input(&running.stream, b"word\n");
    let said = text(&read_everything(&running.stream));
    assert!(said.contains("44 99\r\n") && said.contains("got word\r\n"), "{said}");
    assert_eq!(running.wait().code, 0);
    let logged = log_lines(&launch, "json.log");
    assert_eq!(logged[0]["log"], "/dev/pts/0\r\n");
}

#[test]
fn logs_are_rotated_while_the_process_runs() {
    let place = Place::new("rotate");
    let mut launch = place.shell("yes 0123456789 | head -n 5000");
    if let LogTarget::JsonFile { max_size_bytes, max_files, .. } = &mut launch.log {
        (*max_size_bytes, *max_files) = (100_000, 3);
    }
    place.run(&launch);
    let LogTarget::JsonFile { directory, .. } = &launch.log else { panic!() };
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["json.log", "json.log.1", "json.log.2"]);
    for name in &names {
        assert!(std::fs::metadata(directory.join(name)).unwrap().len() <= 100_100);
        assert!(log_lines(&launch, name).iter().all(|line| line["log"] == "0123456789\n"));
    }
}

#[test]
fn a_full_disk_loses_log_lines_and_counts_them() {
    let place = Place::new("full");
    let launch = place.shell("yes 0123456789 | head -n 2000");
    let LogTarget::JsonFile { directory, .. } = &launch.log else { panic!() };
    std::os::unix::fs::symlink("/dev/full", directory.join("other")).unwrap();
    // A link isn't followed either: a log is only ever a file in its directory.
    let mut linked = launch.clone();
    if let LogTarget::JsonFile { name, .. } = &mut linked.log {
        *name = "other".into();
    }
    let ended = place.run(&linked);
    assert_eq!((ended.exit.code, ended.exit.lost_log_lines), (0, 2000));
    assert_eq!(ended.text().len(), 22_000, "clients miss nothing");
}

#[test]
fn output_held_by_others_delays_the_end_of_an_additional_process_only_briefly() {
    let place = Place::new("held");
    let launch = place.shell("sleep 100");
    let running = place.start(&launch);
    let begun = Instant::now();
    let request = exec_request(&launch, "held", "sleep 50 & echo started");
    let execed = place.spawner.exec(&request, running.launched.pidfd.as_fd()).unwrap();
    let stream = execed.keeper.attach(EVERYTHING).unwrap();
    execed.keeper.start().unwrap();
    assert_eq!(text(&read_everything(&stream)), "started\n");
    assert!(begun.elapsed() < Duration::from_secs(3));
    crate::fixture::kill(&running.launched.keeper);
    running.wait();
}
