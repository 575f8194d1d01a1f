//! What earlier runs have left and a build has used: the first suspects where it fails.

use std::fmt;
use std::path::{Path, PathBuf};

use super::build_failure::BuildFailure;
use super::git_checkout;
use crate::error::{Error, Result};
use crate::os::files;

/// A build that failed.
pub(super) struct FailedBuild {
    pub error: Error,
    /// Why, as far as cargo's output shows; `None` if cargo did not come to an end by itself.
    pub failure: Option<BuildFailure>,
    /// Whether it used parts of earlier builds.
    pub used_cache: bool,
}

impl From<Error> for FailedBuild {
    fn from(error: Error) -> FailedBuild {
        FailedBuild {
            error,
            failure: None,
            used_cache: false,
        }
    }
}

/// What earlier runs have left and a build that failed has used.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Suspects {
    cache: bool,
    checkouts: Vec<PathBuf>,
    bare_repositories: bool,
}

impl Suspects {
    /// Returns those of the build that `failed`; `checkouts` are those of its commit that were there before.
    pub(super) fn of(failed: &FailedBuild, checkouts: Vec<PathBuf>) -> Suspects {
        match failed.failure {
            None | Some(BuildFailure::Network | BuildFailure::Refused) => Suspects::default(),
            Some(failure) => Suspects {
                cache: failed.used_cache,
                checkouts,
                bare_repositories: failure == BuildFailure::GitStore,
            },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Suspects::default()
    }

    /// Removes them: the folder `build`, and copies of the repository at `url` below `cargo_home`.
    pub(super) fn remove(&self, build: &Path, cargo_home: &Path, url: &str) -> Result<()> {
        if self.cache {
            files::remove_tree_if_there(build)?;
        }
        let bare_repositories = if self.bare_repositories {
            git_checkout::bare_repositories(cargo_home, url)?
        } else {
            Vec::new()
        };
        let mut copies = self.checkouts.iter().chain(&bare_repositories);
        copies.try_for_each(|copy| files::remove_tree_if_there(copy))
    }
}

impl fmt::Display for Suspects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.cache, self.checkouts.is_empty()) {
            (true, true) => "parts of earlier builds",
            (true, false) => "parts of earlier builds and an earlier checkout",
            (false, _) => "an earlier copy of its repository",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_before_and_was_used_is_suspected() {
        let failed = |failure, used_cache| FailedBuild {
            error: Error::new("x"),
            failure,
            used_cache,
        };
        let checkouts = || vec![PathBuf::from("/c/git/checkouts/heph-0/ab")];
        for failure in [
            None,
            Some(BuildFailure::Network),
            Some(BuildFailure::Refused),
        ] {
            assert!(Suspects::of(&failed(failure, true), checkouts()).is_empty());
        }
        let compile = Some(BuildFailure::Compile);
        assert!(Suspects::of(&failed(compile, false), Vec::new()).is_empty());
        let all = Suspects::of(&failed(compile, true), checkouts());
        assert!(all.cache && all.checkouts == checkouts() && !all.bare_repositories);
        let store = Suspects::of(&failed(Some(BuildFailure::GitStore), false), Vec::new());
        assert!(store.bare_repositories && !store.is_empty());
    }
}
