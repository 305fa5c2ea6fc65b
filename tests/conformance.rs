//! Checks `docs/conformance.md` against the repository: every row names a file and tests that exist
//! and cite the clause's RFC, and every clause that needs a row has one. Failures name the row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "docs/conformance.md";

/// The header of every table of clauses.
const COLUMNS: &str = "| clause | level | requirement | implementation | file | test |";

/// The header of the table of deviations.
const DEVIATIONS: &str = "| document | clause | why |";

/// Precedes the reason of a deviation in the column "implementation".
const DEVIATES: &str = "deviates: ";

/// The levels of RFC 2119, and `procedure` for a step that the RFC describes without a keyword.
const LEVELS: [&str; 6] = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "procedure"];

/// The labels of RFC 9293 appendix B that must have a row: each kind with its last number, counted
/// from 1 without gaps. Only the MAYs that linerate implements have a row.
const LABELS: [(&str, u32); 3] = [("MUST", 69), ("SHLD", 31), ("REC", 1)];

/// The labels whose level is MUST NOT or SHOULD NOT.
const NEGATIVE: &[&str] = &[
    "MUST-9", "MUST-29", "MUST-41", "MUST-56", "MUST-60", "MUST-65", "SHLD-13", "SHLD-14",
    "SHLD-15", "SHLD-17", "SHLD-23",
];

/// One clause.
struct Row {
    /// Line number in the document, from 1.
    line: usize,
    /// The RFC as it is cited, `RFC 9293`, or the name of a draft.
    document: String,
    clause: String,
    level: String,
    implementation: String,
    files: Vec<String>,
    tests: Vec<String>,
}

impl Row {
    /// Returns the name of the row for error messages.
    fn name(&self) -> String {
        let Self { line, document, clause, .. } = self;
        format!("{DOCUMENT}:{line}: {document} {clause}")
    }

    /// Returns the reason if the row is a deviation.
    fn deviation(&self) -> Option<&str> {
        let at = self.implementation.find(DEVIATES)?;
        Some(self.implementation[at + DEVIATES.len()..].trim())
    }

    /// Returns the labels of RFC 9293 appendix B in the level.
    fn labels(&self) -> impl Iterator<Item = &str> {
        let words = self.level.split([' ', ',', '(', ')']);
        words.filter(|word| word.contains('-'))
    }

    /// Returns an error message if the level is invalid.
    fn level_error(&self) -> Option<String> {
        let bare = self.level.split(" (").next().unwrap_or("");
        if LEVELS.contains(&bare) {
            return None;
        }
        let label = bare.split_once('-').map_or("", |(kind, _)| kind);
        if !["MUST", "MAY"].contains(&label) {
            return Some(format!("{}: no level: {:?}", self.name(), self.level));
        }
        let negative = NEGATIVE.contains(&bare);
        negative.then(|| format!("{}: {bare} is a MUST NOT", self.name()))
    }
}

/// Splits a table line into cells.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let escaped = inner.replace("\\|", "\u{0}");
    Some(escaped.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect())
}

