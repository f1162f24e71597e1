//! Is this person's password right, and what does the directory say about the person?
//!
//! Two ways: *search*, a service account finds the one entry with this name and the person's password is tried on that
//! entry over a connection of its own; or *template*, the entry's name is made of the person's name. What a person gets
//! to know: wrong (unknown names included, and as slowly), locked, expired, must be changed, disabled, not allowed.
//! An empty password is refused before any server is asked: servers take it for an anonymous sign-in and say yes.

use super::connection::{Connection, Dialer, Security};
use super::filter::Filter;
use super::message::{Ending, Entry, Scope, Search};
use crate::facts::User;
use crate::secret::{Secret, random};
use haven_resolve::Resolver;
use haven_spec::{Failure, Outcome};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PLACEHOLDER: &str = "{user}";

const SUCCESS: u32 = 0;
const TIME_LIMIT_EXCEEDED: u32 = 3;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const INVALID_CREDENTIALS: u32 = 49;
const BUSY: u32 = 51;
const UNAVAILABLE: u32 = 52;
const UNWILLING: u32 = 53;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapServer {
    /// As its certificate has it.
    pub host: String,
    pub port: u16,
    pub security: Security,
}

/// How a person's entry is found.
#[derive(Debug)]
pub enum Method {
    Search {
        /// Name and password of the service account; anonymous when there is none.
        account: Option<(String, Secret)>,
        base: String,
        filter: Filter,
    },
    /// `uid={user},ou=people,dc=example` or, for Active Directory, `{user}@example.org`.
    Template {
        name: String,
        /// Where to read the entry, when the name isn't the entry's own: its base, and the filter that finds it.
        entry: Option<(String, Filter)>,
    },
}

#[derive(Debug)]
pub struct LdapConfig {
    /// Asked in order until one answers.
    pub servers: Vec<LdapServer>,
    /// Certificates of the authorities to believe, PEM.
    pub authorities: Vec<u8>,
    pub method: Method,
    /// Who isn't matched by this may not sign in.
    pub allowed: Option<Filter>,
    /// The attribute with the name that file servers know: `uid`, `sAMAccountName`. As typed when there is none.
    pub user_attribute: Option<String>,
    /// What else to read: the home directory, groups.
    pub attributes: Vec<String>,
    /// How long each step may take.
    pub patience: Duration,
}

/// Somebody whose password is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub user: User,
    /// The entry's name in the directory.
    pub entry: String,
    pub attributes: Vec<(String, String)>,
}

impl Person {
    /// The first value of an attribute, whose name's case doesn't count.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Why somebody is not signed in.
#[derive(Debug)]
pub enum NotSignedIn {
    /// Name or password: which of them is nobody's business.
    Wrong,
    /// The password is right and has to be changed first.
    MustChange,
    Expired,
    Locked,
    Disabled,
    /// Known, and not among those who may.
    NotAllowed,
    /// Nobody could be asked.
    Unavailable(Failure),
}

impl fmt::Display for NotSignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "name or password is wrong",
            Self::MustChange => "the password has to be changed first",
            Self::Expired => "the password or the account has expired",
            Self::Locked => "the account is locked",
            Self::Disabled => "the account is disabled",
            Self::NotAllowed => "the account may not sign in here",
            Self::Unavailable(_) => "the directory can't be asked",
        })
    }
}

impl std::error::Error for NotSignedIn {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(failure) => Some(failure),
            _ => None,
        }
    }
}

impl From<Failure> for NotSignedIn {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure)
    }
}

pub struct Ldap {
    config: LdapConfig,
    dialer: Dialer,
    /// The server that answered last is asked first.
    preferred: AtomicUsize,
}

