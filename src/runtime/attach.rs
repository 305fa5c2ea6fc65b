//! A stack on AF_XDP: attaches the program, opens a socket per queue, claims addresses and ports.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, Mutex};

use super::capture::Capture;
use super::clock::Clock;
use super::config::{Role, StackConfig};
use super::error::StartError;
use super::nic::{self, OffloadGuard, RssGuard};
use super::opened::{ETHERNET_MAX, Hold, Opened};
use super::setup::Plan;
use super::steering;
use super::xdp_hold::XdpHold;
use crate::link::Link;
use crate::link::xsk::{self, Bound, XskLink};
use crate::wire::ndp;
use crate::xdp::{self, AttachedMode, Fragments, Hints, Policy, Probe, Program, Routers};

/// Time that a driver may take to restore its carrier after the program was attached, ms: igb takes
/// 0.4 s, others up to some seconds.
const CARRIER_WAIT_MS: u64 = 10_000;
/// Time to wait where the interface had no carrier before, ms: it may be about to come up.
const NO_CARRIER_WAIT_MS: u64 = 3_000;

/// An interface that can carry a stack, as it was before the program.
pub(super) type Found = Probe;

/// Probes the interface, and checks that it has the configured queues.
pub(super) fn find(config: &StackConfig) -> Result<Found, StartError> {
    let probe = xdp::probe(&config.interface)?;
    let highest = config.queues.as_slice().iter().max().copied().unwrap_or(0);
    xdp::check_queues(&config.interface, highest + 1)?;
    Ok(probe)
}

/// Attaches the program and opens a socket per queue.
pub(super) fn open(plan: &Plan<'_>, probe: Found) -> Result<Opened, StartError> {
    let mut attaching = Attaching { plan, probe };
    let mut notes = Vec::new();
    // Before the program: with LRO on, drivers refuse it.
    let offload_guard = attaching.disable_offloads(&mut notes);
    let (mut program, fallbacks) = attaching.attach_program()?;
    notes.extend(fallbacks);
    let rss_guard = attaching.settle_queues(&mut notes);
    let sockets = attaching.open_links(&mut program)?;
    notes.extend(sockets.notes);
    let probe = attaching.probe;
    Ok(Opened {
        links: sockets.links,
        mac: probe.mac,
        mtu: sockets.mtu_max.min(probe.mtu as usize),
        mtu_max: sockets.mtu_max,
        stamped: program.attachment().is_some_and(|attachment| attachment.hints.stamp),
        probe,
        notes,
        hold: Hold::Xdp(Box::new(XdpHold {
            attachment: program.attachment().cloned(),
            program: Arc::new(Mutex::new(program)),
            groups: None,
            shared_addresses: shared_addresses(plan.config),
            bound: sockets.bound,
            rss_guard,
            _offload_guard: offload_guard,
        })),
    })
}

/// Claims the addresses and, in shared mode, the ports, and joins the multicast groups of the
/// addresses.
pub(super) fn claim(plan: &Plan<'_>, opened: &mut Opened) -> Result<(), StartError> {
    let Hold::Xdp(held) = &mut opened.hold else { return Ok(()) };
    held.groups = join_groups(plan.config, opened.probe.index, &mut opened.notes);
    held.with_program(|program| claim_frames(plan, program))
}

/// The open sockets.
#[derive(Default)]
struct Sockets {
    links: Vec<Box<dyn Link + Send>>,
    bound: Vec<Bound>,
    /// Longest packet that all sockets carry at any MTU, bytes.
    mtu_max: usize,
    notes: Vec<String>,
}

/// A stack on its way to an interface.
struct Attaching<'a> {
    plan: &'a Plan<'a>,
    probe: Probe,
}

