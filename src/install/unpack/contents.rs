//! What an archive may hold, whatever its format, and which of its files are commands.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{MOST_BYTES, MOST_ENTRIES, read_error, unreadable};
use crate::error::{Error, Result, ResultExt};
use crate::install::slots::is_command_name;
use crate::install::staging::require_space;
use crate::os::interrupt;
use crate::os::text::quoted;

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
/// How native programs begin: ELF, and Mach-O for one processor, in either byte order, or for several.
const NATIVE: [[u8; 4]; 6] = [
    *b"\x7fELF",
    [0xfe, 0xed, 0xfa, 0xce],
    [0xfe, 0xed, 0xfa, 0xcf],
    [0xce, 0xfa, 0xed, 0xfe],
    [0xcf, 0xfa, 0xed, 0xfe],
    [0xca, 0xfe, 0xba, 0xbe],
];

/// What was seen so far, and where the commands among it go.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    package: &'a str,
    installed: &'a [String],
    bin: &'a Path,
    entries: usize,
    bytes: u64,
    commands: Vec<Command>,
}

/// A command that was written.
#[derive(Debug)]
struct Command {
    name: String,
    place: Place,
    /// Another file of an equally good place that has the same name.
    rival: Option<String>,
}

/// Where in the archive a command is; a later one is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In some folder, such as that of the build. Only a native program that is known by its name counts there.
    Elsewhere,
    /// At the top, in a folder there that is named after the package, or in the `bin` of either.
    Usual,
}

impl<'a> Contents<'a> {
    pub(crate) fn new(package: &'a str, installed: &'a [String], bin: &'a Path) -> Contents<'a> {
        Contents {
            package,
            installed,
            bin,
            entries: 0,
            bytes: 0,
            commands: Vec::new(),
        }
    }

    /// Adds a folder, or anything else that has only a path.
    pub(crate) fn path(&mut self, path: &[u8]) -> Result<()> {
        self.count()?;
        parts(&String::from_utf8_lossy(path)).map(drop)
    }

    /// Adds a symbolic link, which is never made. One that leads out of the archive makes it malicious.
    pub(crate) fn symlink(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let (path, target) = (
            String::from_utf8_lossy(path),
            String::from_utf8_lossy(target),
        );
        match path.rsplit_once(['/', '\\']) {
            Some((folder, _)) if !is_absolute(&target) => {
                self.link(&path, &format!("{folder}/{target}"))
            }
            _ => self.link(&path, &target),
        }
    }

    /// Adds another name of a file in the archive, which is never made.
    pub(crate) fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let (path, target) = (
            String::from_utf8_lossy(path),
            String::from_utf8_lossy(target),
        );
        self.link(&path, &target)
    }

