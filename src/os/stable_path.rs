//! The path of a program that stays valid when its package manager installs another version.
//!
//! Homebrew, mise, Nix and others put each version into a folder of its own, and have a link lead to the one in use. The
//! operating system names a running program by the folder; what is written into a service must be the link.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Links that lead to the version in use, by the name that they have beside the folders of the versions.
const IN_USE: [&str; 3] = ["latest", "current", "stable"];
/// Folders whose content ends with a session or with the machine.
const TRANSIENT: [&str; 3] = ["/run", "/var/run", "/proc"];

/// Returns a path without a version in it that leads to `program`, by way of `path`, the value of `PATH`, or of a link beside
/// the folder of the version. Returns `program` where it has no version in it, or there is no such path.
pub fn stable(program: &Path, path: Option<OsString>) -> PathBuf {
    stable_outside(&TRANSIENT, program, path)
}

fn stable_outside(transient: &[&str], program: &Path, path: Option<OsString>) -> PathBuf {
    if !has_version(program) {
        return program.to_owned();
    }
    let file = fs::canonicalize(program).ok();
    let leads_there = |link: &PathBuf| file.is_some() && fs::canonicalize(link).ok() == file;
    let found = candidates(program, path, links_in).into_iter();
    let is_lasting = |link: &PathBuf| {
        !has_version(link) && !transient.iter().any(|folder| link.starts_with(folder))
    };
    let mut found = found.filter(is_lasting).filter(leads_there);
    found.next().unwrap_or_else(|| program.to_owned())
}

/// Returns whether a folder on the way to `path` is named by a version.
pub fn has_version(path: &Path) -> bool {
    path.parent().is_some_and(|folder| {
        let mut names = folder.components();
        names.any(|name| matches!(name, Component::Normal(name) if is_versioned(name)))
    })
}

/// Returns whether `name` is a version, such as `1.2.3` and `v1.2`, or ends with one, such as `heph-1.2.3`.
fn is_versioned(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.split(['-', '@']).any(|part| {
        let part = part.strip_prefix('v').unwrap_or(part);
        let mut numbers = part.split('.');
        let mut is_number = || {
            let number = numbers.next().unwrap_or_default();
            number.starts_with(|c: char| c.is_ascii_digit())
        };
        is_number() && is_number()
    })
}

/// Returns the paths that may lead to `program`, the best first. `links` returns the names of the links in a folder. Pure.
fn candidates(
    program: &Path,
    path: Option<OsString>,
    links: impl Fn(&Path) -> Vec<OsString>,
) -> Vec<PathBuf> {
    let Some(name) = program.file_name() else {
        return Vec::new();
    };
    let path = path.unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let mut candidates: Vec<_> = on_path.map(|folder| folder.join(name)).collect();
    for folder in program.ancestors().skip(1) {
        let (Some(of_all), Some(version)) = (folder.parent(), folder.file_name()) else {
            break;
        };
        let Ok(inside) = program.strip_prefix(folder) else {
            break;
        };
        if !is_versioned(version) {
            continue;
        }
        let in_use = IN_USE.map(OsString::from).into_iter();
        let beside = in_use.chain(links(of_all));
        candidates.extend(beside.map(|link| of_all.join(link).join(inside)));
        // <prefix>/Cellar/<package>/<version>/bin/<program>: the links are <prefix>/bin and <prefix>/opt/<package>.
        let (package, cellar) = (of_all.file_name(), of_all.parent());
        if let (Some(package), Some(cellar)) = (package, cellar)
            && let Some(prefix) = cellar.parent().filter(|_| cellar.ends_with("Cellar"))
        {
            candidates.push(prefix.join("bin").join(name));
            candidates.push(prefix.join("opt").join(package).join(inside));
        }
    }
    candidates
}

