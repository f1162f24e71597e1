//! Asking a directory (LDAP: OpenLDAP, 389, Active Directory) who somebody is.
//!
//! ```text
//! ldap.rs ─ what is asked, in which order; what an answer means for a person
//!   ├─ filter.rs ─ RFC 4515 filters; a person's name goes in as a value, never as text
//!   └─ connection.rs ─ TCP, TLS, one exchange at a time, with limits and time
//!        └─ message.rs ─ the dozen messages that are needed, RFC 4511
//!             └─ ber.rs ─ tags and lengths
//! ```
//! A small client of our own: the common crate brings a second calendar and forty crates, keeps copies of passwords, and
//! of all of LDAP a sign-in needs four operations (ADR 0012).

mod ber;
mod connection;
mod filter;
mod ldap;
mod message;

pub use connection::Security;
pub use filter::Filter;
pub use ldap::{Ldap, LdapConfig, LdapServer, Method, NotSignedIn, Person};
