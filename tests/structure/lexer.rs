//! Source files as text: comments and strings blanked, test modules cut off, functions measured.

use std::fs;
use std::path::Path;

/// A source file.
pub(crate) struct Source {
    /// Path relative to the root of the workspace.
    pub path: String,
    /// Content of the file.
    pub text: String,
}

/// Reads the Rust files below `folder`, sorted by path.
pub(crate) fn collect(root: &Path, folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let path = path.strip_prefix(root).expect("below the root").display().to_string();
                sources.push(Source { path, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

impl Source {
    /// Returns true for a file of unit tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Returns the text with comments and the contents of strings and characters replaced by
    /// spaces.
    pub(crate) fn code(&self) -> String {
        blank(&self.text)
    }

    /// Returns the code before an inline test module, which stands last in a file.
    pub(crate) fn code_without_tests(&self) -> String {
        let code = self.code();
        let tests = code.match_indices("#[cfg(test)]").find(|(at, _)| {
            let item = code[at + "#[cfg(test)]".len()..].trim_start();
            item.starts_with("mod ") && item.find('{') < item.find(';')
        });
        let end = tests.map_or(code.len(), |(at, _)| at);
        code[..end].to_owned()
    }

    /// Returns each function with a body: its name, and its lines from `fn` to the closing brace.
    pub(crate) fn functions(&self) -> Vec<(String, usize)> {
        let code = self.code();
        let starts = code.match_indices("fn ").filter(|(at, _)| is_word_start(&code, *at));
        starts.filter_map(|(at, _)| function_at(&code[at..])).collect()
    }
}

fn is_word_start(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

fn function_at(code: &str) -> Option<(String, usize)> {
    let rest = &code[3..];
    let name_len = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let name = &rest[..name_len];
    // A semicolon inside brackets belongs to an array type; outside, it ends a bodiless
    // declaration.
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return None,
            '{' if depth == 0 => {
                let end = at + closing_brace(&code[at..])?;
                return (!name.is_empty()).then(|| (name.to_owned(), code[..=end].lines().count()));
            }
            _ => {}
        }
    }
    None
}

/// Returns the offset of the brace that closes the one at the start of `code`.
fn closing_brace(code: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Replaces comments and the contents of literals by spaces, byte for byte; keeps line ends.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'r' if !is_name_byte(bytes, at) && raw_hashes(bytes, at).is_some() => {
                raw_end(bytes, at, raw_hashes(bytes, at).expect("just seen"))
            }
            b'"' => quoted_end(bytes, at, b'"'),
            b'\'' if is_character(bytes, at) => quoted_end(bytes, at, b'\''),
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole characters were replaced")
}

fn is_name_byte(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len)
}

/// Returns the number of `#` of the raw string that begins at `at`, if any.
fn raw_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn raw_end(bytes: &[u8], at: usize, hashes: usize) -> usize {
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let from = at + 2 + hashes;
    let found = bytes[from..].windows(close.len()).position(|window| window == close);
    found.map_or(bytes.len(), |len| from + len + close.len())
}

fn quoted_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Returns true if a character literal, not a lifetime, begins at `at`.
fn is_character(bytes: &[u8], at: usize) -> bool {
    let rest = &bytes[at + 1..];
    let is_escape = rest.first() == Some(&b'\\');
    let is_multibyte = rest.first().is_some_and(|byte| !byte.is_ascii());
    is_escape || is_multibyte || rest.get(1) == Some(&b'\'')
}
