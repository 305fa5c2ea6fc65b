//! The known differences with their reasons: the table of `docs/differential.md`.

use std::fmt;
use std::fs;
use std::path::Path;

use super::replay::Replay;

const DOCUMENT: &str = "docs/differential.md";

/// The header of the table.
const COLUMNS: &str = "| before | sent | kernel | linerate | why |";

/// The first answer in which two replays of a sequence differ. Later ones follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The previous probe.
    before: String,
    sent: String,
    kernel: String,
    linerate: String,
}

impl Difference {
    pub(crate) fn first(kernel: &Replay, linerate: &Replay) -> Option<Self> {
        let answers = kernel.answers.iter().zip(&linerate.answers);
        let at = answers.clone().position(|(kernel, linerate)| kernel != linerate)?;
        let before = at.checked_sub(1).map_or("-".to_owned(), |it| kernel.probes[it].to_string());
        Some(Self {
            before,
            sent: kernel.probes[at].to_string(),
            kernel: kernel.answers[at].to_string(),
            linerate: linerate.answers[at].to_string(),
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, sent, kernel, linerate } = self;
        write!(f, "| {before} | {sent} | {kernel} | {linerate} | |")
    }
}

struct Row {
    cells: [String; 4],
    is_used: bool,
}

/// The rows of the table.
pub(crate) struct Explanations(Vec<Row>);

impl Explanations {
    /// Reads the rows from the document. `*` in a cell matches any text.
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(DOCUMENT);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{DOCUMENT}: {e}"));
        let rows = text.lines().skip_while(|line| *line != COLUMNS).skip(2);
        let row = |line: &str| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [before, sent, kernel, linerate, why] = cells[..] else {
                panic!("{DOCUMENT}: not five cells: {line}");
            };
            assert!(why.len() > 10, "{DOCUMENT}: no reason: {line}");
            Row { cells: [before, sent, kernel, linerate].map(str::to_owned), is_used: false }
        };
        Self(rows.take_while(|line| line.starts_with('|')).map(row).collect())
    }

    /// Marks the row of a difference as used, even if the difference occurs only once.
    pub(crate) fn mark_used(&mut self, it: &Difference) {
        let _ = self.covers(it);
    }

    /// Returns true if a row matches the difference, and marks the row as used.
    pub(crate) fn covers(&mut self, it: &Difference) -> bool {
        let texts = [&it.before, &it.sent, &it.kernel, &it.linerate];
        let is_match = |row: &&mut Row| {
            row.cells.iter().zip(texts).all(|(pattern, text)| matches(pattern, text))
        };
        let row = self.0.iter_mut().find(is_match);
        row.map(|row| row.is_used = true).is_some()
    }

    /// Returns the rows that matched no difference.
    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|row| !row.is_used);
        unused.map(|row| format!("| {} |", row.cells.join(" | "))).collect()
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    tail.is_empty()
        || rest.char_indices().any(|(at, _)| matches(tail, &rest[at..]))
        || matches(tail, "")
}

#[test]
fn a_star_matches_any_text() {
    assert!(matches("rst*", "rst seq+1") && matches("*", "") && matches("a*c", "abc"));
    assert!(!matches("rst", "rst seq+1") && !matches("a*c", "ab") && !matches("b*", "abc"));
}
