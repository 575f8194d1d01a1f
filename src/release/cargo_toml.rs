//! The Cargo.toml of a package in a release, read by git at the release's commit.
//!
//! git fetches that commit without its history, and without files above 64 KiB if the server supports filters. Nothing is
//! checked out.

use std::collections::HashMap;
use std::path::Path;

use super::Tag;
use super::bare_git::{self, BareGit};
use super::binstall::{CargoToml, Member};
use crate::error::{Result, ResultExt};
use crate::os::interrupt;

const FILTER: &str = "blob:limit=64k";
const LARGEST: u64 = 64 * 1024;
const MOST: usize = 300;

/// The Cargo.toml files of one release.
#[derive(Debug)]
pub struct CargoTomls {
    git: BareGit,
    commit: String,
    read: HashMap<String, Option<CargoToml>>,
}

impl CargoTomls {
    /// Fetches those of `commit`, which `tag` leads to in the repository at `url`. `folder` is recreated.
    ///
    /// # Errors
    ///
    /// There is no git, or it cannot fetch the tag, or the tag was moved meanwhile (exit 75).
    pub fn fetch(url: &str, tag: &Tag, commit: &str, folder: &Path) -> Result<CargoTomls> {
        let git = BareGit::make(folder, commit)?;
        git.fetch(url, tag, FILTER)?;
        git.run(["cat-file", "-e", &format!("{commit}^{{commit}}")])
            .success()
            .with_context(|| bare_git::changed(tag))?;
        Ok(CargoTomls {
            git,
            commit: commit.to_owned(),
            read: HashMap::new(),
        })
    }

    /// Returns the Cargo.toml at the top; `None` if there is no readable one.
    pub fn top(&mut self) -> Result<Option<CargoToml>> {
        self.at("")
    }

    /// Returns the Cargo.toml of `package`: the one at the top, in the folder of that name, or in a member of the workspace.
    pub fn of(&mut self, package: &str) -> Result<Option<CargoToml>> {
        let top = self.top()?;
        let members = top.as_ref().map(CargoToml::members).unwrap_or_default();
        if top.as_ref().is_some_and(|top| top.is_of(package)) {
            return Ok(top);
        }
        let mut folders = vec![package.to_owned()];
        for member in members {
            match member {
                Member::Folder(folder) => folders.push(folder),
                Member::Below(above) => folders.extend(self.folders(&above)?),
            }
        }
        for folder in folders.iter().take(MOST) {
            if let Some(found) = self.at(folder)?
                && found.is_of(package)
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Parses the Cargo.toml in `folder`, a path without a trailing slash. One that is not TOML is ignored.
    fn at(&mut self, folder: &str) -> Result<Option<CargoToml>> {
        if let Some(known) = self.read.get(folder) {
            return Ok(known.clone());
        }
        interrupt::check()?;
        let manifest = self
            .text(&below(folder, "Cargo.toml"))?
            .and_then(|text| CargoToml::parse(&text).ok());
        self.read.insert(folder.to_owned(), manifest.clone());
        Ok(manifest)
    }

    /// Returns the file at `path`; `None` if it is missing, too large or not text.
    fn text(&self, path: &str) -> Result<Option<String>> {
        // It starts with the commit, so it cannot be an option.
        let object = format!("{}:{path}", self.commit);
        let size = self.git.run(["cat-file", "-s", &object]).output()?;
        let size: Option<u64> = size.text().trim().parse().ok();
        if size.is_none_or(|size| size > LARGEST) {
            return Ok(None);
        }
        let output = self.git.run(["cat-file", "blob", &object]).output()?;
        let text = String::from_utf8(output.stdout).ok();
        Ok(text.filter(|_| output.status.success()))
    }

    fn folders(&self, above: &str) -> Result<Vec<String>> {
        let object = format!("{}:{above}", self.commit);
        let listed = self
            .git
            .run(["ls-tree", "-d", "-z", "--name-only", &object])
            .output()?;
        let names = listed.text();
        Ok(names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(|name| below(above, name))
            .take(MOST)
            .collect())
    }
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
