//! An open control socket: its file, and the clients that wait.

use std::fs::{Permissions, remove_dir, remove_file, set_permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::directory::{create_directory, directory, is_live, live_sockets};
use super::error::ControlError;

/// An open control socket. Dropping it removes the socket file.
///
/// Clients wait until [`Stack::serve_control`](crate::Stack::serve_control) answers them, so that a
/// program may open it before it starts its stack.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Opens a socket at a path. Replaces the socket of a process that has died.
    ///
    /// # Errors
    /// If another process listens at the path, another file has it, or its directory refuses it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ControlError> {
        let path = path.into();
        match bind(&path) {
            Ok(listener) => Ok(Self { listener, path }),
            Err(error) => Err(ControlError::Open { path, error }),
        }
    }

    /// Opens the socket that clients find without its path: named after the process ID, in the
    /// default [`directory`]. A process has one; for further stacks, use [`open`](Self::open).
    ///
    /// # Errors
    /// If the directory cannot be created or is open to other users, or as [`open`](Self::open).
    pub fn open_default() -> Result<Self, ControlError> {
        let directory = directory();
        let path = directory.join(format!("{}.sock", std::process::id()));
        if let Err(error) = create_directory(&directory) {
            return Err(ControlError::Open { path, error });
        }
        // Removes the stale ones.
        live_sockets(&directory);
        Self::open(path)
    }

    /// Returns the path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the next client; `WouldBlock` if none waits.
    pub(super) fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept()?.0)
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Another process may have removed the socket. The directory stays while other sockets use
        // it.
        let _ = remove_file(&self.path);
        let default = directory();
        if self.path.parent() == Some(&default) {
            let _ = remove_dir(default);
        }
    }
}

/// Binds a socket that only its owner may open. Fails if another process listens at `path`.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.exists() && is_live(path) {
        return Err(io::Error::other("another process listens there"));
    }
    let listener = UnixListener::bind(path)?;
    set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("linerate-{name}-{}.sock", std::process::id()))
    }

    #[test]
    fn a_socket_belongs_to_its_owner_alone_and_is_removed_when_dropped() {
        let path = path("owned");
        let socket = ControlSocket::open(&path).expect("the name is free");
        let mode = path.metadata().expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(socket.path(), path);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_on_which_a_process_listens_is_refused_and_stays() {
        let path = path("busy");
        let first = ControlSocket::open(&path).expect("the name is free");
        let error = ControlSocket::open(&path).expect_err("the first one listens").to_string();
        assert!(error.contains("another process listens"), "{error}");
        assert!(error.contains(&*path.display().to_string()), "{error}");
        assert!(UnixStream::connect(&path).is_ok(), "the first one goes on");
        drop(first);
    }

    #[test]
    fn a_file_that_is_no_socket_is_refused_and_stays() {
        let path = path("file");
        std::fs::write(&path, "kept").expect("the directory is writable");
        assert!(ControlSocket::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("it stays"), "kept");
        remove_file(&path).expect("it is ours");
    }
}
