//! Standard output, whose reader may close the pipe at any time (`linerate trace | head`).

use std::io::Write as _;

/// Writes text. Ignores errors: the reader may have closed the pipe.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes one JSON object on its own line.
pub(crate) fn print_json(object: &serde_json::Value) {
    print(&format!("{object}\n"));
}
