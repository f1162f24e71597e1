//! `haven container prune`, `image prune`, `volume prune`, `network prune`, `system prune`: remove what nothing uses.

use super::confirmation;
use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::filter;
use crate::show;
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::{Arg, ArgMatches, Command};
use haven_spec::{Kind, Outcome};

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Containers,
    Images,
    Volumes,
    Networks,
}

pub(crate) struct Prune {
    what: What,
}

pub(crate) static CONTAINERS: Prune = Prune { what: What::Containers };
pub(crate) static IMAGES: Prune = Prune { what: What::Images };
pub(crate) static VOLUMES: Prune = Prune { what: What::Volumes };
pub(crate) static NETWORKS: Prune = Prune { what: What::Networks };

fn flags() -> [Arg; 2] {
    [
        grammar::switch("force", "Do not prompt for confirmation").short('f'),
        // Unlike elsewhere, `-f` is taken by `--force` here.
        grammar::filter().short(None),
    ]
}

impl Verb for Prune {
    fn about(&self) -> &'static str {
        match self.what {
            What::Containers => "Remove all stopped containers",
            What::Images => "Remove unused images",
            What::Volumes => "Remove unused local volumes",
            What::Networks => "Remove all unused networks",
        }
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        let command = command.args(flags());
        match self.what {
            What::Images => command
                .arg(grammar::switch("all", "Remove all unused images, not just dangling ones").short('a')),
            What::Volumes => command
                .arg(grammar::switch("all", "Remove all unused volumes, not just anonymous ones").short('a')),
            _ => command,
        }
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let all = matches!(self.what, What::Images | What::Volumes) && grammar::on(matches, "all");
        let warning = format!("WARNING! This will remove {}.", self.what.described(all));
        let title = format!("{} prune", self.what.word());
        confirmation::require(grammar::on(matches, "force"), &warning, &title)?;
        let (removed, reclaimed) = self.what.prune(context, all, &grammar::texts(matches, "filter"))?;
        if self.what == What::Networks {
            // They take no room that could be reclaimed.
            console::print(&confirmation::section(self.what.heading(), &removed))?;
        } else {
            confirmation::tell(self.what.heading(), &removed, &reclaimed)?;
        }
        Ok(Status::FINE)
    }
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Containers => "container",
            Self::Images => "image",
            Self::Volumes => "volume",
            Self::Networks => "network",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Containers => "Deleted Containers",
            Self::Images => "Deleted Images",
            Self::Volumes => "Deleted Volumes",
            Self::Networks => "Deleted Networks",
        }
    }

    fn described(self, all: bool) -> &'static str {
        match (self, all) {
            (Self::Containers, _) => "all stopped containers",
            (Self::Images, false) => "all dangling images",
            (Self::Images, true) => "all images without at least one container associated to them",
            (Self::Volumes, false) => "anonymous local volumes not used by at least one container",
            (Self::Volumes, true) => "all local volumes not used by at least one container",
            (Self::Networks, _) => "all networks not used by at least one container",
        }
    }

    /// Removes, and returns what was removed and how many bytes that freed.
    fn prune(self, context: &Context, all: bool, filters: &[String]) -> Outcome<(Vec<String>, Value)> {
        let mut filters = filters.to_vec();
        match self {
            Self::Images => filters.push(format!("dangling={}", !all)),
            Self::Volumes if all => filters.push("all=true".into()),
            _ => {}
        }
        let parameter = filter::parameter(&filters)?;
        let query = Query::new().optional("filters", parameter.as_deref());
        let target = format!("/{}s/prune{}", self.word(), query.as_str());
        let answer = context.daemon.ask(Request::post(target))?;
        let field = match self {
            Self::Containers => "ContainersDeleted",
            Self::Images => "ImagesDeleted",
            Self::Volumes => "VolumesDeleted",
            Self::Networks => "NetworksDeleted",
        };
        let removed = answer.at(field).items().iter().map(|item| match item {
            Value::Map(_) if item.at("Untagged").as_str().is_empty() => {
                format!("deleted: {}", item.at("Deleted").as_str())
            }
            Value::Map(_) => format!("untagged: {}", item.at("Untagged").as_str()),
            name => name.as_str().to_owned(),
        });
        Ok((removed.collect(), answer.at("SpaceReclaimed").clone()))
    }
}

/// `haven system prune`: all of them.
pub(crate) struct SystemPrune;

impl Verb for SystemPrune {
    fn about(&self) -> &'static str {
        "Remove unused data"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args(flags()).args([
            grammar::switch("all", "Remove all unused images not just dangling ones").short('a'),
            grammar::switch("volumes", "Prune anonymous volumes"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let all = grammar::on(matches, "all");
        let volumes = grammar::on(matches, "volumes");
        let filters = grammar::texts(matches, "filter");
        let mut kinds = vec![What::Containers, What::Networks];
        if volumes {
            kinds.push(What::Volumes);
        }
        kinds.push(What::Images);
        let mut warning = "WARNING! This will remove:\n".to_owned();
        for what in &kinds {
            let all = all && *what == What::Images;
            warning.push_str(&format!("  - {}\n", what.described(all)));
        }
        if !filters.is_empty() {
            warning.push_str("\n  Items to be pruned will be filtered with:\n");
            for filter in &filters {
                warning.push_str(&format!("  - {filter}\n"));
            }
        }
        confirmation::require(grammar::on(matches, "force"), &warning, "system prune")?;
        let mut reclaimed = 0.0;
        for what in kinds {
            let all = all && what == What::Images;
            match what.prune(context, all, &filters) {
                Ok((removed, freed)) => {
                    reclaimed += freed.decimal();
                    let section = confirmation::section(what.heading(), &removed);
                    if !section.is_empty() {
                        console::line(&section)?;
                    }
                }
                // A daemon that has no such things has none to remove.
                Err(failure) if matches!(failure.kind(), Kind::Unsupported) => {}
                Err(failure) if what == What::Networks && failure.kind() == Kind::NotFound => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        console::line(&format!("Total reclaimed space: {}", show::decimal_size(reclaimed)))?;
        Ok(Status::FINE)
    }
}
