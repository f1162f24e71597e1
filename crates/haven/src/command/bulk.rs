//! The same for many containers: at once, since stopping may take seconds, with results told in the order asked.

use super::Context;
use crate::console;
use crate::daemon::Daemon;
use crate::ending::{self, Done, Refusal, Status};
use haven_spec::{Kind, Outcome};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Most requests at once.
const PARALLEL_LIMIT: usize = 32;

/// Whether a thing that isn't there is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Fails,
    /// It is said, and that is all: `rm --force`.
    IsSaid,
}

/// Does `action` for each name and prints the names it was done for.
pub(super) fn each(
    context: &Context,
    names: &[String],
    missing: Missing,
    action: impl Fn(&Daemon, &str) -> Outcome<()> + Sync,
) -> Done {
    if let [name] = names {
        return tell(name, action(&context.daemon, name), missing);
    }
    // Greets (and if need be starts) the daemon once, before many ask at the same time.
    context.daemon.version()?;
    let twins: Vec<Daemon> = names.iter().take(PARALLEL_LIMIT).map(|_| context.daemon.again()).collect();
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for daemon in twins {
            let sender = sender.clone();
            let (next, action) = (&next, &action);
            scope.spawn(move || {
                while let Some((index, name)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    names.get(index).map(|name| (index, name))
                } {
                    if sender.send((index, action(&daemon, name))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut results: Vec<Option<Outcome<()>>> = names.iter().map(|_| None).collect();
        let mut told = 0;
        let mut ending = Status::FINE;
        while told < names.len() {
            let Ok((index, result)) = receiver.recv() else { break };
            results[index] = Some(result);
            while let Some(result) = results.get_mut(told).and_then(Option::take) {
                let one = tell(&names[told], result, missing)?;
                if one != Status::FINE {
                    ending = one;
                }
                told += 1;
            }
        }
        Ok(ending)
    })
}

fn tell(name: &str, result: Outcome<()>, missing: Missing) -> Done {
    match result {
        Ok(()) => {
            console::line(name)?;
            Ok(Status::FINE)
        }
        Err(failure) if missing == Missing::IsSaid && failure.kind() == Kind::NotFound => {
            ending::report(&failure);
            Ok(Status::FINE)
        }
        Err(failure) => Ok(Status(Refusal::from(failure).report())),
    }
}
