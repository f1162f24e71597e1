//! Real servers for the tests, from Debian's packages: each with a directory and ports of its own, on loopback, ended
//! with the test that started it.

use crate::fixtures::Scratch;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A port nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

/// Waits for something that a server does on its own time.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what} took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program that runs until this is dropped.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(
                |error| panic!("cannot start `{program}`: {error}; `cargo xtask setup` installs it"),
            );
        Self(child)
    }

    pub(crate) fn kill(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output
        .unwrap_or_else(|error| panic!("cannot run `{program}`: {error}; `cargo xtask setup` installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority and a certificate of it for `localhost`, or whom else.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    pub(crate) fn make(scratch: &Scratch, name: &str, host: &str) -> Self {
        let at = |suffix: &str| scratch.file(&format!("{name}{suffix}"));
        let (authority, authority_key) = (at("-ca.pem"), at("-ca.key"));
        let (certificate, key, request, extensions) = (at(".pem"), at(".key"), at(".csr"), at(".ext"));
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        let curve = "ec_paramgen_curve:P-256";
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                curve,
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=Test authority",
                "-addext",
                "basicConstraints=critical,CA:TRUE",
                "-keyout",
                &text(&authority_key),
                "-out",
                &text(&authority),
            ],
        );
        run(
            "openssl",
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                curve,
                "-nodes",
                "-subj",
                &format!("/CN={host}"),
                "-keyout",
                &text(&key),
                "-out",
                &text(&request),
            ],
        );
        std::fs::write(&extensions, format!("subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n"))
            .expect("writes");
        run(
            "openssl",
            &[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &text(&request),
                "-CA",
                &text(&authority),
                "-CAkey",
                &text(&authority_key),
                "-CAcreateserial",
                "-extfile",
                &text(&extensions),
                "-out",
                &text(&certificate),
            ],
        );
        Self { authority, certificate, key }
    }
}

pub(crate) struct Redis {
    pub(crate) scratch: Scratch,
    pub(crate) socket: PathBuf,
    arguments: Vec<String>,
    server: Server,
}

impl Redis {
    /// On a unix socket, with more settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let scratch = Scratch::new();
        let socket = scratch.file("redis.sock");
        let directory = scratch.file("");
        let mut arguments: Vec<String> = [
            "--port",
            "0",
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            "--unixsocket",
            socket.to_str().expect("text"),
            "--dir",
            directory.to_str().expect("text"),
        ]
        .iter()
        .map(|argument| (*argument).to_owned())
        .collect();
        arguments.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let server = Server::start(Command::new("redis-server").args(&arguments));
        until("redis-server's start", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Self { scratch, socket, arguments, server }
    }

    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Empty again: nothing was persisted.
    pub(crate) fn restart(&mut self) {
        self.kill();
        drop(std::fs::remove_file(&self.socket));
        self.server = Server::start(Command::new("redis-server").args(&self.arguments));
        until("redis-server's start", || std::os::unix::net::UnixStream::connect(&self.socket).is_ok());
    }

    /// One command, as an operator gives it.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(&self.socket)
            .args(arguments)
            .output()
            .expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
