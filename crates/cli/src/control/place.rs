//! Where control sockets are: a folder of this user's, one socket a process.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::unistd::geteuid;

/// What `--control` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A socket there, or fail.
    At(PathBuf),
    /// None.
    Off,
}

impl FromStr for Wish {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "off" { Self::Off } else { Self::At(text.into()) })
    }
}

/// The usual folder.
pub fn folder() -> PathBuf {
    if geteuid().is_root() {
        return "/run/linerate".into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("linerate"),
        None => std::env::temp_dir().join(format!("linerate-{}", geteuid())),
    }
}

/// Makes the folder, for its owner alone.
///
/// # Errors
/// When it cannot be made, or is not ours.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let about = fs::symlink_metadata(folder)?;
            if about.is_dir() && about.permissions().mode() & 0o077 == 0 {
                return Ok(());
            }
            Err(std::io::Error::other("others may write to it, or it is no folder"))
        }
        other => other,
    }
}

/// The sockets of the folder behind which a process listens; what a process left that died is removed.
pub fn living(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let sockets = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<_> = sockets
        .filter(|path| path.extension().is_some_and(|it| it == "sock"))
        .filter(|path| is_alive(path))
        .collect();
    found.sort();
    found
}

/// Whether someone listens behind a socket; a socket that nobody can listen behind any more is removed.
pub fn is_alive(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => {
            if error.kind() == std::io::ErrorKind::ConnectionRefused {
                // Its process died without a word. Somebody else may remove it too.
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
    fn sockets_of_the_living_are_found_and_those_of_the_dead_removed() {
        let folder = std::env::temp_dir().join(format!("linerate-place-{}", std::process::id()));
        make_folder(&folder).expect("a new folder");
        make_folder(&folder).expect("it is ours");
        let (alive, dead) = (folder.join("1.sock"), folder.join("2.sock"));
        let listener = UnixListener::bind(&alive).expect("a free name");
        drop(UnixListener::bind(&dead).expect("a free name"));
        fs::write(folder.join("other"), "").expect("a file");
        assert_eq!(living(&folder), std::slice::from_ref(&alive));
        assert!(!dead.exists());
        drop(listener);
        assert!(living(&folder).is_empty());
        fs::remove_dir_all(&folder).expect("the folder is there");
    }

    #[test]
    fn a_folder_in_which_others_may_write_is_refused() {
        let folder = std::env::temp_dir().join(format!("linerate-open-{}", std::process::id()));
        fs::create_dir(&folder).expect("a new folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
        assert!(make_folder(&folder).is_err());
        fs::remove_dir(&folder).expect("the folder is there");
    }
}
