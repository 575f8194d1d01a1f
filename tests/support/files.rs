//! Files as tests make them and look at them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::call::Call;

/// Writes an executable file; its folder is made.
///
/// Another process does it: while a file is open for writing, also in a child that another test is just starting, it
/// cannot be run.
pub fn executable(path: &Path, content: impl AsRef<[u8]>) {
    let install = Call::of("install").args(&["-D", "-m", "755", "/dev/stdin"]);
    install.args(&[path]).input(content).exits(0);
}

/// Writes a shell script.
pub fn script(path: &Path, body: &str) {
    executable(path, format!("#!/bin/sh\n{body}\n"));
}

/// Copies a folder; another process does it, as with [`executable`].
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copy = Call::of("cp").args(&["--recursive", "--no-target-directory"]);
    copy.args(&[from, to]).exits(0);
}

/// Copies a folder with hard links, where they can be: for what nobody writes into.
pub fn link_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let link = Call::of("cp").args(&["--recursive", "--link", "--no-target-directory"]);
    if link.args(&[from, to]).ends().code != 0 {
        copy_tree(from, to);
    }
}

/// Makes a folder with links to these programs of the machine and nothing else.
pub fn tools(folder: &Path, programs: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    for program in programs {
        symlink(outer(program), folder.join(program)).unwrap();
    }
}

/// Returns where the machine that runs the tests has `program`.
pub fn outer(program: &str) -> PathBuf {
    which::which(program).unwrap_or_else(|_| panic!("these tests need {program} on PATH"))
}

/// Returns the names of the entries of `folder`, sorted; none where it is not there.
pub fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Returns all that is below `folder`, with the content of files and the targets of links: for "nothing was touched".
pub fn picture(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut picture = Vec::new();
    for name in entries(folder) {
        let path = folder.join(name);
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            picture.push((path.clone(), "folder".to_owned()));
            picture.extend(self::picture(&path));
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            picture.push((path, format!("link to {}", target.display())));
        } else if kind.is_file() {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            picture.push((path, text));
        } else {
            picture.push((path, format!("{kind:?}")));
        }
    }
    picture
}

/// Returns the permissions of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Copies a program; another process does it, as with [`executable`].
pub fn copy(from: &Path, to: &Path) {
    Call::of("cp").args(&[from, to]).exits(0);
}
