//! The hidden subcommand `bench-server`: runs one of the servers.

use std::sync::Arc;

use clap::Args;
use linerate::net::{Executor, HyperIo, TcpListener, spawn};
use linerate::shard::{ListenerId, Service};

use super::answer;
use super::callbacks::Callbacks;
use super::entry::Entry;
use super::sockets;
use crate::failure::Failure;
use crate::job::{Job, Listen};
use crate::options::StackOptions;
use crate::output;
use crate::stack;
use crate::stop::Stop;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// Serve HTTP for `linerate bench`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Server
    #[arg(long, value_enum)]
    server: Entry,

    /// TCP port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    #[command(flatten)]
    stack: StackOptions,
}

/// Serves until a signal comes. Prints `ready` once the server accepts connections.
///
/// # Errors
/// When the server does not start.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    match options.server {
        Entry::Tokio => run_tokio(options),
        Entry::Linerate | Entry::Callbacks => run_on_linerate(options),
    }
}

fn run_on_linerate(options: &Options) -> Result<(), Failure> {
    options.stack.check()?;
    let stop = Stop::on_signals()?;
    let Options { server, port, .. } = *options;
    let report = stack::run(&Job {
        options: &options.stack,
        listeners: &[Listen { port, backlog: BACKLOG }],
        make_service: Arc::new(move |_| service(server, port)),
        drains: false,
        stop: &stop,
        ready: &|| output::print("ready\n"),
    })?;
    for (name, count) in &report.counters {
        eprintln!("{name}: {count}");
    }
    Ok(())
}

fn service(server: Entry, port: u16) -> Box<dyn Service> {
    if server == Entry::Callbacks {
        return Box::new(Callbacks::new());
    }
    Box::new(Executor::new(async move || {
        let listener = TcpListener::configured(ListenerId(0), port);
        let listener = listener.expect("a task of a worker");
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            spawn(answer::serve(HyperIo::new(stream)));
        }
    }))
}

/// Runs until a signal ends the process.
fn run_tokio(options: &Options) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let tried = format!("cannot serve HTTP on port {} of the kernel", options.port);
        Failure::new(tried, error, "use a free --port")
    };
    if let Some(&core) = options.stack.cores.as_ref().and_then(|list| list.0.first()) {
        core_affinity::set_for_current(core_affinity::CoreId { id: core as usize });
    }
    let served = sockets::run(async {
        let listener = sockets::listen(options.port).await?;
        output::print("ready\n");
        sockets::serve(listener).await
    });
    served.map(|never| match never {}).map_err(failed)
}
