//! One share of a server, as one person sees it: look, make, rename, delete, and what begins the longer things.

use crate::link::{Link, in_time};
use crate::listing::Listing;
use crate::path::{FileName, FilePath};
use crate::problem::{Attempt, Problem, ProblemKind};
use smb2::pack::FileTime;
use smb2::{FileAttributes, RenameOptions, Tree};
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    File,
    Folder,
    /// Leads elsewhere (a junction or symbolic link); it is never followed by what deletes or copies.
    Link,
}

/// A file or folder as a server tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: EntryKind,
    pub size_bytes: u64,
    pub created: Option<SystemTime>,
    pub modified: Option<SystemTime>,
    pub hidden: bool,
    pub system: bool,
    pub read_only: bool,
}

impl Entry {
    pub(crate) fn of_listing(entry: smb2::DirectoryEntry) -> Self {
        let kind = kind(entry.is_link(), entry.is_directory);
        Self::with(entry.name, kind, entry.size, entry.created, entry.modified, entry.attributes)
    }

    pub(crate) fn of_info(name: &str, info: &smb2::FileInfo) -> Self {
        let kind = kind(info.is_link(), info.is_directory);
        Self::with(name.to_owned(), kind, info.size, info.created, info.modified, info.attributes)
    }

    fn with(
        name: String,
        kind: EntryKind,
        size_bytes: u64,
        created: FileTime,
        modified: FileTime,
        attributes: FileAttributes,
    ) -> Self {
        Self {
            name,
            kind,
            size_bytes,
            created: created.to_system_time(),
            modified: modified.to_system_time(),
            hidden: attributes.is_hidden(),
            system: attributes.contains(FileAttributes::SYSTEM),
            read_only: attributes.is_readonly(),
        }
    }
}

fn kind(is_link: bool, is_folder: bool) -> EntryKind {
    match (is_link, is_folder) {
        (true, _) => EntryKind::Link,
        (false, true) => EntryKind::Folder,
        (false, false) => EntryKind::File,
    }
}

/// How much room there is, as this person sees it (a quota counts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

#[derive(Clone)]
pub struct Share {
    link: Arc<Link>,
    tree: Arc<Tree>,
}

impl Share {
    pub(crate) async fn open(link: Arc<Link>, name: &str) -> Attempt<Self> {
        let opened = in_time(link.patience(), Tree::connect(&mut link.connection(), name)).await;
        let tree = opened.map_err(|problem| link.noticed(problem).about(name))?;
        if tree.encrypt_data {
            link.encrypt().map_err(|problem| problem.about(name))?;
        }
        Ok(Self { link, tree: Arc::new(tree) })
    }

    pub fn name(&self) -> &str {
        &self.tree.share_name
    }

    /// What is at `path`.
    pub async fn look(&self, path: &FilePath) -> Attempt<Entry> {
        let _place = self.link.place().await?;
        let info = self.step(path, self.tree.stat(&mut self.link.connection(), &path.to_string())).await?;
        Ok(Entry::of_info(path.name().unwrap_or_default(), &info))
    }

    /// The content of a folder, in the server's batches as they come.
    pub async fn list(&self, path: &FilePath) -> Attempt<Listing> {
        let place = self.link.place().await?;
        let opening = Arc::clone(&self.tree);
        let text = path.to_string();
        let reader = self.step(path, opening.open_directory_reader(self.link.connection(), &text)).await?;
        Ok(Listing::new(reader, Arc::clone(&self.link), path.clone(), place))
    }

    /// Makes a folder, whose name has to be new and one that every system takes.
    pub async fn make_folder(&self, path: &FilePath) -> Attempt<()> {
        path.check_new()?;
        let _place = self.link.place().await?;
        self.step(path, self.tree.create_directory(&mut self.link.connection(), &path.to_string())).await
    }

    /// Gives something another name in the same folder.
    pub async fn rename(&self, path: &FilePath, name: &FileName) -> Attempt<FilePath> {
        let folder = path
            .parent()
            .ok_or_else(|| Problem::new(ProblemKind::Denied).because("it is the root of the share"))?;
        let target = folder.join(name)?;
        self.move_to(path, &target, false).await?;
        Ok(target)
    }

    /// Moves something within the share. With `replace`, a file of that name gives way in the same step.
    pub async fn move_to(&self, from: &FilePath, to: &FilePath, replace: bool) -> Attempt<()> {
        to.check_new()?;
        if from.is_root() {
            return Err(Problem::new(ProblemKind::Denied).because("it is the root of the share"));
        }
        // Only letters' case differs: that is a rename onto itself, which servers do.
        if to.is_within(from) && to.parts().count() > from.parts().count() {
            return Err(Problem::new(ProblemKind::Loop)
                .because("a folder can't go into itself")
                .about(from.to_string()));
        }
        let _place = self.link.place().await?;
        let options = RenameOptions::new().replace_if_exists(replace);
        let (old, new) = (from.to_string(), to.to_string());
        self.step(from, self.tree.rename_with(&mut self.link.connection(), &old, &new, options)).await
    }

    /// Deletes a file, or a link but not what it leads to.
    pub async fn delete_file(&self, path: &FilePath) -> Attempt<()> {
        let _place = self.link.place().await?;
        self.step(path, self.tree.delete_file(&mut self.link.connection(), &path.to_string())).await
    }

    /// Deletes a folder that is empty.
    pub async fn delete_folder(&self, path: &FilePath) -> Attempt<()> {
        if path.is_root() {
            return Err(Problem::new(ProblemKind::Denied).because("it is the root of the share"));
        }
        let _place = self.link.place().await?;
        self.step(path, self.tree.delete_directory(&mut self.link.connection(), &path.to_string())).await
    }

    pub async fn space(&self) -> Attempt<Space> {
        let _place = self.link.place().await?;
        let info = self.step(&FilePath::root(), self.tree.fs_info(&mut self.link.connection())).await?;
        Ok(Space { total_bytes: info.total_bytes, free_bytes: info.free_bytes })
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(crate) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// One exchange about `path`.
    pub(crate) async fn step<T>(
        &self,
        path: &FilePath,
        step: impl Future<Output = smb2::Result<T>>,
    ) -> Attempt<T> {
        in_time(self.link.patience(), step)
            .await
            .map_err(|problem| self.link.noticed(problem).about(path.to_string()))
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share").field("server", self.link.server()).field("name", &self.name()).finish()
    }
}
