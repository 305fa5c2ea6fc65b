//! The command line. It sees only the public crate: what it can do, any program can do.
//!
//! Services ([`service`]) and load patterns ([`load`]) are written once, against
//! [`linerate::shard::Service`] and [`linerate::shard::Io`], and run on either stack behind [`stack`]:
//! linerate's workers, or the kernel's sockets ([`kernel`]). Both stacks are so measured by the same
//! program, down to the clock readings.
//!
//! Contract of every subcommand: exit status 0 done, 1 failed, 2 bad usage; with `--json` one object on
//! standard output and nothing else there; progress and complaints on standard error; each error says
//! what was tried, what went wrong and what to do about it ([`failure`]).

// The measurements of the feature `lab` share these modules; without it some of their code is idle.
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
mod stop;
mod trace;

fn main() -> std::process::ExitCode {
    command::main()
}
