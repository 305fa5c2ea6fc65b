//! Rules of the source: imports point down; `unsafe`, clocks and threads occur only in listed
//! files; no code is unfinished; every cited RFC is on the list. The lists of exceptions may only
//! shrink.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer and the layers that it may import (the table of `src/lib.rs`).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("time", &[]),
    ("rng", &[]),
    ("role", &[]),
    ("metrics", &[]),
    ("wire", &[]),
    ("tcp", &["time", "limits", "rng"]),
    ("link", &["time", "limits", "rng"]),
    ("xdp", &["limits", "role"]),
    ("shard", &["wire", "tcp", "link", "metrics", "time", "rng", "limits", "role"]),
    ("sim", &["shard", "link", "tcp", "wire", "metrics", "time", "rng", "limits"]),
    ("runtime", &["shard", "link", "xdp", "tcp", "wire", "metrics", "time", "rng", "limits"]),
    ("net", &["runtime", "sim", "shard", "metrics", "time", "rng", "limits"]),
];

/// Files that may use `unsafe`: memory shared with the kernel, the kernel's own structures, the C
/// interface of packetdrill, memory shared between threads, pointers to the callback in progress,
/// two measured exceptions (processor features, huge pages), and the test of reads into memory that
/// need not be initialized.
const MAY_BE_UNSAFE: &[&str] = &[
    "src/link/frame.rs",
    "src/link/tap/request.rs",
    "src/link/xsk",
    "src/net/executor/current.rs",
    "src/net/executor/door.rs",
    "src/net/ring/region.rs",
    "crates/packetdrill/src/ffi/",
    "src/shard/mem/pages.rs",
    "src/shard/mem/processor.rs",
    "src/shard/tests/reading.rs",
    "src/xdp/bpf.rs",
    "src/xdp/ethtool.rs",
];

/// Files that may read real time.
const MAY_READ_CLOCKS: &[&str] = &[
    "src/runtime/",
    "src/net/program.rs",
    "src/net/remote/",
    "src/net/traits/hyper.rs",
    "crates/cli/src/",
    "crates/examples/src/",
    "src/xdp/",
];

/// Files that may start threads, share data between them, or sleep: the two ends of an in-memory
/// link may live in two threads, the taps of all workers write one file, a bind waits for a queue
/// that was just released, other threads wake a service and its tasks, packetdrill calls block on a
/// second thread; the examples wait for signals, and their proxy has a thread for kernel sockets.
const MAY_HAVE_THREADS: &[&str] = &[
    "src/runtime/",
    "crates/cli/src/",
    "src/link/memory.rs",
    "src/link/pcap/recorder.rs",
    "src/link/xsk/rings.rs",
    "src/net/",
    "src/shard/flow/service_waker.rs",
    "src/shard/tests/waking.rs",
    "crates/examples/src/",
    "crates/packetdrill/src/adapter.rs",
    "crates/packetdrill/src/ffi/stacks.rs",
];

/// Known RFCs. A number outside the list is a typing error, or belongs on it.
const RFCS: &[u32] = &[
    768, 791, 792, 793, 815, 826, 894, 919, 922, 950, 1042, 1071, 1112, 1122, 1141, 1191, 1256,
    1337, 1624, 1812, 1918, 2018, 2131, 2460, 2464, 2474, 2525, 2581, 2675, 2861, 2883, 2988, 3021,
    3042, 3168, 3390, 3465, 3514, 3522, 3704, 3708, 3927, 4015, 4291, 4443, 4638, 4727, 4821, 4861,
    4862, 4941, 4953, 4963, 4987, 5095, 5227, 5482, 5494, 5681, 5682, 5722, 5735, 5927, 5961, 6056,
    6093, 6191, 6298, 6437, 6528, 6582, 6633, 6675, 6691, 6724, 6864, 6890, 6918, 6928, 6937, 6946,
    6980, 7045, 2923, 3756, 5453, 4191, 7217, 7559, 7048, 7112, 7126, 7323, 7413, 7414, 7661, 7765,
    8200, 8201, 8257, 8311, 8312, 8504, 8511, 8684, 8899, 8900, 8961, 8985, 9110, 9112, 9131, 9293,
    9406, 9438, 9768, 9937, 862, 863, 864, 867, 7042, 5056, 3986, 5789,
];

struct Source {
    path: String,
    text: String,
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

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in ["src", "crates/cli/src", "crates/examples/src", "crates/packetdrill/src"] {
        collect(&root.join(folder), &mut paths);
    }
    paths.sort();
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a source file is text"),
        path: path.strip_prefix(root).expect("below the root").display().to_string(),
    };
    paths.into_iter().map(read).collect()
}

