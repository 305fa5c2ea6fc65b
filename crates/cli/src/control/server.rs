//! The server end of a control socket. The main thread answers waiting requests in its poll loop.

use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linerate::runtime::Stack;
use serde_json::json;

use super::directory::{ControlOption, create_directory, directory, is_live, live_sockets};
use super::request::{Filter, Request};
use super::row::row;
use super::snapshot::Snapshot;
use crate::failure::Failure;

/// Read and write timeout of a client. The main thread blocks for as long.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Longest request read, in bytes: longer than any valid one.
const REQUEST_MAX: u64 = 4096;

/// An open control socket. Dropping it removes the socket file.
pub(crate) struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    interface: String,
    started: Instant,
}

impl ControlServer {
    /// Opens the socket of `--control`, or the default one. If the default socket cannot be opened,
    /// prints a note and returns `None`.
    ///
    /// # Errors
    /// Fails if the socket that `--control` names cannot be opened.
    pub(crate) fn open(
        option: Option<&ControlOption>,
        interface: &str,
    ) -> Result<Option<Self>, Failure> {
        let default = directory();
        let (path, is_named) = match option {
            Some(ControlOption::Off) => return Ok(None),
            Some(ControlOption::At(path)) => (path.clone(), true),
            None => (default.join(format!("{}.sock", std::process::id())), false),
        };
        let prepared = if is_named { Ok(()) } else { prepare(&default) };
        match prepared.and_then(|()| bind(&path)) {
            Ok(listener) => {
                let (interface, started) = (interface.to_owned(), Instant::now());
                Ok(Some(Self { listener, path, interface, started }))
            }
            Err(error) if is_named => Err(Failure::new(
                format!("cannot open the control socket {}", path.display()),
                error,
                "give --control an unused path in an existing directory, or `off`",
            )),
            Err(error) => {
                eprintln!("note: cannot open the control socket {}: {error}", path.display());
                Ok(None)
            }
        }
    }

    /// Answers all waiting requests. An invalid request or a lost client does not affect the stack.
    pub(crate) fn answer(&self, stack: &mut Stack) {
        while let Ok((stream, _)) = self.listener.accept() {
            // An error means that the client has closed its end or timed out.
            let _ = self.serve(&stream, stack);
        }
    }

    fn serve(&self, stream: &UnixStream, stack: &mut Stack) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut line = String::new();
        BufReader::new(stream.take(REQUEST_MAX)).read_line(&mut line)?;
        if line.is_empty() {
            // `is_live` connects and closes without a request.
            return Ok(());
        }
        let mut out = BufWriter::new(stream);
        match serde_json::from_str(&line) {
            Ok(Request::Figures) => {
                let at_ns = self.started.elapsed().as_nanos() as u64;
                let snapshot = Snapshot::new(&self.interface, at_ns, &stack.report());
                serde_json::to_writer(&mut out, &snapshot)?;
                writeln!(out)?;
            }
            Ok(Request::Connections(filter)) => write_connections(&mut out, stack, &filter)?,
            Err(error) => writeln!(out, "{}", json!({ "error": error.to_string() }))?,
        }
        out.flush()
    }
}

/// Writes one line per connection, then a line with their number.
fn write_connections(
    out: &mut impl Write,
    stack: &mut Stack,
    filter: &Filter,
) -> std::io::Result<()> {
    let (mut shown, mut failed) = (0_u64, Ok(()));
    let limit = filter.limit.unwrap_or(u64::MAX);
    let ended = stack.connections(|worker, info| {
        if !filter.matches(info) {
            return ControlFlow::Continue(());
        }
        if shown == limit {
            return ControlFlow::Break(());
        }
        shown += 1;
        failed = serde_json::to_writer(&mut *out, &row(worker, info))
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(out));
        if failed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    failed?;
    match ended {
        Ok(()) => writeln!(out, "{}", json!({ "end": shown })),
        Err(error) => writeln!(out, "{}", json!({ "error": error.to_string() })),
    }
}

/// Creates the default directory and removes stale sockets from it.
fn prepare(default: &Path) -> std::io::Result<()> {
    create_directory(default)?;
    live_sockets(default);
    Ok(())
}

/// Binds a socket that only its owner may open. Fails if another process listens at `path`.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() && is_live(path) {
        return Err(std::io::Error::other("another process listens there"));
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        // Another process may have removed the socket. The directory stays while other sockets use
        // it.
        let _ = std::fs::remove_file(&self.path);
        let default = directory();
        if self.path.parent() == Some(&default) {
            let _ = std::fs::remove_dir(default);
        }
    }
}
