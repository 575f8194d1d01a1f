//! Store files: how they are opened, named and made.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::os::files::PRIVATE;

/// How long SQLite waits for a lock that another process holds, such as a reader with the `sqlite3` program.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens `path`, which exists, for reading and writing.
pub fn open_writable(path: &Path) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_URI and SQLITE_OPEN_CREATE: the path is a path, and a missing file is an error.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    configure(Connection::open_with_flags(path, flags)?)
}

/// Opens `path` for reading, and neither makes nor changes a file by it.
///
/// Reading a database in WAL mode makes a write-ahead log beside it where there is none (sqlite.org/wal.html,
/// "Read-only databases"), and closing it writes the log back. The first is avoided by calling a file without one
/// immutable, the second by asking for no checkpoint.
pub fn open_readonly(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?mode=ro");
    if !beside(path, "-wal").exists() {
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
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The file may be of any origin: nothing in its schema may call what is not safe for that.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Makes an empty file at `path` that only its owner reads, where there is none. SQLite gives its own files beside it
/// the same mode.
pub fn make_private(path: &Path) -> io::Result<()> {
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

/// Returns the path of the file that SQLite, or heph, keeps beside `path`: `heph.db` and `-wal` make `heph.db-wal`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Returns whether there is something in the file `path`.
pub fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

/// Returns whether the file `path` begins as databases do (sqlite.org/fileformat.html). SQLite itself takes a file that
/// is too short for that for an empty database, and writes to it.
pub fn is_database(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut begin)?;
    Ok(begin == b"SQLite format 3\0")
}

/// Returns what SQLite says, without the code that rusqlite repeats.
pub fn in_words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(words)) => words.clone(),
        other => other.to_string(),
    }
}
