//! The log other programs read: one line for each message, as JSON or text, in a file or on standard error.
//!
//! The form is runc's, because shims look for the last line with `"level":"error"` to learn why a command failed.

use haven_spec::{Failure, Outcome};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Where messages go.
#[derive(Debug)]
pub(super) struct Log {
    form: Form,
    least: Level,
    /// `None`: standard error.
    file: Option<File>,
}

impl Log {
    /// Standard error, in words for people.
    pub(super) fn to_stderr() -> Self {
        Self { form: Form::Text, least: Level::Warning, file: None }
    }

    pub(super) fn open(path: Option<&str>, form: Option<&str>, debug: bool) -> Outcome<Self> {
        let form = match form {
            None | Some("text") => Form::Text,
            Some("json") => Form::Json,
            Some(other) => {
                return Err(Failure::invalid(format!("`{other}` is not a log format (`text` or `json`)")));
            }
        };
        let file =
            path.filter(|path| *path != "/dev/stderr")
                .map(|path| {
                    OpenOptions::new().append(true).create(true).open(Path::new(path)).map_err(|error| {
                        Failure::host(format!("cannot open the log `{path}`")).because(error)
                    })
                })
                .transpose()?;
        Ok(Self { form, least: if debug { Level::Debug } else { Level::Warning }, file })
    }

    pub(super) fn debug(&self, message: &str) {
        self.say(Level::Debug, message);
    }

    pub(super) fn warn(&self, message: &str) {
        self.say(Level::Warning, message);
    }

    /// Why the command failed. When the log is a file, people see it on standard error too.
    pub(super) fn fail(&self, failure: &Failure) {
        self.say(Level::Error, &failure.one_line());
        if self.file.is_some() {
            // When nobody can be told, the exit status still says it.
            let _unheard: std::io::Result<()> = writeln!(std::io::stderr(), "{}", failure.one_line());
        }
        if let Some(hint) = failure.advice() {
            let _unheard: std::io::Result<()> = writeln!(std::io::stderr(), "try: {hint}");
        }
    }

    fn say(&self, level: Level, message: &str) {
        if level < self.least {
            return;
        }
        let line = line(self.form, level, message, &now());
        // One write, so that lines of several programs stay whole. A log that can't be written must not stop the work.
        let _unheard: std::io::Result<()> = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// Now, to the second, in UTC.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn line(form: Form, level: Level, message: &str, time: &str) -> String {
    match form {
        Form::Json => {
            let object = serde_json::json!({ "level": level.word(), "msg": message, "time": time });
            format!("{object}\n")
        }
        Form::Text => format!("time=\"{time}\" level={} msg={message:?}\n", level.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_shims_read() {
        assert_eq!(
            line(Form::Json, Level::Error, "no \"x\"", "2026-01-02T03:04:05Z"),
            "{\"level\":\"error\",\"msg\":\"no \\\"x\\\"\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
        );
        assert_eq!(
            line(Form::Text, Level::Warning, "a \"b\"\nc", "T"),
            "time=\"T\" level=warning msg=\"a \\\"b\\\"\\nc\"\n"
        );
        assert!(Log::open(None, Some("xml"), false).is_err());
        assert!(Log::open(Some("/nowhere/log"), None, false).is_err());
    }
}
