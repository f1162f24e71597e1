//! The command line: flags declared once per command, from which parsing and help both come.
//!
//! As runc's users write it: global flags before the command's name, flags with one dash or two, `--flag value` or
//! `--flag=value`. Callers are programs as often as people, so an unknown flag is an error, never a guess.

use haven_spec::{Failure, Outcome};
use std::ffi::OsString;
use std::fmt::Write;

/// A flag; with `value` it takes one.
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    /// What the value is, in help; `None`: a switch.
    pub(super) value: Option<&'static str>,
    pub(super) help: &'static str,
}

pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, value: None, help }
}

pub(super) const fn option(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, value: Some(value), help }
}

impl Flag {
    pub(super) const fn or(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }
}

/// A command's name, what follows it, and its flags.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The words after the flags, as help shows them.
    pub(super) operands: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    /// Flags after the first operand are the operand's affair (`exec ID ls -l`).
    pub(super) operands_end_flags: bool,
    pub(super) flags: &'static [Flag],
}

/// A command line taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    flags: Vec<(&'static str, String)>,
    pub(super) operands: Vec<String>,
}

impl Arguments {
    pub(super) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|(known, value)| *known == name && value != "false")
    }

    /// The last value given; an empty one counts as none.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.flags
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A value that must be a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Outcome<Option<T>> {
        self.value(name)
            .map(|text| {
                text.parse().map_err(|_| Failure::invalid(format!("`{text}` is not a number (`--{name}`)")))
            })
            .transpose()
    }

    /// The first operand; the shape has made sure there is one.
    pub(super) fn first(&self) -> &str {
        self.operands.first().map_or("", String::as_str)
    }
}

/// Takes all words; `on_operand` says whether flags end with this operand.
fn take(
    flags: &'static [Flag],
    words: &mut impl Iterator<Item = OsString>,
    mut on_operand: impl FnMut(String) -> bool,
) -> Outcome<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    let text = |word: OsString| {
        word.into_string().map_err(|word| {
            Failure::invalid(format!("the argument `{}` is not UTF-8", word.to_string_lossy()))
        })
    };
    let mut flags_end = false;
    while let Some(word) = words.next() {
        let word = text(word)?;
        if flags_end || word == "-" || !word.starts_with('-') {
            flags_end |= on_operand(word);
            continue;
        }
        if word == "--" {
            flags_end = true;
            continue;
        }
        let bare = word.trim_start_matches('-');
        let (name, attached) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        let flag = flags
            .iter()
            .find(|flag| flag.name == name || flag.short.is_some_and(|short| name.chars().eq([short])))
            .ok_or_else(|| Failure::invalid(format!("there is no flag `{word}`")))?;
        let value = match (flag.value, attached) {
            (None, None) => String::new(),
            (None, Some(value)) if matches!(value.as_str(), "true" | "false") => value,
            (None, Some(value)) => {
                return Err(Failure::invalid(format!("`--{}` takes no value, not `{value}`", flag.name)));
            }
            (Some(_), Some(value)) => value,
            (Some(what), None) => match words.next() {
                Some(value) => text(value)?,
                None => return Err(Failure::invalid(format!("`--{}` needs a value ({what})", flag.name))),
            },
        };
        found.push((flag.name, value));
    }
    Ok(found)
}

/// The global flags, the command's name (`None`: none was given) and the words after it.
pub(super) fn split(
    flags: &'static [Flag],
    words: impl Iterator<Item = OsString>,
) -> Outcome<(Arguments, Option<String>, Vec<OsString>)> {
    let mut words = words.peekable();
    let mut global: Vec<OsString> = Vec::new();
    let mut command = None;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if !text.starts_with('-') {
            command = Some(text.into_owned());
            break;
        }
        let bare = text.trim_start_matches('-').to_owned();
        let takes_value = flags.iter().any(|flag| flag.name == bare && flag.value.is_some());
        global.push(word);
        if takes_value && let Some(value) = words.next() {
            global.push(value);
        }
    }
    let flags = take(flags, &mut global.into_iter(), |_| false)?;
    Ok((Arguments { flags, operands: Vec::new() }, command, words.collect()))
}

