//! Bargate as a person without script sees it: the program itself, a real Samba behind it, and forms.

mod browser;
mod codes;
mod files;
mod gate;
mod sign_in;
mod theft;

#[allow(dead_code, reason = "written for another room's tests, of which these use a part")]
#[path = "../../../haven-files/tests/it/samba.rs"]
mod samba;

#[path = "../../../haven-identity/tests/it/memory.rs"]
mod memory;
