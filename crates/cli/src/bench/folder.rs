//! The directory for histograms and logs: the one of `--report`, or a temporary one.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// An existing directory.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    /// Creates the directory `named`, or a temporary one that is removed on drop.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub(super) fn new(named: Option<&Path>) -> Result<Self, Failure> {
        let temporary =
            || std::env::temp_dir().join(format!("linerate-bench-{}", std::process::id()));
        let path = named.map_or_else(temporary, Path::to_owned);
        std::fs::create_dir_all(&path).and_then(|()| path.canonicalize()).map_or_else(
            |error| {
                let tried = format!("cannot create the directory {}", path.display());
                Err(Failure::new(tried, error, "give a writable directory with --report"))
            },
            |path| Ok(Self { path, is_temporary: named.is_none() }),
        )
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into the directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        std::fs::write(&path, content).map_err(|error| {
            let tried = format!("cannot write {}", path.display());
            Failure::new(tried, error, "give a writable directory with --report")
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