impl<'a> Attaching<'a> {
    const fn config(&self) -> &'a StackConfig {
        self.plan.config
    }

    /// Loads and attaches the program. It claims nothing yet: all traffic passes to the kernel.
    fn attach_program(&self) -> Result<(Program, Vec<String>), StartError> {
        let mut program = Program::load()?;
        program.set_policy(Policy {
            role: self.config().role,
            // In shared mode the kernel reassembles them: the ports that decide whose they are come
            // only in the first fragment.
            fragments: match self.config().role {
                Role::Exclusive => Fragments::Stack,
                Role::Shared => Fragments::Pass,
            },
            routers: if self.config().autoconf { Routers::Stack } else { Routers::Kernel },
        })?;
        let hints = Hints { vlan: true, stamp: self.config().rx_timestamps, hash: false };
        program.set_hints(hints);
        let attachment = program.attach(&self.config().interface, self.config().xdp_mode)?;
        let mut notes: Vec<String> = attachment.fallback.iter().cloned().collect();
        notes.extend(nic::hints_problem(&self.probe, attachment));
        Ok((program, notes))
    }

    /// Disables the offloads that merge or strip frames in the NIC, where configured.
    fn disable_offloads(&self, notes: &mut Vec<String>) -> Option<OffloadGuard> {
        let name = &self.config().interface;
        notes.extend(self.config().busy_poll.and_then(|_| nic::deferral_problem(name)));
        if !self.config().set_offloads {
            return None;
        }
        OffloadGuard::disable(name)
            .map_err(|error| {
                notes.push(format!(
                    "cannot disable the offloads of `{name}`: {error}; run `ethtool -K {name} lro off \
                     rxvlan off`"
                ))
            })
            .ok()
    }

    /// Probes the queues again: some drivers add queues of their own with a program, and spread
    /// flows over them (virtio-net adds one per CPU to send on, and receives on it too). Where
    /// configured, makes the NIC use the workers' queues only.
    fn settle_queues(&mut self, notes: &mut Vec<String>) -> Option<RssGuard> {
        let (name, queues) = (&self.config().interface, self.config().queues.as_slice());
        let before = self.probe.rss.take();
        let mut guard = None;
        if self.config().set_rss {
            let set = match &before {
                Some(before) => RssGuard::set(name, before, queues),
                None => Err(std::io::Error::other("it has no RSS table")),
            };
            match set {
                Ok(set) => guard = Some(set),
                Err(error) => notes.push(format!(
                    "cannot make `{name}` spread flows over the workers' queues only: {error}"
                )),
            }
        }
        self.probe.rss = xdp::rss(name);
        self.probe.rx_queues = xdp::rx_queues(name);
        notes.extend(steering::problems(&self.probe, queues));
        guard
    }

    /// Opens a socket per queue and puts it in the program's map.
    fn open_links(&self, program: &mut Program) -> Result<Sockets, StartError> {
        let mut sockets = Sockets { mtu_max: usize::MAX, ..Sockets::default() };
        let (native, stamped) = program.attachment().map_or((false, false), |attachment| {
            (attachment.mode == AttachedMode::Native, attachment.hints.stamp)
        });
        let capture = Capture::create(self.config())?;
        for (number, queue) in self.config().queues.as_slice().iter().enumerate() {
            let core = self.plan.move_to_core_of(number);
            let link = XskLink::open(&self.socket(*queue, native, stamped))?;
            drop(core);
            if number == 0 {
                sockets.notes.extend(link.notes().iter().cloned());
            }
            sockets.bound.push(link.bound());
            sockets.mtu_max = sockets.mtu_max.min(link.frame_max() - ETHERNET_MAX);
            if let Some(fd) = link.wait_fd() {
                program.insert_socket(*queue, fd)?;
            }
            sockets.links.push(self.plan.wrap(Box::new(link), &capture, number));
        }
        // A zero-copy socket resets its queue; some drivers reset the whole NIC.
        sockets.notes.extend(self.await_carrier());
        Ok(sockets)
    }

    fn socket(&self, queue: u32, native: bool, stamped: bool) -> xsk::Config {
        let mut config = xsk::Config::new(&self.config().interface, queue);
        // Sockets of a generic program copy, even if a zero-copy bind succeeds.
        config.mode = if native { self.config().socket_mode } else { xsk::Mode::Copy };
        config.frame_size = self.chunk(config.mode);
        config.busy_poll = self.config().busy_poll;
        config.metadata = stamped;
        config
    }

    /// Returns the size of a chunk, bytes: half a page, unless the driver may split frames then.
    fn chunk(&self, mode: xsk::Mode) -> u32 {
        const HALF_PAGE: u32 = 2048;
        const PAGE: u32 = 4096;
        /// Headroom of the kernel before each packet (XDP_PACKET_HEADROOM), bytes.
        const HEADROOM: u32 = 256;
        let may_be_zero_copy = mode != xsk::Mode::Copy
            && self.probe.features.is_none_or(|features| features.zero_copy());
        let is_short = self.probe.mtu as usize + ETHERNET_MAX <= (HALF_PAGE - HEADROOM) as usize;
        let is_whole = !may_be_zero_copy || xdp::takes_half_pages(self.probe.driver.as_deref());
        self.config().chunk.unwrap_or(if is_short && is_whole { HALF_PAGE } else { PAGE })
    }

    /// Waits for the carrier: some drivers lose it when a program is attached or a socket is bound.
    /// Waits less where there was none before, as just after another stack has stopped.
    fn await_carrier(&self) -> Option<String> {
        let wait = if self.probe.carrier { CARRIER_WAIT_MS } else { NO_CARRIER_WAIT_MS };
        // Not from /sys, which shows the network namespace in which it was mounted.
        let up = || xdp::has_carrier(&self.config().interface);
        let clock = Clock::new();
        let until = clock.now().as_millis() + wait;
        while !up() {
            if clock.now().as_millis() >= until {
                let name = &self.config().interface;
                return Some(format!(
                    "`{name}` has no carrier: no packets arrive until it has one; check the \
                     cable, or the other end of a veth pair"
                ));
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        None
    }
}

/// Claims the addresses and, in shared mode, the ports: from now on the program redirects their
/// frames.
fn claim_frames(plan: &Plan<'_>, program: &mut Program) -> Result<(), StartError> {
    if plan.config.role == Role::Shared {
        for listener in &plan.config.listeners {
            program.claim_ports(listener.port..=listener.port)?;
        }
        if plan.config.opens {
            program.claim_ports(plan.source_ports())?;
        }
    }
    for (address, _) in &plan.config.addresses {
        program.claim_address(*address)?;
    }
    Ok(())
}

/// Joins the solicited-node multicast groups of our IPv6 addresses (RFC 4291 §2.7.1, RFC 4862
/// §5.4.2): NICs filter groups that were not joined, and switches may. The kernel is a member
/// as long as the socket is open, and does not answer for these addresses.
fn join_groups(config: &StackConfig, index: u32, notes: &mut Vec<String>) -> Option<UdpSocket> {
    let groups = config.addresses.iter().filter_map(|(address, _)| match address {
        IpAddr::V6(address) => Some(ndp::solicited_node(*address)),
        IpAddr::V4(_) => None,
    });
    let groups: Vec<_> = groups.collect();
    if groups.is_empty() && !config.autoconf || config.role == Role::Shared {
        return None;
    }
    let joined = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| {
        for group in groups {
            match socket.join_multicast_v6(&group, index) {
                // Two addresses may have the same group.
                Err(error) if error.kind() != ErrorKind::AddrInUse => return Err(error),
                _ => {}
            }
        }
        Ok(socket)
    });
    joined
        .map_err(|error| {
            notes.push(format!(
                "cannot join the multicast groups of the IPv6 addresses ({error}): if the NIC \
                 filters multicast, neighbours do not find these addresses"
            ));
        })
        .ok()
}

/// Returns the addresses of the kernel that the stack uses too; none in exclusive mode.
fn shared_addresses(config: &StackConfig) -> Vec<IpAddr> {
    match config.role {
        Role::Exclusive => Vec::new(),
        Role::Shared => config.addresses.iter().map(|(address, _)| *address).collect(),
    }
}
