//! `haven cp`: files between a container and this host, both ways, or as a tar stream.
//!
//! Where things end up follows cp(1) as Docker reads it: into an existing directory, or under the new name; a path
//! that ends in `/.` means its content.

use super::{Context, Verb};
use crate::archive::{Renaming, Unpacking, pack, split_entry, unpack, wants_directory};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::progress::Counter;
use crate::show;
use crate::template::Value;
use crate::wire::{Head, Method, Query, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Kind, Outcome};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Cp;

/// How many links are followed to find a file that is to be made.
const LINK_LIMIT: usize = 40;

impl Verb for Cp {
    fn about(&self) -> &'static str {
        "Copy files/folders between a container and the local filesystem"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
            grammar::switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
            grammar::switch("quiet", "Suppress progress output during copy").short('q'),
            grammar::operand("SRC_PATH"),
            grammar::operand("DEST_PATH"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let copy = Copy {
            context,
            owners: grammar::on(matches, "archive"),
            follow: grammar::on(matches, "follow-link"),
            quiet: if grammar::given(matches, "quiet") {
                grammar::on(matches, "quiet")
            } else {
                !console::err_is_terminal()
            },
        };
        let from = Place::parse(grammar::text_or_empty(matches, "SRC_PATH"))?;
        let to = Place::parse(grammar::text_or_empty(matches, "DEST_PATH"))?;
        match (from, to) {
            (Place::Container { name, path }, Place::Local(to)) => copy.outward(&name, &path, &to),
            (Place::Local(from), Place::Container { name, path }) => copy.inward(&from, &name, &path),
            (Place::Container { .. }, Place::Container { .. }) => {
                Err(Failure::unsupported("copying between containers is not supported")
                    .hint("haven cp A:PATH - | haven cp - B:DIRECTORY")
                    .into())
            }
            (Place::Local(_), Place::Local(_)) => {
                Err(Failure::invalid("must specify at least one container source")
                    .hint("name a path in a container as CONTAINER:PATH")
                    .into())
            }
        }
    }
}

enum Place {
    Container {
        name: String,
        path: String,
    },
    /// A path of this host; `-` is a stream.
    Local(String),
}

impl Place {
    fn parse(text: &str) -> Outcome<Self> {
        match text.split_once(':') {
            Some((name, path)) if !name.starts_with(['/', '.']) => {
                if path.is_empty() {
                    return Err(Failure::invalid(format!("`{text}` names no path"))
                        .hint(format!("the whole file system is {name}:/")));
                }
                Ok(Self::Container { name: name.to_owned(), path: path.to_owned() })
            }
            _ if text.is_empty() => Err(Failure::invalid("a path is empty")),
            _ => Ok(Self::Local(text.to_owned())),
        }
    }
}

/// What the daemon says of a path in a container.
struct Stat {
    directory: bool,
    /// Where a link leads.
    link: Option<String>,
}

impl Stat {
    /// Bits of Go's file mode.
    const DIRECTORY: i64 = 1 << 31;
    const LINK: i64 = 1 << 27;

    fn read(head: &Head) -> Outcome<Self> {
        let malformed = || Failure::internal("the daemon describes the path in no form that is understood");
        let text = head.field("x-docker-container-path-stat").ok_or_else(malformed)?;
        let bytes = STANDARD.decode(text).map_err(|error| malformed().because(error))?;
        let stat: Value = serde_json::from_slice(&bytes).map_err(|error| malformed().because(error))?;
        let mode = stat.at("mode").number();
        let target = stat.at("linkTarget").as_str();
        let link = (mode & Self::LINK != 0 && !target.is_empty()).then(|| target.to_owned());
        Ok(Self { directory: mode & Self::DIRECTORY != 0, link })
    }
}

struct Copy<'c> {
    context: &'c Context,
    owners: bool,
    follow: bool,
    quiet: bool,
}

