//! The serving end of a control socket: answers whoever has come, between two looks of the main thread.

use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linerate::runtime::Stack;
use serde_json::json;

use super::place::{Wish, folder, is_alive, living, make_folder};
use super::question::{Filter, Question};
use super::row::row;
use super::snapshot::Snapshot;
use crate::failure::Failure;

/// How long an asker may take to ask and to read: the stack's end waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// More than the longest question.
const QUESTION_MAX: u64 = 4096;

/// A control socket that is open; removed when dropped.
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
    interface: String,
    started: Instant,
}

impl Door {
    /// Opens what is wished for. Without a wish there is none where there can't be, and why is said.
    ///
    /// # Errors
    /// When a socket that was asked for by name cannot be made.
    pub fn open(wish: Option<&Wish>, interface: &str) -> Result<Option<Self>, Failure> {
        let usual = folder();
        let (path, asked_for) = match wish {
            Some(Wish::Off) => return Ok(None),
            Some(Wish::At(path)) => (path.clone(), true),
            None => (usual.join(format!("{}.sock", std::process::id())), false),
        };
        let made = if asked_for { Ok(()) } else { tidy(&usual) };
        match made.and_then(|()| bind(&path)) {
            Ok(listener) => {
                let (interface, started) = (interface.to_owned(), Instant::now());
                Ok(Some(Self { listener, path, interface, started }))
            }
            Err(error) if asked_for => Err(Failure::new(
                format!("cannot open the control socket {}", path.display()),
                error,
                "give --control a path that does not exist in a folder that does, or `off`",
            )),
            Err(error) => {
                eprintln!("note: no control socket {}: {error}", path.display());
                Ok(None)
            }
        }
    }

    /// Answers all who wait. Who asks wrongly, or goes away, has no effect on the stack.
    pub fn answer(&self, stack: &mut Stack) {
        while let Ok((stream, _)) = self.listener.accept() {
            // The asker may have gone: it does not miss the answer then.
            let _ = self.serve(&stream, stack);
        }
    }

    fn serve(&self, stream: &UnixStream, stack: &mut Stack) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream.take(QUESTION_MAX)).read_line(&mut line)?;
        if line.is_empty() {
            // Somebody looked whether we are alive.
            return Ok(());
        }
        let mut out = BufWriter::new(stream);
        match serde_json::from_str(&line) {
            Ok(Question::Figures) => {
                let at_ns = self.started.elapsed().as_nanos() as u64;
                let snapshot = Snapshot::new(&self.interface, at_ns, &stack.report());
                serde_json::to_writer(&mut out, &snapshot)?;
                writeln!(out)?;
            }
            Ok(Question::Connections(filter)) => tell_connections(&mut out, stack, &filter)?,
            Err(error) => writeln!(out, "{}", json!({ "error": error.to_string() }))?,
        }
        out.flush()
    }
}

/// A line each, then one that tells how many there were.
fn tell_connections(
    out: &mut impl Write,
    stack: &mut Stack,
    filter: &Filter,
) -> std::io::Result<()> {
    let (mut shown, mut failed) = (0_u64, Ok(()));
    let limit = filter.limit.unwrap_or(u64::MAX);
    let ended = stack.connections(|worker, info| {
        if !filter.takes(info) {
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
        Err(silent) => writeln!(out, "{}", json!({ "error": silent.to_string() })),
    }
}

/// The usual folder, without the sockets of those who died.
fn tidy(usual: &Path) -> std::io::Result<()> {
    make_folder(usual)?;
    living(usual);
    Ok(())
}

/// Binds, for the owner alone, where nobody listens yet.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() && is_alive(path) {
        return Err(std::io::Error::other("another process listens there"));
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Drop for Door {
    fn drop(&mut self) {
        // Both are gone already if somebody tidied up, and the folder stays if others use it.
        let _ = std::fs::remove_file(&self.path);
        let usual = folder();
        if self.path.parent() == Some(&usual) {
            let _ = std::fs::remove_dir(usual);
        }
    }
}