impl Ldap {
    pub fn new(config: LdapConfig, resolver: Resolver) -> Outcome<Self> {
        if config.servers.is_empty() {
            return Err(Failure::invalid("no directory server is named"));
        }
        match &config.method {
            Method::Search { filter, .. } | Method::Template { entry: Some((_, filter)), .. }
                if !filter.mentions_the_user() =>
            {
                return Err(Failure::invalid("the filter finds the same entry for everybody")
                    .hint("put `{user}` where the name belongs: `(uid={user})`"));
            }
            Method::Template { name, .. } if !name.contains(PLACEHOLDER) => {
                return Err(Failure::invalid(format!("the template `{name}` is the same for everybody"))
                    .hint("put `{user}` where the name belongs: `uid={user},ou=people,dc=example`"));
            }
            Method::Search { account: Some((_, password)), .. } if password.is_empty() => {
                return Err(Failure::invalid("the service account has an empty password")
                    .hint("leave the account out to search anonymously"));
            }
            _ => {}
        }
        let tls = Arc::new(client_tls(&config.authorities)?);
        let dialer = Dialer { resolver, tls, patience: config.patience };
        Ok(Self { config, dialer, preferred: AtomicUsize::new(0) })
    }

    /// Tries name and password. One call is one attempt on the person's account, at one server.
    pub async fn sign_in(&self, name: &str, password: &Secret) -> Result<Person, NotSignedIn> {
        let Ok(user) = User::parse(name.trim()) else { return Err(NotSignedIn::Wrong) };
        if password.is_empty() || password.reveal().contains(&0) {
            return Err(NotSignedIn::Wrong);
        }
        match &self.config.method {
            Method::Search { account, base, filter } => {
                let mut connection = self.connect().await?;
                let found = self.find(&mut connection, account.as_ref(), base, filter, &user).await;
                connection.close().await;
                let (entry, allowed) = match found? {
                    Some(entry) => entry,
                    None => (self.nobody(base), false),
                };
                // On a connection of its own: nothing the service account may do is left on it.
                let mut own = self.connect().await?;
                let ending = own.bind(&entry.name, password).await;
                own.close().await;
                accepted(&ending?)?;
                self.person(user, entry, allowed)
            }
            Method::Template { name, entry } => {
                let bound_name = filled_in(name, user.as_str());
                let mut own = self.connect().await?;
                let result = self.by_template(&mut own, &bound_name, entry.as_ref(), &user, password).await;
                own.close().await;
                let (entry, allowed) = result?;
                self.person(user, entry, allowed)
            }
        }
    }

    /// Whether a server can be reached and the service account is taken, for a check of the configuration.
    pub async fn check(&self) -> Outcome<()> {
        let mut connection = self.connect().await?;
        let result = match &self.config.method {
            Method::Search { account: Some(account), .. } => bind_service(&mut connection, account).await,
            _ => Ok(()),
        };
        connection.close().await;
        result
    }

    /// The first server that answers.
    async fn connect(&self) -> Outcome<Connection> {
        let servers = &self.config.servers;
        let first = self.preferred.load(Ordering::Relaxed);
        let mut problem = Failure::host("no directory server answers");
        for offset in 0..servers.len() {
            let index = (first + offset) % servers.len();
            let LdapServer { host, port, security } = &servers[index];
            match self.dialer.connect(host, *port, *security).await {
                Ok(connection) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(failure) => problem = failure,
            }
        }
        Err(problem.context("no directory server answers"))
    }

    /// The one entry of a name, and whether it may sign in.
    async fn find(
        &self,
        connection: &mut Connection,
        account: Option<&(String, Secret)>,
        base: &str,
        filter: &Filter,
        user: &User,
    ) -> Result<Option<(Entry, bool)>, NotSignedIn> {
        if let Some(account) = account {
            bind_service(connection, account).await?;
        }
        let Some(entry) = self.one(connection, base, Scope::Subtree, filter, user).await? else {
            return Ok(None);
        };
        let allowed = self.is_allowed(connection, &entry, user).await?;
        Ok(Some((entry, allowed)))
    }

    async fn by_template(
        &self,
        connection: &mut Connection,
        name: &str,
        entry: Option<&(String, Filter)>,
        user: &User,
        password: &Secret,
    ) -> Result<(Entry, bool), NotSignedIn> {
        accepted(&connection.bind(name, password).await?)?;
        let found = match entry {
            Some((base, filter)) => self.one(connection, base, Scope::Subtree, filter, user).await?,
            None => self.one(connection, name, Scope::Base, &Filter::anything(), user).await?,
        };
        let entry = found.ok_or_else(|| {
            Failure::host("somebody signed in whose entry can't be read")
                .hint("let people read their own entry, or name base and filter to find it by")
        })?;
        let allowed = self.is_allowed(connection, &entry, user).await?;
        Ok((entry, allowed))
    }

