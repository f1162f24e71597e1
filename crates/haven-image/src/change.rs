//! Changes to an image's configuration, written as Dockerfile instructions: `--change` of import and commit.
//!
//! The instructions that only touch the configuration; those that make files are a builder's.

use crate::config::{ContainerConfig, Empty};
use haven_spec::{Failure, HealthCheck, Outcome, PortKey, PortProtocol, Signal};
use std::collections::BTreeMap;

/// Ports in one range of `EXPOSE`.
const RANGE_LIMIT: u16 = 10_000;

/// Applies `changes` in order. Either all of them are good, or `config` stays as it was.
pub fn apply_changes(config: &mut ContainerConfig, changes: &[String]) -> Outcome<()> {
    let mut changed = config.clone();
    let mut command_set = false;
    for change in changes {
        apply(&mut changed, change.trim(), &mut command_set)
            .map_err(|failure| failure.context(format!("the change `{change}` can't be made")))?;
    }
    *config = changed;
    Ok(())
}

fn apply(config: &mut ContainerConfig, change: &str, command_set: &mut bool) -> Outcome<()> {
    let (instruction, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
    let instruction = instruction.to_ascii_uppercase();
    let rest = rest.trim();
    if rest.is_empty() && !matches!(instruction.as_str(), "CMD" | "ENTRYPOINT") {
        return Err(Failure::invalid(format!("`{instruction}` requires an argument")));
    }
    let env = config.env.clone().unwrap_or_default();
    match instruction.as_str() {
        "CMD" => {
            config.cmd = Some(command(config, rest));
            *command_set = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(config, rest));
            // The old command was meant for the old entrypoint.
            if !*command_set {
                config.cmd = None;
            }
        }
        "ENV" => {
            for (key, value) in pairs(rest, &env)? {
                let list = config.env.get_or_insert_default();
                let entry = format!("{key}={value}");
                match list.iter_mut().find(|known| known.split('=').next() == Some(&key)) {
                    Some(known) => *known = entry,
                    None => list.push(entry),
                }
            }
        }
        "LABEL" => config.labels.get_or_insert_default().extend(pairs(rest, &env)?),
        "EXPOSE" => {
            for word in words(rest, &env)? {
                expose(config.exposed_ports.get_or_insert_default(), &word)?;
            }
        }
        "VOLUME" => {
            let paths = match json_list(rest) {
                Some(paths) => paths,
                None => words(rest, &env)?,
            };
            for path in paths {
                if path.trim().is_empty() {
                    return Err(Failure::invalid("`VOLUME` specified can not be an empty string"));
                }
                config.volumes.get_or_insert_default().insert(path, Empty {});
            }
        }
        "USER" => config.user = one(rest, &env)?,
        "WORKDIR" => config.working_dir = resolve_dir(&config.working_dir, &one(rest, &env)?),
        "STOPSIGNAL" => {
            let signal = one(rest, &env)?;
            Signal::parse(&signal)?;
            config.stop_signal = signal;
        }
        "ONBUILD" => {
            let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if matches!(trigger.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
                return Err(Failure::invalid(format!("`{trigger}` isn't allowed as an ONBUILD trigger")));
            }
            config.on_build.get_or_insert_default().push(rest.to_owned());
        }
        "SHELL" => {
            config.shell = Some(json_list(rest).filter(|list| !list.is_empty()).ok_or_else(|| {
                Failure::invalid("`SHELL` requires the arguments to be in JSON form")
                    .hint("like SHELL [\"/bin/sh\", \"-c\"]")
            })?);
        }
        "HEALTHCHECK" => config.healthcheck = Some(health(rest)?),
        other => {
            return Err(Failure::invalid(format!("`{other}` is not a valid change command"))
                .hint("CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR are"));
        }
    }
    Ok(())
}

/// `["a", "b"]` as it is, anything else through the shell.
fn command(config: &ContainerConfig, text: &str) -> Vec<String> {
    if let Some(list) = json_list(text) {
        return list;
    }
    if text.is_empty() {
        return Vec::new();
    }
    let mut list = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
    list.push(text.to_owned());
    list
}

fn json_list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

fn one(text: &str, env: &[String]) -> Outcome<String> {
    let found = words(text, env)?;
    match <[String; 1]>::try_from(found) {
        Ok([word]) if !word.is_empty() => Ok(word),
        _ => Err(Failure::invalid("exactly one argument is required")),
    }
}

fn expose(ports: &mut BTreeMap<String, Empty>, word: &str) -> Outcome<()> {
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = PortProtocol::parse(protocol)?;
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (PortKey::parse(first)?.port, PortKey::parse(last)?.port);
    if last < first || last - first > RANGE_LIMIT {
        return Err(Failure::invalid(format!("`{range}` is not a range of at most {RANGE_LIMIT} ports")));
    }
    for port in first..=last {
        ports.insert(PortKey { port, protocol }.to_string(), Empty {});
    }
    Ok(())
}