/// Returns the lines of code with their numbers: comments cut off, inline test modules left out.
fn code_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let tests_from = source.text.find("#[cfg(test)]\nmod ").map_or(usize::MAX, |at| {
        let inline = source.text[at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
        if inline { source.text[..at].lines().count() } else { usize::MAX }
    });
    let lines = source.text.lines().enumerate().take_while(move |(n, _)| *n < tests_from);
    lines.map(|(n, line)| (n + 1, line.split("//").next().unwrap_or("")))
}

fn layer(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split(['/', '.']).next().unwrap_or(inside)
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

fn imported_layers(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, found)| {
        let rest = &line[at + found.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[track_caller]
fn none_of(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn imports_point_down() {
    let names: BTreeSet<_> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    let mut findings = Vec::new();
    let library = |s: &&Source| s.path.starts_with("src/") && !is_test_file(&s.path);
    for source in sources().iter().filter(library) {
        let own = layer(&source.path);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == own) else { continue };
        for (n, line) in code_lines(source) {
            for target in imported_layers(line).filter(|t| names.contains(t) && *t != own) {
                if !allowed.contains(&target) {
                    findings.push(format!("{}:{n}: {own} may not import {target}", source.path));
                }
            }
        }
    }
    none_of(findings);
}

#[test]
fn every_layer_is_in_the_table() {
    let known: BTreeSet<_> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    let above = ["lib"];
    let all = sources();
    let unknown: BTreeSet<_> = all
        .iter()
        .filter(|s| s.path.starts_with("src/"))
        .map(|s| layer(&s.path))
        .filter(|l| !known.contains(l) && !above.contains(l))
        .collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
}

#[test]
fn the_wire_layer_needs_no_std() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| s.path.starts_with("src/wire/")) {
        for (n, line) in code_lines(source).filter(|(_, line)| line.contains("std::")) {
            findings.push(format!("{}:{n}: {}", source.path, line.trim()));
        }
    }
    none_of(findings);
}

fn assert_only_in(needles: &[&str], allowed: &[&str]) {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| !is_test_file(&s.path)) {
        if allowed.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (n, line) in code_lines(source) {
            for needle in needles.iter().filter(|needle| line.contains(**needle)) {
                findings.push(format!("{}:{n}: {needle}", source.path));
            }
        }
    }
    none_of(findings);
}

#[test]
fn unsafe_code_is_confined_to_listed_files() {
    assert_only_in(&["unsafe ", "unsafe{"], MAY_BE_UNSAFE);
}

#[test]
fn every_unsafe_block_states_its_obligation() {
    let mut findings = Vec::new();
    for source in sources() {
        let lines: Vec<_> = source.text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if !code.contains("unsafe {") && !code.contains("unsafe impl") {
                continue;
            }
            let above = &lines[n.saturating_sub(12)..=n];
            if !above.iter().any(|l| l.contains("SAFETY:")) {
                findings.push(format!("{}:{}: unsafe without SAFETY", source.path, n + 1));
            }
        }
    }
    none_of(findings);
}

#[test]
fn only_listed_files_read_clocks() {
    assert_only_in(&["std::time", "SystemTime", "clock_gettime"], MAY_READ_CLOCKS);
}

#[test]
fn only_listed_files_use_threads_and_locks() {
    let needles = ["std::thread", "Mutex", "RwLock", "Condvar", "mpsc", "std::sync::atomic"];
    assert_only_in(&needles, MAY_HAVE_THREADS);
}

#[test]
fn no_code_is_left_unfinished() {
    assert_only_in(&["todo!(", "unimplemented!(", "dbg!("], &[]);
    let mut findings = Vec::new();
    for source in sources() {
        for (n, line) in source.text.lines().enumerate() {
            if ["TODO", "FIXME", "XXX", "HACK"].iter().any(|mark| line.contains(mark)) {
                findings.push(format!("{}:{}: {}", source.path, n + 1, line.trim()));
            }
        }
    }
    none_of(findings);
}

#[test]
fn every_file_starts_with_its_documentation() {
    let silent = sources().into_iter().filter(|s| !s.text.starts_with("//! "));
    none_of(silent.map(|s| format!("{}: no first line of documentation", s.path)).collect());
}

#[test]
fn cited_rfcs_exist() {
    let mut findings = Vec::new();
    for source in sources() {
        for (n, line) in source.text.lines().enumerate() {
            for (at, _) in line.match_indices("RFC ") {
                let digits: String =
                    line[at + 4..].chars().take_while(char::is_ascii_digit).collect();
                if digits.parse().is_ok_and(|rfc: u32| !RFCS.contains(&rfc)) {
                    findings.push(format!("{}:{}: RFC {digits}", source.path, n + 1));
                }
            }
        }
    }
    none_of(findings);
}
