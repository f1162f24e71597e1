//! What a thief gets: a copy of the server's disk, store, configuration and memory between two requests, or everything
//! the browser has. Neither holds the password, nor can anything in it open one.
//!
//! The tests keep what they look for masked, so that they don't find themselves, and look once *during* a request,
//! where it has to be found: a search that can't find is no test.

use crate::credential::Credential;
use crate::facts::{Authentication, SecondFactor, User};
use crate::keyring::Keyring;
use crate::moment::Moment;
use crate::secret::Secret;
use crate::store::{EmbeddedStore, Owner, Store};
use crate::vault::{Policy, SignIn, Vault};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

#[path = "../tests/it/memory.rs"]
mod memory;
use memory::{Masked, memory_has};

const NOW: Moment = Moment::from_ms(1_700_000_000_000);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

struct House {
    directory: PathBuf,
    keys: PathBuf,
    vault: Vault,
    store: Arc<dyn Store>,
}

impl House {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("haven-identity-theft-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let keys = directory.join("keys");
        {
            let text = Keyring::generate().to_text();
            let mut file = std::fs::OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::mode(file.create(true).write(true), 0o600);
            std::io::Write::write_all(&mut file.open(&keys).expect("a file"), text.reveal()).expect("writes");
        }
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&directory.join("sessions")).expect("a store"));
        let vault = Vault::new(Arc::clone(&store), Keyring::load(&keys).expect("keys"), Policy::default());
        Self { directory, keys, vault, store }
    }

    /// Signs in as a browser would and returns the cookie, masked.
    async fn sign_in(&self, password: &Masked) -> Masked {
        let sign_in = SignIn {
            user: User::parse("alice").expect("a name"),
            authentication: Authentication::Ldap,
            second_factor: SecondFactor::None,
            credential: Credential::new(Secret::new(password.reveal()), Vec::new()).expect("a credential"),
            address: HERE,
            client: "Firefox".into(),
            proof_key: None,
        };
        let cookie = self.vault.sign_in(sign_in, NOW).await.expect("signs in");
        Masked::of(cookie.as_str().as_bytes())
    }

    fn disk(&self) -> Vec<u8> {
        let store = std::fs::read(self.directory.join("sessions")).expect("reads");
        let keys = std::fs::read(&self.keys).expect("reads");
        [store, keys].concat()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

#[tokio::test]
async fn a_copy_of_disk_store_configuration_and_memory_between_requests_gives_no_password() {
    let house = House::new("server");
    let password = Masked::random_password();
    let cookie = house.sign_in(&password).await;

    assert!(!password.is_in(&house.disk()), "on disk after sign-in");
    assert!(!memory_has(&password), "in memory after sign-in");
    assert!(!memory_has(&cookie), "the cookie in memory after sign-in");

    let session_key = {
        let text = Secret::new(cookie.reveal());
        let session = house.vault.open(text.reveal_text().expect("text"), HERE, NOW).await.expect("opens");
        let credential = session.credential().expect("opens");
        assert!(memory_has(&password), "while it is used it is there: the search works");
        drop(credential);
        Masked::of(session.key.reveal())
    };

    assert!(!password.is_in(&house.disk()), "on disk after a request");
    assert!(!memory_has(&password), "in memory after a request");
    assert!(!memory_has(&session_key), "the session's key in memory after a request");
    assert!(!memory_has(&cookie), "the cookie in memory after a request");
    assert!(!session_key.is_in(&house.disk()), "the session's key on disk");
    assert!(!cookie.is_in(&house.disk()), "the cookie on disk");
    // What would open it: ENCRYPT_KEY is there, the row is there, the wrapped key is not.
    let wrapped = {
        let text = Secret::new(cookie.reveal());
        let part = text.reveal_text().expect("text").split('.').nth(3).expect("a part");
        let mut bytes = zeroize::Zeroizing::new([0_u8; 128]);
        let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let length = base64::Engine::decode_slice(engine, part, bytes.as_mut_slice()).expect("decodes");
        Masked::of(&bytes[..length])
    };
    assert!(!memory_has(&wrapped), "the wrapped key in memory after a request");
    assert!(!wrapped.is_in(&house.disk()), "the wrapped key on disk");
}

#[tokio::test]
async fn everything_the_browser_has_gives_neither_password_nor_ciphertext() {
    let house = House::new("browser");
    let password = Masked::random_password();
    let cookie = house.sign_in(&password).await;
    let cookie = Secret::new(cookie.reveal());
    let text = cookie.reveal_text().expect("text");
    assert!(!password.is_in(text.as_bytes()));

    let decoded: Vec<u8> = text
        .split('.')
        .skip(2)
        .flat_map(|part| {
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part).expect("decodes")
        })
        .collect();
    assert!(!password.is_in(&decoded));
    let alice = Owner::of(&User::parse("alice").expect("a name"));
    let rows = house.store.owned_by(alice, NOW).await.expect("rows");
    let row = &rows.first().expect("a row").1.bytes;
    assert!(
        !row.windows(6).any(|window| decoded.windows(6).any(|other| window == other)),
        "nothing of the stored row is in the cookie"
    );
    // With the cookie and even the store, but not ENCRYPT_KEY, nothing opens.
    let thief = Vault::new(Arc::clone(&house.store), Keyring::generate(), Policy::default());
    assert!(thief.open(text, HERE, NOW).await.is_err());
}