    /// The entry that matches; none, when several do, which is an error of the configuration.
    async fn one(
        &self,
        connection: &mut Connection,
        base: &str,
        scope: Scope,
        filter: &Filter,
        user: &User,
    ) -> Result<Option<Entry>, NotSignedIn> {
        let mut attributes = self.config.attributes.clone();
        attributes.extend(self.config.user_attribute.clone());
        let search = Search {
            base,
            scope,
            filter,
            user: user.as_str(),
            attributes: &attributes,
            limit: 2,
            seconds: u32::try_from(self.config.patience.as_secs().max(1)).unwrap_or(u32::MAX),
        };
        let (mut entries, ending) = connection.search(&search).await?;
        match (ending.code, entries.len()) {
            (SUCCESS, 0..=1) => Ok(entries.pop()),
            (SUCCESS | SIZE_LIMIT_EXCEEDED, 2..) => Err(Failure::host("several entries have this name")
                .hint("narrow the filter, so that it finds one: `(&(objectClass=person)(uid={user}))`")
                .into()),
            _ => Err(refused("the directory refuses the search", &ending).into()),
        }
    }

    async fn is_allowed(
        &self,
        connection: &mut Connection,
        entry: &Entry,
        user: &User,
    ) -> Result<bool, NotSignedIn> {
        let Some(allowed) = &self.config.allowed else { return Ok(true) };
        let filter = Filter::anything().and(Some(allowed));
        let search = Search {
            base: &entry.name,
            scope: Scope::Base,
            filter: &filter,
            user: user.as_str(),
            attributes: &[],
            limit: 1,
            seconds: u32::try_from(self.config.patience.as_secs().max(1)).unwrap_or(u32::MAX),
        };
        let (entries, ending) = connection.search(&search).await?;
        if ending.code != SUCCESS {
            return Err(refused("the directory refuses to say who may sign in", &ending).into());
        }
        Ok(entries.iter().any(|found| found.name.eq_ignore_ascii_case(&entry.name)))
    }

    /// An entry that doesn't exist: a password is tried on it, so that an unknown name takes as long as a known one.
    fn nobody(&self, base: &str) -> Entry {
        let number = u64::from_be_bytes(random());
        Entry { name: format!("cn=nobody-{number:x},{base}"), attributes: Vec::new() }
    }

    fn person(&self, typed: User, entry: Entry, allowed: bool) -> Result<Person, NotSignedIn> {
        if !allowed {
            return Err(NotSignedIn::NotAllowed);
        }
        let mut person = Person { user: typed, entry: entry.name, attributes: entry.attributes };
        if let Some(attribute) = &self.config.user_attribute {
            let name = person.value(attribute).ok_or_else(|| {
                Failure::host(format!("an entry has no `{attribute}`, by which file servers know the person"))
            })?;
            person.user = User::parse(name)?;
        }
        Ok(person)
    }
}

impl fmt::Debug for Ldap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ldap").field("servers", &self.config.servers).finish_non_exhaustive()
    }
}

