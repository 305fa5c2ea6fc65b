//! Compiles the XDP program and turns bpf/linerate.h into Rust constants if the feature `xdp` is
//! enabled. Without the feature the script does nothing and needs no C compiler.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

const PROGRAM: &str = "bpf/linerate.bpf.c";
const HEADER: &str = "bpf/linerate.h";

/// Compilers with a BPF back end. Distributions do not always install the plain name.
const COMPILERS: [&str; 9] = [
    "clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15",
    "clang-14",
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_XDP").is_none() {
        return ExitCode::SUCCESS;
    }
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=LINERATE_CLANG");
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    let built = out_dir().and_then(|out| {
        compile(&out.join("linerate.bpf.o"))?;
        write_layout(&out.join("layout.rs"))
    });
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            for line in reason.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn out_dir() -> Result<PathBuf, String> {
    env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or_else(|| "OUT_DIR is not set: run this through cargo".into())
}

fn compile(object: &Path) -> Result<(), String> {
    // docs.rs builds documentation only, perhaps without clang: an empty object is enough there.
    if env::var_os("DOCS_RS").is_some() {
        return fs::write(object, [])
            .map_err(|error| format!("writing {}: {error}", object.display()));
    }
    let (compiler, output) = run_compiler(object)?;
    let log = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        // A newer compiler may add warnings; they must not fail the build.
        for line in log.lines() {
            println!("cargo::warning={line}");
        }
        return Ok(());
    }
    if log.contains("file not found") {
        return Err(format!(
            "compiling {PROGRAM} with {compiler}: a system header is missing.\n{log}\n\
             Install the kernel's user headers (Debian and Ubuntu: apt install linux-libc-dev), \
             or run scripts/setup."
        ));
    }
    Err(format!("compiling {PROGRAM} with {compiler} failed:\n{log}"))
}

/// Runs the first compiler that starts. `LINERATE_CLANG` names another one.
fn run_compiler(object: &Path) -> Result<(String, Output), String> {
    let chosen = env::var("LINERATE_CLANG").ok();
    let candidates: Vec<&str> = match &chosen {
        Some(compiler) => vec![compiler.as_str()],
        None => COMPILERS.to_vec(),
    };
    for compiler in &candidates {
        if let Ok(output) = command(compiler, object).output() {
            return Ok(((*compiler).to_owned(), output));
        }
    }
    Err(format!(
        "compiling {PROGRAM} needs clang, and none of these could be started: {}.\n\
         Run scripts/setup (Debian and Ubuntu: apt install clang), or name one in LINERATE_CLANG, \
         or build without AF_XDP: --no-default-features.",
        candidates.join(", ")
    ))
}

fn command(compiler: &str, object: &Path) -> Command {
    let mut command = Command::new(compiler);
    // -g: aya finds the maps by BTF. -mcpu=v3: 32-bit jumps, which every kernel with support for
    // frags-aware programs has.
    command.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra"]);
    // Debian and its derivatives keep asm/ in a directory per architecture, which the BPF target
    // does not search.
    if let Ok(architecture) = env::var("CARGO_CFG_TARGET_ARCH") {
        let headers = format!("/usr/include/{architecture}-linux-gnu");
        if Path::new(&headers).is_dir() {
            command.arg("-idirafter").arg(headers);
        }
    }
    command.arg("-c").arg(PROGRAM).arg("-o").arg(object);
    command
}

/// Turns `#define LINERATE_NAME 7` into `pub(crate) const NAME: u32 = 7;`.
fn write_layout(layout: &Path) -> Result<(), String> {
    let header =
        fs::read_to_string(HEADER).map_err(|error| format!("reading {HEADER}: {error}"))?;
    let mut constants = String::new();
    for line in header.lines() {
        let Some(definition) = line.strip_prefix("#define LINERATE_") else { continue };
        let Some((name, value)) = definition.split_once(' ') else { continue };
        let value: u32 = value.trim().parse().map_err(|_| {
            format!("{HEADER}: LINERATE_{name} must be a plain decimal number, not `{value}`")
        })?;
        writeln!(constants, "pub(crate) const {name}: u32 = {value};")
            .expect("writing to a String cannot fail");
    }
    fs::write(layout, constants).map_err(|error| format!("writing {}: {error}", layout.display()))
}
