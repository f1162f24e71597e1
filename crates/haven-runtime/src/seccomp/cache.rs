//! Compiled programs by the profile they were made from. Containers share few profiles, and compiling takes longer
//! than starting the rest of a process.

use super::program::{Program, compile};
use crate::oci::Seccomp;
use haven_spec::Outcome;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Profiles kept. Beyond, all are forgotten: who uses that many isn't helped by keeping some.
const MOST: usize = 64;

/// The program for a profile, compiled at most once.
pub fn compiled(profile: &Seccomp) -> Outcome<Arc<Program>> {
    static PROGRAMS: OnceLock<Mutex<HashMap<Seccomp, Arc<Program>>>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(Mutex::default);
    // A panic elsewhere can't have left the map half-changed.
    let lock = || programs.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = lock().get(profile) {
        return Ok(Arc::clone(program));
    }
    let program = Arc::new(compile(profile)?);
    let mut programs = lock();
    if programs.len() >= MOST {
        programs.clear();
    }
    programs.insert(profile.clone(), Arc::clone(&program));
    Ok(program)
}
