//! `linerate serve`: runs services on a stack until a signal stops it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use linerate::shard::{ListenerId, Service, ServiceMux};

use super::failure::Failure;
use super::job::{Job, Listen};
use super::network;
use super::options::StackOptions;
use super::output;
use super::service::{BODY_MAX, Content, Named, Site, Timeouts};
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
  http     HTTP/1.1 (hyper): a fixed body (--body-bytes) or a file (--file)
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

    /// Regular file of at most 1 GiB that `http` serves, under / and its own name [default: a body
    /// of --body-bytes]
    #[arg(long, value_name = "FILE", conflicts_with = "body_bytes")]
    file: Option<PathBuf>,

    /// Bytes of the body that `http` serves; units k, M, G
    #[arg(long, value_name = "BYTES", default_value = "1024", value_parser = network::bytes)]
    body_bytes: u64,

    /// Host name or address that `http` answers for, without the port; repeat for several. Other
    /// hosts get status 421 [default: any]
    #[arg(long = "http-host", value_name = "HOST")]
    http_hosts: Vec<String>,

    /// Seconds that a client of `http` may take for the head of a request
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = network::seconds)]
    http_header_timeout: Duration,

    /// Seconds that a connection of `http` may be idle between requests, take for the body of a
    /// request, and take to read more of a response
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = network::seconds)]
    http_idle_timeout: Duration,

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
    let site = Arc::new(site(options)?);
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
        make_service: Arc::new(move |_| make(&services, &site)),
        drains: options.services.iter().any(|service| service.drains()),
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
fn make(services: &[Named], site: &Arc<Site>) -> Box<dyn Service> {
    let listeners = (0..).map(ListenerId);
    let made = services.iter().zip(listeners).map(|(service, it)| service.make(it, site));
    let mut made: Vec<_> = made.collect();
    if made.len() == 1 { made.remove(0) } else { Box::new(ServiceMux::new(made)) }
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

fn site(options: &Options) -> Result<Site, Failure> {
    let timeouts = Timeouts {
        header: options.http_header_timeout.into(),
        idle: options.http_idle_timeout.into(),
    };
    let content = Arc::new(content(options)?);
    Ok(Site { content, hosts: options.http_hosts.clone(), timeouts })
}

fn content(options: &Options) -> Result<Content, Failure> {
    let Some(path) = &options.file else {
        if options.body_bytes > BODY_MAX {
            return Err(Failure::usage(
                "cannot serve such a body",
                format!("{} bytes are more than {BODY_MAX}", options.body_bytes),
                "use a smaller --body-bytes, or --file",
            ));
        }
        return Ok(Content::of_size(options.body_bytes as usize));
    };
    Content::of_file(path).map_err(|error| {
        Failure::new(
            format!("cannot read {} to serve it", path.display()),
            error,
            "give a regular file that can be read, of at most 1 GiB, with --file",
        )
    })
}
