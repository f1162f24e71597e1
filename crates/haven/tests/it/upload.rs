//! Archives to the daemon: chunked bodies, early refusals, progress that comes while sending.

use crate::daemon::{Daemon, PONG, json};
use crate::{command, haven, stderr, stdout};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn an_archive_arrives_whole_and_messages_are_shown() {
    let daemon = Daemon::answering(|heard| {
        let text = format!(
            "{{\"stream\":\"got {} bytes\\n\"}}\n{{\"status\":\"passing\",\"id\":\"x\",\"progressDetail\":{{}}}}",
            heard.body.len()
        );
        json(200, &text)
    });
    let path = daemon.directory().join("archive.tar");
    std::fs::write(&path, vec![b'x'; 3_000_000]).unwrap();
    let output = haven(&daemon, &["load", "-i", path.to_str().unwrap()]);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "got 3000000 bytes\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_error_in_the_stream_fails_the_command() {
    let daemon = Daemon::answering(|_| {
        json(
            200,
            "{\"stream\":\"one\\n\"}\n{\"errorDetail\":{\"message\":\"bad layer `x`\"},\"error\":\"bad layer\"}",
        )
    });
    let output = haven(&daemon, &["load"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "one\n");
    assert!(stderr(&output).starts_with("error: bad layer `x`"), "{}", stderr(&output));
}

#[test]
fn an_early_refusal_is_seen_although_the_source_still_blocks() {
    let daemon = Daemon::start(|mut peer| {
        drop(peer.hear());
        drop(peer.say(PONG.as_bytes()));
        // Answers without reading the body, and keeps the connection open.
        use std::io::Read;
        let mut some = [0; 10];
        drop(peer.socket.read(&mut some));
        drop(peer.say(&json(500, r#"{"message":"no space left"}"#)));
        std::thread::sleep(Duration::from_secs(20));
    });
    let mut child = command(&daemon, &["load"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut blocked = child.stdin.take().unwrap();
    blocked.write_all(b"begin").unwrap();
    let begun = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: no space left"), "{}", stderr(&output));
    drop(blocked);
}

#[test]
fn a_source_that_fails_is_not_a_short_archive() {
    let (told, heard) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let daemon = Daemon::answering(move |heard| {
        drop(told.lock().unwrap().send(heard.body.clone()));
        json(200, "{}")
    });
    // Its first page is never mapped, so that reading it fails.
    let output = haven(&daemon, &["load", "-i", "/proc/self/mem"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: cannot read what is to be sent"), "{}", stderr(&output));
    let body = heard.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(body, b"(cut short)");
}

#[test]
fn a_saved_file_appears_whole_or_not_at_all() {
    for (cut, status) in [(false, 0), (true, 1)] {
        let daemon = Daemon::start(move |mut peer| {
            drop(peer.hear());
            drop(peer.say(PONG.as_bytes()));
            drop(peer.hear());
            drop(peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n"));
            if !cut {
                drop(peer.say(b"0\r\n\r\n"));
                drop(peer.hear());
            }
        });
        let path = daemon.directory().join("saved.tar");
        let output = haven(&daemon, &["save", "-o", path.to_str().unwrap(), "image"]);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert_eq!(path.exists(), !cut);
        let left: Vec<_> =
            std::fs::read_dir(daemon.directory()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left.len(), if cut { 1 } else { 2 }, "{left:?}");
    }
}
