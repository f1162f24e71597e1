//! Whoever asks for a change, as far as the edge knows, and what the kernel tells about that process.

use haven_audit::Actor;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// What the kernel shows for a process whose user never logged in.
const NO_LOGIN: u32 = u32::MAX;
/// The longest path or table that is read.
const LIMIT_BYTES: usize = 1 << 20;

/// On whose behalf the engine acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    pub uid: Option<u32>,
    pub pid: Option<u32>,
    /// By which way it came: `cli`, `docker api`, `console`…
    pub client: String,
    /// Why, where the request itself has no place for it.
    pub reason: Option<String>,
    /// Policy is to be overridden; only with a reason.
    pub break_glass: bool,
}

impl Caller {
    /// Something the engine does by itself: at a link's time, when it repairs.
    pub(crate) fn own(client: &str) -> Self {
        Self { client: client.to_owned(), ..Self::default() }
    }

    pub(crate) fn is_engine(&self) -> bool {
        self.uid.is_none() && self.pid.is_none()
    }

    /// Read when a change is made, from a process that may be gone by then: what it says is left out where the
    /// process with that number belongs to somebody else.
    pub(crate) fn actor(&self) -> Actor {
        let process = self.pid.map(|pid| format!("/proc/{pid}"));
        let same = |path: &String| fs::metadata(path).is_ok_and(|process| Some(process.uid()) == self.uid);
        let process = process.filter(same);
        let login_uid = process
            .as_ref()
            .and_then(|path| fs::read_to_string(format!("{path}/loginuid")).ok()?.trim().parse().ok())
            .filter(|uid| *uid != NO_LOGIN);
        let exe = process.as_ref().and_then(|path| fs::read_link(format!("{path}/exe")).ok());
        Actor {
            uid: self.uid,
            login_uid,
            pid: self.pid,
            exe: exe.map(|path| path.display().to_string()),
            user: self.uid.and_then(|uid| name_of(&fs::read_to_string("/etc/passwd").ok()?, uid)),
            ..Actor::default()
        }
    }
}

/// A user's name in the form of passwd(5).
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let passwd = passwd.get(..LIMIT_BYTES).unwrap_or(passwd);
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut found = entry.filter(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(uid));
    found.next().and_then(|fields| fields.first().map(|name| (*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_described_by_what_the_kernel_says() {
        let own = Caller {
            uid: Some(rustix::process::getuid().as_raw()),
            pid: Some(std::process::id()),
            client: "cli".into(),
            ..Caller::default()
        };
        let actor = own.actor();
        let executable = std::env::current_exe().unwrap();
        assert_eq!(actor.exe.as_deref(), executable.to_str());
        let other = Caller { uid: own.uid.map(|uid| uid + 1), ..own };
        assert_eq!(other.actor().exe, None, "a process of somebody else");
    }

    #[test]
    fn users_are_named_without_the_c_library() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(name_of(passwd, 7), None);
    }
}
