//! Live streams between this terminal and a process in a container.

mod escape;
mod frame;
mod session;
mod signals;
mod terminal;

pub(crate) use frame::{CopyError, copy_frames, copy_raw};
pub(crate) use session::{Ended, Plan, Session};
pub(crate) use signals::queue as signal_queue;
pub(crate) use terminal::size as terminal_size;
