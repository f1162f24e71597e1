//! What went wrong with a file, told apart by what a person can do about it.
//!
//! SMB has some two hundred status codes; the client's own kinds put a locked account and a wrong password together. Here
//! the codes are read once, at this edge. `Display` is a sentence for the person; the log gets the cause as well.

use smb2::{Error, ErrorKind};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// Name or password is wrong, or no such account.
    WrongPassword,
    PasswordExpired,
    /// Right, and to be changed before anything else.
    PasswordMustChange,
    AccountLocked,
    AccountDisabled,
    AccountExpired,
    /// Not at this hour, or not from here.
    NotNowOrHere,
    /// The server takes anybody for a guest; that is no sign-in.
    Guest,
    /// No such file or folder.
    NotFound,
    /// No such share on this server.
    NoSuchShare,
    Denied,
    Exists,
    NotEmpty,
    /// Somebody else has it open.
    InUse,
    Full,
    QuotaExceeded,
    NotAFolder,
    IsAFolder,
    /// A name that this or no server takes.
    BadName,
    /// A path that leads around in a circle, or through too many links.
    Loop,
    /// The server went away, or nobody answers there. The file may well be there.
    ServerGone,
    /// The server is there and takes too long.
    TooSlow,
    /// The server can't encrypt or sign as is required here.
    NotProtected,
    /// An answer that was changed on its way, or by a broken server.
    Tampered,
    /// The file lies on another server, which is not on the list.
    Elsewhere,
    Unsupported,
    /// Too much at once here: again in a moment.
    Busy,
    Cancelled,
    Other,
}

/// A failed operation.
#[derive(Debug)]
pub struct Problem {
    kind: ProblemKind,
    /// The name of what it was about, as far as it is known.
    about: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub(crate) type Attempt<T> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(kind: ProblemKind) -> Self {
        Self { kind, about: None, cause: None }
    }

    /// One that arose above this room, in its words.
    pub fn of(kind: ProblemKind, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(kind).because(cause)
    }

