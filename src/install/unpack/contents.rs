//! What an archive may hold, whatever its format, and which of its files are commands.

use std::collections::hash_map::{Entry, HashMap};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{MOST_BYTES, MOST_ENTRIES, read_error};
use crate::error::{Error, Result, ResultExt};
use crate::install::slots::is_command_name;
use crate::install::staging::require_space;
use crate::os::interrupt;
use crate::os::text::quoted;

const LONGEST_PATH: usize = 512;
/// How many bytes must stay free on the disk after unpacking.
const SPARE: u64 = 16 << 20;
/// How the names of documents start, which may have the mode of a command.
const DOCUMENTS: [&str; 9] = [
    "README",
    "LICENSE",
    "LICENCE",
    "UNLICENSE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "CHANGELOG",
    "AUTHORS",
];

/// The entries seen so far, and where the commands among them go.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    package: &'a str,
    bin: &'a Path,
    /// By the path in lower case: the path as it is written, and its kind.
    seen: HashMap<String, (String, EntryKind)>,
    bytes: u64,
    commands: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    File,
    Folder,
    /// A folder that so far only appears in paths below it.
    Implied,
}

impl<'a> Contents<'a> {
    pub(crate) fn new(package: &'a str, bin: &'a Path) -> Contents<'a> {
        Contents {
            package,
            bin,
            seen: HashMap::new(),
            bytes: 0,
            commands: Vec::new(),
        }
    }

    pub(crate) fn folder(&mut self, path: &[u8]) -> Result<()> {
        let parts = parts(path)?;
        self.add(&parts, EntryKind::Folder)
    }

    /// Adds a file of `size` bytes: writes it if it is a command, otherwise only reads it to its end.
    pub(crate) fn file(
        &mut self,
        path: &[u8],
        mode: u32,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        let parts = parts(path)?;
        let shown = quoted(&parts.join("/"));
        if path.ends_with(b"/") || parts.is_empty() {
            return Err(Error::unfit(format!(
                "it has a file named like a folder, {shown}"
            )));
        }
        if mode & 0o6000 != 0 {
            return Err(Error::unfit(format!(
                "{shown} would run with another user's rights (setuid or setgid)"
            )));
        }
        self.add(&parts, EntryKind::File)?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MOST_BYTES {
            return Err(Error::unfit("it unpacks to more than 4 GiB"));
        }
        let read = match command(&parts, mode, self.package) {
            Some(name) => self.write(name, size, content)?,
            None => copy(content, &mut io::sink())?,
        };
        if read != size {
            return Err(Error::unfit(format!(
                "{shown} has {read} bytes, not {size} as its header says"
            )));
        }
        Ok(())
    }

    pub(crate) fn commands(mut self) -> Result<Vec<String>> {
        if self.commands.is_empty() {
            return Err(Error::unfit(
                "it has no command: an executable file at its top, in its one folder or in bin/",
            ));
        }
        self.commands.sort_unstable();
        Ok(self.commands)
    }

    fn write(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<u64> {
        if self.commands.iter().any(|other| other == name) {
            return Err(Error::unfit(format!("it has two commands called '{name}'")));
        }
        let path = self.bin.join(name);
        require_space(self.bin, size.saturating_add(SPARE), "unpack the release")?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&path)
            .with_context(|| format!("cannot create '{}'", path.display()))?;
        let read = copy(content, &mut file)?;
        self.commands.push(name.to_owned());
        Ok(read)
    }

    /// Adds a path and the folders above it.
    fn add(&mut self, parts: &[&str], kind: EntryKind) -> Result<()> {
        for length in 1..=parts.len() {
            let path = parts[..length].join("/");
            let kind = if length < parts.len() {
                EntryKind::Implied
            } else {
                kind
            };
            match self.seen.entry(path.to_lowercase()) {
                Entry::Vacant(place) => {
                    place.insert((path, kind));
                }
                Entry::Occupied(mut place) => {
                    let (other, was) = place.get_mut();
                    if *other != path {
                        return Err(Error::unfit(format!(
                            "{} and {} are the same file on a disk that ignores case",
                            quoted(other),
                            quoted(&path)
                        )));
                    }
                    match (*was, kind) {
                        (EntryKind::Folder | EntryKind::Implied, EntryKind::Implied) => {}
                        (EntryKind::Implied, EntryKind::Folder) => *was = EntryKind::Folder,
                        _ => {
                            let path = quoted(&path);
                            return Err(Error::unfit(format!("it has {path} twice")));
                        }
                    }
                }
            }
        }
        if self.seen.len() > MOST_ENTRIES {
            return Err(Error::unfit(format!(
                "it has more than {MOST_ENTRIES} files and folders"
            )));
        }
        Ok(())
    }
}

