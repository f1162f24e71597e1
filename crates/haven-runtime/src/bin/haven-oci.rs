//! The OCI runtime command on its own, for callers that take a program instead of a subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    haven_runtime::oci_command(std::env::args_os())
}
