//! Files, written so that a crash leaves the old content or the new, never a mixture.

use crate::error::{Kind, Result, ResultExt, bail};
use std::fs::{self, DirBuilder, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Mode of state files: readable by their owner only.
pub const PRIVATE: u32 = 0o600;
/// Mode of files that other tools of the user read, such as units.
pub const SHARED: u32 = 0o644;

/// Creates `path` and its parents, each new one with mode 0700. An existing folder is left as it is. New folders survive a power
/// loss: what is written to them later would be lost with them.
pub fn create_private_dir(path: &Path) -> Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.exists());
    let parents = missing.filter_map(Path::parent);
    let parents: Vec<&Path> = parents.filter(|it| !it.as_os_str().is_empty()).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the folder '{}'", path.display()))?;
    for parent in parents.into_iter().rev() {
        match sync_dir(parent) {
            // It may be written to and not read.
            Err(error) if error.kind() != Kind::Denied => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Writes `bytes` to `path` through a temporary file beside it, which is synced before it takes the name.
///
/// Once it returns without error, the new content survives a power loss. The next write of the same path reuses a
/// temporary file that a crash left behind, so they do not pile up.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    create_private_dir(parent(path)?)?;
    let write = |temporary: &Path| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(temporary)?;
        // The umask may have cleared bits.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    replace(path, write).with_context(|| format!("cannot write '{}'", path.display()))
}

/// Writes `value` to the private file `path` as [`write_atomic`] does.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .with_context(|| format!("cannot encode '{}'", path.display()))?;
    text.push(b'\n');
    write_atomic(path, &text, PRIVATE)
}

/// Appends one line to `path` and syncs it. A torn last line is terminated first, so that it spoils only itself.
pub fn append_line(path: &Path, line: &str) -> Result<()> {
    let folder = parent(path)?;
    create_private_dir(folder)?;
    let existed = path.exists();
    let append = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(PRIVATE)
            .open(path)?;
        let start = if ends_mid_line(&mut file)? { "\n" } else { "" };
        file.write_all(format!("{start}{line}\n").as_bytes())?;
        file.sync_all()
    };
    append().with_context(|| format!("cannot append to '{}'", path.display()))?;
    if existed { Ok(()) } else { sync_dir(folder) }
}

fn ends_mid_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Points the symbolic link `link` at `target` with one rename: a reader sees the old target or the new one.
pub fn replace_symlink(link: &Path, target: &Path) -> Result<()> {
    replace(link, |temporary| symlink(target, temporary)).with_context(|| {
        format!(
            "cannot point '{}' at '{}'",
            link.display(),
            target.display()
        )
    })
}

/// Makes what replaces `path` under a temporary name beside it, renames it and syncs the folder.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let temporary = temporary_beside(path)?;
    remove_file_if_there(&temporary)?;
    make(&temporary)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    sync_dir(parent(path)?)
}

/// Syncs the entries of the folder `path`.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot sync the folder '{}'", path.display()))
}

/// Syncs the content of the file `path`.
pub fn sync_file(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot sync '{}'", path.display()))
}

/// Returns the content of `path`, or `None` if there is no such file. A file of more than `limit` bytes is an error.
pub fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("cannot read '{}'", path.display()))?,
    };
    if bytes.len() as u64 > limit {
        bail!("'{}' is larger than {limit} bytes", path.display());
    }
    Ok(Some(bytes))
}

/// Like [`read_if_there`], as text. Bytes that are not UTF-8 are an error.
pub fn read_text_if_there(path: &Path, limit: u64) -> Result<Option<String>> {
    read_if_there(path, limit)?
        .map(|bytes| {
            String::from_utf8(bytes).with_context(|| format!("'{}' is not UTF-8", path.display()))
        })
        .transpose()
}

/// Returns the metadata of `path` itself, without following a link, or `None` if it does not exist.
pub fn metadata_if_there(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot inspect '{}'", path.display())),
    }
}

