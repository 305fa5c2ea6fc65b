//! The client end of a control socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linerate::runtime::control::{Request, directory, live_sockets};
use serde_json::Value;

use crate::failure::Failure;

/// Read timeout: longer than the server's poll interval plus the time a worker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the named socket, or the socket of the only running stack.
///
/// # Errors
/// Fails if no socket is named and no stack or several stacks are running.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let failed = "cannot choose a control socket";
    match &live_sockets(&directory())[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new(
            failed,
            format!("no running stack has one in {}", directory().display()),
            "start `linerate serve` as this user, or give the socket with --control",
        )),
        several => {
            let names: Vec<_> = several.iter().map(|it| it.display().to_string()).collect();
            Err(Failure::usage(
                failed,
                format!("{} stacks are running: {}", several.len(), names.join(", ")),
                "give one of them with --control",
            ))
        }
    }
}

/// Sends a request and passes each line of the response to `each`.
///
/// # Errors
/// Fails if the stack does not respond in time, or responds with an error.
pub(super) fn send(
    path: &Path,
    request: &Request,
    mut each: impl FnMut(Value),
) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            format!("cannot query the stack at {}", path.display()),
            error,
            "check that it is still running, and that it was not started with --control off",
        )
    };
    let mut stream = UnixStream::connect(path).map_err(|error| failed(&error))?;
    let line = serde_json::to_string(request).map_err(|error| failed(&error))?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .and_then(|()| writeln!(stream, "{line}"))
        .map_err(|error| failed(&error))?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|error| failed(&error))?;
        let value: Value = serde_json::from_str(&line).map_err(|error| failed(&error))?;
        if let Some(error) = value.get("error") {
            return Err(failed(&error.as_str().unwrap_or("it rejected the request")));
        }
        each(value);
    }
    Ok(())
}
