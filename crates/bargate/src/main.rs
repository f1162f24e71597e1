//! Bargate: people's SMB files in any browser, with passwords that nobody can steal. Runs without Haven, and best on it.
//!
//! ```text
//! server.rs ─ sockets, TLS, time limits
//!   └─ routes.rs ─ which page a request is for, and who asks
//!        ├─ signing.rs, codes.rs ─ sign in and out, sessions      ─▶ haven-identity
//!        └─ browsing.rs, download.rs, upload.rs ─ files           ─▶ haven-files
//!   pages.rs, html.rs ─ what is shown;  answer.rs ─ headers every answer has
//! ```
//! All pages work without script. What is configured stands in `config.rs`; nothing is read from the environment but
//! where systemd put credentials.

mod answer;
mod app;
mod browsing;
mod codes;
mod config;
mod download;
mod html;
mod pages;
mod program;
mod request;
mod routes;
mod server;
mod signing;
mod upload;

use std::process::ExitCode;

/// Code that doesn't wipe what it frees (HTTP, TLS, SMB) handles passwords here.
#[global_allocator]
static ALLOCATOR: haven_sys::memory::WipingAllocator = haven_sys::memory::WipingAllocator;

fn main() -> ExitCode {
    program::main(std::env::args_os().collect())
}