/// Splits a cell at its commas.
fn list(cell: &str) -> Vec<String> {
    let names = cell.split(',').map(|name| name.trim().trim_matches('`').to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// Parses the document from a second-level heading: `RFC 9293`, or the name of a draft.
fn document_of(heading: &str) -> Option<String> {
    let mut words = heading.split([' ', ':']);
    match words.next()? {
        "RFC" => Some(format!("RFC {}", words.next()?.parse::<u32>().ok()?)),
        draft if draft.starts_with("draft-") => Some(draft.to_owned()),
        _ => None,
    }
}

/// The parsed document, with its syntax errors.
#[derive(Default)]
struct Table {
    /// The documents that have a section, in order, with their line numbers.
    sections: Vec<(String, usize)>,
    rows: Vec<Row>,
    /// Document, clause, reason.
    deviations: Vec<[String; 3]>,
    /// The RFCs listed with a reason for having no section.
    untabulated: BTreeSet<u32>,
    malformed: Vec<String>,
}

fn table() -> Table {
    let text = fs::read_to_string(root().join(DOCUMENT)).expect("docs/conformance.md is readable");
    let mut table = Table::default();
    let mut heading = "";
    for (n, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title;
            table.sections.extend(document_of(title).map(|document| (document, n + 1)));
        } else if let Some(cells) = cells(line) {
            table.read(heading, n + 1, line, &cells);
        }
    }
    table
}

impl Table {
    fn read(&mut self, heading: &str, n: usize, line: &str, cells: &[String]) {
        let ruler = cells.iter().all(|cell| cell.chars().all(|c| c == '-' || c == ':'));
        if ruler || line == COLUMNS || line == DEVIATIONS {
            return;
        }
        if let Some(document) = document_of(heading) {
            return self.read_row(document, n, cells);
        }
        match (heading, cells) {
            ("Deviations", [document, clause, why]) => {
                self.deviations.push([document.clone(), clause.clone(), why.clone()]);
            }
            ("Deviations", _) => self.malformed.push(format!("{DOCUMENT}:{n}: not three cells")),
            ("Cited, not tabulated", [number, why]) => match number.parse() {
                Ok(number) if !why.is_empty() => drop(self.untabulated.insert(number)),
                _ if number == "RFC" => {}
                _ => self.malformed.push(format!("{DOCUMENT}:{n}: not an RFC and why: {line}")),
            },
            _ => {}
        }
    }

    fn read_row(&mut self, document: String, line: usize, cells: &[String]) {
        let [clause, level, requirement, implementation, files, tests] = cells else {
            let count = cells.len();
            let error = format!("{DOCUMENT}:{line}: {document}: {count} cells, not 6: {cells:?}");
            return self.malformed.push(error);
        };
        if [clause, level, requirement, implementation, files, tests]
            .iter()
            .any(|cell| cell.is_empty())
        {
            self.malformed.push(format!("{DOCUMENT}:{line}: {document} {clause}: an empty cell"));
        }
        let row = Row {
            line,
            document,
            clause: clause.clone(),
            level: level.clone(),
            implementation: implementation.clone(),
            files: list(files),
            tests: list(tests),
        };
        self.malformed.extend(row.level_error());
        self.rows.push(row);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Returns true if `text` cites `document`. A citation may continue on the next line.
fn cites(text: &str, document: &str) -> bool {
    let joined = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', ' ']));
    let joined = joined.collect::<Vec<_>>().join(" ");
    joined.match_indices(document).any(|(at, found)| {
        !joined[at + found.len()..].starts_with(|next: char| next.is_ascii_digit())
    })
}

/// Returns the names of the test functions in `text`.
fn test_functions(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with("#[test]") {
            is_test = true;
        }
        let name = line.strip_prefix("fn ")?.split(['(', '<']).next()?;
        core::mem::take(&mut is_test).then_some(name)
    })
}

/// Maps each test name to the texts of the files that define it.
fn tests_by_name(files: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let mut tests: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for text in files {
        for name in test_functions(text) {
            tests.entry(name).or_default().push(text);
        }
    }
    tests
}

fn sources() -> Vec<String> {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "crates"] {
        collect(&root().join(folder), &mut paths);
    }
    let read = |path| fs::read_to_string(path).expect("a source file is UTF-8");
    paths.into_iter().map(read).collect()
}

#[track_caller]
fn assert_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_row_is_well_formed() {
    assert_none(table().malformed);
}

#[test]
fn sections_are_sorted_unique_and_not_empty() {
    let table = table();
    // Sorts RFCs by number, then drafts by name.
    let key = |document: &str| {
        let number = document.strip_prefix("RFC ").and_then(|n| n.parse::<u32>().ok());
        (number.unwrap_or(u32::MAX), document.to_owned())
    };
    let mut findings = Vec::new();
    for pair in table.sections.windows(2) {
        if key(&pair[0].0) >= key(&pair[1].0) {
            let ((before, _), (after, line)) = (&pair[0], &pair[1]);
            findings.push(format!("{DOCUMENT}:{line}: {after} does not come after {before}"));
        }
    }
    for (document, line) in &table.sections {
        if !table.rows.iter().any(|row| row.document == *document) {
            findings.push(format!("{DOCUMENT}:{line}: {document} has no row"));
        }
    }
    assert_none(findings);
}

#[test]
fn every_file_exists_and_cites_the_document() {
    let mut findings = Vec::new();
    for row in table().rows {
        for file in &row.files {
            match fs::read_to_string(root().join(file)) {
                Err(error) => findings.push(format!("{}: {file}: {error}", row.name())),
                Ok(text) if !cites(&text, &row.document) => {
                    findings.push(format!("{}: {file} does not cite it", row.name()));
                }
                Ok(_) => {}
            }
        }
    }
    assert_none(findings);
}

