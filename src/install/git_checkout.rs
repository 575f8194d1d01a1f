//! cargo's copy of a release's repository, below `CARGO_HOME/git`: one bare repository, and one checkout for each commit.
//!
//! cargo does not check a checkout again once it is complete. A power cut can leave empty or torn files in it, and then every
//! build of that commit fails, until the checkout is removed. cargo makes it again from the bare repository, whose objects git
//! verifies, and fetches a bare repository that is gone.
//!
//! Both are in folders called `NAME-HASH`: the last part of the URL, and a hash of it, which only cargo can compute.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::os::files;

/// How many characters of a commit cargo names a checkout by, at least.
const SHORTEST: usize = 7;
/// The largest `FETCH_HEAD` that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Returns the checkouts of `commit` that there are, for a repository with the name of `url`'s.
pub(super) fn checkouts(cargo_home: &Path, url: &str, commit: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for repository in repositories(&cargo_home.join("git/checkouts"), url)? {
        let checkouts = files::entries(&repository)?.into_iter();
        let of_commit = checkouts.filter(|(name, kind)| {
            kind.is_dir() && name.len() >= SHORTEST && commit.starts_with(name.as_str())
        });
        found.extend(of_commit.map(|(name, _)| repository.join(name)));
    }
    Ok(found)
}

/// Returns the bare repositories that have the name of `url`'s, without those that were fetched from elsewhere.
pub(super) fn bare_repositories(cargo_home: &Path, url: &str) -> Result<Vec<PathBuf>> {
    let mut found = repositories(&cargo_home.join("git/db"), url)?;
    found.retain(|repository| {
        let fetched = files::read_text_if_there(&repository.join("FETCH_HEAD"), LARGEST);
        let from = fetched.ok().flatten().unwrap_or_default();
        from.trim_matches(['\0', '\n']).is_empty() || from.contains(url)
    });
    Ok(found)
}

fn repositories(folder: &Path, url: &str) -> Result<Vec<PathBuf>> {
    let entries = files::entries(folder)?.into_iter();
    let ours = entries.filter(|(name, kind)| kind.is_dir() && is_named_after(name, url));
    Ok(ours.map(|(name, _)| folder.join(name)).collect())
}

fn is_named_after(folder: &str, url: &str) -> bool {
    let last = url.trim_end_matches('/').rsplit('/').next().unwrap_or(url);
    let last = last.strip_suffix(".git").unwrap_or(last);
    folder.rsplit_once('-').is_some_and(|(name, hash)| {
        // cargo writes URLs of GitHub in lower case.
        name.eq_ignore_ascii_case(last)
            && hash.len() == 16
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const COMMIT: &str = "4d0f10be64fa6865d3656b175bf26c8b95dbed2f";

    #[test]
    fn a_folder_is_of_the_repository_whose_name_it_has() {
        for (folder, url, expected) in [
            ("heph-f2bac96814efd1c6", "https://f.example/a/heph", true),
            (
                "heph-f2bac96814efd1c6",
                "https://f.example/a/heph.git/",
                true,
            ),
            ("heph-f2bac96814efd1c6", "https://github.com/A/Heph", true),
            ("heph-f2bac96814efd1c6", "https://f.example/a/heph-x", false),
            ("heph-x-f2bac96814efd1c6", "https://f.example/a/heph", false),
            ("heph", "https://f.example/a/heph", false),
            ("heph-extra", "https://f.example/a/heph", false),
        ] {
            assert_eq!(is_named_after(folder, url), expected, "{folder} {url}");
        }
    }

    #[test]
    fn only_the_checkouts_of_the_commit_are_found() {
        let home = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = home.path().join("git").join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let url = "https://f.example/a/heph";
        assert_eq!(
            checkouts(home.path(), url, COMMIT).unwrap(),
            [""; 0].map(PathBuf::from)
        );
        let ours = make("checkouts/heph-f2bac96814efd1c6/4d0f10b");
        make("checkouts/heph-f2bac96814efd1c6/aaaaaaa");
        make("checkouts/heph-f2bac96814efd1c6/4");
        make("checkouts/other-f2bac96814efd1c6/4d0f10b");
        let bare = make("db/heph-f2bac96814efd1c6");
        let elsewhere = make("db/heph-0000000000000000");
        fs::write(
            elsewhere.join("FETCH_HEAD"),
            "ab\t\ttag 'v1' of https://g.example/heph\n",
        )
        .unwrap();
        make("db/other-f2bac96814efd1c6");
        assert_eq!(checkouts(home.path(), url, COMMIT).unwrap(), [ours]);
        assert_eq!(bare_repositories(home.path(), url).unwrap(), [bare]);
    }
}
