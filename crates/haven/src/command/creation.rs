//! Creating a container: shared by `run` and `create`.

use super::Context;
use crate::console;
use crate::ending::{Refusal, Status};
use crate::option::container::Wish;
use crate::wire::{Query, Request};
use haven_spec::{Failure, Kind, Outcome};
use std::fs::{self, File};
use std::io::Write;

/// Creates what `wish` says and returns the id. Every refusal ends with 125.
pub(super) fn create(context: &Context, wish: &Wish) -> Result<String, Refusal> {
    let refuse = |failure: Failure| Refusal::new(Status::REFUSED, failure);
    let mut file = match &wish.cidfile {
        Some(path) => Some(IdFile::open(path).map_err(refuse)?),
        None => None,
    };
    let document = wish.document(context.daemon.version().map_err(refuse)?).map_err(refuse)?;
    let query =
        Query::new().optional("name", wish.name.as_deref()).optional("platform", wish.platform.as_deref());
    let request = Request::post(format!("/containers/create{}", query.as_str())).json(&document);
    let answer = context.daemon.ask(request).map_err(|failure| refuse(explained(failure, &wish.image)))?;
    for warning in answer.at("Warnings").items() {
        console::note(&format!("warning: {}", warning.as_str()));
    }
    let id = answer.at("Id").as_str().to_owned();
    if id.is_empty() {
        return Err(refuse(Failure::internal("the daemon created a container without an id")));
    }
    if let Some(file) = &mut file {
        file.write(&id).map_err(refuse)?;
    }
    Ok(id)
}

/// An image that isn't there is the commonest mistake of all.
fn explained(failure: Failure, image: &str) -> Failure {
    let missing =
        failure.kind() == Kind::NotFound && failure.to_string().to_lowercase().contains("no such image");
    if !missing {
        return failure;
    }
    Failure::not_found(format!("there is no image `{image}` here")).hint(
        "haven load -i ARCHIVE.tar (an image archive), haven import ROOTFS.tar NAME (a root file system), or haven images (what is here)",
    )
}

/// The file of `--cidfile`: must not exist, and doesn't stay when no container was made.
struct IdFile {
    path: String,
    file: File,
    written: bool,
}

impl IdFile {
    fn open(path: &str) -> Outcome<Self> {
        let opened = File::options().write(true).create_new(true).open(path);
        let file = opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::conflict(format!("the container ID file `{path}` exists"))
                    .hint(format!("make sure that no container uses it, then: rm {path}"))
            }
            _ => Failure::host(format!("cannot create the container ID file `{path}`")).because(error),
        })?;
        Ok(Self { path: path.to_owned(), file, written: false })
    }

    fn write(&mut self, id: &str) -> Outcome<()> {
        self.file
            .write_all(id.as_bytes())
            .map_err(|error| Failure::host(format!("cannot write `{}`", self.path)).because(error))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if !self.written {
            drop(fs::remove_file(&self.path));
        }
    }
}