impl Copy<'_> {
    fn target(&self, name: &str, query: &Query) -> Outcome<String> {
        Ok(format!("/containers/{}/archive{}", segment(name, "container")?, query.as_str()))
    }

    fn stat(&self, name: &str, path: &str) -> Outcome<Stat> {
        let target = self.target(name, &Query::new().set("path", path))?;
        let answer = self.context.daemon.exchange(Request::new(Method::Head, target))?;
        match answer.status() {
            200 => Stat::read(&answer.head),
            404 => Err(Failure::not_found(format!("there is no `{path}` in `{name}`"))),
            // A HEAD has no body, hence no reason; a GET has.
            _ => {
                let target = self.target(name, &Query::new().set("path", path))?;
                Stat::read(&self.context.daemon.open(Request::get(target))?.head)
            }
        }
    }

    fn outward(&self, name: &str, path: &str, to: &str) -> Done {
        let mut path = path.to_owned();
        let mut renamed_from = None;
        if self.follow
            && let Some(link) = self.stat(name, &path)?.link
        {
            // The link's own name is kept for what it leads to.
            renamed_from = Some(split_entry(&path).1);
            path = joined_link(&path, &link);
        }
        if to == "-" && console::out_is_terminal() {
            return Err(Failure::invalid("cowardly refusing to copy to a terminal")
                .hint("redirect the output")
                .into());
        }
        let plan = if to == "-" { None } else { Some(LocalTarget::examine(to)?) };
        let target = self.target(name, &Query::new().set("path", &path))?;
        let answer = self.context.daemon.open(Request::get(target))?;
        let source_is_directory = Stat::read(&answer.head)?.directory;
        let copied = Arc::new(AtomicU64::new(0));
        let mut body = Counted::new(answer.body, "copying", self.quiet, Arc::clone(&copied));
        let Some(plan) = plan else {
            return stream(&mut body);
        };
        let name_inside = split_entry(&path).1;
        let (directory, mut renaming) = plan.place(source_is_directory, &name_inside)?;
        if renaming.is_none() {
            renaming = renamed_from.map(|new| Renaming { old: name_inside, new });
        }
        unpack(&mut body, &directory, &Unpacking { renaming, owners: self.owners })?;
        // What follows the archive's end marks the end of the answer.
        io::copy(&mut body, &mut io::sink())
            .map_err(|error| Failure::host("the archive broke off").because(error))?;
        self.tell(&copied, to);
        Ok(Status::FINE)
    }

    fn inward(&self, from: &str, name: &str, path: &str) -> Done {
        let mut path = path.to_owned();
        let mut existing = match self.stat(name, &path) {
            Ok(stat) => Some(stat),
            Err(failure) if failure.kind() == Kind::NotFound => None,
            Err(failure) => return Err(failure.into()),
        };
        if let Some(link) = existing.as_ref().and_then(|stat| stat.link.clone()) {
            path = joined_link(&path, &link);
            existing = self.stat(name, &path).ok();
        }
        let exists = existing.is_some();
        let directory = existing.is_some_and(|stat| stat.directory);
        let copied = Arc::new(AtomicU64::new(0));
        let (source, target): (Box<dyn Read + Send>, String) = if from == "-" {
            if !directory {
                return Err(
                    Failure::invalid(format!("destination \"{name}:{path}\" must be a directory")).into()
                );
            }
            (Box::new(io::stdin()), path.clone())
        } else {
            let (source, source_is_directory) = self.local_source(from)?;
            let own_name = split_entry(from).1;
            let (parent, base) = split_entry(&path);
            let (target, entry) = match (exists, directory, source_is_directory) {
                (true, true, _) => (path.clone(), own_name),
                (true, false, true) => return Err(cannot_copy_directory(from, &path).into()),
                (false, _, false) if wants_directory(&path) => {
                    return Err(
                        Failure::not_found(format!("there is no directory `{path}` in `{name}`")).into()
                    );
                }
                _ => (parent, base),
            };
            let entry = if entry == "/" { ".".to_owned() } else { entry };
            let packed = pack(source, entry)
                .map_err(|error| Failure::invalid(format!("cannot read `{from}`")).because(error))?;
            (packed, target)
        };
        let source = Counted::new(source, "copying", self.quiet, Arc::clone(&copied));
        let query = Query::new()
            .set("path", &target)
            .set("noOverwriteDirNonDir", "true")
            .optional("copyUIDGID", self.owners.then_some("true"));
        let request = Request::new(Method::Put, self.target(name, &query)?).stream(Box::new(source));
        self.context.daemon.tell(request).map_err(|failure| match failure.kind() {
            Kind::NotFound if !exists => failure.hint("the directory above the destination must exist"),
            _ => failure,
        })?;
        self.tell(&copied, &format!("{name}:{path}"));
        Ok(Status::FINE)
    }

    /// The local file to send, and whether it is a directory.
    fn local_source(&self, from: &str) -> Outcome<(PathBuf, bool)> {
        let refuse = |error: io::Error| Failure::invalid(format!("cannot read `{from}`")).because(error);
        let path = Path::new(from);
        // A trailing slash or dot means what a link leads to.
        if self.follow || wants_directory(from) {
            let path = fs::canonicalize(path).map_err(refuse)?;
            let directory = path.is_dir();
            if wants_directory(from) && !directory {
                return Err(Failure::invalid(format!("`{from}` is not a directory")));
            }
            return Ok((path, directory));
        }
        let data = fs::symlink_metadata(path).map_err(refuse)?;
        Ok((path.to_owned(), data.is_dir()))
    }

    fn tell(&self, copied: &AtomicU64, to: &str) {
        if !self.quiet {
            let size = show::decimal_size_with(copied.load(Ordering::Relaxed) as f64, 3);
            console::note(&format!("Successfully copied {size} to {to}"));
        }
    }
}

