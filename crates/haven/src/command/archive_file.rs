//! Archives that a command writes to a file or standard output, or reads from one.

use crate::console;
use crate::ending::{Done, Refusal, Status};
use crate::progress::Counter;
use crate::wire::Answer;
use haven_spec::{Failure, Outcome};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const COPY_BYTES: usize = 256 * 1024;

/// Refuses before anything is asked of the daemon: a terminal is no place for an archive.
pub(super) fn check_output(output: Option<&str>) -> Outcome<()> {
    match output {
        None if console::out_is_terminal() => {
            Err(Failure::invalid("cowardly refusing to save to a terminal")
                .hint("use the -o flag or redirect"))
        }
        Some(path) if Path::new(path).is_dir() => {
            Err(Failure::invalid(format!("cannot write to `{path}`")).because("it is a directory"))
        }
        _ => Ok(()),
    }
}

/// Copies an answer's body to `output` or standard output. A file appears whole or not at all.
pub(super) fn save(mut answer: Answer, output: Option<&str>, what: &str) -> Done {
    let mut counter = Counter::new(what, None);
    let Some(path) = output else {
        let copied = copy(&mut answer.body, &mut console::Output, &mut counter);
        counter.finish();
        return match copied {
            Ok(()) => Ok(Status::FINE),
            Err(Side::Source(error)) => Err(broke_off(error).into()),
            Err(Side::Sink(error)) => Err(Refusal::output(error)),
        };
    };
    let refuse = |error: io::Error| Failure::host(format!("cannot write `{path}`")).because(error);
    let target = Target::open(Path::new(path)).map_err(refuse)?;
    let mut file = &target.file;
    let copied = copy(&mut answer.body, &mut file, &mut counter);
    counter.finish();
    match copied {
        Ok(()) => target.keep().map_err(refuse)?,
        Err(Side::Source(error)) => return Err(broke_off(error).into()),
        Err(Side::Sink(error)) => return Err(refuse(error).into()),
    }
    Ok(Status::FINE)
}

fn broke_off(error: io::Error) -> Failure {
    Failure::host("the archive broke off").because(error)
}

enum Side {
    Source(io::Error),
    Sink(io::Error),
}

fn copy(source: &mut impl Read, sink: &mut impl Write, counter: &mut Counter) -> Result<(), Side> {
    let mut space = vec![0; COPY_BYTES];
    loop {
        match source.read(&mut space) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                sink.write_all(&space[..count]).map_err(Side::Sink)?;
                counter.add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Side::Source(error)),
        }
    }
}

/// A file under a temporary name beside the wanted one; devices and pipes are written directly.
struct Target {
    file: File,
    /// Temporary and wanted path.
    rename: Option<(PathBuf, PathBuf)>,
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        let special = fs::metadata(path).is_ok_and(|data| !data.is_file());
        if special {
            return Ok(Self { file: File::options().write(true).open(path)?, rename: None });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        let file = File::options().write(true).create_new(true).open(&temporary)?;
        Ok(Self { file, rename: Some((temporary, path.to_owned())) })
    }

    fn keep(mut self) -> io::Result<()> {
        if let Some((temporary, wanted)) = &self.rename {
            fs::rename(temporary, wanted)?;
            self.rename = None;
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.rename {
            drop(fs::remove_file(temporary));
        }
    }
}

/// A file, or standard input for `None` and `-`, to be sent; progress is shown on a terminal.
pub(super) fn source(path: Option<&str>, what: &'static str, quiet: bool) -> Outcome<Box<dyn Read + Send>> {
    let (reader, length): (Box<dyn Read + Send>, Option<u64>) = match path {
        None | Some("-") => (Box::new(io::stdin()), None),
        Some(path) => {
            let refuse = |error: io::Error| Failure::invalid(format!("cannot open `{path}`")).because(error);
            let file = File::open(path).map_err(refuse)?;
            let data = file.metadata().map_err(refuse)?;
            if data.is_dir() {
                return Err(Failure::invalid(format!("cannot open `{path}`")).because("it is a directory"));
            }
            (Box::new(file), data.is_file().then_some(data.len()))
        }
    };
    Ok(if quiet { reader } else { Box::new(Counted { reader, counter: Counter::new(what, length) }) })
}

struct Counted {
    reader: Box<dyn Read + Send>,
    counter: Counter,
}

impl Read for Counted {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(space)?;
        if count == 0 {
            self.counter.finish();
        } else {
            self.counter.add(count as u64);
        }
        Ok(count)
    }
}
