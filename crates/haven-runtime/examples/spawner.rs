//! Plays the part of the program that becomes the spawner, for this crate's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|word| word != "spawner") {
        return ExitCode::from(2);
    }
    match haven_runtime::run_spawner(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            #[expect(clippy::print_stderr, reason = "this is what the starter reads")]
            {
                eprintln!("{}", failure.one_line());
            }
            ExitCode::FAILURE
        }
    }
}
