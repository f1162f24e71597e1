//! What the end-to-end tests stand on: a stage (namespaces and cgroups in which a daemon sees a whole host), a house
//! (a private daemon on a stage), calls of the command line, and images built here.
//!
//! It sees Haven from outside, as a user does, and uses none of its rooms. Everything needs root; nothing touches the
//! host: when a test ends, however it ends, its stage is gone, and what the daemon left behind fails the test.

mod archive;
mod call;
mod crash;
mod house;
mod leftovers;
mod rootfs;
mod stage;
mod wait;

pub use archive::{Archive, ImageConfig, Layer};
pub use call::{Answer, Call, Running};
pub use crash::{Toll, campaign};
pub use house::{Client, House, Options, binary};
pub use leftovers::{Leftovers, look};
pub use rootfs::{BUSYBOX, SINGLE, built, busybox_archive, debian_archive, probe, single_archive};
pub use stage::Stage;
pub use wait::{eventually, within};

/// Output of the programs in this crate goes through here.
#[allow(clippy::print_stdout, reason = "a command line tool's output")]
pub fn say(line: &str) {
    println!("{line}");
}
