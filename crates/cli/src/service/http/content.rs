//! The content of the HTTP server and its paths.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hyper::body::Bytes;

/// Longest body, in bytes. It lives in memory.
pub(crate) const BODY_MAX: u64 = 1 << 30;

/// A body in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The bytes.
    pub body: Bytes,
    /// Media type.
    pub media_type: &'static str,
    /// File name, which is a second path besides `/`.
    name: Option<Vec<u8>>,
}

impl Content {
    /// Creates a body of `bytes` printable bytes, in lines.
    pub(crate) fn of_size(bytes: usize) -> Self {
        let line = b"linerate linerate linerate linerate linerate linerate linerate linera\r\n";
        let body: Vec<u8> = line.iter().copied().cycle().take(bytes).collect();
        Self { body: body.into(), media_type: "text/plain", name: None }
    }

    /// Reads a file, served under `/` and under its own name.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is no regular file, or is longer than [`BODY_MAX`].
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        // Check before opening too: to open a FIFO is to wait for a writer.
        check(&path.metadata()?)?;
        let file = File::open(path)?;
        check(&file.metadata()?)?;
        let mut body = Vec::new();
        // The file may grow meanwhile.
        file.take(BODY_MAX + 1).read_to_end(&mut body)?;
        check_length(body.len() as u64)?;
        let name = path.file_name().map(|name| name.as_bytes().to_owned());
        Ok(Self { body: body.into(), media_type: media_type(path), name })
    }

    /// Returns true if the decoded path of a request target names the content.
    pub(crate) fn is_at(&self, path: &[u8]) -> bool {
        match path.strip_prefix(b"/") {
            Some(b"") => true,
            Some(name) => Some(name) == self.name.as_deref(),
            None => false,
        }
    }
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    check_length(metadata.len())
}

fn check_length(bytes: u64) -> io::Result<()> {
    if bytes > BODY_MAX {
        let text = format!("it is longer than {BODY_MAX} bytes, which would be read into memory");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(())
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let refusal = |path: &Path| Content::of_file(path).expect_err("a refusal").to_string();
        for path in ["/dev/zero", "/dev/null", "/proc", "/"] {
            assert_eq!(refusal(Path::new(path)), "it is not a regular file", "{path}");
        }
        let path = std::env::temp_dir().join(format!("linerate-long-{}", std::process::id()));
        let file = File::create(&path).expect("the temporary directory is writable");
        // A hole: it takes no space on disk.
        file.set_len(BODY_MAX + 1).expect("a sparse file");
        let text = refusal(&path);
        std::fs::remove_file(&path).expect("the file exists");
        assert!(text.contains("longer than 1073741824 bytes"), "{text}");
    }

    #[test]
    fn a_file_is_at_the_root_and_at_its_name() {
        let path = std::env::temp_dir().join(format!("linerate a-{}.json", std::process::id()));
        std::fs::write(&path, "{}").expect("the temporary directory is writable");
        let content = Content::of_file(&path).expect("the file was written");
        std::fs::remove_file(&path).expect("the file exists");
        let name = path.file_name().map(|name| name.as_bytes().to_owned()).unwrap_or_default();
        let at = |prefix: &[u8]| content.is_at(&[prefix, &name].concat());
        assert!(content.is_at(b"/") && at(b"/"));
        assert!(
            !content.is_at(b"") && !content.is_at(b"*") && !at(b"") && !at(b"//") && !at(b"/x/")
        );
        assert_eq!(content.media_type, "application/json");
    }
}
