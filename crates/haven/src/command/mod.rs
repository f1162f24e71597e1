//! The tree of commands: one file per command, one entry per name.

mod archive_file;
mod attach;
mod audit;
mod bulk;
mod commit;
mod completion;
mod confirmation;
mod cp;
mod create;
mod creation;
mod denied;
mod df;
mod diff;
mod doctor;
mod events;
mod exec;
mod export;
mod exposure;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod lifecycle;
mod link;
mod link_exchange;
mod load;
mod logs;
mod man;
mod network;
mod network_change;
mod observe;
mod policy;
mod port;
mod prune;
mod ps;
mod publish;
mod reference;
mod rename;
mod rm;
mod rmi;
mod role;
mod run;
mod save;
mod start;
mod stats;
mod tag;
mod top;
mod tree;
mod update;
mod version;
mod volume;
mod wait;

use crate::daemon::Daemon;
use crate::ending::Done;
use clap::{ArgMatches, Command};

/// What every command gets.
pub(crate) struct Context {
    pub(crate) daemon: Daemon,
}

/// One command.
pub(crate) trait Verb: Sync {
    /// One line for help.
    fn about(&self) -> &'static str;
    /// Flags and operands as the usage line shows them.
    fn usage(&self) -> &'static str;
    /// Declares flags and operands.
    fn grammar(&self, command: Command) -> Command;
    fn run(&self, context: &Context, matches: &ArgMatches) -> Done;
}

/// Commands under a common word.
pub(crate) struct Group {
    pub(crate) about: &'static str,
    pub(crate) entries: &'static [Entry],
}

#[derive(Clone, Copy)]
pub(crate) enum Node {
    Verb(&'static dyn Verb),
    Group(&'static Group),
}

/// A word of the command line and what it stands for.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) node: Node,
    /// Shown first in the program's help.
    pub(crate) common: bool,
    pub(crate) hidden: bool,
}

impl Entry {
    const fn verb(name: &'static str, verb: &'static dyn Verb) -> Self {
        Self { name, aliases: &[], node: Node::Verb(verb), common: false, hidden: false }
    }