    /// Adds a link to `target`, which is a path from the top of the archive.
    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.count()?;
        let own = parts(path)?;
        if parts(target).is_err() {
            return Err(Error::unfit(format!(
                "it has a link that leads out of its folder, {}",
                quoted(path)
            )));
        }
        match self.command(&own) {
            Some((_, Place::Usual)) => Err(unreadable(format!(
                "it has a link where a command belongs, {}",
                quoted(path)
            ))),
            _ => Ok(()),
        }
    }

    /// Adds a file of `size` bytes: writes it if it is a command, otherwise only reads it to its end.
    pub(crate) fn file(
        &mut self,
        path: &[u8],
        mode: u32,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        self.count()?;
        let path = String::from_utf8_lossy(path);
        let (parts, shown) = (parts(&path)?, quoted(&path));
        if path.ends_with(['/', '\\']) || parts.is_empty() {
            return match size {
                // Old tools mark a folder by its name only.
                0 => Ok(()),
                _ => Err(unreadable(format!(
                    "it has a file named like a folder, {shown}"
                ))),
            };
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MOST_BYTES {
            return Err(unreadable("it unpacks to more than 4 GiB"));
        }
        let mut start = Vec::new();
        let mut beginning = (&mut *content).take(NATIVE[0].len() as u64);
        beginning.read_to_end(&mut start).map_err(read_error)?;
        let command = self.command(&parts);
        let command = command.filter(|(_, place)| is_program(&start, mode, *place));
        let mut content = start.as_slice().chain(content);
        let read = match command {
            Some(_) if mode & 0o6000 != 0 => {
                return Err(unreadable(format!(
                    "{shown} would run with another user's rights (setuid or setgid)"
                )));
            }
            Some((name, place)) => self.write(name, place, size, &mut content)?,
            None => copy(&mut content, &mut io::sink())?,
        };
        if read != size {
            return Err(unreadable(format!(
                "{shown} has {read} bytes, not {size} as its header says"
            )));
        }
        Ok(())
    }

    pub(crate) fn commands(self) -> Result<Vec<String>> {
        if self.commands.is_empty() {
            return Err(unreadable(
                "it has no command: an executable file at its top, in its one folder or in bin/",
            ));
        }
        let mut names = Vec::new();
        for Command { name, rival, .. } in self.commands {
            match rival {
                None => names.push(name),
                Some(rival) if rival == name => {
                    return Err(unreadable(format!("it has two commands called '{name}'")));
                }
                Some(rival) => {
                    return Err(unreadable(format!(
                        "'{name}' and '{rival}' are the same file on a disk that ignores case"
                    )));
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn count(&mut self) -> Result<()> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(unreadable(format!(
                "it has more than {MOST_ENTRIES} files and folders"
            )));
        }
        interrupt::check()
    }

    /// Returns the name and the place of a file that is a command if it is a program: its name must be plain.
    fn command<'p>(&self, parts: &[&'p str]) -> Option<(&'p str, Place)> {
        let (name, folders) = parts.split_last()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
        let document = DOCUMENTS.iter().any(|start| name.starts_with(start));
        if document || !is_command_name(name) || !name.bytes().all(plain) {
            return None;
        }
        let named = |top: &str| {
            let start = top.get(..self.package.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(self.package))
        };
        let usual = match folders {
            [] | ["bin"] | ["usr", "bin"] | ["usr", "local", "bin"] => true,
            [top] | [top, "bin"] => named(top),
            _ => false,
        };
        if usual {
            return Some((name, Place::Usual));
        }
        let known = name == &self.package || self.installed.iter().any(|known| known == name);
        known.then_some((name, Place::Elsewhere))
    }

    /// Writes a command, unless one of its name from a better place is there. Returns how many bytes it has.
    fn write(
        &mut self,
        name: &str,
        place: Place,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<u64> {
        let mut known = self.commands.iter_mut();
        if let Some(known) = known.find(|known| known.name.eq_ignore_ascii_case(name)) {
            if known.place == place {
                known.rival = Some(name.to_owned());
            }
            if known.place >= place {
                return copy(content, &mut io::sink());
            }
            let worse = self.bin.join(&known.name);
            fs::remove_file(&worse)
                .with_context(|| format!("cannot remove '{}'", worse.display()))?;
            let worse = known.name.clone();
            self.commands.retain(|known| known.name != worse);
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
        self.commands.push(Command {
            name: name.to_owned(),
            place,
            rival: None,
        });
        Ok(read)
    }
}

/// Returns whether a file with this beginning and mode is a program, where it is. Some tools lose the modes of an archive.
fn is_program(start: &[u8], mode: u32, place: Place) -> bool {
    let native = NATIVE.iter().any(|magic| start == magic);
    match place {
        Place::Elsewhere => native,
        Place::Usual => native || mode & 0o111 != 0 || start.starts_with(b"#!"),
    }
}

fn is_absolute(path: &str) -> bool {
    let drive =
        matches!(path.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    drive || path.starts_with(['/', '\\'])
}

/// Returns the parts of a path, as Unix or Windows writes it, without `.` and `..`.
///
/// # Errors
///
/// It leads out of the folder that it is relative to.
fn parts(path: &str) -> Result<Vec<&str>> {
    let hostile = |why: &str| {
        let shown = quoted(path);
        Err(Error::unfit(format!(
            "it has the path {shown}, which {why}"
        )))
    };
    if is_absolute(path) {
        return hostile("is absolute");
    }
    let mut parts = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return hostile("leads out of its folder");
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts)
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
mod tests;