fn client_tls(authorities: &[u8]) -> Outcome<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|error| {
            Failure::invalid("the authorities' certificates are no PEM").because(error.to_string())
        })?;
        // A host's bundle may have one that is too odd for us; the others still count.
        drop(roots.add(certificate));
    }
    if roots.is_empty() {
        return Err(Failure::invalid("there is no authority whose certificates to believe")
            .hint("name the file with your authority's certificate; without one nothing can be verified"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::internal("TLS can't be set up").because(error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn bind_service(connection: &mut Connection, (name, password): &(String, Secret)) -> Outcome<()> {
    let ending = connection.bind(name, password).await?;
    if ending.code == SUCCESS {
        return Ok(());
    }
    Err(refused("the directory doesn't take the service account", &ending)
        .hint("see that its name and password in the configuration are right"))
}

fn refused(what: &str, ending: &Ending) -> Failure {
    // The server's own words go to the log; they are cut, as they come from outside.
    let words: String = ending.message.chars().filter(|c| !c.is_control()).take(300).collect();
    Failure::host(what).because(format!("code {}: {words}", ending.code))
}

/// What the ending of a person's bind means.
fn accepted(ending: &Ending) -> Result<(), NotSignedIn> {
    // Of the password policy: 0 expired, 1 locked, 2 to be changed after a reset.
    match (ending.code, ending.policy_error) {
        (SUCCESS, Some(2)) => return Err(NotSignedIn::MustChange),
        (SUCCESS, _) => return Ok(()),
        (_, Some(0)) => return Err(NotSignedIn::Expired),
        (_, Some(1)) => return Err(NotSignedIn::Locked),
        (_, Some(2)) => return Err(NotSignedIn::MustChange),
        _ => {}
    }
    match ending.code {
        INVALID_CREDENTIALS => Err(active_directory(&ending.message)),
        BUSY | UNAVAILABLE | TIME_LIMIT_EXCEEDED => Err(refused("the directory has no time", ending).into()),
        // Other servers' words for a locked or disabled account, or for an entry that has no password.
        UNWILLING => Err(NotSignedIn::Disabled),
        _ => Err(NotSignedIn::Wrong),
    }
}

/// Active Directory says the reason as `data CODE` in its message, and says it only to who has the right password where it
/// matters.
fn active_directory(message: &str) -> NotSignedIn {
    let code =
        message.split("data ").nth(1).and_then(|rest| rest.split([',', ' ']).next()).unwrap_or_default();
    match code {
        "530" | "531" => NotSignedIn::NotAllowed,
        "532" | "701" => NotSignedIn::Expired,
        "533" => NotSignedIn::Disabled,
        "773" => NotSignedIn::MustChange,
        "775" => NotSignedIn::Locked,
        _ => NotSignedIn::Wrong,
    }
}

/// The name put into a template; escaped where the template is an entry's name (RFC 4514), so that it stays one value.
fn filled_in(template: &str, user: &str) -> String {
    if !template.contains('=') {
        return template.replace(PLACEHOLDER, user);
    }
    let mut escaped = String::with_capacity(user.len());
    let last = user.chars().count().saturating_sub(1);
    for (index, letter) in user.chars().enumerate() {
        let at_an_end = (index == 0 && (letter == ' ' || letter == '#')) || (index == last && letter == ' ');
        if at_an_end || "\"+,;<>\\=".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    template.replace(PLACEHOLDER, &escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_value_of_an_entrys_name() {
        let template = "uid={user},ou=people";
        assert_eq!(filled_in(template, "alice"), "uid=alice,ou=people");
        assert_eq!(filled_in(template, "x,ou=admins"), "uid=x\\,ou\\=admins,ou=people");
        assert_eq!(filled_in(template, " #a "), "uid=\\ #a\\ ,ou=people");
        assert_eq!(filled_in(template, "#a+b\\"), "uid=\\#a\\+b\\\\,ou=people");
        assert_eq!(filled_in("{user}@example.org", "a.b"), "a.b@example.org");
    }

    #[test]
    fn active_directorys_reasons_are_understood() {
        let ending = |code: &str| Ending {
            code: 49,
            message: format!(
                "80090308: LdapErr: DSID-0C090, comment: AcceptSecurityContext error, data {code}, v3839"
            ),
            policy_error: None,
        };
        let reason = |code: &str| accepted(&ending(code)).expect_err("is refused");
        assert!(matches!(reason("52e"), NotSignedIn::Wrong));
        assert!(matches!(reason("525"), NotSignedIn::Wrong), "unknown is not told apart");
        assert!(matches!(reason("532"), NotSignedIn::Expired));
        assert!(matches!(reason("773"), NotSignedIn::MustChange));
        assert!(matches!(reason("775"), NotSignedIn::Locked));
        assert!(matches!(reason("533"), NotSignedIn::Disabled));
    }
}
