//! Removing a tree somebody else made: any depth, any breadth, with few descriptors, never through a link or a mount.
//!
//! A directory deeper than [`DEPTH_LIMIT`] is moved up beside the tree's top and taken from there, so that neither
//! the stack nor the descriptors grow with what a container built.

use super::error::PathError;
use super::{Dir, Result};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};

/// Directories held open at once.
const DEPTH_LIMIT: usize = 64;

/// Passes over a directory whose names keep coming back before somebody is taken to be filling it as we go.
const PASS_LIMIT: u64 = 1000;

struct Level {
    dir: Dir,
    name: OsString,
    pending: Vec<OsString>,
    passes: u64,
}

pub(super) fn remove_all(parent: &Dir, name: &OsStr) -> Result<()> {
    if try_remove(parent, name)? {
        return Ok(());
    }
    let mut moved = 0_u64;
    let mut levels = vec![open_level(parent, name.to_owned())?];
    while let Some(level) = levels.last_mut() {
        let Some(next) = level.pending.pop() else {
            let Some(done) = levels.pop() else { break };
            let above = levels.last().map_or(parent, |level| &level.dir);
            let (name, passes) = (done.name.clone(), done.passes + 1);
            drop(done);
            if !try_remove(above, &name)? {
                // Names were added meanwhile, by us (moved up) or by somebody else.
                let mut again = open_level(above, name)?;
                again.passes = passes;
                if passes > PASS_LIMIT + moved {
                    return Err(PathError::new("remove_all", &again.name, Errno::NOTEMPTY));
                }
                levels.push(again);
            }
            continue;
        };
        if try_remove(&level.dir, &next)? {
            continue;
        }
        if levels.len() < DEPTH_LIMIT {
            let deeper = match levels.last() {
                Some(level) => open_level(&level.dir, next)?,
                None => break,
            };
            levels.push(deeper);
        } else if let (Some(top), Some(level)) = (levels.first(), levels.last()) {
            move_up(&level.dir, &next, &top.dir, &mut moved)?;
        }
    }
    Ok(())
}

/// True when `name` is gone; false when it is a directory with something in it.
fn try_remove(dir: &Dir, name: &OsStr) -> Result<bool> {
    match dir.unlink(name) {
        Ok(()) => return Ok(true),
        Err(error) if error.errno() == Errno::NOENT => return Ok(true),
        Err(error) if error.errno() == Errno::ISDIR => {}
        Err(error) => return Err(error),
    }
    match dir.rmdir(name) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Errno::NOENT => Ok(true),
        Err(error) if matches!(error.errno(), Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_level(parent: &Dir, name: OsString) -> Result<Level> {
    let dir = parent.open_dir_same_mount(&name)?;
    let mut pending = Vec::new();
    dir.each_entry(|entry| {
        pending.push(entry.name);
        true
    })?;
    Ok(Level { dir, name, pending, passes: 0 })
}

fn move_up(dir: &Dir, name: &OsStr, top: &Dir, moved: &mut u64) -> Result<()> {
    loop {
        *moved += 1;
        match dir.rename_new(name, top, format!(".removing-{moved}")) {
            Err(error) if error.errno() == Errno::EXIST => {}
            other => return other,
        }
    }
}
