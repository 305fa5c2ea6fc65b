//! The command line. It uses only the public API of the library, so any program can do the same.
//!
//! Services ([`service`]) and load patterns ([`load`]) are written once, against
//! [`linerate::shard::Service`] and [`linerate::shard::Io`]. They run on either stack behind
//! [`stack`]: linerate's workers, or kernel sockets ([`kernel`]). The same program measures both
//! stacks, down to the clock readings.
//!
//! Contract of every subcommand: exit status 0 for success, 1 for failure, 2 for bad usage. With
//! `--json`, standard output carries one object and nothing else. Progress and errors go to
//! standard error. Every error says what was tried, what went wrong and what to do about it
//! ([`failure`]).

// The benchmarks of the feature `lab` share these modules; without it some of their code is unused.
#![cfg_attr(not(feature = "lab"), allow(dead_code, unused_imports))]

#[cfg(feature = "lab")]
mod bench;
mod check;
mod civil;
mod command;
mod control;
mod engine;
mod failure;
mod job;
mod kernel;
mod link_options;
mod load;
mod netns;
mod network;
mod options;
mod output;
#[cfg(feature = "lab")]
mod path;
mod serve;
mod service;
mod simulate;
mod sizes;
mod stack;
mod stack_config;
mod stop;
mod trace;

fn main() -> std::process::ExitCode {
    command::main()
}
