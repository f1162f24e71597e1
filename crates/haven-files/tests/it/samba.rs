//! A Samba server for one test: own configuration, own accounts, own port; ended with the test, its children too.
//!
//! Accounts of Samba need accounts of the system, and tests change none: people here are mapped to system accounts that
//! every Debian has (`alice` is `games`, `bob` is `news`).

use haven_files::{Link, LinkOptions, Login, Problem, Protection, ServerAddress, Share};
use haven_resolve::Resolver;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) const ALICE: &str = "open sesame";
pub(crate) const BOB: &str = "bob's own";

pub(crate) struct Samba {
    directory: PathBuf,
    port: u16,
    server: Child,
}

impl Samba {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// With more settings for the whole server.
    pub(crate) fn with(settings: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("haven-files-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        for part in ["state", "lock", "cache", "private", "pid", "rpc", "alice", "bob", "both"] {
            std::fs::create_dir_all(directory.join(part)).expect("a directory");
        }
        let (alice, bob) = (owner_of_games(), owner_of_news());
        chown(directory.join("alice"), Some(alice), None).expect("changes owner");
        chown(directory.join("bob"), Some(bob), None).expect("changes owner");
        for part in ["both", "alice"] {
            let mode = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(directory.join(part), mode).expect("changes mode");
        }
        std::fs::set_permissions(directory.join("bob"), std::fs::Permissions::from_mode(0o700))
            .expect("changes mode");
        std::fs::write(directory.join("users"), "games = alice\nnews = bob\n").expect("writes");
        let port = free_port();
        let at = directory.display();
        let configuration = format!(
            "[global]\nserver role = standalone server\nworkgroup = HAVEN\nsmb ports = {port}\ninterfaces = 127.0.0.1\n\
             bind interfaces only = yes\ndisable netbios = yes\nload printers = no\nprinting = bsd\nprintcap name = /dev/null\n\
             disable spoolss = yes\nstate directory = {at}/state\nlock directory = {at}/lock\ncache directory = {at}/cache\n\
             private dir = {at}/private\npid directory = {at}/pid\nncalrpc dir = {at}/rpc\nlog file = {at}/log\n\
             passdb backend = tdbsam:{at}/private/passdb.tdb\nusername map = {at}/users\nmap to guest = never\n\
             usershare path =\n{settings}\n\
             [alice]\npath = {at}/alice\nread only = no\nvalid users = games\n\
             [bob]\npath = {at}/bob\nread only = no\nvalid users = news\n\
             [both]\npath = {at}/both\nread only = no\ncomment = For all\n\
             [fixed]\npath = {at}/both\nread only = yes\n\
             [sealed]\npath = {at}/alice\nread only = no\nserver smb encrypt = required\n\
             [hidden$]\npath = {at}/both\nread only = yes\n"
        );
        std::fs::write(directory.join("smb.conf"), configuration).expect("writes");
        let mut samba = Self { server: spawn(&directory), directory, port };
        samba.set_password("games", ALICE);
        samba.set_password("news", BOB);
        samba.wait();
        samba
    }

    fn configuration(&self) -> String {
        self.directory.join("smb.conf").to_str().expect("text").to_owned()
    }

    pub(crate) fn path(&self, share: &str) -> PathBuf {
        self.directory.join(share)
    }

    fn set_password(&self, account: &str, password: &str) {
        let command = format!(
            "printf '%s\\n%s\\n' \"$1\" \"$1\" | smbpasswd -c '{}' -s -a {account}",
            self.configuration()
        );
        run(Command::new("sh").args(["-c", &command, "sh", password]));
    }

    /// Sets the password that is twice on its standard input.
    pub(crate) fn password_command(&self, account: &str) -> Command {
        let mut command = Command::new("smbpasswd");
        command.args(["-c", &self.configuration(), "-s", "-a", account]).stdout(Stdio::null());
        command
    }

    /// With the administrator's tool for accounts.
    pub(crate) fn pdbedit(&self, arguments: &[&str]) {
        run(Command::new("pdbedit").args(["-s", &self.configuration()]).args(arguments));
    }

    pub(crate) fn address(&self) -> ServerAddress {
        ServerAddress::parse(&format!("127.0.0.1:{}", self.port)).expect("an address")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn link_as(
        &self,
        user: &str,
        password: &str,
        protection: Protection,
    ) -> Result<Arc<Link>, Problem> {
        let options = LinkOptions { protection, patience: Duration::from_secs(10), ..LinkOptions::default() };
        let login = Login { user, domain: "", password };
        Link::open(&Resolver::of_this_host(), &self.address(), login, &options).await
    }

    pub(crate) async fn link(&self) -> Arc<Link> {
        self.link_as("alice", ALICE, Protection::Encrypted).await.expect("signs in")
    }

    /// Alice's own share.
    pub(crate) async fn share(&self) -> Share {
        self.link().await.share("alice").await.expect("opens")
    }

    pub(crate) fn kill(&mut self) {
        if let Some(group) = Pid::from_raw(i32::try_from(self.server.id()).unwrap_or(0)) {
            // Gone already is as good.
            kill_process_group(group, Signal::KILL).ok();
        }
        drop(self.server.wait());
        self.kill_helpers();
    }

    /// The server's helpers leave its group; they are known by the configuration they were given, which is ours alone.
    fn kill_helpers(&self) {
        let given = format!("--configfile={}", self.directory.join("smb.conf").display());
        let is_helper = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == given.as_bytes())
        };
        let start = Instant::now();
        loop {
            let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
            let helpers: Vec<i32> = numbers.filter(is_helper).collect();
            if helpers.is_empty() || start.elapsed() > Duration::from_secs(5) {
                return;
            }
            for helper in helpers.into_iter().filter_map(Pid::from_raw) {
                kill_process(helper, Signal::KILL).ok();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.server = spawn(&self.directory);
        self.wait();
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "smbd took too long to start: {}", self.log());
            assert!(matches!(self.server.try_wait(), Ok(None)), "smbd ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        self.kill();
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn spawn(directory: &Path) -> Child {
    Command::new("/usr/sbin/smbd")
        .args(["--foreground", "--no-process-group", "--configfile"])
        .arg(directory.join("smb.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its children are of the same group and end with it.
        .process_group(0)
        .spawn()
        .expect("smbd starts; `cargo xtask setup` installs it")
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program of Samba's");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn owner_of_games() -> u32 {
    id_of("games")
}

fn owner_of_news() -> u32 {
    id_of("news")
}

fn id_of(account: &str) -> u32 {
    let users = std::fs::read_to_string("/etc/passwd").expect("reads");
    let line =
        users.lines().find(|line| line.starts_with(&format!("{account}:"))).expect("Debian has this account");
    line.split(':').nth(2).expect("a number").parse().expect("a number")
}
