//! The content of the HTTP server and its paths.

use std::io;
use std::path::Path;

/// A body in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The bytes.
    pub body: Vec<u8>,
    /// Media type.
    pub media_type: &'static str,
    /// File name, which is a second path besides `/`.
    name: Option<String>,
}

impl Content {
    /// Creates a body of `bytes` printable bytes, in lines.
    pub(crate) fn of_size(bytes: usize) -> Self {
        let line = b"linerate linerate linerate linerate linerate linerate linerate linera\r\n";
        let body = line.iter().copied().cycle().take(bytes).collect();
        Self { body, media_type: "text/plain", name: None }
    }

    /// Reads a file, served under `/` and under its own name.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        let media_type = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html" | "htm") => "text/html; charset=utf-8",
            Some("txt" | "md") => "text/plain; charset=utf-8",
            Some("css") => "text/css",
            Some("js") => "text/javascript",
            Some("json") => "application/json",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            _ => "application/octet-stream",
        };
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        Ok(Self { body: std::fs::read(path)?, media_type, name })
    }

    /// Returns true if the path of a request target matches. Ignores the query.
    pub(crate) fn is_at(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or(target);
        let name = path.strip_prefix('/');
        path == "/" || (name.is_some() && name == self.name.as_deref())
    }
}
