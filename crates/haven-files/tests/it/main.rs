//! A person's files on a real Samba server: started by the tests from Debian's package, on loopback, with a directory and
//! accounts of its own.

mod files;
mod pool;
mod protection;
mod samba;
mod sign_in;
mod vanished;

/// The same allocator as the program that handles people's passwords.
#[global_allocator]
static ALLOCATOR: haven_sys::memory::WipingAllocator = haven_sys::memory::WipingAllocator;
