//! The folder in which runs leave their histograms: the user's, or one of our own for as long as needed.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A folder that exists.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Folder {
    /// The one that the user named, or a temporary one, which goes when this is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(named: Option<&Path>) -> Result<Self, Failure> {
        let temporary =
            || std::env::temp_dir().join(format!("linerate-bench-{}", std::process::id()));
        let path = named.map_or_else(temporary, Path::to_owned);
        std::fs::create_dir_all(&path).and_then(|()| path.canonicalize()).map_or_else(
            |error| {
                let tried = format!("cannot make the folder {}", path.display());
                Err(Failure::new(
                    tried,
                    error,
                    "give a folder that can be written to with --report",
                ))
            },
            |path| Ok(Self { path, is_ours: named.is_none() }),
        )
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, name: &str, content: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        std::fs::write(&path, content).map_err(|error| {
            let tried = format!("cannot write {}", path.display());
            Failure::new(tried, error, "give a folder that can be written to with --report")
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