/// Where a link at `path` leads.
fn joined_link(path: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    format!("{}/{link}", split_entry(path).0)
}

fn cannot_copy_directory(from: &str, to: &str) -> Failure {
    Failure::invalid("cannot copy directory").because(format!("`{from}` is a directory and `{to}` is not"))
}

/// The place on this host that was named, and what is there.
struct LocalTarget {
    path: String,
    exists: bool,
    directory: bool,
}

impl LocalTarget {
    fn examine(path: &str) -> Outcome<Self> {
        let mut path = path.to_owned();
        for _ in 0..LINK_LIMIT {
            if let Ok(data) = fs::metadata(&path) {
                if !data.is_dir() && !data.is_file() {
                    return Err(Failure::invalid(format!("cannot copy to `{path}`"))
                        .because("it is neither a file nor a directory"));
                }
                return Ok(Self { path, exists: true, directory: data.is_dir() });
            }
            // A link that leads nowhere yet is followed to where the file will be.
            match fs::read_link(&path) {
                Ok(link) => path = joined_link(&path, &link.to_string_lossy()),
                Err(_) => break,
            }
        }
        let parent = split_entry(&path).0;
        if !Path::new(&parent).is_dir() {
            return Err(Failure::not_found(format!("directory \"{parent}\" does not exist"))
                .hint(format!("mkdir -p {parent}")));
        }
        Ok(Self { path, exists: false, directory: false })
    }

    /// The directory to unpack into, and the new name of what is unpacked.
    fn place(self, source_is_directory: bool, name: &str) -> Outcome<(PathBuf, Option<Renaming>)> {
        if self.directory {
            return Ok((self.path.into(), None));
        }
        if self.exists && source_is_directory {
            return Err(cannot_copy_directory(name, &self.path));
        }
        if !self.exists && !source_is_directory && wants_directory(&self.path) {
            return Err(
                Failure::not_found("no such directory").because(format!("`{}` does not exist", self.path))
            );
        }
        let (parent, base) = split_entry(&self.path);
        Ok((parent.into(), Some(Renaming { old: name.to_owned(), new: base })))
    }
}

fn stream(body: &mut impl Read) -> Done {
    let mut space = vec![0; 256 * 1024];
    loop {
        match body.read(&mut space) {
            Ok(0) => return Ok(Status::FINE),
            Ok(count) => console::Output.write_all(&space[..count]).map_err(Refusal::output)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::host("the archive broke off").because(error).into()),
        }
    }
}

/// Counts what is read, and shows it.
struct Counted<R> {
    reader: R,
    counter: Option<Counter>,
    copied: Arc<AtomicU64>,
}

impl<R: Read> Counted<R> {
    fn new(reader: R, what: &str, quiet: bool, copied: Arc<AtomicU64>) -> Self {
        let counter = (!quiet).then(|| Counter::new(what, None));
        Self { reader, counter, copied }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(space)?;
        self.copied.fetch_add(count as u64, Ordering::Relaxed);
        match &mut self.counter {
            Some(counter) if count == 0 && !space.is_empty() => counter.finish(),
            Some(counter) => counter.add(count as u64),
            None => {}
        }
        Ok(count)
    }
}
