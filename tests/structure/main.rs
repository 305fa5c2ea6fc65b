//! Ratchets on the structure of the source: no import cycles, short functions, short lines, plain
//! openings of doc comments, few dependencies. A list of exceptions may only shrink: a test fails
//! as well when an exception is no longer needed.

mod cycles;
mod graph;
mod lexer;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use graph::Crate;
use lexer::Source;

/// Maximum length of a function in lines, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Functions over [`FUNCTION_LINES_MAX`], `file: function`. May only shrink.
const LONG_FUNCTIONS: &[&str] = &[];

/// Maximum width of a comment line in columns, the same as rustfmt's for code.
const COLUMNS_MAX: usize = 100;

/// Lines of code over [`COLUMNS_MAX`] columns, which rustfmt does not break: mostly strings, and
/// code inside macros. May only shrink.
const WIDE_CODE_LINES: usize = 33;

/// Words that the glossary of CONTRIBUTING.md replaces.
const REPLACED_WORDS: &[&str] = &[
    "anew",
    "heed",
    "lent",
    "nobody",
    "owed",
    "owes",
    "put together",
    "sent again",
    "stranger",
    "strangers",
    "told",
];

/// Maximum number of crates that a user of the library compiles, including the library: without the
/// operating system, without AF_XDP, and with it.
const CRATES_MAX: [(&str, usize); 3] = [
    ("--no-default-features", 16),
    ("--no-default-features --features=host", 31),
    ("--features=xdp", 46),
];

/// Crates that belong to the command line.
const NOT_IN_THE_LIBRARY: &[&str] =
    &["clap", "hdrhistogram", "httparse", "mio", "serde", "serde_json", "signal-hook", "socket2"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every Rust file of the workspace.
fn all_sources() -> Vec<Source> {
    let folders = ["src", "crates", "tests", "benches", "examples", "fuzz/fuzz_targets"];
    folders.iter().flat_map(|folder| lexer::collect(root(), folder)).collect()
}

#[track_caller]
fn none_of(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}

/// Types go below, steps above. A file that both defines the fields of a struct and implements its
/// steps forms a cycle with the file of the struct.
#[test]
fn files_of_a_crate_have_no_import_cycles() {
    for folder in ["src", "crates/cli/src", "crates/examples/src", "crates/packetdrill/src"] {
        let cycles = cycles::of(&Crate::read(root(), folder).imports());
        let lines = cycles.iter().map(|cycle| cycle.join("\n    "));
        none_of(&lines.collect::<Vec<_>>());
    }
}

#[test]
fn functions_are_at_most_seventy_lines_long() {
    let mut long = BTreeSet::new();
    for source in all_sources() {
        for (name, lines) in source.functions() {
            if lines > FUNCTION_LINES_MAX {
                long.insert(format!("{}: {name}", source.path));
            }
        }
    }
    let known: BTreeSet<String> = LONG_FUNCTIONS.iter().map(|&entry| entry.to_owned()).collect();
    none_of(&long.difference(&known).cloned().collect::<Vec<_>>());
    none_of(&known.difference(&long).map(|f| format!("{f} is short now")).collect::<Vec<_>>());
}

#[test]
fn comments_fit_a_hundred_columns() {
    let mut wide = Vec::new();
    for source in all_sources() {
        for (n, line) in source.text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            // A table row and a URL cannot be wrapped.
            let is_whole = line.contains("// |") || line.contains("//! |") || line.contains("://");
            if is_comment && !is_whole && line.chars().count() > COLUMNS_MAX {
                wide.push(format!("{}:{}", source.path, n + 1));
            }
        }
    }
    none_of(&wide);
}

#[test]
fn no_more_lines_of_code_than_before_exceed_a_hundred_columns() {
    let sources = all_sources();
    let lines = sources.iter().flat_map(|source| source.text.lines());
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    let wide = code.filter(|line| line.chars().count() > COLUMNS_MAX).count();
    assert_eq!(wide, WIDE_CODE_LINES, "break new lines; lower the constant where there are fewer");
}

#[test]
fn comments_use_the_words_of_the_glossary() {
    let mut findings = Vec::new();
    for source in all_sources() {
        for (n, line) in source.text.lines().enumerate() {
            let Some((_, comment)) = line.split_once("// ").or_else(|| line.split_once("//! "))
            else {
                continue;
            };
            let is_word = |c: char| !c.is_alphanumeric();
            let text = comment.to_lowercase().split(is_word).collect::<Vec<_>>().join(" ");
            let text = format!(" {text} ");
            for word in REPLACED_WORDS.iter().filter(|word| text.contains(&format!(" {word} "))) {
                findings.push(format!("{}:{}: {word}", source.path, n + 1));
            }
        }
    }
    none_of(&findings);
}

#[test]
fn doc_comments_open_with_a_verb_or_a_noun() {
    let mut findings = Vec::new();
    for source in all_sources() {
        for (n, line) in source.text.lines().enumerate() {
            let text = line.trim_start();
            let text =
                text.strip_prefix("/// ").or_else(|| text.strip_prefix("//! ")).unwrap_or("");
            let opening = text.split(' ').next().unwrap_or("");
            if ["What", "Whether", "How", "Who", "Which"].contains(&opening) {
                findings.push(format!("{}:{}: {}", source.path, n + 1, line.trim()));
            }
        }
    }
    none_of(&findings);
}

#[test]
fn a_module_is_a_file_or_a_folder_and_not_both() {
    let files: BTreeSet<String> = all_sources().into_iter().map(|source| source.path).collect();
    let both = |path: &&String| {
        let folder = path.strip_suffix(".rs").map(|stem| format!("{stem}/"));
        folder.is_some_and(|folder| files.iter().any(|other| other.starts_with(&folder)))
    };
    // Integration tests are exempt: cargo puts the crate root in tests/NAME.rs, beside its folder.
    let library = files.iter().filter(|path| path.contains("src/"));
    none_of(&library.filter(both).cloned().collect::<Vec<_>>());
}

#[test]
fn the_library_depends_on_few_crates() {
    for (features, crates_max) in CRATES_MAX {
        let crates = dependencies(features);
        assert!(crates.len() <= crates_max, "{features}: {} crates: {crates:?}", crates.len());
        let lines = NOT_IN_THE_LIBRARY.iter().filter(|name| crates.contains(**name));
        none_of(&lines.map(|name| format!("{features}: {name}")).collect::<Vec<_>>());
    }
}

/// Returns the names of the crates that `linerate` compiles with these features.
fn dependencies(features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--package=linerate", "--edges=normal", "--prefix=none"])
        .args(features.split(' '))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints text");
    let name_and_version = |line: &str| line.trim_end_matches(" (*)").to_owned();
    let lines: BTreeSet<String> = text.lines().map(name_and_version).collect();
    lines.iter().map(|line| line.split(' ').next().unwrap_or("").to_owned()).collect()
}