    const fn group(name: &'static str, group: &'static Group) -> Self {
        Self { name, aliases: &[], node: Node::Group(group), common: false, hidden: false }
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn common(mut self) -> Self {
        self.common = true;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(crate) fn about(&self) -> &'static str {
        match self.node {
            Node::Verb(verb) => verb.about(),
            Node::Group(group) => group.about,
        }
    }
}

/// The entry that `word` names.
pub(crate) fn find(entries: &'static [Entry], word: &str) -> Option<&'static Entry> {
    entries.iter().find(|entry| entry.name == word || entry.aliases.contains(&word))
}

pub(crate) static TOP: &[Entry] = &[
    Entry::verb("run", &run::Run).common(),
    Entry::verb("exec", &exec::Exec).common(),
    Entry::verb("ps", &ps::Ps).common(),
    Entry::verb("logs", &logs::Logs).common(),
    Entry::verb("images", &images::Images).common(),
    Entry::verb("load", &load::Load).common(),
    Entry::verb("doctor", &doctor::Doctor).common(),
    Entry::verb("version", &version::Version).common(),
    Entry::verb("info", &info::Info).common(),
    Entry::group("container", &CONTAINER),
    Entry::group("image", &IMAGE),
    Entry::group("link", &LINK),
    Entry::group("network", &NETWORK),
    Entry::group("policy", &POLICY),
    Entry::group("system", &SYSTEM),
    Entry::group("volume", &VOLUME),
    Entry::verb("attach", &attach::Attach),
    Entry::verb("audit", &audit::Audit),
    Entry::verb("commit", &commit::Commit),
    Entry::verb("completion", &completion::Completion),
    Entry::verb("cp", &cp::Cp),
    Entry::verb("create", &create::Create),
    Entry::verb("daemon", &role::Daemon),
    Entry::verb("denied", &denied::Denied),
    Entry::verb("diff", &diff::Diff),
    Entry::verb("events", &events::Events),
    Entry::verb("export", &export::Export),
    Entry::verb("exposure", &exposure::Exposure),
    Entry::verb("history", &history::History),
    Entry::verb("import", &import::Import),
    Entry::verb("inspect", &inspect::ANY),
    Entry::verb("kill", &lifecycle::KILL),
    Entry::verb("man", &man::Man).hidden(),
    Entry::verb("observe", &observe::Observe),
    Entry::verb("oci", &role::Oci),
    Entry::verb("pause", &lifecycle::PAUSE),
    Entry::verb("port", &port::Port),
    Entry::verb("publish", &publish::PUBLISH),
    Entry::verb("rename", &rename::Rename),
    Entry::verb("restart", &lifecycle::RESTART),
    Entry::verb("rm", &rm::Rm),
    Entry::verb("rmi", &rmi::Rmi),
    Entry::verb("save", &save::Save),
    Entry::verb("start", &start::Start),
    Entry::verb("stats", &stats::Stats),
    Entry::verb("stop", &lifecycle::STOP),
    Entry::verb("tag", &tag::Tag),
    Entry::verb("top", &top::Top),
    Entry::verb("unpause", &lifecycle::UNPAUSE),
    Entry::verb("unpublish", &publish::UNPUBLISH),
    Entry::verb("update", &update::Update),
    Entry::verb("wait", &wait::Wait),
];

static CONTAINER: Group = Group {
    about: "Manage containers",
    entries: &[
        Entry::verb("attach", &attach::Attach),
        Entry::verb("commit", &commit::Commit),
        Entry::verb("cp", &cp::Cp),
        Entry::verb("create", &create::Create),
        Entry::verb("diff", &diff::Diff),
        Entry::verb("exec", &exec::Exec),
        Entry::verb("export", &export::Export),
        Entry::verb("inspect", &inspect::CONTAINER),
        Entry::verb("kill", &lifecycle::KILL),
        Entry::verb("logs", &logs::Logs),
        Entry::verb("ls", &ps::Ps).alias(&["list", "ps"]),
        Entry::verb("pause", &lifecycle::PAUSE),
        Entry::verb("port", &port::Port),
        Entry::verb("prune", &prune::CONTAINERS),
        Entry::verb("rename", &rename::Rename),
        Entry::verb("restart", &lifecycle::RESTART),
        Entry::verb("rm", &rm::Rm).alias(&["remove"]),
        Entry::verb("run", &run::Run),
        Entry::verb("start", &start::Start),
        Entry::verb("stats", &stats::Stats),
        Entry::verb("stop", &lifecycle::STOP),
        Entry::verb("top", &top::Top),
        Entry::verb("unpause", &lifecycle::UNPAUSE),
        Entry::verb("update", &update::Update),
        Entry::verb("wait", &wait::Wait),
    ],
};

static IMAGE: Group = Group {
    about: "Manage images",
    entries: &[
        Entry::verb("history", &history::History),
        Entry::verb("import", &import::Import),
        Entry::verb("inspect", &inspect::IMAGE),
        Entry::verb("load", &load::Load),
        Entry::verb("ls", &images::Images).alias(&["list"]),
        Entry::verb("prune", &prune::IMAGES),
        Entry::verb("rm", &rmi::Rmi).alias(&["remove"]),
        Entry::verb("save", &save::Save),
        Entry::verb("tag", &tag::Tag),
    ],
};

static NETWORK: Group = Group {
    about: "Manage networks",
    entries: &[
        Entry::verb("connect", &network_change::Connect),
        Entry::verb("create", &network_change::Create),
        Entry::verb("disconnect", &network_change::Disconnect),
        Entry::verb("inspect", &inspect::NETWORK),
        Entry::verb("ls", &network::Ls).alias(&["list"]),
        Entry::verb("prune", &prune::NETWORKS),
        Entry::verb("rm", &network_change::Rm).alias(&["remove"]),
    ],
};

static LINK: Group = Group {
    about: "Manage links: who may connect to whom",
    entries: &[
        Entry::verb("add", &link::Add),
        Entry::verb("export", &link_exchange::Export),
        Entry::verb("import", &link_exchange::Import),
        Entry::verb("ls", &link::Ls).alias(&["list"]),
        Entry::verb("rm", &link::Rm).alias(&["remove"]),
        Entry::verb("show", &link::Show).alias(&["inspect"]),
        Entry::verb("suggest", &link::Suggest),
        Entry::verb("test", &link::Test),
    ],
};

static POLICY: Group = Group {
    about: "Hold what is declared against assertions",
    entries: &[Entry::verb("test", &policy::Test)],
};

static SYSTEM: Group = Group {
    about: "Manage Haven",
    entries: &[
        Entry::verb("df", &df::Df),
        Entry::verb("events", &events::Events),
        Entry::verb("info", &info::Info),
        Entry::verb("prune", &prune::SystemPrune),
    ],
};

static VOLUME: Group = Group {
    about: "Manage volumes",
    entries: &[
        Entry::verb("create", &volume::Create),
        Entry::verb("inspect", &inspect::VOLUME),
        Entry::verb("ls", &volume::Ls).alias(&["list"]),
        Entry::verb("prune", &prune::VOLUMES),
        Entry::verb("rm", &volume::Rm).alias(&["remove"]),
    ],
};
