//! The unix socket: a folder that only its user enters, a path that is taken over only from a dead hephd, and connections
//! of the same user only.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::activation::{self, Inherited};
use super::connections::Listener;
use super::log;
use crate::client;
use crate::error::{Error, Result, ResultExt};
use crate::os::{files, peer};

/// The listener. It has a path if hephd bound it, and none if the service manager holds it for the next hephd.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: tokio::net::UnixListener,
    pub(super) path: Option<BoundPath>,
}

/// The path of a bound socket, which is removed on drop unless another process has taken it since.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Listener for Socket {
    type Stream = tokio::net::UnixStream;

    const QUIET: Duration = Duration::from_millis(10);
    /// Without a path no client joins the queue.
    const QUEUE: Duration = Duration::from_secs(5);

    async fn accept(&mut self) -> io::Result<tokio::net::UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = stream.peer_cred();
            if peer.is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw()) {
                return Ok(stream);
            }
            log::line("rejected a connection of another user");
        }
    }

    fn log_failure(&self, error: &io::Error) {
        log::line(format!("cannot accept a connection: {error}"));
    }

    fn close(&mut self) -> bool {
        self.path.take().is_some()
    }
}

/// Listens on `path`: with the listener that the service manager passed, or with one that is bound here. Call it within the
/// runtime, and with the store's lock held.
///
/// # Errors
///
/// As [`bind`].
pub(super) fn listen(path: &Path, inherited: &mut Inherited) -> Result<Socket> {
    let (listener, bound) = match inherited.unix(path) {
        Some(listener) => {
            check_inherited(&listener, path);
            (listener, None)
        }
        None => {
            let (listener, bound) = bind(path)?;
            (listener, Some(bound))
        }
    };
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixListener::from_std(listener))
        .with_context(|| format!("cannot listen on the socket '{}'", path.display()))?;
    Ok(Socket {
        listener,
        path: bound,
    })
}

fn check_inherited(listener: &UnixListener, path: &Path) {
    if !activation::has_path(listener, path) {
        return log::line(format!(
            "the socket that the service manager passed is not '{}'; it is served all the same",
            path.display()
        ));
    }
    // The service manager created the folder, or found it.
    if let Err(error) = make_folder(path.parent().unwrap_or(Path::new("/"))) {
        log::line(error.one_line());
    }
}

/// Binds `path` with mode 0600. With the store's lock held, what answers there is not a hephd of this store.
///
/// # Errors
///
/// The path is too long, is not a socket, or a process answers on it.
fn bind(path: &Path) -> Result<(UnixListener, BoundPath)> {
    client::check_length(path)?;
    make_folder(path.parent().unwrap_or(Path::new("/")))?;
    remove_stale(path)?;
    let bind = || -> io::Result<(UnixListener, BoundPath)> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(files::PRIVATE))?;
        let metadata = fs::symlink_metadata(path)?;
        let bound = BoundPath {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        };
        Ok((listener, bound))
    };
    bind().with_context(|| format!("cannot listen on the socket '{}'", path.display()))
}

/// Creates the folder of the socket with mode 0700. An existing folder called heph gets that mode; any other, such as a home,
/// is its owner's business: the mode of the socket and the check of the peer remain.
fn make_folder(folder: &Path) -> Result<()> {
    let make = || -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let is_ours = folder.file_name().is_some_and(|name| name == "heph");
        if is_ours && fs::metadata(folder)?.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        Ok(())
    };
    make().with_context(|| format!("cannot make the folder '{}' private", folder.display()))
}

/// Removes the socket that a hephd left when it was killed.
fn remove_stale(path: &Path) -> Result<()> {
    let shown = path.display();
    let hint = "set HEPH_SOCKET to another path";
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot stat '{shown}'")),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(Error::new(format!("'{shown}' exists and is not a socket"))
                .with_hint(format!("move it away, or {hint}")));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            files::remove_file_if_there(path)
                .with_context(|| format!("cannot remove the old socket '{shown}'"))?;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error)
            .with_context(|| format!("cannot tell whether a process listens on '{shown}'")),
        Ok(stream) => Err(match peer::of(&stream).ok().and_then(|peer| peer.pid) {
            Some(pid) => Error::new(format!("process {pid} listens on the socket '{shown}'"))
                .with_hint(format!(
                    "`heph daemon stop` if it is the service, else `kill {pid}`; or {hint}"
                )),
            None => Error::new(format!("another process listens on the socket '{shown}'"))
                .with_hint(format!("end it first, or {hint}")),
        }),
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode));
        if is_ours {
            drop(fs::remove_file(&self.path));
        }
    }
}
