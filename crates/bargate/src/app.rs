//! What lives as long as the program: the vault, the throttle, the links to file servers, and how people sign in.

use crate::config::{Config, Place, SignInMethod, StoreChoice};
use haven_files::{Link, LinkOptions, Login, Pool, PoolOptions, Problem, ProblemKind, ServerAddress, Share};
use haven_identity::{
    Authentication, Credential, EmbeddedStore, Keyring, Ldap, Moment, NotSignedIn, RedisStore, Secret,
    Session, Store, Throttle, ThrottlePolicy, Totp, User, Vault,
};
use haven_resolve::Resolver;
use haven_spec::Outcome;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::time::Instant;

pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) vault: Arc<Vault>,
    pub(crate) throttle: Throttle,
    pub(crate) totp: Totp,
    pub(crate) pool: Pool,
    resolver: Resolver,
    ldap: Option<Ldap>,
}

impl App {
    pub(crate) async fn new(mut config: Config) -> Outcome<Self> {
        let resolver = Resolver::of_this_host();
        let keys = Keyring::load(&config.key_file)?;
        let choice = std::mem::replace(&mut config.store, StoreChoice::File(std::path::PathBuf::new()));
        let store: Arc<dyn Store> = match choice {
            StoreChoice::File(path) => Arc::new(EmbeddedStore::open(&path)?),
            StoreChoice::Redis(redis) => Arc::new(RedisStore::connect(*redis, resolver.clone()).await?),
        };
        let vault = Arc::new(Vault::new(store, keys, config.policy));
        let method = std::mem::replace(
            &mut config.sign_in,
            SignInMethod::Smb { server: config.places[0].server.clone() },
        );
        let ldap = match method {
            SignInMethod::Ldap(ldap) => Some(Ldap::new(*ldap, resolver.clone())?),
            smb @ SignInMethod::Smb { .. } => {
                config.sign_in = smb;
                None
            }
        };
        let pool = Pool::new(PoolOptions { idle: config.idle, ..PoolOptions::default() });
        Ok(Self {
            throttle: Throttle::new(Arc::clone(&vault), ThrottlePolicy::default()),
            totp: Totp::new(Arc::clone(&vault)),
            vault,
            pool,
            resolver,
            ldap,
            config,
        })
    }

    /// Whether name and password are right, and what is known of the person.
    pub(crate) async fn authenticate(
        &self,
        name: &str,
        password: Secret,
    ) -> Result<(User, Authentication, Credential), NotSignedIn> {
        if let Some(ldap) = &self.ldap {
            let person = ldap.sign_in(name, &password).await?;
            let credential = Credential::new(password, person.attributes)?;
            return Ok((person.user, Authentication::Ldap, credential));
        }
        let user = User::parse(name.trim()).map_err(|_| NotSignedIn::Wrong)?;
        let SignInMethod::Smb { server } = &self.config.sign_in else { return Err(NotSignedIn::Wrong) };
        let text = password.reveal_text().ok_or(NotSignedIn::Wrong)?;
        match self.open_link(server, &user, text).await {
            Ok(link) => drop(link),
            Err(problem) => return Err(told(problem)),
        }
        Ok((user, Authentication::Smb, Credential::new(password, Vec::new())?))
    }

    /// The share of a place for the person of this session, over the session's own link.
    pub(crate) async fn share(
        &self,
        session: &Session,
        place: &Place,
    ) -> Result<(Share, haven_files::FilePath), Problem> {
        let credential =
            session.credential().map_err(|refusal| Problem::of(ProblemKind::Cancelled, refusal))?;
        let share_name = filled_in(&place.share, session.user(), &credential)?;
        let root = haven_files::FilePath::parse(&filled_in(&place.path, session.user(), &credential)?)?;
        let make = || async {
            let password = credential
                .secret
                .reveal_text()
                .ok_or_else(|| Problem::of(ProblemKind::WrongPassword, "it is no text"))?;
            self.open_link(&place.server, session.user(), password).await
        };
        let link = self.pool.link(*session.handle().as_bytes(), &place.server, Instant::now(), make).await?;
        drop(credential);
        Ok((link.share(&share_name).await?, root))
    }

    async fn open_link(
        &self,
        server: &ServerAddress,
        user: &User,
        password: &str,
    ) -> Result<Arc<Link>, Problem> {
        let options = LinkOptions {
            protection: self.config.protection,
            patience: self.config.patience,
            ..LinkOptions::default()
        };
        let login = Login { user: user.as_str(), domain: &self.config.domain, password };
        Link::open(&self.resolver, server, login, &options).await
    }
}

pub(crate) fn now() -> Moment {
    Moment::from(SystemTime::now())
}

/// `{user}` and `{attribute}` put in. A value is one part of a path, whatever is in it: one that isn't is refused.
fn filled_in(template: &str, user: &User, credential: &Credential) -> Result<String, Problem> {
    let mut result = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        let value = if name == "user" { Some(user.as_str()) } else { credential.values(name).next() };
        let value = value.ok_or_else(|| {
            Problem::of(ProblemKind::NotFound, format!("the directory says no `{name}` of this person"))
        })?;
        let part = haven_files::FilePath::root().child(value)?;
        result.push_str(before);
        result.push_str(&part.to_string());
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// A file server's refusal in the words of a sign-in.
fn told(problem: Problem) -> NotSignedIn {
    match problem.kind() {
        ProblemKind::WrongPassword | ProblemKind::Guest => NotSignedIn::Wrong,
        ProblemKind::PasswordExpired | ProblemKind::AccountExpired => NotSignedIn::Expired,
        ProblemKind::PasswordMustChange => NotSignedIn::MustChange,
        ProblemKind::AccountLocked => NotSignedIn::Locked,
        ProblemKind::AccountDisabled => NotSignedIn::Disabled,
        ProblemKind::NotNowOrHere => NotSignedIn::NotAllowed,
        _ => NotSignedIn::Unavailable(
            haven_spec::Failure::host("the file server can't say who somebody is").because(problem),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        let credential = |home: &str| {
            let attributes = vec![("homeDirectory".into(), home.into())];
            Credential::new(Secret::from(String::from("x")), attributes).expect("a credential")
        };
        let user = |name: &str| User::parse(name).expect("a name");
        let fill = |template: &str, name: &str| filled_in(template, &user(name), &credential("h1"));
        assert_eq!(fill("home/{user}/{homedirectory}", "alice").expect("fills"), "home/alice/h1");
        assert_eq!(fill("plain", "alice").expect("fills"), "plain");
        for name in ["..", "../bob", "a/b", "a\\b"] {
            assert!(fill("home/{user}", name).is_err(), "{name}");
        }
        assert!(fill("{unknown}", "alice").is_err());
    }
}
