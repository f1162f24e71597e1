//! Answers that are slow, cut short, not HTTP, or never come.

use crate::daemon::{Daemon, PONG, json};
use crate::{haven, stderr, stdout};
use std::time::{Duration, Instant};

#[test]
fn bodies_of_every_framing_say_the_same() {
    let body = r#"[{"Id":"0123456789abcdef","Names":["/web"],"State":"running"}]"#;
    let framings = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x};x=y\r\n{}\r\n0\r\nT: v\r\n\r\n",
            &body[..5],
            body.len() - 5,
            &body[5..]
        ),
        format!("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n{body}"),
    ];
    for framing in framings {
        let close = framing.contains("close");
        let daemon = Daemon::start(move |mut peer| {
            while let Some(heard) = peer.hear() {
                if heard.line.ends_with("/_ping") {
                    drop(peer.say(PONG.as_bytes()));
                    continue;
                }
                drop(peer.say(framing.as_bytes()));
                if close {
                    return;
                }
            }
        });
        let output = haven(&daemon, &["ps", "--format", "{{.ID}} {{.Names}}"]);
        assert_eq!(stdout(&output), "0123456789ab web\n");
        assert_eq!(daemon.heard(), ["HEAD /_ping", "GET /containers/json"]);
    }
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_read() {
    let daemon = Daemon::start(|mut peer| {
        while let Some(heard) = peer.hear() {
            let answer = if heard.line.ends_with("/_ping") { PONG.into() } else { json(200, "[]") };
            for byte in answer {
                drop(peer.say(&[byte]));
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let output = haven(&daemon, &["ps", "-q"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""));
}

#[test]
fn an_answer_cut_short_is_an_error_and_prints_nothing() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[]",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[{\"I\"",
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnot json",
        "nonsense\r\n\r\n",
    ] {
        let daemon = Daemon::start(move |mut peer| {
            peer.hear();
            drop(peer.say(PONG.as_bytes()));
            peer.hear();
            drop(peer.say(answer.as_bytes()));
        });
        let output = haven(&daemon, &["ps", "-q"]);
        assert_eq!(output.status.code(), Some(1), "{answer}");
        assert_eq!(stdout(&output), "", "{answer}");
        assert!(stderr(&output).starts_with("error: "), "{answer}: {}", stderr(&output));
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let daemon = Daemon::start(|mut peer| {
        peer.hear();
        drop(peer.say(b"HTTP/1.1 200 OK\r\n"));
        while peer
            .say(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
            .is_ok()
        {}
    });
    let output = haven(&daemon, &["ps"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("65536 bytes of header"), "{}", stderr(&output));
}

#[test]
fn what_is_not_a_daemon_is_recognised() {
    for (greeting, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "does not speak the Docker Engine API"),
        ("HTTP/1.1 200 OK\r\nApi-Version: 1.12\r\nContent-Length: 0\r\n\r\n", "speaks API 1.12"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
    ] {
        let daemon = Daemon::start(move |mut peer| {
            peer.hear();
            drop(peer.say(greeting.as_bytes()));
        });
        let output = haven(&daemon, &["ps"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn the_daemons_reason_and_advice_are_shown() {
    for (status, body, words) in [
        (
            404,
            r#"{"message":"No such container: web"}"#,
            "error: No such container: web\ntry: list containers",
        ),
        (409, r#"{"message":"in use","hint":"haven stop web"}"#, "error: in use\ntry: haven stop web"),
        (500, "", "error: the daemon refused with status 500 and no reason"),
        (500, "<html>", "error: the daemon refused with status 500"),
    ] {
        let daemon = Daemon::answering(move |_| json(status, body));
        let output = haven(&daemon, &["rename", "web", "db"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).starts_with(words), "{}", stderr(&output));
    }
}

#[test]
fn names_cannot_reach_other_paths() {
    let daemon = Daemon::answering(|_| json(404, r#"{"message":"no"}"#));
    haven(&daemon, &["stop", "../images/x?force=1"]);
    haven(&daemon, &["rmi", "a/b:c@sha256:0"]);
    haven(&daemon, &["rmi", "../info"]);
    let output = haven(&daemon, &["rm", ""]);
    assert!(stderr(&output).contains("name is empty"));
    let heard: Vec<String> = daemon.heard().into_iter().filter(|line| !line.contains("_ping")).collect();
    assert_eq!(
        heard,
        [
            "POST /containers/..%2Fimages%2Fx%3Fforce%3D1/stop",
            "DELETE /images/a/b:c@sha256:0",
            "DELETE /images/..%2Finfo"
        ]
    );
}

#[test]
fn no_daemon_is_a_clear_error_and_comes_at_once() {
    let daemon = Daemon::start(|_| {});
    std::fs::remove_file(daemon.path()).unwrap();
    let begun = Instant::now();
    let output = haven(&daemon, &["ps"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: cannot reach the daemon at"), "{}", stderr(&output));
    assert!(begun.elapsed() < Duration::from_secs(5));
}