fn links_in(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    let mut names: Vec<_> = links.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn versions_are_told_from_other_names() {
        for name in [
            "0.1.0",
            "v1.2",
            "2026.11.1",
            "0.1.0_1",
            "heph-0.1.0",
            "heph@1.2.3",
            "abc-heph-0.1.0-rc.1",
        ] {
            assert!(is_versioned(OsStr::new(name)), "{name}");
        }
        for name in [
            "bin",
            "heph",
            "latest",
            "0",
            "python3.11",
            "v",
            "x86_64",
            "a.b",
            ".cargo",
            "heph-x",
        ] {
            assert!(!is_versioned(OsStr::new(name)), "{name}");
        }
        assert!(
            !has_version(Path::new("/home/jo/bin/hephd-0.1.0")),
            "its own name"
        );
    }

    /// Makes the file `program` in a new folder, with `links` (each where it is and what it leads to), and returns the stable
    /// path of the file, below the folder, with `path` as the only folder on PATH.
    fn stable_of(program: &str, links: &[(&str, &str)], path: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let file = root.join(program);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        for (link, target) in links {
            let link = root.join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(root.join(target), link).unwrap();
        }
        let found = stable_outside(&[], &file, Some(root.join(path).into()));
        let found = found.strip_prefix(&root).unwrap();
        found.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_link_of_each_package_manager_is_found() {
        let brew = "Cellar/heph/0.1.0_1/bin/hephd";
        let linked = [("bin/hephd", brew)];
        assert_eq!(stable_of(brew, &linked, "bin"), "bin/hephd");
        assert_eq!(
            stable_of(brew, &linked, "elsewhere"),
            "bin/hephd",
            "cron's PATH"
        );
        let opt = [("opt/heph", "Cellar/heph/0.1.0_1")];
        assert_eq!(
            stable_of(brew, &opt, "bin"),
            "opt/heph/bin/hephd",
            "not linked"
        );

        let mise = "mise/installs/heph/0.1.0/bin/hephd";
        let links = ["0", "0.1", "latest"].map(|name| format!("mise/installs/heph/{name}"));
        let mut links: Vec<_> = links
            .iter()
            .map(|link| (link.as_str(), "mise/installs/heph/0.1.0"))
            .collect();
        links.push(("shims/hephd", "mise/mise"));
        let on_path = "mise/installs/heph/0.1.0/bin";
        let latest = "mise/installs/heph/latest/bin/hephd";
        assert_eq!(stable_of(mise, &links, on_path), latest);
        assert_eq!(
            stable_of(mise, &links, "shims"),
            latest,
            "a shim is another program"
        );

        let nix = "store/abc-heph-0.1.0/bin/hephd";
        let profile = [("profile", "store/abc-heph-0.1.0")];
        assert_eq!(stable_of(nix, &profile, "profile/bin"), "profile/bin/hephd");
        let stow = "stow/heph-0.1.0/bin/hephd";
        let linked = [("stow/mine", "stow/heph-0.1.0")];
        assert_eq!(stable_of(stow, &linked, "x"), "stow/mine/bin/hephd");
    }

    #[test]
    fn a_path_to_which_no_link_leads_stays() {
        let asdf = "installs/heph/0.1.0/bin/hephd";
        assert_eq!(stable_of(asdf, &[], "shims"), asdf);
        let other = [("installs/heph/latest", "installs/heph/0.2.0")];
        assert_eq!(
            stable_of(asdf, &other, "x"),
            asdf,
            "a link to another version"
        );
        let plain = "home/.cargo/bin/hephd";
        assert_eq!(stable_of(plain, &[("bin/hephd", plain)], "bin"), plain);
    }

    #[test]
    fn a_link_that_ends_with_the_session_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [file, shell] = ["1.2.3/bin/x", "shell/x"].map(|name| root.join(name));
        for path in [&file, &shell] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(&file, "").unwrap();
        symlink(&file, &shell).unwrap();
        let path = || Some(root.join("shell").into());
        assert_eq!(stable_outside(&[], &file, path()), shell);
        let transient = [root.to_str().unwrap()];
        assert_eq!(stable_outside(&transient, &file, path()), file);
    }
}
