//! Store files: how they are named, locked, created and opened.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files::{self, PRIVATE};
use crate::os::lock::{self, Lock};
use crate::os::lock_holder;
use crate::paths::HephdPaths;

/// How long SQLite waits for a lock that another process holds, such as the `sqlite3` program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns `path` with links resolved, so that a store has one lock. Creates its folder.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                bail!("cannot use '{}' as the path of a store", path.display());
            };
            files::create_private_dir(folder)?;
            let folder = fs::canonicalize(folder)
                .with_context(|| format!("cannot open the folder '{}'", folder.display()))?;
            Ok(folder.join(name))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read '{}'", path.display())),
    }
}

/// Locks the store `path`, which [`resolve`] returned, until the lock is dropped.
pub(super) fn lock(path: &Path) -> Result<Lock> {
    let file = HephdPaths::store_lock(path);
    lock::try_exclusive(&file)?.ok_or_else(|| {
        let cannot = format!("cannot open the store '{}'", path.display());
        let other = "set HEPH_DB to another store";
        match lock_holder::of(&file) {
            Some(pid) => Error::new(format!(
                "{cannot}: another hephd has it open, process {pid}"
            ))
            .with_hint(format!(
                "stop it with `heph daemon stop` if it is the service, else with `kill {pid}`; or {other}"
            )),
            None => Error::new(format!("{cannot}: another hephd has it open")).with_hint(format!(
                "`heph daemon status` names it; stop it, or {other}"
            )),
        }
    })
}

/// Opens an existing file for reading and writing.
pub(super) fn open_writable(path: &Path) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_URI and SQLITE_OPEN_CREATE: the path is a path, and a missing file is an error.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = configure(Connection::open_with_flags(path, flags)?)?;
    // A transaction that begins by reading cannot begin to write once another process has written.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    Ok(connection)
}

/// Opens `path` for reading without creating or changing a file.
///
/// Reading a database in WAL mode creates a write-ahead log beside it if there was no such file (sqlite.org/wal.html,
/// "Read-only databases"), and closing it writes the log back. Opening a file without one as immutable avoids the first;
/// turning off the checkpoint on close avoids the second.
pub(super) fn open_readonly(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?mode=ro");
    if !sibling(path, "-wal").exists() {
        uri.push_str("&immutable=1");
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = configure(Connection::open_with_flags(uri, flags)?)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

fn configure(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // On macOS, fsync(2) leaves data in the cache of the disk. Other systems ignore both.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // The file may be of any origin: its schema must not call functions that are unsafe for that.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Creates an empty file with mode 0600, or gives an existing one that mode. SQLite creates its own files beside it with
/// the same mode.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != PRIVATE {
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    Ok(())
}

/// Returns the path of a companion file: `heph.db` and `-wal` make `heph.db-wal`.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The files of an open store, to notice that one was moved, replaced or removed: SQLite would go on with files that no path
/// leads to, and lose what is acknowledged there.
///
/// To be dropped after the connection: closing a file releases the locks of this process, which SQLite relies on.
#[derive(Debug)]
pub(super) struct OpenFiles {
    places: Vec<(PathBuf, Place)>,
    content: Vec<(PathBuf, File)>,
}

/// What identifies a file.
type Place = (u64, u64);

impl OpenFiles {
    /// Returns those of the store `path`, which is open and was read from.
    pub fn of(path: &Path) -> OpenFiles {
        let files = ["", "-wal", "-shm"].map(|suffix| sibling(path, suffix));
        let places = files.iter().filter_map(|file| {
            let place = place(&fs::metadata(file).ok()?);
            Some((file.clone(), place))
        });
        let content = files[..2].iter().filter_map(|file| {
            let open = File::open(file).ok()?;
            Some((file.clone(), open))
        });
        OpenFiles {
            places: places.collect(),
            content: content.collect(),
        }
    }

    /// Returns the first that is not at its path any more.
    pub fn lost(&self) -> Option<&Path> {
        let is_lost = |path: &Path, was: Place| match fs::metadata(path) {
            Ok(metadata) => place(&metadata) != was,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let lost = self.places.iter().find(|(path, was)| is_lost(path, *was));
        lost.map(|(path, _)| path.as_path())
    }

    /// Reads all of them, because SQLite reports a disk that cannot be read and content that makes no sense alike.
    pub fn read(&self) -> Result<()> {
        let mut buffer = vec![0; 1 << 20];
        for (path, file) in &self.content {
            let mut offset = 0;
            loop {
                let read = file.read_at(&mut buffer, offset);
                match read.with_context(|| format!("cannot read '{}'", path.display()))? {
                    0 => break,
                    length => offset += length as u64,
                }
            }
        }
        Ok(())
    }
}

fn place(metadata: &fs::Metadata) -> Place {
    (metadata.dev(), metadata.ino())
}

/// Returns whether `path` is a file that is not empty.
pub(super) fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

/// Returns whether the file begins with the header of a database (sqlite.org/fileformat.html). SQLite itself mistakes a
/// shorter file for an empty database, and writes to it.
pub(super) fn is_database(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut begin)?;
    Ok(begin == b"SQLite format 3\0")
}
