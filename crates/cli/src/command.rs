//! The subcommands and their dispatch.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::control::{connections, top};
#[cfg(feature = "lab")]
use super::{bench, path};
use super::{check, load, serve, simulate, trace};

/// A kernel-bypass TCP/IP stack: AF_XDP rings, pinned workers, a batched TCP state machine.
///
/// Exit status: 0 success, 1 failure, 2 bad usage.
#[derive(Parser)]
#[command(name = "linerate", version, max_term_width = 100, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Options),
    Serve(serve::Options),
    Load(load::Options),
    Trace(trace::Options),
    #[cfg(feature = "lab")]
    Bench(bench::Options),
    #[cfg(feature = "lab")]
    #[command(hide = true)]
    BenchServer(bench::ServerOptions),
    #[cfg(feature = "lab")]
    Path(path::Options),
    Top(top::Options),
    Connections(connections::Options),
    Simulate(simulate::Options),
}

/// Parses the arguments and runs the subcommand.
pub(crate) fn main() -> ExitCode {
    // clap prints help to standard output (status 0) and usage errors to standard error (status 2).
    let result = match CommandLine::parse().command {
        Command::Check(options) => check::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Trace(options) => trace::run(&options),
        #[cfg(feature = "lab")]
        Command::Bench(options) => bench::run(&options),
        #[cfg(feature = "lab")]
        Command::BenchServer(options) => bench::serve(&options),
        #[cfg(feature = "lab")]
        Command::Path(options) => path::run(&options),
        Command::Top(options) => top::run(&options),
        Command::Connections(options) => connections::run(&options),
        Command::Simulate(options) => simulate::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("linerate: {failure}");
            ExitCode::from(failure.exit_status())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_definition_is_valid() {
        CommandLine::command().debug_assert();
    }
}
