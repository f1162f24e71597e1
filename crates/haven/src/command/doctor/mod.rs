//! `haven doctor`: what could keep containers from running well here, what it means and what to do.
//!
//! A daemon that runs is asked, since it knows most; what can be seen from here is looked at in any case. Nothing is
//! started and nothing is changed.

mod host;

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::show;
use crate::template::Value;
use crate::wire::Request;
use clap::{ArgMatches, Command};

pub(crate) struct Doctor;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) status: Health,
    /// What was found, and what follows from it.
    pub(super) meaning: String,
    /// What to do; empty when nothing need be done.
    pub(super) advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    Worth,
    Broken,
}

impl Health {
    fn parse(word: &str) -> Self {
        match word {
            "ok" => Self::Fine,
            "fail" => Self::Broken,
            _ => Self::Worth,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Worth => "warn",
            Self::Broken => "fail",
        }
    }
}

impl Verb for Doctor {
    fn about(&self) -> &'static str {
        "Examine this host and the daemon, and say what to do"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::value("format", "string", "Format output: 'json', or text by default"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let mut findings = daemon_findings(context);
        for finding in host::findings() {
            if !findings.iter().any(|known| known.check == finding.check) {
                findings.push(finding);
            }
        }
        let broken = findings.iter().any(|finding| finding.status == Health::Broken);
        if grammar::text_or_empty(matches, "format") == "json" {
            let list = Value::List(findings.iter().map(Finding::value).collect());
            console::line(&show::indented(&list.json()))?;
        } else {
            console::print(&described(&findings))?;
        }
        if broken { Err(Refusal::silent(Status::FAILED)) } else { Ok(Status::FINE) }
    }
}

impl Finding {
    fn value(&self) -> Value {
        show::row([
            ("check", self.check.as_str().into()),
            ("status", self.status.word().into()),
            ("meaning", self.meaning.as_str().into()),
            ("advice", self.advice.as_str().into()),
        ])
    }
}

fn daemon_findings(context: &Context) -> Vec<Finding> {
    let finding = |status, meaning: String, advice: &str| Finding {
        check: "daemon".into(),
        status,
        meaning,
        advice: advice.into(),
    };
    let socket = context.daemon.endpoint().socket().display().to_string();
    if let Err(failure) = context.daemon.endpoint().try_connect() {
        let advice = "it is started by the first command of root that needs it; by hand: haven daemon";
        return vec![finding(Health::Worth, format!("does not run: {}", failure.one_line()), advice)];
    }
    match context.daemon.ask(Request::get("/haven/doctor")) {
        Ok(list) => {
            let mut findings = vec![finding(Health::Fine, format!("answers at {socket}"), "")];
            findings.extend(list.items().iter().map(|item| Finding {
                check: item.at("check").as_str().to_owned(),
                status: Health::parse(item.at("status").as_str()),
                meaning: item.at("meaning").as_str().to_owned(),
                advice: item.at("advice").as_str().to_owned(),
            }));
            findings
        }
        Err(failure) => vec![finding(
            Health::Worth,
            format!("answers at {socket}, but cannot be examined: {}", failure.one_line()),
            "check that it is Haven's daemon, of this version",
        )],
    }
}

fn described(findings: &[Finding]) -> String {
    let terminal = console::out_is_terminal();
    let column = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let word = match finding.status {
            Health::Fine => finding.status.word().to_owned(),
            status => console::emphasised(status.word(), terminal),
        };
        let padding = " ".repeat(4_usize.saturating_sub(finding.status.word().len()));
        text.push_str(&format!("{word}{padding}  {:<column$}  {}\n", finding.check, finding.meaning));
        if !finding.advice.is_empty() {
            text.push_str(&format!("      {:<column$}  try: {}\n", "", finding.advice));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_below_its_finding() {
        let findings = [
            Finding {
                check: "kernel".into(),
                status: Health::Fine,
                meaning: "6.1".into(),
                advice: String::new(),
            },
            Finding {
                check: "cgroup".into(),
                status: Health::Broken,
                meaning: "none".into(),
                advice: "mount it".into(),
            },
        ];
        assert_eq!(
            described(&findings),
            "ok    kernel  6.1\nfail  cgroup  none\n              try: mount it\n"
        );
    }
}