/// Returns the parts of a path, without `.`.
fn parts(path: &[u8]) -> Result<Vec<&str>> {
    let refuse = |why: &str| {
        let shown = quoted(&String::from_utf8_lossy(path));
        Err(Error::unfit(format!(
            "it has the path {shown}, which {why}"
        )))
    };
    if path.len() > LONGEST_PATH {
        return refuse("is too long");
    }
    let Ok(text) = std::str::from_utf8(path) else {
        return refuse("is not UTF-8");
    };
    if text.starts_with('/') {
        return refuse("is absolute");
    }
    if text.contains(|c: char| c == '\\' || c.is_control()) {
        return refuse("has a backslash or a control character");
    }
    let mut parts: Vec<&str> = text.split('/').collect();
    if parts.last() == Some(&"") {
        parts.pop();
    }
    parts.retain(|part| *part != ".");
    if parts.contains(&"..") {
        return refuse("leads out of its folder");
    }
    if parts.contains(&"") {
        return refuse("has an empty part");
    }
    Ok(parts)
}

/// Returns the name of a file that is a command: executable, with a plain name, at the top of the archive, in a folder there
/// that is named after the package, or in the `bin` of either.
fn command<'p>(parts: &[&'p str], mode: u32, package: &str) -> Option<&'p str> {
    let (name, folders) = parts.split_last()?;
    let placed = match folders {
        [] | ["bin"] => true,
        [top] | [top, "bin"] => top.starts_with(package),
        _ => false,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
    let document = DOCUMENTS.iter().any(|start| name.starts_with(start));
    let runs = mode & 0o100 != 0;
    (placed && runs && !document && is_command_name(name) && name.bytes().all(plain))
        .then_some(*name)
}

/// Copies to the end, and blames the archive for errors of reading only.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        interrupt::check()?;
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(error)),
        };
        size += read as u64;
        to.write_all(&buffer[..read])
            .context("cannot write the unpacked release")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(result: Result<()>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Unfit);
        error.to_string()
    }

    #[test]
    fn commands_are_found_as_they_are_usually_laid_out() {
        let found = |path: &str, mode| {
            let parts: Vec<&str> = path.split('/').collect();
            command(&parts, mode, "heph").map(str::to_owned)
        };
        for path in [
            "heph",
            "bin/hephd",
            "heph-x86_64-unknown-linux-gnu/heph",
            "heph-v1.2.3-x86_64/bin/heph_2",
        ] {
            assert!(found(path, 0o755).is_some(), "{path}");
            assert_eq!(found(path, 0o644), None, "{path}");
        }
        for path in [
            "man/heph",
            "share/heph",
            "bin/sub/heph",
            "heph-1/completions/_heph",
            "install.sh",
            "README",
            "LICENSE-MIT",
            "-heph",
            ".heph",
            "heph\u{e9}",
        ] {
            assert_eq!(found(path, 0o755), None, "{path}");
        }
    }

    #[test]
    fn paths_stay_inside() {
        for path in [
            "/etc/passwd",
            "../heph",
            "a/../../b",
            "..",
            "a//b",
            "a\\b",
            "a\0b",
            "a\n",
            "/",
        ] {
            assert!(parts(path.as_bytes()).is_err(), "{path:?}");
        }
        assert!(parts(&[0xff]).is_err());
        assert!(parts(&[b'a'; 513]).is_err());
        assert_eq!(parts(b"./a/./b/").unwrap(), ["a", "b"]);
        assert!(parts(b"./").unwrap().is_empty());
    }

    #[test]
    fn no_path_is_there_twice_in_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let mut contents = Contents::new("heph", folder.path());
        let mut file = |path: &str| contents.file(path.as_bytes(), 0o644, 0, &mut io::empty());
        file("doc/a").unwrap();
        assert!(said(file("./doc/a")).contains("twice"));
        assert!(said(file("doc/A")).contains("case"));
        assert!(said(file("DOC/b")).contains("case"));
        assert!(said(file("doc")).contains("twice"));
        assert!(said(file("doc/a/b")).contains("twice"));
        contents.folder(b"doc/").unwrap();
        assert!(said(contents.folder(b"doc")).contains("twice"));
    }

    #[test]
    fn there_are_bounds_and_bits_that_nobody_needs() {
        let folder = tempfile::tempdir().unwrap();
        let mut contents = Contents::new("heph", folder.path());
        let setuid = contents.file(b"heph", 0o4755, 0, &mut io::empty());
        assert!(said(setuid).contains("setuid"));
        let large = contents.file(b"large", 0o644, MOST_BYTES + 1, &mut io::empty());
        assert!(said(large).contains("4 GiB"));
        let mut contents = Contents::new("heph", folder.path());
        for number in 0..MOST_ENTRIES {
            contents.folder(number.to_string().as_bytes()).unwrap();
        }
        assert!(said(contents.folder(b"more")).contains("more than 10000"));
        assert!(Contents::new("heph", folder.path()).commands().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_a_plain_name_in_the_folder(path in "(heph|bin|\\.\\.|\\.|/|a|\\\\|-|\u{e9}){1,8}", mode: u16) {
            let folder = tempfile::tempdir().unwrap();
            let mut contents = Contents::new("heph", folder.path());
            let _ = contents.file(path.as_bytes(), mode.into(), 1, &mut &b"x"[..]);
            let written: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
            prop_assert_eq!(written.len(), contents.commands.len());
            for entry in written {
                prop_assert!(entry.file_type().unwrap().is_file());
                prop_assert!(is_command_name(entry.file_name().to_str().unwrap()));
            }
        }
    }
}
