//! The side of the spawner's socket that asks, and starts a spawner where there is none.

use super::protocol::{
    DONE, EXEC, FAILED, HELLO, LAUNCH, LEAVE_MOVES, PACKET_BYTES, RETIRE, SOCKET, VERSION,
};
use crate::keeper::Keeper;
use crate::landlock;
use crate::launch::{ExecRequest, Launch};
use crate::plan::{ExecPlan, Plan};
use crate::setback::Setback;
use haven_spec::{Failure, Outcome};
use haven_sys::{memfd, socket};
use rustix::net::RecvFlags;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A way to the spawner. Each request uses a connection of its own: a `Spawner` can be shared by threads, requests
/// run side by side, and a spawner that died is started again by the next request. Calls block.
#[derive(Debug, Clone)]
pub struct Spawner {
    run_root: PathBuf,
    program: PathBuf,
    group_moves: GroupMoves,
}

/// What a new spawner does about the slow moves between control groups of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupMoves {
    /// It asks the kernel for fast ones, for the whole host: see docs/adr/0007-favour-moves.md.
    Favoured,
    /// The host is left as it is; a start takes several milliseconds more.
    AsTheHostHasThem,
}

/// A container that exists: its namespaces are there, its root file system is being put together, its command waits
/// for [`Keeper::start`].
#[derive(Debug)]
pub struct Launched {
    pub pid: u32,
    pub pidfd: OwnedFd,
    /// When it started, for [`crate::resolve_process`] after the caller's restart.
    pub start_time_ticks: u64,
    /// Its network namespace, when it has one of its own.
    pub network: Option<OwnedFd>,
    pub keeper: Keeper,
}

/// An additional process that exists and waits for [`Keeper::start`].
#[derive(Debug)]
pub struct Execed {
    pub pid: u32,
    pub pidfd: OwnedFd,
    pub keeper: Keeper,
}

/// How long starting a spawner may take, and how long one just executed may take to answer.
const STARTING: Duration = Duration::from_secs(10);
const ANSWERING: Duration = Duration::from_millis(500);

impl Spawner {
    /// Finds the spawner of `run_root` or starts one: `program` is executed, as a sealed copy, with the arguments
    /// `spawner --run-dir RUN_ROOT`, and must then call [`crate::run_spawner`] before it makes any thread.
    /// `group_moves` holds for one that is started.
    pub fn connect_or_start(run_root: &Path, program: &Path, group_moves: GroupMoves) -> Outcome<Self> {
        let spawner = Self { run_root: run_root.to_owned(), program: program.to_owned(), group_moves };
        match spawner.version() {
            Ok(VERSION) => {}
            Ok(_) => {
                spawner.retire()?;
                spawner.start()?;
            }
            Err(_) => spawner.start()?,
        }
        Ok(spawner)
    }

    /// Makes a container. Its command doesn't run yet: configure its network, attach, then start its keeper.
    pub fn launch(&self, launch: &Launch) -> Outcome<Launched> {
        let about = || format!("cannot launch container `{}`", launch.id);
        let plan = Plan::of(launch).map_err(|failure| failure.context(about()))?;
        let file = plan.to_memfd()?;
        let ruleset = if launch.landlock { landlock::ruleset(&launch.spec)? } else { None };
        let mut given = vec![file.as_fd()];
        given.extend(ruleset.as_ref().map(AsFd::as_fd));
        let (pid, mut descriptors) =
            self.request(LAUNCH, &given).map_err(|failure| failure.context(about()))?;
        let network = (descriptors.len() > 1).then(|| descriptors.pop()).flatten();
        let pidfd = descriptors.pop().ok_or_else(unexpected)?;
        Ok(Launched {
            pid,
            pidfd,
            start_time_ticks: crate::identity::process_start_time(pid)?.unwrap_or(0),
            network,
            keeper: Keeper::of_container(&launch.run_dir),
        })
    }

