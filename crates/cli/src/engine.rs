//! Runs a job on linerate's own workers: from the options of the command line to a
//! [`StackConfig`](linerate::runtime::StackConfig), and from its end to a report.

use std::time::Duration;

use linerate::link::xsk::{BusyPoll, Mode as SocketMode};
use linerate::metrics::Event;
use linerate::runtime::{
    Cores, DadConfig, IdlePolicy, Queues, Role, Shutdown, Stack, StackConfig, StartError,
    WorkerReport,
};
use linerate::shard::{FastOpenListener, ListenerConfig};
use linerate::tcp::congestion::{Algorithm, SlowStartExit};
use linerate::tcp::{EcnPolicy, MtuProbing};
use linerate::time::Duration as Span;
use linerate::xdp;

use super::control::Door;
use super::failure::Failure;
use super::job::{Job, Report};
use super::options::{
    Claim, CongestionControl, Ecn, Idle, Mode, Probing, SlowStart, StackOptions, XdpMode, ZeroCopy,
};
use super::sizes::Size;

/// How long a stopped server waits for its peers to close: a round trip of any path and a
/// retransmission; a user who stops a server waits no longer.
const GRACE: Span = Span::from_secs(3);

/// How often the main thread looks whether it is over.
const LOOK: Duration = Duration::from_millis(10);
/// So many of these are between two looks at the interface, which ask its driver.
const LOOKS_AT_INTERFACE: u32 = 100;

