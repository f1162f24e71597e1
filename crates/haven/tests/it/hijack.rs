//! Connections that become streams: the order of `run`'s requests, frames, ends, and a daemon that vanishes.

use crate::daemon::{Daemon, PONG, frame, json};
use crate::{command, haven, stderr, stdout};
use std::io::Write;
use std::net::Shutdown;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const UPGRADED: &[u8] = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

/// What the container does once it is started.
#[derive(Clone)]
struct Container {
    /// Bytes of the attached stream.
    stream: Vec<u8>,
    /// The answer to the wait, without its head; nothing hangs up.
    wait: &'static str,
    /// Say back what was sent.
    echoes: bool,
    start: fn() -> Vec<u8>,
}

/// A daemon with one container, whose stream and end begin with the start request.
fn daemon(container: Container) -> Daemon {
    let started = Arc::new((Mutex::new(false), Condvar::new()));
    let begun = move |started: &(Mutex<bool>, Condvar)| {
        let mut on = started.0.lock().unwrap();
        while !*on {
            on = started.1.wait(on).unwrap();
        }
    };
    Daemon::start(move |mut peer| {
        while let Some(heard) = peer.hear() {
            let line = heard.line.clone();
            let answer = if line.ends_with("/_ping") {
                PONG.into()
            } else if line.contains("/containers/create") {
                json(201, r#"{"Id":"c0ffee","Warnings":["mind the gap"]}"#)
            } else if line.contains("/attach") {
                peer.say(UPGRADED).unwrap();
                begun(&started);
                if container.echoes {
                    let input = peer.rest();
                    drop(peer.say(&frame(1, &String::from_utf8_lossy(&input))));
                }
                drop(peer.say(&container.stream));
                return;
            } else if line.contains("/wait") {
                peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
                begun(&started);
                let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", container.wait.len(), container.wait);
                if !container.wait.is_empty() {
                    drop(peer.say(chunk.as_bytes()));
                }
                return;
            } else if line.ends_with("/start") {
                *started.0.lock().unwrap() = true;
                started.1.notify_all();
                (container.start)()
            } else {
                json(404, r#"{"message":"page not found"}"#)
            };
            drop(peer.say(&answer));
        }
    })
}

fn container() -> Container {
    Container {
        stream: [frame(1, "out\n"), frame(2, "err\n"), frame(1, "more\n")].concat(),
        wait: r#"{"StatusCode":7}"#,
        echoes: false,
        start: || json(204, ""),
    }
}

#[test]
fn run_attaches_and_waits_before_it_starts() {
    let daemon = daemon(container());
    let output = haven(&daemon, &["run", "image", "cmd"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(stdout(&output), "out\nmore\n");
    assert_eq!(stderr(&output), "warning: mind the gap\nerr\n");
    let order: Vec<String> = daemon.heard().into_iter().filter(|line| !line.contains("_ping")).collect();
    assert_eq!(
        order,
        [
            "POST /containers/create",
            "POST /containers/c0ffee/attach?stream=1&stdout=1&stderr=1",
            "POST /containers/c0ffee/wait?condition=next-exit",
            "POST /containers/c0ffee/start"
        ]
    );
}

#[test]
fn input_is_sent_and_its_end_is_told() {
    let daemon = daemon(Container { echoes: true, stream: Vec::new(), ..container() });
    let mut child = command(&daemon, &["run", "-i", "image"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = "line\n".repeat(20_000);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output), input);
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_blocked_standard_input_does_not_keep_a_container_that_ended() {
    let daemon = daemon(container());
    let begun = Instant::now();
    let mut child = command(&daemon, &["run", "-i", "image"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let kept_open = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(kept_open);
}

#[test]
fn a_stream_that_breaks_off_is_said_and_what_came_is_shown() {
    let whole = frame(1, "partial");
    let daemon = daemon(Container { stream: whole[..10].to_vec(), ..container() });
    let output = haven(&daemon, &["run", "image"]);
    assert_eq!(stdout(&output), "pa");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("output broke off"), "{}", stderr(&output));
}

#[test]
fn a_daemon_that_vanishes_leaves_status_125() {
    let daemon = daemon(Container { wait: "", ..container() });
    let output = haven(&daemon, &["run", "image"]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(stdout(&output), "out\nmore\n");
    assert!(stderr(&output).contains("cannot learn how the container ended"), "{}", stderr(&output));
}

#[test]
fn commands_that_cannot_start_end_as_a_shell_would_have_it() {
    for (start, status) in [
        (
            (|| json(404, r#"{"message":"exec: \"x\": executable file not found in $PATH"}"#))
                as fn() -> Vec<u8>,
            127,
        ),
        (|| json(400, r#"{"message":"exec: \"x\": permission denied"}"#), 126),
        (|| json(500, r#"{"message":"no memory"}"#), 125),
    ] {
        let daemon = daemon(Container { start, ..container() });
        let output = haven(&daemon, &["run", "image", "x"]);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    }
}

#[test]
fn a_missing_image_says_how_to_load_one() {
    let daemon = Daemon::answering(|_| json(404, r#"{"message":"No such image: image:latest"}"#));
    let output = haven(&daemon, &["run", "image"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("there is no image `image` here\ntry: haven load"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let lines = frame(1, &"y\n".repeat(30_000)).repeat(100);
    let daemon = daemon(Container { stream: lines, ..container() });
    let mut child = command(&daemon, &["run", "image"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(stderr(&output), "warning: mind the gap\n");
}

#[test]
fn signals_are_passed_on_and_the_third_request_to_end_is_the_last() {
    let killed = Arc::new(AtomicBool::new(false));
    let note = Arc::clone(&killed);
    let daemon = Daemon::start(move |mut peer| {
        while let Some(heard) = peer.hear() {
            let line = heard.line.clone();
            let answer = if line.ends_with("/_ping") {
                PONG.into()
            } else if line.contains("/containers/create") {
                json(201, r#"{"Id":"c0ffee"}"#)
            } else if line.contains("/attach") {
                peer.say(UPGRADED).unwrap();
                peer.rest();
                std::thread::sleep(Duration::from_secs(20));
                return;
            } else if line.contains("/wait") {
                peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
                peer.rest();
                return;
            } else {
                note.fetch_or(line.contains("/kill?signal=INT"), Ordering::Relaxed);
                json(204, "")
            };
            drop(peer.say(&answer));
        }
    });
    let mut child = command(&daemon, &["run", "image"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !daemon.heard().iter().any(|line| line.ends_with("/start")) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(200));
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(killed.load(Ordering::Relaxed));
}

#[test]
fn exec_ends_with_the_commands_status() {
    let daemon = Daemon::start(|mut peer| {
        while let Some(heard) = peer.hear() {
            let line = heard.line.clone();
            let answer = if line.ends_with("/_ping") {
                PONG.into()
            } else if line.ends_with("/exec") {
                assert!(String::from_utf8_lossy(&heard.body).contains(r#""Cmd":["ls","-l"]"#));
                json(201, r#"{"Id":"e1"}"#)
            } else if line.ends_with("/start") {
                // Without an upgrade, as old daemons answer.
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
                    .unwrap();
                drop(peer.say(&frame(1, "listing\n")));
                drop(peer.socket.shutdown(Shutdown::Both));
                return;
            } else {
                json(200, r#"{"ExitCode":3}"#)
            };
            drop(peer.say(&answer));
        }
    });
    let output = haven(&daemon, &["exec", "web", "ls", "-l"]);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(3), "listing\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn logs_keep_both_streams_apart_and_notice_a_cut() {
    for (cut, status) in [(0, 0), (3, 1)] {
        let daemon = Daemon::start(move |mut peer| {
            while let Some(heard) = peer.hear() {
                if heard.line.ends_with("/_ping") {
                    drop(peer.say(PONG.as_bytes()));
                } else if heard.line.contains("/logs") {
                    let frames = [frame(1, "o\n"), frame(2, "e\n")].concat();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", frames.len());
                    drop(peer.say(head.as_bytes()));
                    drop(peer.say(&frames[..frames.len() - cut]));
                    return;
                } else {
                    drop(peer.say(&json(200, r#"{"Id":"c0ffee","Config":{"Tty":false}}"#)));
                }
            }
        });
        let output = haven(&daemon, &["logs", "-n", "5", "web"]);
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(stdout(&output), "o\n");
        assert!(
            daemon
                .heard()
                .iter()
                .any(|line| line.ends_with("/containers/c0ffee/logs?stdout=1&stderr=1&tail=5"))
        );
    }
}
