//! `haven policy test`: whether what is declared keeps to a policy.

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::Failure;
use serde_json::json;

pub(crate) struct Test;

impl Verb for Test {
    fn about(&self) -> &'static str {
        "Test a policy against what is declared now"
    }

    fn usage(&self) -> &'static str {
        "[FILE]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::optional_operand("FILE")).after_help(
            "Ends with 0 when everything holds and with 1 when something does not. Without FILE the daemon's own policy is\n\
             tested (`policy` under [network] in its configuration), which every change is held against.\n\n  \
             assert = [\n    \
             \"deny * -> vault\",\n    \
             \"allow web -> redis 6379/tcp\",\n    \
             \"only {web,worker} -> redis\",\n    \
             { rule = \"unreachable internet ~> db\", because = \"customers' data\" },\n  \
             ]",
        )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let document = match grammar::text(matches, "FILE") {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| Failure::host(format!("cannot read the policy `{path}`")).because(e))?;
                json!({ "Policy": text })
            }
            None => json!({}),
        };
        let verdicts = context.daemon.ask(Request::post("/haven/v1/policy/test").json(&document))?;
        let mut holds = true;
        for verdict in verdicts.items() {
            let rule = verdict.at("Rule").as_str();
            let because = match verdict.at("Because").as_str() {
                "" => String::new(),
                because => format!(" ({because})"),
            };
            let good = verdict.at("Holds").is_true();
            holds &= good;
            console::line(&format!("{} {rule}{because}", if good { "holds " } else { "BROKEN" }))?;
            for broken in verdict.at("BrokenBy").items() {
                console::line(&format!("         {}", broken.as_str()))?;
            }
            if verdict.at("AndMore").number() > 0 {
                console::line(&format!("         and {} more", verdict.at("AndMore").shown()))?;
            }
            if good {
                for nobody in verdict.at("Nobody").items() {
                    console::line(&format!("         nobody is called `{}`", nobody.as_str()))?;
                }
            }
        }
        Ok(if holds { Status::FINE } else { Status(Status::FAILED) })
    }
}
