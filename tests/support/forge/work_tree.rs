//! Git repositories to make releases from.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::call::{Call, Words};

/// A git work tree to make releases from, with an author of its own and nobody's settings.
#[derive(Debug)]
pub struct WorkTree {
    pub folder: PathBuf,
}

impl WorkTree {
    /// Makes `folder` a git repository; what is in it is not committed yet.
    pub fn new(folder: impl Into<PathBuf>) -> WorkTree {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).unwrap();
        git(&folder, "init --quiet --initial-branch=main");
        WorkTree { folder }
    }

    /// Writes a file; its folder is made.
    pub fn write(&self, path: &str, text: &str) -> &WorkTree {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Commits all there is and returns the commit.
    pub fn commit(&self, message: &str) -> String {
        git(&self.folder, "add --all");
        let commit = ["commit", "--quiet", "--allow-empty", "--message", message];
        git(&self.folder, &commit);
        git(&self.folder, "rev-parse HEAD").trim().to_owned()
    }

    /// Tags the last commit with an annotated tag.
    pub fn tag(&self, name: &str) -> &WorkTree {
        git(
            &self.folder,
            &format!("tag --force --annotate --message {name} {name}"),
        );
        self
    }
}

/// Runs git in `folder`, away from the user's settings, and returns what it printed.
#[track_caller]
pub fn git(folder: &Path, words: &(impl Words + ?Sized)) -> String {
    clean_git().args(words).current_dir(folder).prints()
}

/// Returns a `git` with an author of its own and nobody's settings, to add arguments to.
pub fn clean_git() -> Call {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "A Tester")
            .env(format!("GIT_{role}_EMAIL"), "tester@example.org")
            .env(format!("GIT_{role}_DATE"), "2026-01-01T00:00:00Z");
    }
    Call::from(command)
}