/// A command's own words.
pub(super) fn parse(shape: &Shape, words: Vec<OsString>) -> Outcome<Arguments> {
    let mut operands = Vec::new();
    let flags = take(shape.flags, &mut words.into_iter(), |word| {
        operands.push(word);
        shape.operands_end_flags
    })?;
    if operands.len() < shape.least || operands.len() > shape.most {
        let how_many = match (shape.least, shape.most) {
            (least, most) if least == most => format!("exactly {least}"),
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) => format!("{least} to {most}"),
        };
        return Err(Failure::invalid(format!(
            "`{}` takes {how_many} argument(s) ({}), not {}",
            shape.name,
            shape.operands,
            operands.len()
        )));
    }
    Ok(Arguments { flags, operands })
}

/// Help for one command.
pub(super) fn help(program: &str, shape: &Shape) -> String {
    let mut text = format!("{}\n\nusage: {program} {} [flags] {}\n", shape.about, shape.name, shape.operands);
    if !shape.flags.is_empty() {
        text.push_str("\nflags:\n");
        text.push_str(&flag_lines(shape.flags));
    }
    text
}

pub(super) fn flag_lines(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags {
        let short = flag.short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let value = flag.value.map(|value| format!(" {value}")).unwrap_or_default();
        let left = format!("  {short}--{}{value}", flag.name);
        // Writing to a string can't fail.
        let _: std::fmt::Result = writeln!(text, "{left:<34} {}", flag.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOBAL: &[Flag] = &[option("root", "DIR", ""), switch("debug", "")];
    const SHAPE: Shape = Shape {
        name: "kill",
        about: "",
        operands: "ID [SIGNAL]",
        least: 1,
        most: 2,
        operands_end_flags: false,
        flags: &[switch("all", "").or('a'), option("env", "NAME=VALUE", "").or('e')],
    };

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn global_flags_come_before_the_command() {
        let (global, command, rest) =
            split(GLOBAL, words("--root=/x --debug kill --all id").into_iter()).unwrap();
        assert_eq!((global.value("root"), global.has("debug")), (Some("/x"), true));
        assert_eq!(command.as_deref(), Some("kill"));
        assert_eq!(rest, words("--all id"));
        let (global, command, _) = split(GLOBAL, words("-root /x").into_iter()).unwrap();
        assert_eq!((global.value("root"), command), (Some("/x"), None));
        assert!(split(GLOBAL, words("--what kill").into_iter()).is_err());
        assert!(split(GLOBAL, words("--root").into_iter()).is_err());
    }

    #[test]
    fn flags_and_operands_may_mix_unless_the_operands_are_a_command() {
        let found = parse(&SHAPE, words("id --all KILL -e A=1 --env=B=2")).unwrap();
        assert_eq!(found.operands, ["id", "KILL"]);
        assert!(found.has("all") && !found.has("env-x"));
        assert_eq!(found.values("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        let exec = Shape { operands_end_flags: true, most: usize::MAX, ..SHAPE };
        let found = parse(&exec, words("--all=false id ls -l --all")).unwrap();
        assert_eq!(found.operands, ["id", "ls", "-l", "--all"]);
        assert!(!found.has("all"));
        let found = parse(&exec, words("-- -id")).unwrap();
        assert_eq!(found.operands, ["-id"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (line, words_of_it) in [
            ("", "takes 1 to 2 argument(s) (ID [SIGNAL]), not 0"),
            ("a b c", "not 3"),
            ("--fast id", "no flag `--fast`"),
            ("id --env", "`--env` needs a value"),
            ("--all=maybe id", "takes no value, not `maybe`"),
        ] {
            let failure = parse(&SHAPE, words(line)).unwrap_err();
            assert!(failure.to_string().contains(words_of_it), "{failure}");
        }
    }
}
