//! From the options of the command line to a [`StackConfig`].

use linerate::link::xsk::{BusyPoll, Mode as SocketMode};
use linerate::runtime::{Cores, DadConfig, IdlePolicy, Queues, Role, StackConfig};
use linerate::shard::{FastOpenListener, ListenerConfig};
use linerate::tcp::congestion::{Algorithm, SlowStartExit};
use linerate::tcp::{EcnPolicy, MtuProbing, Settings};
use linerate::xdp;

use super::failure::Failure;
use super::job::Job;
use super::options::{
    Claim, CongestionControl, Ecn, Idle, Mode, Probing, SlowStart, StackOptions, XdpMode, ZeroCopy,
};
use super::sizes::Size;

/// Builds the configuration of the stack from the options of a job.
///
/// # Errors
/// Returns a failure if the queues or the impairments make no sense.
pub(crate) fn from_job(job: &Job<'_>) -> Result<StackConfig, Failure> {
    let options = job.options;
    let addresses: Vec<_> =
        options.addresses.iter().map(|cidr| (cidr.address, cidr.prefix)).collect();
    let link = options.link.kind(&addresses);
    let interface = options.interface.as_deref().unwrap_or(options.link.default_interface());
    let mut config = StackConfig::new(interface, addresses);
    config.link = link;
    for gateway in &options.gateways {
        match gateway {
            std::net::IpAddr::V4(v4) => config.gateway_v4 = Some(*v4),
            std::net::IpAddr::V6(v6) => config.gateway_v6 = Some(*v6),
        }
    }
    config.queues = queues(options)?;
    config.cores = cores(options, &config.interface);
    set_modes(options, &mut config);
    config.set_rss = options.set_rss;
    config.set_offloads = options.set_offloads;
    config.rx_timestamps = options.rx_timestamps;
    config.busy_poll = options.busy_poll.map(|micros| BusyPoll { micros, ..BusyPoll::default() });
    config.chunk = options.chunk_bytes;
    config.limits.batch = usize::from(options.batch);
    config.limits.connections = options.max_connections as usize;
    set_memory(options, &mut config);
    config.autoconf = options.slaac;
    config.dad = match options.claim {
        Claim::Quick => Some(DadConfig::QUICK),
        Claim::Thorough => Some(DadConfig::THOROUGH),
        Claim::Off => None,
    };
    set_tcp(options, &mut config.settings);
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

/// Sets how the stack is attached, and what its workers do when idle.
fn set_modes(options: &StackOptions, config: &mut StackConfig) {
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
    config.idle = match options.idle {
        Idle::Spin => IdlePolicy::Spin,
        Idle::Adaptive => IdlePolicy::Adaptive,
        Idle::Sleep => IdlePolicy::Sleep,
    };
}

/// Sets how TCP behaves.
fn set_tcp(options: &StackOptions, settings: &mut Settings) {
    settings.nagle = options.nagle;
    settings.congestion = congestion(options);
    settings.ecn = options.ecn.map_or_else(EcnPolicy::default, |ecn| match ecn {
        Ecn::Off => EcnPolicy::Off,
        Ecn::Passive => EcnPolicy::Passive,
        Ecn::On => EcnPolicy::On,
        Ecn::Accurate => EcnPolicy::Accurate,
    });
    settings.slow_start_exit = match options.slow_start {
        None | Some(SlowStart::HystartPlusPlus) => SlowStartExit::HyStartPlusPlus,
        Some(SlowStart::Hystart) => SlowStartExit::HyStart,
        Some(SlowStart::Loss) => SlowStartExit::Loss,
    };
    settings.mtu_probing =
        options.mtu_probing.map_or_else(MtuProbing::default, |probing| match probing {
            Probing::Off => MtuProbing::Off,
            Probing::Blackhole => MtuProbing::BlackHole,
            Probing::On => MtuProbing::On,
        });
}

/// Sets the sizes of buffers, and the memory of all of them.
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
            "cannot use these queues",
            format!("{} queues", numbers.0.len()),
            format!("give between 1 and {} --queues", linerate::limits::WORKERS_MAX),
        )
    })
}

/// Returns the cores of the options; by default physical cores on the NIC's node, one per worker.
fn cores(options: &StackOptions, interface: &str) -> Vec<usize> {
    match &options.cores {
        Some(numbers) => numbers.0.iter().map(|core| *core as usize).collect(),
        None => Cores::read().choose(&xdp::locality(interface), options.workers()),
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
