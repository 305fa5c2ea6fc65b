//! The asking end of a control socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::place::{folder, living};
use super::question::Question;
use crate::failure::Failure;

/// Longer than a stack looks away, and than a worker may take to answer it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket that was named, or that of the only stack that runs.
///
/// # Errors
/// When none or several run.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let tried = "cannot tell which stack to ask";
    match &living(&folder())[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new(
            tried,
            format!("no stack has a control socket in {}", folder().display()),
            "start `linerate serve` as this user, or name a socket with --control",
        )),
        several => {
            let names: Vec<_> = several.iter().map(|it| it.display().to_string()).collect();
            Err(Failure::usage(
                tried,
                format!("{} run: {}", several.len(), names.join(", ")),
                "name one of them with --control",
            ))
        }
    }
}

/// Asks, and gives each line of the answer to `each`.
///
/// # Errors
/// When nobody answers, or not in time, or with an error.
pub fn ask(path: &Path, question: &Question, mut each: impl FnMut(Value)) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            format!("cannot ask the stack behind {}", path.display()),
            error,
            "see whether it still runs; `linerate serve` opens a control socket unless told not to",
        )
    };
    let mut stream = UnixStream::connect(path).map_err(|error| failed(&error))?;
    let line = serde_json::to_string(question).map_err(|error| failed(&error))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| writeln!(stream, "{line}"))
        .map_err(|error| failed(&error))?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|error| failed(&error))?;
        let value: Value = serde_json::from_str(&line).map_err(|error| failed(&error))?;
        if let Some(error) = value.get("error") {
            return Err(failed(&error.as_str().unwrap_or("it refuses the question")));
        }
        each(value);
    }
    Ok(())
}
