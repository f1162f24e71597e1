//! Terminals: sent to the caller's socket, or joined to the caller's own.

use crate::bundle::Bundle;
use serde_json::json;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

fn receive(listener: &UnixListener) -> OwnedFd {
    let (connection, _) = listener.accept().unwrap();
    let mut buffer = [0; 64];
    let packet =
        haven_sys::socket::receive(&connection, &mut buffer, rustix::net::RecvFlags::empty()).unwrap();
    packet.descriptors.into_iter().next().unwrap()
}

/// Reads until the terminal has no other side any more.
fn read_all(master: OwnedFd) -> String {
    let mut file = std::fs::File::from(master);
    let mut text = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = file.read(&mut chunk) {
        text.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_created_containers_terminal_is_sent_to_the_console_socket() {
    let bundle = Bundle::new("console", "tty; ls -l /dev/console; stty size; read line; echo got $line")
        .with(|document| {
            document["process"]["terminal"] = json!(true);
            document["process"]["consoleSize"] = json!({ "height": 33, "width": 44 });
        });
    assert!(bundle.fails(&["create", "-b", "{bundle}", "{id}"]).contains("--console-socket"));
    let path = bundle.top.join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // With pipes: they must be let go of before the container is started.
    let output = bundle
        .command(&["create", "--console-socket", &path.to_string_lossy(), "-b", "{bundle}", "{id}"])
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let master = receive(&listener);
    bundle.ok(&["start", "{id}"]);
    let mut keyboard = std::fs::File::from(master.try_clone().unwrap());
    keyboard.write_all(b"typed\n").unwrap();
    drop(keyboard);
    let text = read_all(master);
    assert!(
        text.contains("/dev/pts/0\r\n") && text.contains("33 44\r\n") && text.contains("got typed\r\n"),
        "{text}"
    );
    assert!(text.contains("136,   0"), "{text}");
}

#[test]
fn an_additional_process_gets_a_terminal_too() {
    let bundle = Bundle::new("exec-tty", "exec sleep 100");
    bundle.create();
    bundle.ok(&["start", "{id}"]);
    let path = bundle.top.join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let socket = path.to_string_lossy().into_owned();
    let output = bundle.call(&["exec", "-d", "-t", "--console-socket", &socket, "{id}", "tty"]);
    assert!(output.status.success(), "{output:?}");
    assert!(read_all(receive(&listener)).contains("/dev/pts/0"));
    assert!(bundle.fails(&["exec", "-d", "-t", "{id}", "tty"]).contains("--console-socket"));
}

#[test]
fn in_the_foreground_the_callers_terminal_is_joined() {
    let bundle = Bundle::new("run-tty", "test -t 0 && echo yes; exit 6")
        .with(|document| document["process"]["terminal"] = json!(true));
    let output = bundle.call(&["run", "-b", "{bundle}", "{id}"]);
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "yes\r\n");
}
