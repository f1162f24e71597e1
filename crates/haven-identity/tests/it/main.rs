//! The vault as the edge sees it: whole sessions, every back end of its store, and what a thief gets.

mod fixtures;
mod ldap;
mod memory;
mod redis;
mod servers;
mod store;
mod throttle;
mod totp;
mod vault;