#[test]
fn every_test_exists_and_its_file_cites_the_document() {
    let sources = sources();
    let tests = tests_by_name(&sources);
    let mut findings = Vec::new();
    for row in table().rows {
        for test in &row.tests {
            match tests.get(test.as_str()) {
                None => findings.push(format!("{}: no test {test}", row.name())),
                Some(texts) if !texts.iter().any(|text| cites(text, &row.document)) => {
                    findings.push(format!("{}: the file of {test} does not cite it", row.name()));
                }
                Some(_) => {}
            }
        }
    }
    assert_none(findings);
}

#[test]
fn the_list_of_deviations_matches_the_rows() {
    let table = table();
    let deviating = table.rows.iter().filter_map(|row| {
        row.deviation().map(|why| [row.document.clone(), row.clause.clone(), why.to_owned()])
    });
    let expected: Vec<_> = deviating.collect();
    let lines: Vec<_> = expected.iter().map(|[a, b, c]| format!("| {a} | {b} | {c} |")).collect();
    let listed: BTreeSet<_> = table.deviations.iter().collect();
    let missing = expected.iter().filter(|row| !listed.contains(row));
    let stale = table.deviations.iter().filter(|row| !expected.contains(row));
    let findings: Vec<_> = missing
        .map(|row| format!("not in the list of deviations: {row:?}"))
        .chain(stale.map(|row| format!("in the list of deviations, but not in any row: {row:?}")))
        .collect();
    let whole = lines.join("\n");
    assert!(findings.is_empty(), "\n{}\nexpected list:\n{whole}", findings.join("\n"));
}

#[test]
fn every_label_of_rfc_9293_has_a_row() {
    let rows = table().rows;
    let rows: Vec<_> = rows.iter().filter(|row| row.document == "RFC 9293").collect();
    let labelled: BTreeSet<_> = rows.iter().flat_map(|row| row.labels()).collect();
    let all =
        LABELS.iter().flat_map(|(kind, last)| (1..=*last).map(move |n| format!("{kind}-{n}")));
    let missing = all.filter(|label| !labelled.contains(label.as_str()));
    let mut findings: Vec<_> =
        missing.map(|label| format!("RFC 9293: no row for {label}")).collect();
    for row in &rows {
        for label in row.labels() {
            let negated = row.level.contains(" NOT");
            if negated != NEGATIVE.contains(&label) {
                findings.push(format!("{}: {label} under {:?}", row.name(), row.level));
            }
        }
    }
    assert_none(findings);
}

#[test]
fn every_rfc_listed_by_the_tcp_layer_has_a_section_or_a_reason() {
    let table = table();
    let text = fs::read_to_string(root().join("src/tcp/mod.rs")).expect("a source file is UTF-8");
    let from = text.split("# RFCs implemented").nth(1).expect("the list of implemented RFCs");
    let list = from.split("//! # ").next().unwrap_or("");
    let numbers = list.split(|c: char| !c.is_ascii_digit()).filter(|digits| digits.len() >= 3);
    let mut findings = Vec::new();
    for number in numbers.filter_map(|digits| digits.parse::<u32>().ok()) {
        let document = format!("RFC {number}");
        let tabulated = table.sections.iter().any(|(section, _)| *section == document);
        if tabulated == table.untabulated.contains(&number) {
            findings.push(format!(
                "{document} of src/tcp/mod.rs needs a section or a row in \"Cited, not tabulated\""
            ));
        }
    }
    assert_none(findings);
}

/// RFC 9293 SHLD-13 and SHLD-23 restrict applications; check the bundled programs.
#[test]
fn bundled_programs_neither_send_urgent_data_nor_change_their_dscp() {
    let mut paths = Vec::new();
    for folder in ["crates/cli/src/service", "crates/cli/src/load", "examples"] {
        collect(&root().join(folder), &mut paths);
    }
    let mut findings = Vec::new();
    for path in paths.iter().filter(|path| !path.ends_with("mux.rs")) {
        let text = fs::read_to_string(path).expect("a source file is UTF-8");
        for call in ["write_urgent(", "SocketOption::DiffServ"] {
            if text.contains(call) {
                findings.push(format!("{}: {call}", path.display()));
            }
        }
    }
    assert_none(findings);
}
