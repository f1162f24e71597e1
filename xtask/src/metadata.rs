//! What `cargo metadata` says about the workspace: crates, their direct dependencies, and everything they draw in.

use serde::Deserialize;
use std::path::Path;
use std::process::Command;

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
}

#[derive(Deserialize, Clone)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// `None` for a crate of this workspace.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Deserialize, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None`: an ordinary one; `dev` or `build` otherwise.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Of the workspace at `root`, for Linux: what other platforms would draw in is never built.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let output = Command::new("cargo")
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform"])
            .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
            .current_dir(root)
            .output()
            .map_err(|error| format!("cannot run `cargo metadata`: {error}"))?;
        if !output.status.success() {
            return Err(format!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cannot read what `cargo metadata` said: {error}"))
    }

    /// The crates of this workspace.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    pub(crate) fn third_parties(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| !self.workspace_members.contains(&package.id))
    }

    #[cfg(test)]
    pub(crate) fn of(rooms: &[(&str, &[&str])]) -> Self {
        let packages: Vec<Package> = rooms
            .iter()
            .map(|(name, uses)| Package {
                id: (*name).into(),
                name: (*name).into(),
                version: "0.1.0".into(),
                license: Some("Apache-2.0".into()),
                source: None,
                dependencies: uses
                    .iter()
                    .map(|used| Dependency { name: (*used).into(), kind: None })
                    .collect(),
            })
            .collect();
        let workspace_members = packages.iter().map(|package| package.id.clone()).collect();
        Self { packages, workspace_members }
    }
}
