//! Who somebody is, and the **session vault**: a person's password is kept on the server in a form that the server by
//! itself can't read, and that neither the person's device nor the wire ever carries again.
//!
//! For Bargate, which signs in to file servers as the person at each visit. Knows nothing of pages, of HTTP or of
//! files, reads no environment and no clock: moments are handed in. Start reading at `vault.rs`.

mod address_lock;
mod cookie;
mod credential;
mod directory;
mod facts;
mod form_token;
mod keyring;
mod moment;
mod proof;
mod record;
mod refusal;
mod seal;
mod secret;
mod session;
mod store;
#[cfg(test)]
mod theft_tests;
mod throttle;
mod totp;
mod vault;
mod wire;

pub use address_lock::AddressLock;
pub use cookie::CookieValue;
pub use credential::Credential;
pub use directory::{Filter, Ldap, LdapConfig, LdapServer, Method, NotSignedIn, Person, Security};
pub use facts::{Authentication, SecondFactor, User};
pub use keyring::{KeyVersion, Keyring};
pub use moment::Moment;
pub use proof::{Challenge, ProofKey, ProofPolicy};
pub use refusal::{Ended, Refusal};
pub use secret::Secret;
pub use session::Session;
pub use store::{
    Count, EmbeddedStore, Endpoint, Handle, Mark, Owner, ROW_LIMIT, RedisConfig, RedisStore, RedisTls, Row,
    Store, Task, Topology,
};
pub use throttle::{Allowance, Throttle, ThrottlePolicy, Verdict};
pub use totp::{CodeVerdict, Totp, TotpSecret};
pub use vault::{Policy, SessionView, SignIn, Vault};
