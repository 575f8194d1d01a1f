//! A path to the build folder without `%`, which lld cannot handle.
//!
//! lld, the linker that comes with rustc on Linux, replaces each `%` in the path of its output by a random digit
//! (`createUniquePath` in LLVM's `lib/Support/Path.cpp`), and then finds no such folder. Plain `cargo install` is not
//! affected, because it builds in the folder for temporary files; a build folder below a home with a `%` in its name is.

use crate::error::{Result, ResultExt};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

const ATTEMPTS: u32 = 100;

/// A path to a folder that is valid until this is dropped.
#[derive(Debug)]
pub(crate) struct PercentFreePath {
    path: PathBuf,
    /// The private folder with the link, if one was needed.
    holder: Option<PathBuf>,
}

impl PercentFreePath {
    /// Returns a path to `folder` without `%`, provided that the folder for temporary files is such a path.
    pub(crate) fn of(folder: &Path) -> Result<PercentFreePath> {
        let mut found = PercentFreePath {
            path: folder.to_owned(),
            holder: None,
        };
        if folder.as_os_str().as_bytes().contains(&b'%') {
            let holder = private_folder().context("cannot create a folder for temporary files")?;
            found.path = holder.join("build");
            found.holder = Some(holder);
            symlink(folder, &found.path)
                .with_context(|| format!("cannot make the link '{}'", found.path.display()))?;
        }
        Ok(found)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PercentFreePath {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            // Only the link and its folder, not what it points at. Left behind, they are harmless.
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
    fn only_a_folder_with_a_percent_sign_gets_another_path_and_only_for_a_while() {
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
