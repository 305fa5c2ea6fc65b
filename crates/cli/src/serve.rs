//! `linerate serve`: runs services on a stack until a signal stops it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use linerate::shard::{Service, ServiceMux};

use super::failure::Failure;
use super::job::{Job, Listen};
use super::network;
use super::options::StackOptions;
use super::output;
use super::service::{Content, Named};
use super::stack;
use super::stop::Stop;

/// Run services on the stack: echo, discard, chargen, daytime, http, close.
///
/// Prints `ready` as its first line on standard output once it serves, and runs until SIGINT or
/// SIGTERM.
#[derive(Args, Debug)]
#[command(after_help = "\
Services, each on every --address, IPv4 and IPv6:
  echo     sends back what it receives
  discard  reads and drops
  chargen  streams a printable pattern as fast as the peer takes it
  daytime  sends one line with the time, then closes first
  http     HTTP/1.1 with keep-alive: a fixed body (--body-bytes) or a file (--file)
  close    sends nothing, closes when the peer does

Examples:
  linerate serve --interface eth0 --address 10.0.0.2/24 --service echo:7 --service http:80
  linerate serve --interface eth0 --address 10.0.0.2/24 --address fd00::2/64 --service close:9000 \\
      --queues 0-1 --cores 2,3 --idle spin
  linerate serve --stack kernel --service echo:7007")]
pub(crate) struct Options {
    /// A service and its TCP port, for example echo:7; repeat for several
    #[arg(long = "service", value_name = "NAME:PORT", required = true)]
    services: Vec<Named>,

    /// File that `http` serves, under / and its own name [default: a body of --body-bytes]
    #[arg(long, value_name = "FILE", conflicts_with = "body_bytes")]
    file: Option<PathBuf>,

    /// Bytes of the body that `http` serves; units k, M, G
    #[arg(long, value_name = "BYTES", default_value = "1024", value_parser = network::bytes)]
    body_bytes: u64,

    /// Connections that may wait to be accepted, for each service (the kernel caps it at
    /// net.core.somaxconn)
    #[arg(long, value_name = "N", default_value = "4096")]
    backlog: u32,

    #[command(flatten)]
    stack: StackOptions,
}

/// Serves until a signal comes.
///
/// # Errors
/// When the options make no sense, the file cannot be read, or the stack does not come up.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    check_ports(&options.services)?;
    options.stack.check()?;
    let content = Arc::new(content(options)?);
    let listeners: Vec<Listen> = options
        .services
        .iter()
        .map(|service| Listen { port: service.port, backlog: options.backlog })
        .collect();
    let stop = Stop::on_signals()?;
    let services = options.services.clone();
    let report = stack::run(&Job {
        options: &options.stack,
        listeners: &listeners,
        make_service: Arc::new(move |_| make(&services, &content)),
        stop: &stop,
        // Whoever waited for the line may have gone: we serve all the same.
        ready: &|| output::print("ready\n"),
    })?;
    for (name, count) in &report.counters {
        eprintln!("{name}: {count}");
    }
    Ok(())
}

/// One service needs no mux before it.
fn make(services: &[Named], content: &Arc<Content>) -> Box<dyn Service> {
    match services {
        [only] => only.name.make(content),
        several => {
            Box::new(ServiceMux::new(several.iter().map(|it| it.name.make(content)).collect()))
        }
    }
}

fn check_ports(services: &[Named]) -> Result<(), Failure> {
    let tried = "cannot serve all of these";
    for (index, service) in services.iter().enumerate() {
        if services[..index].iter().any(|other| other.port == service.port) {
            return Err(Failure::usage(
                tried,
                format!("port {} is given to two services", service.port),
                "give each --service a port of its own",
            ));
        }
    }
    if services.len() > 256 {
        return Err(Failure::usage(tried, "more than 256 services", "run several servers"));
    }
    Ok(())
}

fn content(options: &Options) -> Result<Content, Failure> {
    let Some(path) = &options.file else {
        let most = 1 << 30;
        if options.body_bytes > most {
            return Err(Failure::usage(
                "cannot serve such a body",
                format!("{} bytes are more than {most}", options.body_bytes),
                "use a smaller --body-bytes, or --file",
            ));
        }
        return Ok(Content::of_size(options.body_bytes as usize));
    };
    Content::of_file(path).map_err(|error| {
        Failure::new(
            format!("cannot read {} to serve it", path.display()),
            error,
            "give a file that exists and can be read with --file",
        )
    })
}
