//! The socket in the file system: a folder only its user enters, and a name that is taken over only from the dead.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::activation::{self, Inherited};
use super::print;
use crate::client;
use crate::error::{Error, Result, ResultExt, bail};
use crate::os::files;

/// A bound socket; its name is removed when this is dropped, unless somebody else has taken it meanwhile.
#[derive(Debug)]
pub struct Name {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Returns a listener on `path`: the one that the service manager passed, without a [`Name`], for that is not hephd's to
/// remove; else one that is bound here. Both are non-blocking. Call it with the store's lock held.
///
/// # Errors
///
/// As [`bind`].
pub fn listen(path: &Path, inherited: &mut Inherited) -> Result<(UnixListener, Option<Name>)> {
    let Some(listener) = inherited.unix(path) else {
        return bind(path).map(|(listener, name)| (listener, Some(name)));
    };
    if activation::has_path(&listener, path) {
        // The service manager made the folder, or found it.
        if let Err(error) = make_folder(path.parent().unwrap_or(Path::new("/"))) {
            print::log(error.one_line());
        }
    } else {
        print::log(format!(
            "the socket that the service manager passed is not '{}'; it is served all the same",
            path.display()
        ));
    }
    listener
        .set_nonblocking(true)
        .context("cannot use the socket that the service manager passed")?;
    Ok((listener, None))
}

/// Binds `path` with mode 0600. Call it with the store's lock held: then what answers there is no hephd of this store.
///
/// # Errors
///
/// The path is too long, is no socket, or somebody answers on it.
fn bind(path: &Path) -> Result<(UnixListener, Name)> {
    client::check_length(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    remove_stale(path)?;
    let bind = || -> io::Result<(UnixListener, Name)> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(files::PRIVATE))?;
        listener.set_nonblocking(true)?;
        let metadata = fs::symlink_metadata(path)?;
        let name = Name {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        };
        Ok((listener, name))
    };
    bind().with_context(|| format!("cannot listen on the socket '{}'", path.display()))
}

/// Makes the folder of the socket, 0700. One that is there and carries heph's name is given that mode; of any other,
/// such as a home, the mode is its owner's business: the socket's own mode and the check of the peer remain.
fn make_folder(folder: &Path) -> Result<()> {
    let make = || -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let ours = folder.file_name().is_some_and(|name| name == "heph");
        if ours && fs::metadata(folder)?.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        Ok(())
    };
    make().with_context(|| format!("cannot make the folder '{}' private", folder.display()))
}

/// Removes the socket that a hephd left when it was killed.
fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at '{}'", path.display()));
        }
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(
                Error::new(format!("'{}' exists and is no socket", path.display()))
                    .with_hint("move it away, or name another place with HEPH_SOCKET"),
            );
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            files::remove_file_if_there(path)
                .with_context(|| format!("cannot remove the old socket '{}'", path.display()))?;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => bail!(
            "cannot tell who listens on the socket '{}': {error}",
            path.display()
        ),
        Ok(_) => Err(Error::new(format!(
            "another process listens on the socket '{}'",
            path.display()
        ))
        .with_hint("end it first, or name another place with HEPH_SOCKET")),
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode));
        if ours {
            drop(fs::remove_file(&self.path));
        }
    }
}
