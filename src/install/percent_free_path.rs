//! Another name for the build folder, where a linker cannot take its own.
//!
//! lld, the linker that rustc brings along on Linux, takes each `%` in the name of its output for a random digit
//! (`createUniquePath` in LLVM's `lib/Support/Path.cpp`) and so finds no such folder. Plain `cargo install` builds in
//! the folder for temporary files and never notices; a build folder below a home that has a `%` in its name does.

use crate::error::{Result, ResultExt};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// How many names are tried before others are blamed for having taken them all.
const ATTEMPTS: u32 = 100;

/// A name for a folder, good for as long as this is.
#[derive(Debug)]
pub struct PercentFreePath {
    path: PathBuf,
    /// The private folder that holds the link, where one was needed.
    holder: Option<PathBuf>,
}

impl PercentFreePath {
    /// Returns a name for `folder` that has no `%`, if the folder for temporary files has none.
    pub fn of(folder: &Path) -> Result<PercentFreePath> {
        let mut alias = PercentFreePath {
            path: folder.to_owned(),
            holder: None,
        };
        if folder.as_os_str().as_bytes().contains(&b'%') {
            let holder = private_folder().context("cannot make a folder for temporary files")?;
            alias.path = holder.join("build");
            alias.holder = Some(holder);
            symlink(folder, &alias.path)
                .with_context(|| format!("cannot make the link '{}'", alias.path.display()))?;
        }
        Ok(alias)
    }

    /// Returns the name.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PercentFreePath {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            // Only the link and its folder: what it points at is no part of it. Left behind, they harm nobody.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_dir(holder);
        }
    }
}

fn private_folder() -> io::Result<PathBuf> {
    let mut attempt = 0;
    loop {
        let name = format!("heph-build-{}-{attempt}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1;
            }
            made => return made.map(|()| path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_with_a_percent_sign_gets_another_name_and_only_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("a b ü");
        assert_eq!(PercentFreePath::of(&plain).unwrap().path(), plain);

        let odd = folder.path().join("%h");
        fs::create_dir(&odd).unwrap();
        let (one, other) = (
            PercentFreePath::of(&odd).unwrap(),
            PercentFreePath::of(&odd).unwrap(),
        );
        assert_ne!(one.path(), other.path());
        fs::write(one.path().join("file"), "x").unwrap();
        assert!(!one.path().to_str().unwrap().contains('%'));
        let gone = one.path().to_owned();
        drop(one);
        assert!(fs::symlink_metadata(gone.parent().unwrap()).is_err());
        assert_eq!(fs::read(odd.join("file")).unwrap(), b"x");
    }
}