    /// Makes an additional process in the container whose first process is `target`.
    pub fn exec(&self, request: &ExecRequest, target: BorrowedFd<'_>) -> Outcome<Execed> {
        let about = || format!("cannot execute in the container at `{}`", request.run_dir.display());
        let plan = ExecPlan::of(request).map_err(|failure| failure.context(about()))?;
        let file = plan.to_memfd()?;
        let (pid, mut descriptors) =
            self.request(EXEC, &[file.as_fd(), target]).map_err(|failure| failure.context(about()))?;
        let pidfd = descriptors.pop().ok_or_else(unexpected)?;
        Ok(Execed { pid, pidfd, keeper: Keeper::of_exec(&request.run_dir, &request.exec_id) })
    }

    /// Ends the spawner; what it started lives on.
    pub fn retire(&self) -> Outcome<()> {
        self.try_ask(&[RETIRE], &[]).map(drop)
    }

    fn version(&self) -> Outcome<u32> {
        let (answer, _) = self.try_ask(&[HELLO], &[])?;
        answer.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or_else(unexpected)
    }

    /// Asks for a process; starts a new spawner when the old one is gone.
    fn request(&self, kind: u8, descriptors: &[BorrowedFd<'_>]) -> Outcome<(u32, Vec<OwnedFd>)> {
        let (answer, received) = match self.try_ask(&[kind], descriptors) {
            Err(failure) if failure.kind() == haven_spec::Kind::NotFound => {
                self.start()?;
                self.try_ask(&[kind], descriptors)
            }
            other => other,
        }?;
        let pid = answer.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes));
        Ok((pid.ok_or_else(unexpected)?, received))
    }

    fn try_ask(&self, request: &[u8], descriptors: &[BorrowedFd<'_>]) -> Outcome<(Vec<u8>, Vec<OwnedFd>)> {
        let path = self.run_root.join(SOCKET);
        // "Not found" is what tells `request` that starting a spawner helps: nothing was done yet.
        let connection = socket::connect(&path).map_err(|error| {
            Failure::not_found(format!("cannot reach the spawner at `{}`", path.display())).because(error)
        })?;
        let broken = |error| Failure::host("cannot talk to the spawner").because(error);
        socket::send(&connection, request, descriptors).map_err(broken)?;
        let mut buffer = vec![0; PACKET_BYTES];
        let packet = socket::receive(&connection, &mut buffer, RecvFlags::empty()).map_err(broken)?;
        match buffer[..packet.length].split_first() {
            Some((&DONE, rest)) => Ok((rest.to_vec(), packet.descriptors)),
            Some((&FAILED, rest)) => Err(Setback::read(rest).into_failure()),
            Some(_) => Err(unexpected()),
            None => Err(Failure::host("the spawner ended without an answer")),
        }
    }

    /// Starts a spawner and waits until it answers. When two callers start one at once, one of them ends by itself; one
    /// that met the lock of a spawner just ending is started again.
    fn start(&self) -> Outcome<()> {
        let about = || format!("cannot start the spawner from `{}`", self.program.display());
        let failed = |error| Failure::host(about()).because(error);
        let mut program = File::open(&self.program).map_err(failed)?;
        let copy = memfd::sealed_program("haven", &mut program).map_err(failed)?;
        let begun = Instant::now();
        loop {
            self.execute(&copy).map_err(|failure| failure.context(about()))?;
            let executed = Instant::now();
            while executed.elapsed() < ANSWERING {
                match self.version() {
                    Ok(VERSION) => return Ok(()),
                    Ok(other) => {
                        return Err(Failure::internal(format!(
                            "the spawner just started speaks version {other} and not {VERSION}"
                        )));
                    }
                    Err(failure) if begun.elapsed() > STARTING => return Err(failure.context(about())),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        }
    }

    fn execute(&self, program: &OwnedFd) -> Outcome<()> {
        let output = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0("haven")
            .arg("spawner")
            .arg("--run-dir")
            .arg(&self.run_root)
            .args((self.group_moves == GroupMoves::AsTheHostHasThem).then_some(LEAVE_MOVES))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_clear()
            .current_dir("/")
            .output()
            .map_err(|error| Failure::host("cannot execute its sealed copy").because(error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::host("it ended at once").because(format!("{said} ({})", output.status)))
    }
}

fn unexpected() -> Failure {
    Failure::internal("the spawner answered something unexpected")
}