/// Returns what the absolute path `path` means: links are followed and `..` goes up as far as the path exists; the rest is
/// resolved by its letters.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let existing = path
        .ancestors()
        .find_map(|ancestor| Some((ancestor, fs::canonicalize(ancestor).ok()?)));
    let Some((ancestor, mut real)) = existing else {
        return path.to_owned();
    };
    let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
    for component in rest.components() {
        match component {
            Component::ParentDir => drop(real.pop()),
            Component::Normal(name) => real.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    real
}

/// Makes sure that only the user can write to what this process, or what it starts, will make, whatever the umask was. For the
/// start of the program.
pub(crate) fn forbid_writing_by_others() {
    let others = Mode::WGRP | Mode::WOTH;
    // The mask can be read only by setting it.
    let mask = rustix::process::umask(others);
    rustix::process::umask(mask | others);
}

/// Returns the names and types of the entries of `folder`, sorted; empty if it does not exist. Names that are not UTF-8 are
/// left out.
pub fn entries(folder: &Path) -> Result<Vec<(String, FileType)>> {
    let cannot = || format!("cannot list '{}'", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(cannot)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(cannot)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.file_type().with_context(cannot)?));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Like [`read_if_there`], as JSON. The errors of the parser name no file.
pub fn read_json_if_there<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>> {
    let bytes = read_if_there(path, limit)?;
    Ok(bytes
        .map(|bytes| serde_json::from_slice(&bytes))
        .transpose()?)
}

/// Removes a file or link if it exists. Returns whether it did.
pub fn remove_file_if_there(path: &Path) -> io::Result<bool> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a folder and everything in it, without following links, if it exists.
pub fn remove_tree_if_there(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove '{}'", path.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the total size of the files below `path` in bytes, 0 if it does not exist. Links are not followed.
pub fn tree_size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| tree_size(&entry.path())).sum()
        }
        metadata => metadata.map_or(0, |metadata| metadata.len()),
    }
}

/// Returns the bytes free for an ordinary user on the file system of `path`, which need not exist.
pub fn free_space(path: &Path) -> Result<u64> {
    let there = path
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(there)
        .with_context(|| format!("cannot ask for free space at '{}'", there.display()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Returns the SHA-256 digest, in lower-case hexadecimal, and the size in bytes of the file `path`.
pub fn sha256(path: &Path) -> Result<(String, u64)> {
    let digest = || -> io::Result<(String, u64)> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut size = 0;
        while let read @ 1.. = file.read(&mut buffer)? {
            size += read as u64;
            hasher.update(&buffer[..read]);
        }
        Ok((hex(&hasher.finalize()), size))
    };
    digest().with_context(|| format!("cannot read '{}'", path.display()))
}

/// Returns `bytes` in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parent(path: &Path) -> Result<&Path> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .with_context(|| format!("'{}' has no folder", path.display()))
}

fn temporary_beside(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .with_context(|| format!("'{}' has no name", path.display()))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".heph-new");
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_files_with_the_mode_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/deep/file");
        write_atomic(&path, b"one", PRIVATE).unwrap();
        write_atomic(&path, b"two", SHARED).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o644
        );
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_line_cut_short_by_a_crash_spoils_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        append_line(&path, "one").unwrap();
        fs::write(&path, "one\ntw").unwrap();
        append_line(&path, "three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\nthree\n");
    }

    #[test]
    fn a_link_is_replaced_and_a_dangling_temporary_one_does_not_stop_it() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("current");
        symlink("gone", folder.path().join(".current.heph-new")).unwrap();
        replace_symlink(&link, Path::new("versions/1.0.0")).unwrap();
        replace_symlink(&link, Path::new("versions/1.0.1")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("versions/1.0.1"));
    }

    #[test]
    fn reading_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read_if_there(&path, 4).unwrap(), None);
        fs::write(&path, "12345").unwrap();
        assert!(
            read_if_there(&path, 4)
                .unwrap_err()
                .to_string()
                .contains("larger than 4 bytes")
        );
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        // FIPS 180-4, the one-block example.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&path).unwrap(), (expected.to_owned(), 3));
    }
}