/// A relative directory is below the one before.
fn resolve_dir(before: &str, dir: &str) -> String {
    let whole = if dir.starts_with('/') { dir.to_owned() } else { format!("{before}/{dir}") };
    let mut names: Vec<&str> = Vec::new();
    for name in whole.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

fn health(text: &str) -> Outcome<HealthCheck> {
    let mut check = HealthCheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        rest = after.trim_start();
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| Failure::invalid(format!("the option `--{option}` has no value")))?;
        match name {
            "interval" => check.interval_ns = duration_ns(value)?,
            "timeout" => check.timeout_ns = duration_ns(value)?,
            "start-period" => check.start_period_ns = duration_ns(value)?,
            "start-interval" => check.start_interval_ns = duration_ns(value)?,
            "retries" => {
                check.retries = value.parse().map_err(|error| {
                    Failure::invalid(format!("`{value}` is no number of retries")).because(error)
                })?;
            }
            _ => return Err(Failure::invalid(format!("unknown option `--{name}`"))),
        }
    }
    let (kind, command_text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command_text = command_text.trim();
    check.test = match (kind.to_ascii_uppercase().as_str(), json_list(command_text)) {
        ("NONE", _) if command_text.is_empty() => vec!["NONE".into()],
        ("CMD", Some(list)) if !list.is_empty() => [vec!["CMD".to_owned()], list].concat(),
        ("CMD", None) if !command_text.is_empty() => vec!["CMD-SHELL".into(), command_text.to_owned()],
        _ => return Err(Failure::invalid("a health check is `NONE`, or `CMD` with a command")),
    };
    Ok(check)
}

/// As Go writes them: `1m30s`, `500ms`.
fn duration_ns(text: &str) -> Outcome<i64> {
    let refuse =
        || Failure::invalid(format!("`{text}` is not a duration")).hint("write it like 30s, 1m30s or 500ms");
    let mut rest = text;
    let mut total = 0_f64;
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
        let number: f64 = rest[..digits].parse().map_err(|_| refuse())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(refuse()),
            };
        rest = &rest[unit..];
    }
    if total > 9e18 {
        return Err(refuse());
    }
    #[allow(clippy::cast_possible_truncation, reason = "checked against the range above")]
    Ok(total as i64)
}

/// `KEY=VALUE …`, or the old form `KEY VALUE`, whose value is the rest of the line.
fn pairs(text: &str, env: &[String]) -> Outcome<Vec<(String, String)>> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or_else(|| {
            Failure::invalid(format!("`{text}` must have two arguments")).hint("write KEY=VALUE")
        })?;
        return Ok(vec![(key.to_owned(), words_in_one(value.trim(), env)?)]);
    }
    words(text, env)?
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(Failure::invalid(format!("`{word}` is not of the form KEY=VALUE"))),
        })
        .collect()
}

/// Words as a shell would split them: quotes, backslashes, and variables from `env`.
fn words(text: &str, env: &[String]) -> Outcome<Vec<String>> {
    let mut words = Vec::new();
    scan(text, env, &mut words)?;
    Ok(words)
}

fn words_in_one(text: &str, env: &[String]) -> Outcome<String> {
    Ok(words(text, env)?.join(" "))
}

fn scan(text: &str, env: &[String], words: &mut Vec<String>) -> Outcome<()> {
    let mut characters = text.chars().peekable();
    let mut word = String::new();
    let mut started = false;
    let mut quote = None;
    while let Some(character) = characters.next() {
        match (character, quote) {
            (c, None) if c.is_whitespace() => {
                if started {
                    words.push(std::mem::take(&mut word));
                    started = false;
                }
                continue;
            }
            ('\'' | '"', None) => quote = Some(character),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => match characters.next() {
                Some(next) => {
                    // Between double quotes only some characters need the backslash.
                    if quote.is_some() && !matches!(next, '"' | '\\' | '$') {
                        word.push('\\');
                    }
                    word.push(next);
                }
                None => word.push('\\'),
            },
            ('$', None | Some('"')) => {
                let mut name = String::new();
                if characters.peek() == Some(&'{') {
                    characters.next();
                    loop {
                        match characters.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(Failure::invalid("`${` is not closed")),
                        }
                    }
                } else {
                    while let Some(c) = characters.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                }
                if name.is_empty() {
                    word.push('$');
                } else {
                    word.push_str(&variable(&name, env));
                }
            }
            (c, _) => word.push(c),
        }
        started = true;
    }
    if let Some(open) = quote {
        return Err(Failure::invalid(format!("a {open} is not closed")));
    }
    if started {
        words.push(word);
    }
    Ok(())
}