/// Runs the job until its services or a signal end it.
///
/// # Errors
/// When the options make no sense on this host, or the stack does not come up.
pub fn run(job: &Job<'_>) -> Result<Report, Failure> {
    let config = config(job)?;
    let door = Door::open(job.options.control.as_ref(), &config.interface)?;
    let mut stack = Stack::start(&config, |worker| (job.make_service)(worker))
        .map_err(|error| explain(&config.interface, &error))?;
    announce(&config, &stack);
    (job.ready)();
    let mut looks: u32 = 0;
    while stack.is_running() && !job.stop.is_raised() && !stack.interface_is_gone() {
        std::thread::sleep(LOOK);
        for note in stack.tend() {
            eprintln!("note: {note}");
        }
        if let Some(door) = &door {
            door.answer(&mut stack);
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS_AT_INTERFACE) {
            stack.look().iter().for_each(|note| eprintln!("note: {note}"));
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
    let (report, _) = stack.stop(Shutdown::Close { grace: GRACE });
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

/// Tells what was really had, and what a user should know of it.
fn announce(config: &StackConfig, stack: &Stack) {
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
    for note in stack.notes() {
        eprintln!("note: {note}");
    }
}

/// One queue's share of the work, in a line.
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

fn config(job: &Job<'_>) -> Result<StackConfig, Failure> {
    let options = job.options;
    let addresses = options.addresses.iter().map(|cidr| (cidr.address, cidr.prefix)).collect();
    let mut config = StackConfig::new(options.interface.clone().unwrap_or_default(), addresses);
    for gateway in &options.gateways {
        match gateway {
            std::net::IpAddr::V4(v4) => config.gateway_v4 = Some(*v4),
            std::net::IpAddr::V6(v6) => config.gateway_v6 = Some(*v6),
        }
    }
    config.queues = queues(options)?;
    config.cores = cores(options, &config.interface);
    config.role = match options.mode {
        Mode::Exclusive => Role::Exclusive,
        Mode::Shared => Role::Shared,
    };
    config.xdp_mode = match options.xdp_mode {
        XdpMode::Auto => xdp::XdpMode::Auto,
        XdpMode::Native => xdp::XdpMode::Native,
        XdpMode::Generic => xdp::XdpMode::Generic,
    };
    config.socket_mode = match options.zero_copy {
        ZeroCopy::Auto => SocketMode::Auto,
        ZeroCopy::On => SocketMode::ZeroCopy,
        ZeroCopy::Off => SocketMode::Copy,
    };
    config.set_rss = options.set_rss;
    config.set_offloads = options.set_offloads;
    config.rx_timestamps = options.rx_timestamps;
    config.busy_poll = options.busy_poll.map(|micros| BusyPoll { micros, ..BusyPoll::default() });
    config.chunk = options.chunk_bytes;
    config.idle = match options.idle {
        Idle::Spin => IdlePolicy::Spin,
        Idle::Adaptive => IdlePolicy::Adaptive,
        Idle::Sleep => IdlePolicy::Sleep,
    };
    config.limits.batch = usize::from(options.batch);
    config.limits.connections = options.max_connections as usize;
    set_memory(options, &mut config);
    config.settings.nagle = options.nagle;
    config.autoconf = options.slaac;
    config.dad = match options.claim {
        Claim::Quick => Some(DadConfig::QUICK),
        Claim::Thorough => Some(DadConfig::THOROUGH),
        Claim::Off => None,
    };
    config.settings.congestion = congestion(options);
    config.settings.ecn = options.ecn.map_or_else(EcnPolicy::default, |ecn| match ecn {
        Ecn::Off => EcnPolicy::Off,
        Ecn::Passive => EcnPolicy::Passive,
        Ecn::On => EcnPolicy::On,
        Ecn::Accurate => EcnPolicy::Accurate,
    });
    config.settings.slow_start_exit = match options.slow_start {
        None | Some(SlowStart::HystartPlusPlus) => SlowStartExit::HyStartPlusPlus,
        Some(SlowStart::Hystart) => SlowStartExit::HyStart,
        Some(SlowStart::Loss) => SlowStartExit::Loss,
    };
    config.settings.mtu_probing =
        options.mtu_probing.map_or_else(MtuProbing::default, |probing| match probing {
            Probing::Off => MtuProbing::Off,
            Probing::Blackhole => MtuProbing::BlackHole,
            Probing::On => MtuProbing::On,
        });
    config.capture.clone_from(&options.pcap);
    config.impairments = impairments(options)?;
    config.opens = job.listeners.is_empty();
    config.listeners = job
        .listeners
        .iter()
        .map(|listen| ListenerConfig {
            backlog: listen.backlog,
            fast_open: options.fast_open.then(FastOpenListener::default),
            ..ListenerConfig::on_port(listen.port)
        })
        .collect();
    Ok(config)
}

/// The sizes of buffers, and of all of them together.
fn set_memory(options: &StackOptions, config: &mut StackConfig) {
    let settings = &mut config.settings;
    if let Some(sizes) = options.receive_buffer {
        (settings.receive_buffer_initial, settings.receive_buffer) = (sizes.initial, sizes.max);
    }
    if let Some(sizes) = options.send_buffer {
        (settings.send_buffer_initial, settings.send_buffer) = (sizes.initial, sizes.max);
    }
    let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
    if let Some(memory) = options.memory {
        config.limits.buffer_bytes = bytes(memory);
    }
    config.memory_total = options.memory_total.map(bytes);
}

fn queues(options: &StackOptions) -> Result<Queues, Failure> {
    let Some(numbers) = &options.queues else { return Ok(Queues::default()) };
    Queues::new(numbers.0.iter().copied()).ok_or_else(|| {
        Failure::usage(
            "cannot take these queues",
            format!("{} queues", numbers.0.len()),
            format!("give between 1 and {} --queues", linerate::limits::WORKERS_MAX),
        )
    })
}

/// Those asked for; otherwise whole ones near to the NIC, one a worker.
fn cores(options: &StackOptions, interface: &str) -> Vec<usize> {
    match &options.cores {
        Some(numbers) => numbers.0.iter().map(|core| *core as usize).collect(),
        None => Cores::read().choose(&xdp::place(interface), options.workers()),
    }
}

fn congestion(options: &StackOptions) -> Algorithm {
    match options.congestion_control {
        None => Algorithm::default(),
        Some(CongestionControl::Newreno) => Algorithm::NewReno,
        Some(CongestionControl::Cubic) => Algorithm::Cubic,
        Some(CongestionControl::Bbr) => Algorithm::Bbr,
        Some(CongestionControl::Dctcp) => Algorithm::Dctcp,
    }
}

fn impairments(
    options: &StackOptions,
) -> Result<Option<linerate::link::impair::Impairments>, Failure> {
    let parsed = options.impair.as_deref().map(str::parse).transpose();
    parsed.map_err(|error| {
        Failure::usage(
            "cannot read --impair",
            error,
            "write it as in loss=1%,delay=10ms,jitter=1ms,reorder=2%,duplicate=1%,rate=100mbit",
        )
    })
}

/// A start that failed, in the words of the command line.
fn explain(interface: &str, error: &StartError) -> Failure {
    let tried = format!("cannot bring the stack up on {interface}");
    let remedy = "`linerate check --interface` tells what this host and interface can do";
    Failure::new(tried, error, remedy)
}
