//! The program with a configuration of its own, on a port of its own, ended with the test.

use crate::browser::Browser;
use crate::samba::Samba;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Gate {
    pub(crate) samba: Samba,
    pub(crate) directory: PathBuf,
    port: u16,
    program: Child,
}

impl Gate {
    pub(crate) fn start() -> Self {
        let samba = Samba::start();
        let directory = samba.path("gate");
        std::fs::create_dir(&directory).expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let (at, server) = (directory.display(), samba.address());
        let configuration = format!(
            "listen = \"127.0.0.1:{port}\"\nkey_file = \"{at}/keys\"\nbehind_proxies = [\"127.0.0.1\"]\ntitle = \"Our <files> here\"\n\
             [sessions]\nfile = \"{at}/sessions\"\n[sign_in]\nmethod = \"smb\"\nserver = \"{server}\"\n\
             [[place]]\nname = \"Own\"\nserver = \"{server}\"\nshare = \"{{user}}\"\n\
             [[place]]\nname = \"All\"\nserver = \"{server}\"\nshare = \"both\"\nread_only = true\n\
             [[place]]\nname = \"Bob's\"\nserver = \"{server}\"\nshare = \"bob\"\n"
        );
        std::fs::write(directory.join("bargate.toml"), configuration).expect("writes");
        let made = bargate(&directory, &["rotate-key"]).output().expect("runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let program = bargate(&directory, &["serve"]).spawn().expect("starts");
        let mut gate = Self { samba, directory, port, program };
        gate.wait();
        gate
    }

    /// With the same store and keys.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.program = bargate(&self.directory, &["serve"]).spawn().expect("starts");
        self.wait();
    }

    pub(crate) fn run(&self, words: &[&str]) -> (bool, String) {
        let output = bargate(&self.directory, words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.port)
    }

    /// The number of the program's process.
    pub(crate) fn process(&self) -> String {
        self.program.id().to_string()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn stop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.program);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        let start = Instant::now();
        while matches!(self.program.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(25) {
                drop(self.program.kill());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "it took too long to start: {}", self.log());
            assert!(matches!(self.program.try_wait(), Ok(None)), "it ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

fn bargate(directory: &std::path::Path, words: &[&str]) -> Command {
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).expect("a log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bargate"));
    command.args(words).arg("--config").arg(directory.join("bargate.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
}