/// `NAME`, `NAME:-otherwise`, `NAME:+instead`.
fn variable(expression: &str, env: &[String]) -> String {
    let value = |name: &str| {
        env.iter().filter_map(|entry| entry.split_once('=')).find(|(known, _)| *known == name).map(|(_, v)| v)
    };
    if let Some((name, otherwise)) = expression.split_once(":-") {
        return value(name).filter(|v| !v.is_empty()).unwrap_or(otherwise).to_owned();
    }
    if let Some((name, instead)) = expression.split_once(":+") {
        return value(name).filter(|v| !v.is_empty()).map_or(String::new(), |_| instead.to_owned());
    }
    value(expression).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Outcome<ContainerConfig> {
        let mut config = ContainerConfig {
            env: Some(vec!["PATH=/bin".into()]),
            cmd: Some(vec!["old".into()]),
            working_dir: "/srv".into(),
            ..ContainerConfig::default()
        };
        let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
        apply_changes(&mut config, &changes).map(|()| config)
    }

    #[test]
    fn commands_are_lists_or_go_through_the_shell() {
        assert_eq!(changed(&["CMD [\"a\", \"b c\"]"]).unwrap().cmd.unwrap(), ["a", "b c"]);
        assert_eq!(changed(&["cmd echo $HOME"]).unwrap().cmd.unwrap(), ["/bin/sh", "-c", "echo $HOME"]);
        let both = changed(&["ENTRYPOINT [\"/e\"]"]).unwrap();
        assert_eq!((both.entrypoint.unwrap(), both.cmd), (vec!["/e".to_owned()], None));
        let both = changed(&["CMD [\"c\"]", "ENTRYPOINT [\"/e\"]"]).unwrap();
        assert_eq!(both.cmd.unwrap(), ["c"]);
        let shell = changed(&["SHELL [\"/bin/bash\", \"-c\"]", "CMD x"]).unwrap();
        assert_eq!(shell.cmd.unwrap(), ["/bin/bash", "-c", "x"]);
    }

    #[test]
    fn variables_quotes_and_both_forms_of_pairs_are_understood() {
        let config =
            changed(&["ENV PATH=$PATH:/opt A=\"x y\" B='$PATH' C=a\\ b D=${NONE:-d}", "ENV OLD form of it"])
                .unwrap();
        let env = config.env.unwrap();
        assert_eq!(env, ["PATH=/bin:/opt", "A=x y", "B=$PATH", "C=a b", "D=d", "OLD=form of it"]);
        let labels = changed(&["LABEL a=1 \"b c\"=2"]).unwrap().labels.unwrap();
        assert_eq!(labels["b c"], "2");
    }

    #[test]
    fn the_other_instructions_do_what_they_say() {
        let config = changed(&[
            "EXPOSE 80 53/udp 8000-8002",
            "VOLUME /data /logs",
            "VOLUME [\"/a b\"]",
            "USER 1000:1000",
            "WORKDIR app/../web",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN make",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost/",
        ])
        .unwrap();
        let ports: Vec<_> = config.exposed_ports.unwrap().into_keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]);
        let volumes: Vec<_> = config.volumes.unwrap().into_keys().collect();
        assert_eq!(volumes, ["/a b", "/data", "/logs"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1000:1000", "/srv/web"));
        assert_eq!((config.stop_signal.as_str(), config.on_build.unwrap().len()), ("SIGQUIT", 1));
        let check = config.healthcheck.unwrap();
        assert_eq!(
            (check.interval_ns, check.retries, check.test[0].as_str()),
            (90_000_000_000, 3, "CMD-SHELL")
        );
        assert_eq!(changed(&["HEALTHCHECK NONE"]).unwrap().healthcheck.unwrap().test, ["NONE"]);
    }

    #[test]
    fn what_is_wrong_is_refused_and_named() {
        for bad in [
            "RUN make",
            "",
            "ENV",
            "ENV A",
            "ENV =x",
            "EXPOSE 0",
            "EXPOSE 9-1",
            "EXPOSE 80/x",
            "USER a b",
            "STOPSIGNAL NONE",
            "SHELL sh",
            "ONBUILD FROM x",
            "HEALTHCHECK x",
            "HEALTHCHECK --interval=x CMD y",
            "LABEL a=\"b",
            "VOLUME [\"\"]",
            "ENV A=${B",
        ] {
            let failure = changed(&["USER root", bad]).unwrap_err();
            assert!(failure.to_string().contains(bad), "{failure}");
        }
    }
}
