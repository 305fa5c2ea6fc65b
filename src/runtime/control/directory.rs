//! The directory of control sockets: one directory per user, one socket per process.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Returns the directory in which clients look for the control sockets of this user:
/// `/run/linerate` for root, otherwise `linerate` in `XDG_RUNTIME_DIR`, or
/// `linerate-UID` in the directory of temporary files.
pub fn directory() -> PathBuf {
    if geteuid().is_root() {
        return "/run/linerate".into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("linerate"),
        None => std::env::temp_dir().join(format!("linerate-{}", geteuid())),
    }
}

/// Creates the directory with access for its owner only.
///
/// # Errors
/// Fails if it cannot be created, or exists and is open to other users.
pub(super) fn create_directory(directory: &Path) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(directory)?;
            if metadata.is_dir() && metadata.permissions().mode() & 0o077 == 0 {
                return Ok(());
            }
            Err(std::io::Error::other("the directory is open to other users, or not a directory"))
        }
        other => other,
    }
}

/// Returns the sockets in a directory that a process listens on, sorted. Removes stale ones.
pub fn live_sockets(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let sockets = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<_> = sockets
        .filter(|path| path.extension().is_some_and(|it| it == "sock"))
        .filter(|path| is_live(path))
        .collect();
    found.sort();
    found
}

/// Returns true if a process listens on the socket. Removes the socket if its process has died.
pub(super) fn is_live(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => {
            // The kernel refuses a connection to a file of another type in the same way.
            let is_socket = |it: fs::Metadata| it.file_type().is_socket();
            if error.kind() == std::io::ErrorKind::ConnectionRefused
                && fs::symlink_metadata(path).is_ok_and(is_socket)
            {
                // Fails if another process removes it at the same time, which is just as good.
                let _ = fs::remove_file(path);
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn live_sockets_are_found_and_stale_ones_removed() {
        let directory =
            std::env::temp_dir().join(format!("linerate-sockets-{}", std::process::id()));
        create_directory(&directory).expect("the directory is new");
        create_directory(&directory).expect("the directory is ours");
        let (live, stale) = (directory.join("1.sock"), directory.join("2.sock"));
        let listener = UnixListener::bind(&live).expect("the name is free");
        drop(UnixListener::bind(&stale).expect("the name is free"));
        fs::write(directory.join("other"), "").expect("the directory is writable");
        assert_eq!(live_sockets(&directory), std::slice::from_ref(&live));
        assert!(!stale.exists());
        drop(listener);
        assert!(live_sockets(&directory).is_empty());
        fs::remove_dir_all(&directory).expect("the directory exists");
    }

    #[test]
    fn a_directory_that_other_users_may_write_to_is_rejected() {
        let directory = std::env::temp_dir().join(format!("linerate-open-{}", std::process::id()));
        fs::create_dir(&directory).expect("the directory is new");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("it is ours");
        assert!(create_directory(&directory).is_err());
        fs::remove_dir(&directory).expect("the directory exists");
    }
}
