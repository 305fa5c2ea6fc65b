//! Runs a job on linerate's own workers, from start to report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use linerate::metrics::Event;
use linerate::runtime::{
    LinkKind, Shutdown, Stack, StackConfig, StartError, TapConfig, WorkerReport,
};
use linerate::time::Duration as Span;

use super::control::ControlOption;
use super::failure::Failure;
use super::job::{Job, Report};
use super::stack_config;

/// Time that a stopped server gives its peers to close: a round trip of any path and a
/// retransmission. A user who stops a server does not wait longer.
const GRACE: Span = Span::from_secs(3);

/// Time between two polls of the main thread: events, the end.
const POLL: Duration = Duration::from_millis(10);

/// Runs the job until its services or a signal end it.
///
/// # Errors
/// Returns a failure if the options do not fit this host, or if the stack does not start.
pub(crate) fn run(job: &Job<'_>) -> Result<Report, Failure> {
    let config = stack_config::from_job(job)?;
    let make_service = Arc::clone(&job.make_service);
    let control = ControlOption::open(job.options.control.as_ref())?;
    let mut stack = Stack::start(&config, move |worker| make_service(worker))
        .map_err(|error| explain(&config, &error))?;
    announce(&config, &stack);
    if let Some(Err(error)) = control.map(|socket| stack.serve_control(socket)) {
        eprintln!("note: {error}");
    }
    (job.ready)();
    let events = stack.events();
    while stack.is_running() && !job.stop.is_raised() && !stack.interface_is_gone() {
        std::thread::sleep(POLL);
        while let Some(event) = events.try_recv() {
            eprintln!("note: {event}");
        }
    }
    if stack.interface_is_gone() {
        stack.stop(Shutdown::Abort);
        return Err(Failure::new(
            format!("cannot go on without {}", config.interface),
            "the interface was removed",
            "start again when it is back",
        ));
    }
    if job.drains {
        drain(&stack);
    }
    let report = stack.stop(Shutdown::Close { grace: GRACE });
    report.workers.iter().for_each(|worker| eprintln!("{}", figures(worker)));
    let counters = report.counters();
    let links = report.workers.iter().map(|worker| worker.link);
    let dropped = [
        ("link.rx-dropped".to_owned(), links.clone().map(|link| link.rx_dropped).sum()),
        ("link.tx-dropped".to_owned(), links.map(|link| link.tx_dropped).sum()),
    ];
    let counted = counters.entries().chain(dropped).filter(|(_, count)| *count > 0);
    Ok(Report { counters: counted.collect() })
}

/// Gives services the grace to finish what is under way. The connections that they leave open are
/// closed afterwards.
fn drain(stack: &Stack) {
    // The stack would reset them at the deadline, so that comes later than the close.
    stack.drain(GRACE.times(2));
    let until = Instant::now() + Duration::from(GRACE);
    while stack.is_running() && Instant::now() < until {
        std::thread::sleep(POLL);
    }
}

/// Prints the modes in use, and the notes of the stack.
fn announce(config: &StackConfig, stack: &Stack) {
    match &config.link {
        LinkKind::Tap(tap) => announce_tap(config, tap),
        _ => announce_xdp(config, stack),
    }
    for note in stack.notes() {
        eprintln!("note: {note}");
    }
}

fn announce_tap(config: &StackConfig, tap: &TapConfig) {
    let kernel = tap.kernel_addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
    let kernel = match &kernel.collect::<Vec<_>>()[..] {
        [] => "no address".to_owned(),
        addresses => addresses.join(", "),
    };
    eprintln!("{}: TAP device, the kernel has {kernel} there", config.interface);
}

fn announce_xdp(config: &StackConfig, stack: &Stack) {
    let mut mode = stack.attachment().map_or("none", |it| it.mode.name()).to_owned();
    let hints = stack.attachment().map(|attachment| attachment.hints).unwrap_or_default();
    if !hints.is_empty() {
        mode.push_str(&format!(" ({})", hints.names().collect::<Vec<_>>().join(", ")));
    }
    let queues = config.queues.as_slice().iter().zip(stack.bound());
    let mut cores = config.cores.iter();
    let bound: Vec<String> = queues
        .map(|(queue, bound)| {
            let on = cores.next().map(|core| format!(" on core {core}")).unwrap_or_default();
            format!("queue {queue} {}{on}", bound.name())
        })
        .collect();
    eprintln!("{}: XDP program {mode}, {}", config.interface, bound.join(", "));
}

/// Formats the counters of one queue as a line.
fn figures(worker: &WorkerReport) -> String {
    let of = |event: Event| format!("{} {}", event.name(), worker.counters.counted(event));
    let link = &worker.link;
    let mut figures = vec![
        format!("rx-frames {}", link.rx_frames),
        format!("tx-frames {}", link.tx_frames),
        format!("rx-dropped {}", link.rx_dropped),
        format!("tx-dropped {}", link.tx_dropped),
    ];
    figures.extend([Event::ActiveOpen, Event::PassiveOpen, Event::HandedOver].map(of));
    figures.extend([Event::TakenOver, Event::Strayed].map(of));
    format!("queue {}: {}", worker.queue, figures.join(", "))
}

/// Turns a failed start into a failure of the command line.
fn explain(config: &StackConfig, error: &StartError) -> Failure {
    let interface = &config.interface;
    let tried = format!("cannot start the stack on {interface}");
    let remedy = match config.link {
        LinkKind::Tap(_) => "run it inside `unshare -rn`, or as root".to_owned(),
        _ => format!("run `linerate check --interface {interface}`"),
    };
    Failure::new(tried, error, remedy)
}
