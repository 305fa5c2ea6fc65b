//! Standard output, where a reader may go away at any time (`linerate trace | head`).

use std::io::Write as _;

/// Writes text; once the reader has gone, nobody misses it.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes one JSON object on a line of its own.
pub fn print_json(object: &serde_json::Value) {
    print(&format!("{object}\n"));
}
