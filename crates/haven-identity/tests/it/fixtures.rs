//! What the tests begin with: directories that go away, people who sign in, a runtime.

use haven_identity::{
    Authentication, CookieValue, Credential, EmbeddedStore, Keyring, Moment, Policy, SecondFactor, Secret,
    SignIn, Store, User, Vault,
};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const NOW: Moment = Moment::from_ms(1_700_000_000_000);

/// A directory of its own that is removed with everything in it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("haven-identity-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn user(name: &str) -> User {
    User::parse(name).expect("a name")
}

pub(crate) fn sign_in(name: &str, password: &str) -> SignIn {
    SignIn {
        user: user(name),
        authentication: Authentication::Ldap,
        second_factor: SecondFactor::None,
        credential: Credential::new(Secret::from(password.to_owned()), Vec::new()).expect("a credential"),
        address: ip("192.0.2.7"),
        client: "Firefox".into(),
        proof_key: None,
    }
}

pub(crate) struct House {
    pub(crate) scratch: Scratch,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Vault,
}

impl House {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::with_keys(policy, Keyring::generate())
    }

    pub(crate) fn with_keys(policy: Policy, keys: Keyring) -> Self {
        let scratch = Scratch::new();
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&scratch.file("sessions")).expect("a store"));
        let vault = Vault::new(Arc::clone(&store), keys, policy);
        Self { scratch, store, vault }
    }

    pub(crate) async fn begin(&self, name: &str, password: &str) -> CookieValue {
        self.vault.sign_in(sign_in(name, password), NOW).await.expect("signs in")
    }

    /// What the file server would be given.
    pub(crate) async fn password(
        &self,
        cookie: &CookieValue,
        now: Moment,
    ) -> Result<String, haven_identity::Refusal> {
        let session = self.vault.open(cookie.as_str(), ip("192.0.2.7"), now).await?;
        let credential = session.credential()?;
        Ok(credential.secret.reveal_text().expect("text").to_owned())
    }
}