    /// Adds the name it is about; the first that is added stays.
    #[must_use]
    pub fn on(self, name: impl Into<String>) -> Self {
        self.about(name)
    }

    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds the name; the first that is added stays.
    #[must_use]
    pub(crate) fn about(mut self, name: impl Into<String>) -> Self {
        self.about.get_or_insert_with(|| name.into());
        self
    }

    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    pub fn name(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Whether the link has to be made anew before anything else can work.
    pub fn ends_the_link(&self) -> bool {
        matches!(self.kind, ProblemKind::ServerGone | ProblemKind::TooSlow | ProblemKind::Tampered)
    }

    /// Whether another password could help.
    pub fn is_about_the_account(&self) -> bool {
        use ProblemKind as K;
        matches!(
            self.kind,
            K::WrongPassword
                | K::PasswordExpired
                | K::PasswordMustChange
                | K::AccountLocked
                | K::AccountDisabled
                | K::AccountExpired
                | K::NotNowOrHere
                | K::Guest
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ProblemKind as K;
        if let Some(name) = &self.about {
            write!(f, "`{name}`: ")?;
        }
        f.write_str(match self.kind {
            K::WrongPassword => "the file server doesn't take this name and password",
            K::PasswordExpired => "the password has expired",
            K::PasswordMustChange => "the password has to be changed first",
            K::AccountLocked => "the account is locked",
            K::AccountDisabled => "the account is disabled",
            K::AccountExpired => "the account has expired",
            K::NotNowOrHere => "the account may not be used at this hour or from here",
            K::Guest => "the file server takes anybody as a guest, which is no sign-in",
            K::NotFound => "there is no such file or folder",
            K::NoSuchShare => "there is no such share on this server",
            K::Denied => "the file server doesn't permit it",
            K::Exists => "there is something of this name already",
            K::NotEmpty => "the folder is not empty",
            K::InUse => "somebody has it open",
            K::Full => "there is no space left on the file server",
            K::QuotaExceeded => "your share of the file server's space is used up",
            K::NotAFolder => "it is no folder",
            K::IsAFolder => "it is a folder",
            K::BadName => "file servers don't take this name",
            K::Loop => "the path leads through too many links",
            K::ServerGone => "the file server is not reachable",
            K::TooSlow => "the file server takes too long to answer",
            K::NotProtected => "the file server can't protect the connection as it has to be here",
            K::Tampered => "an answer of the file server is not genuine",
            K::Elsewhere => "it lies on another server, which is not on the list",
            K::Unsupported => "the file server can't do that",
            K::Busy => "too much is under way at once",
            K::Cancelled => "it was cancelled",
            K::Other => "the file server refuses",
        })
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let by_status = error.status().and_then(|status| kind_of_status(status.0));
        let kind = by_status.unwrap_or_else(|| kind_of(error.kind()));
        Self::new(kind).because(error)
    }
}

impl From<ProblemKind> for Problem {
    fn from(kind: ProblemKind) -> Self {
        Self::new(kind)
    }
}

/// Codes whose meaning the client's kinds don't tell, MS-ERREF 2.3.1.
fn kind_of_status(status: u32) -> Option<ProblemKind> {
    use ProblemKind as K;
    Some(match status {
        // LOGON_FAILURE, NO_SUCH_USER, WRONG_PASSWORD
        0xc000_006d | 0xc000_0064 | 0xc000_006a => K::WrongPassword,
        0xc000_0071 => K::PasswordExpired,
        0xc000_0224 => K::PasswordMustChange,
        0xc000_0234 => K::AccountLocked,
        0xc000_0072 => K::AccountDisabled,
        0xc000_0193 => K::AccountExpired,
        // ACCOUNT_RESTRICTION, INVALID_LOGON_HOURS, INVALID_WORKSTATION, LOGON_TYPE_NOT_GRANTED
        0xc000_006e | 0xc000_006f | 0xc000_0070 | 0xc000_015b => K::NotNowOrHere,
        // BAD_NETWORK_NAME
        0xc000_00cc => K::NoSuchShare,
        0xc000_0101 => K::NotEmpty,
        // DELETE_PENDING, USER_MAPPED_FILE, CANNOT_DELETE is an attribute (read-only).
        0xc000_0056 | 0xc000_0243 => K::InUse,
        0xc000_0121 => K::Denied,
        // MEDIA_WRITE_PROTECTED
        0xc000_00a2 => K::Denied,
        0xc000_0044 | 0xc000_0802 => K::QuotaExceeded,
        // OBJECT_NAME_INVALID, OBJECT_PATH_INVALID, OBJECT_PATH_SYNTAX_BAD, NAME_TOO_LONG
        0xc000_0033 | 0xc000_0039 | 0xc000_003b | 0xc000_0106 => K::BadName,
        // STOPPED_ON_SYMLINK, REPARSE_POINT_ENCOUNTERED
        0x8000_002d | 0xc000_050b => K::Loop,
        // CONNECTION_DISCONNECTED, CONNECTION_RESET, NETWORK_NAME_DELETED, USER_SESSION_DELETED, NETWORK_SESSION_EXPIRED
        0xc000_020c | 0xc000_020d | 0xc000_00c9 | 0xc000_0203 | 0xc000_035c => K::ServerGone,
        0xc000_00b5 => K::TooSlow,
        // INVALID_DEVICE_REQUEST: reading a folder.
        0xc000_0010 => K::Unsupported,
        _ => return None,
    })
}

fn kind_of(kind: ErrorKind) -> ProblemKind {
    use ProblemKind as K;
    match kind {
        ErrorKind::AuthRequired => K::WrongPassword,
        ErrorKind::SigningRequired => K::NotProtected,
        ErrorKind::AccessDenied => K::Denied,
        ErrorKind::NotFound => K::NotFound,
        ErrorKind::AlreadyExists => K::Exists,
        ErrorKind::SharingViolation => K::InUse,
        ErrorKind::IsADirectory => K::IsAFolder,
        ErrorKind::NotADirectory => K::NotAFolder,
        ErrorKind::DiskFull => K::Full,
        ErrorKind::ConnectionLost | ErrorKind::SessionExpired | ErrorKind::Io => K::ServerGone,
        ErrorKind::TimedOut => K::TooSlow,
        ErrorKind::Cancelled => K::Cancelled,
        ErrorKind::DfsReferral | ErrorKind::DfsTargetUnreachable | ErrorKind::DfsTargetNotAllowed => {
            K::Elsewhere
        }
        ErrorKind::InvalidName => K::BadName,
        ErrorKind::Unsupported => K::Unsupported,
        ErrorKind::SignatureInvalid | ErrorKind::InvalidData => K::Tampered,
        ErrorKind::GuestSessionRefused => K::Guest,
        _ => K::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_it_is_about() {
        let problem = Problem::new(ProblemKind::NotFound).about("plan.txt").about("outer");
        assert_eq!(problem.to_string(), "`plan.txt`: there is no such file or folder");
    }

    #[test]
    fn a_locked_account_is_no_wrong_password() {
        let of = |status: u32| kind_of_status(status).expect("known");
        assert_eq!(of(0xc000_0234), ProblemKind::AccountLocked);
        assert_eq!(of(0xc000_0072), ProblemKind::AccountDisabled);
        assert_eq!(of(0xc000_0224), ProblemKind::PasswordMustChange);
        assert_eq!(of(0xc000_006d), ProblemKind::WrongPassword);
        assert!(Problem::from(Error::Disconnected).ends_the_link());
        assert!(!Problem::from(Error::Disconnected).is_about_the_account());
    }
}
