//! Live streams between this terminal and a process in a container.
