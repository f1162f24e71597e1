//! Haven from outside: each test has a daemon of its own and speaks to it as a person does.
//!
//! Run with `HAVEN_TESTS_PEER=docker`, the same tests ask dockerd; those about what only Haven does return at once then.

mod audit;
mod clients;
mod copying;
mod exit_codes;
mod exposure;
mod flags;
mod health;
mod images;
mod inspecting;
mod life;
mod limits;
mod links;
mod logs;
mod names;
mod networks;
mod oci_runtime;
mod operating;
mod ports;
mod restarting;
mod survival;
mod terminals;
mod volumes;
