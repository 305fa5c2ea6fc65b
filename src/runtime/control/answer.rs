//! Answers one request.

use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::super::observer::Observer;
use super::bounded::{BoundedStream, Patience};
use super::request::{Filter, Request};
use super::row::row;
use super::snapshot::Snapshot;

/// Longest request read, in bytes: longer than any valid one.
const REQUEST_MAX: usize = 4096;

/// Reads a request and writes the response. An invalid request is answered with an error.
///
/// # Errors
/// When the client has closed its end or exhausted its `patience`.
pub(super) fn answer(
    stream: &UnixStream,
    observer: &Observer,
    patience: Patience,
) -> io::Result<()> {
    let mut line = Vec::new();
    let request = BoundedStream::request(stream, patience).take(REQUEST_MAX as u64);
    BufReader::new(request).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        // `is_live` connects and closes without a request.
        return Ok(());
    }
    let mut out = BufWriter::new(BoundedStream::response(stream, patience));
    if line.len() == REQUEST_MAX && !line.ends_with(b"\n") {
        let error = format!("the request is longer than {REQUEST_MAX} bytes");
        write_line(&mut out, &json!({ "error": error }))?;
        return out.flush();
    }
    match serde_json::from_slice(&line) {
        Ok(Request::Figures) => {
            let at_ns = observer.uptime().as_nanos() as u64;
            let snapshot = Snapshot::new(observer.interface(), at_ns, &observer.report());
            serde_json::to_writer(&mut out, &snapshot)?;
            writeln!(out)?;
        }
        Ok(Request::Connections(filter)) => write_connections(&mut out, observer, &filter)?,
        Err(error) => write_line(&mut out, &json!({ "error": error.to_string() }))?,
    }
    out.flush()
}

fn write_line(out: &mut impl Write, line: &Value) -> io::Result<()> {
    writeln!(out, "{line}")
}

/// Writes one line per connection, then a line with their number.
fn write_connections(out: &mut impl Write, observer: &Observer, filter: &Filter) -> io::Result<()> {
    let (mut shown, mut written) = (0_u64, Ok(()));
    let limit = filter.limit.unwrap_or(u64::MAX);
    let ended = observer.connections(|worker, info| {
        if !filter.matches(info) {
            return ControlFlow::Continue(());
        }
        if shown == limit {
            return ControlFlow::Break(());
        }
        shown += 1;
        written = write_line(out, &row(worker, info));
        if written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    written?;
    match ended {
        Ok(()) => write_line(out, &json!({ "end": shown })),
        Err(error) => write_line(out, &json!({ "error": error.to_string() })),
    }
}
