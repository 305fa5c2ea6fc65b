//! Setup: from a configuration to open sockets, an attached program and shards. All errors of a
//! configuration are found here, before a thread starts.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv6Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::budget::{Budget, Share};
use super::capture::Capture;
use super::clock::Clock;
use super::config::{Role, StackConfig};
use super::cores::{CoreGuard, Cores};
use super::error::StartError;
use super::steering::{self, OffloadGuard, RssGuard, steering};
use super::watch::Watch;
use crate::link::Link;
use crate::link::impair::{Impaired, Impairments};
use crate::link::xsk::{self, Bound, XskLink};
use crate::shard::{Config, Shard};
use crate::wire::ethernet::MacAddr;
use crate::wire::ndp;
use crate::xdp::{self, AttachedMode, Fragments, Hints, Policy, Probe, Program, Routers};

/// A configuration that was checked against the interface and the kernel.
pub(super) struct Plan<'a> {
    config: &'a StackConfig,
    probe: Probe,
    cores: Cores,
    secret: [u8; 32],
    /// Key of the interface identifiers, see [`stable_key`].
    stable_key: [u8; 16],
}

/// The open links of the workers.
pub(super) struct Opened {
    pub(super) links: Vec<Box<dyn Link + Send>>,
    pub(super) bound: Vec<Bound>,
    /// Longest packet at the present MTU of the interface that all links carry, bytes.
    pub(super) mtu: usize,
    /// Longest packet that all links carry at any MTU, bytes.
    pub(super) mtu_max: usize,
    pub(super) notes: Vec<String>,
}

/// Ethernet header with one VLAN tag.
const ETHERNET_MAX: usize = 18;

/// Time that a driver may take to restore its carrier after the program was attached, ms: igb takes
/// 0.4 s, others up to some seconds.
const CARRIER_WAIT_MS: u64 = 10_000;
/// Time to wait where the interface had no carrier before, ms: it may be about to come up.
const NO_CARRIER_WAIT_MS: u64 = 3_000;

impl<'a> Plan<'a> {
    /// Checks a configuration against the interface and the kernel's addresses and ports.
    pub(super) fn make(config: &'a StackConfig) -> Result<Self, StartError> {
        let probe = xdp::probe(&config.interface)?;
        let highest = config.queues.as_slice().iter().max().copied().unwrap_or(0);
        xdp::check_queues(&config.interface, highest + 1)?;
        let secret = draw_secret()?;
        let cores = Cores::read();
        let plan = Self { config, probe, cores, secret, stable_key: stable_key(&secret) };
        plan.check_cores()?;
        plan.check_addresses()?;
        plan.check_ports()?;
        Ok(plan)
    }

    pub(super) fn watch(&self, mtu_max: usize) -> Watch {
        Watch::new(self.probe.clone(), self.config.queues.as_slice(), mtu_max)
    }

    pub(super) const fn index(&self) -> u32 {
        self.probe.index
    }

    /// Returns true if the workers follow the kernel's tables: where the kernel owns the addresses.
    pub(super) fn mirror_wanted(&self) -> bool {
        self.config.role == Role::Shared
    }

    pub(super) const fn frame_max(&self) -> usize {
        self.probe.mtu as usize + ETHERNET_MAX
    }

    fn check_cores(&self) -> Result<(), StartError> {
        let available = self.cores.numbers();
        let mut configured = self.config.cores.iter();
        // If the kernel does not list its cores, accept the configuration.
        match configured.find(|core| !available.is_empty() && !available.contains(core)) {
            Some(core) => Err(StartError::NoSuchCore { core: *core, available }),
            None => Ok(()),
        }
    }

    /// Returns problems with the cores of the workers. Call it once the sockets are open: drivers
    /// request their interrupts again when a program is attached, and may get them on other cores.
    pub(super) fn core_problems(&self) -> Vec<String> {
        let queues = self.config.queues.as_slice().iter().copied();
        let workers: Vec<(u32, usize)> = queues.zip(self.config.cores.iter().copied()).collect();
        let name = &self.config.interface;
        self.cores.problems(name, &xdp::locality(name), &workers)
    }

    /// On a machine with several NUMA nodes, moves the calling thread to the core of worker
    /// `number`, so that memory comes from the worker's node.
    pub(super) fn move_to_core_of(&self, number: usize) -> Option<CoreGuard> {
        let core = self.config.cores.get(number).filter(|_| self.cores.span_nodes())?;
        CoreGuard::move_to(*core)
    }

    fn check_addresses(&self) -> Result<(), StartError> {
        for (address, _) in &self.config.addresses {
            // Only an address of the kernel can be bound.
            let is_kernels = UdpSocket::bind((*address, 0)).is_ok();
            match self.config.role {
                Role::Exclusive if is_kernels => {
                    return Err(StartError::AddressInUse { address: *address });
                }
                Role::Shared if !is_kernels => {
                    let interface = self.config.interface.clone();
                    return Err(StartError::AddressNotShared { address: *address, interface });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), StartError> {
        if self.config.role == Role::Exclusive {
            return Ok(());
        }
        for listener in &self.config.listeners {
            for (address, _) in &self.config.addresses {
                let bound = TcpListener::bind((*address, listener.port));
                let in_use = bound.is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse);
                if in_use {
                    return Err(StartError::PortInUse { port: listener.port });
                }
            }
        }
        Ok(())
    }

    /// Loads and attaches the program. It claims nothing yet: all traffic passes to the kernel.
    pub(super) fn attach_program(&self) -> Result<(Program, Vec<String>), StartError> {
        let mut program = Program::load()?;
        program.set_policy(Policy {
            role: self.config.role,
            // In shared mode the kernel reassembles them: the ports that decide whose they are come
            // only in the first fragment.
            fragments: match self.config.role {
                Role::Exclusive => Fragments::Stack,
                Role::Shared => Fragments::Pass,
            },
            routers: if self.config.autoconf { Routers::Stack } else { Routers::Kernel },
        })?;
        let hints = Hints { vlan: true, stamp: self.config.rx_timestamps, hash: false };
        program.set_hints(hints);
        let attachment = program.attach(&self.config.interface, self.config.xdp_mode)?;
        let mut notes: Vec<String> = attachment.fallback.iter().cloned().collect();
        notes.extend(steering::hints_problem(&self.probe, attachment));
        Ok((program, notes))
    }

    /// Disables the offloads that merge or strip frames in the NIC, where configured.
    pub(super) fn disable_offloads(&self, notes: &mut Vec<String>) -> Option<OffloadGuard> {
        let name = &self.config.interface;
        notes.extend(self.config.busy_poll.and_then(|_| steering::deferral_problem(name)));
        if !self.config.set_offloads {
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
    pub(super) fn settle_queues(&mut self, notes: &mut Vec<String>) -> Option<RssGuard> {
        let (name, queues) = (&self.config.interface, self.config.queues.as_slice());
        let before = self.probe.rss.take();
        let mut guard = None;
        if self.config.set_rss {
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
    pub(super) fn open_links(&self, program: &mut Program) -> Result<Opened, StartError> {
        let queues = self.config.queues.as_slice();
        let mut opened = Opened {
            links: Vec::new(),
            bound: Vec::new(),
            mtu: self.probe.mtu as usize,
            mtu_max: usize::MAX,
            notes: Vec::new(),
        };
        let (native, stamped) = program.attachment().map_or((false, false), |attachment| {
            (attachment.mode == AttachedMode::Native, attachment.hints.stamp)
        });
        let capture = Capture::create(self.config)?;
        for (number, queue) in queues.iter().enumerate() {
            let core = self.move_to_core_of(number);
            let link = XskLink::open(&self.socket(*queue, native, stamped))?;
            drop(core);
            if number == 0 {
                opened.notes.extend(link.notes().iter().cloned());
            }
            opened.bound.push(link.bound());
            opened.mtu = opened.mtu.min(link.frame_max() - ETHERNET_MAX);
            opened.mtu_max = opened.mtu_max.min(link.frame_max() - ETHERNET_MAX);
            if let Some(fd) = link.wait_fd() {
                program.insert_socket(*queue, fd)?;
            }
            opened.links.push(self.wrap(Box::new(link), &capture, number));
        }
        // A zero-copy socket resets its queue; some drivers reset the whole NIC.
        opened.notes.extend(self.await_carrier());
        Ok(opened)
    }

    fn socket(&self, queue: u32, native: bool, stamped: bool) -> xsk::Config {
        let mut config = xsk::Config::new(&self.config.interface, queue);
        // Sockets of a generic program copy, even if a zero-copy bind succeeds.
        config.mode = if native { self.config.socket_mode } else { xsk::Mode::Copy };
        config.frame_size = self.chunk(config.mode);
        config.busy_poll = self.config.busy_poll;
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
        let is_short = self.frame_max() <= (HALF_PAGE - HEADROOM) as usize;
        let is_whole = !may_be_zero_copy || xdp::takes_half_pages(self.probe.driver.as_deref());
        self.config.chunk.unwrap_or(if is_short && is_whole { HALF_PAGE } else { PAGE })
    }

    /// Adds the recorder and the impairments to a link. The recorder sees the frames on the wire,
    /// so it is the inner one.
    fn wrap(
        &self,
        link: Box<dyn Link + Send>,
        capture: &Capture,
        number: usize,
    ) -> Box<dyn Link + Send> {
        let link = capture.tap(link);
        match self.config.impairments {
            Some(impairments) => {
                let seed = impairments.seed.wrapping_add(number as u64);
                Box::new(Impaired::new(link, &Impairments { seed, ..impairments }))
            }
            None => link,
        }
    }

    /// Returns the memory budget of all workers, if it is bounded.
    pub(super) fn budget(&self) -> Option<Arc<Budget>> {
        let workers = self.config.queues.as_slice().len();
        self.config.memory_total.map(|bytes| Budget::new(bytes, workers))
    }

    /// Returns a worker's share of the budget.
    pub(super) fn share(&self, budget: Option<&Arc<Budget>>) -> Option<Share> {
        budget.map(|budget| Share::new(budget, self.config.limits.buffer_bytes))
    }

    /// Creates the shard of worker `number` and opens its listeners.
    pub(super) fn shard(&self, number: usize, mtu: usize) -> Result<Shard, StartError> {
        let config = self.config;
        let mut shard = Shard::new(Config {
            limits: config.limits,
            settings: config.settings.clone(),
            mac: MacAddr(self.probe.mac),
            mtu,
            addresses: config.addresses.clone(),
            gateway_v4: config.gateway_v4,
            gateway_v6: config.gateway_v6,
            role: config.role,
            worker: number as u16,
            workers: config.queues.as_slice().len() as u16,
            secret: self.secret,
            steering: steering(self.probe.rss.as_ref(), config.queues.as_slice()),
            ports: self.source_ports(),
            accept_partial_checksums: config.accept_partial_checksums,
            dad: config.dad,
            autoconf: config.autoconf.then_some(self.stable_key),
            hop_limit: config.hop_limit,
        });
        for listener in &config.listeners {
            let opened = shard.listen(*listener);
            opened.map_err(|error| StartError::Listen { port: listener.port, error })?;
        }
        Ok(shard)
    }

    /// Claims the addresses and, in shared mode, the ports: from now on the program redirects their
    /// frames.
    pub(super) fn claim(&self, program: &mut Program) -> Result<(), StartError> {
        if self.config.role == Role::Shared {
            for listener in &self.config.listeners {
                program.claim_ports(listener.port..=listener.port)?;
            }
            if self.config.opens {
                program.claim_ports(self.source_ports())?;
            }
        }
        for (address, _) in &self.config.addresses {
            program.claim_address(*address)?;
        }
        Ok(())
    }

    /// Joins the solicited-node multicast groups of our IPv6 addresses (RFC 4291 §2.7.1, RFC 4862
    /// §5.4.2): NICs filter groups that were not joined, and switches may. The kernel is a member
    /// as long as the socket is open, and does not answer for these addresses.
    pub(super) fn join_groups(&self, notes: &mut Vec<String>) -> Option<UdpSocket> {
        let groups = self.config.addresses.iter().filter_map(|(address, _)| match address {
            IpAddr::V6(address) => Some(ndp::solicited_node(*address)),
            IpAddr::V4(_) => None,
        });
        let groups: Vec<_> = groups.collect();
        if groups.is_empty() && !self.config.autoconf || self.config.role == Role::Shared {
            return None;
        }
        let joined = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| {
            for group in groups {
                match socket.join_multicast_v6(&group, self.probe.index) {
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

    fn source_ports(&self) -> RangeInclusive<u16> {
        let configured = self.config.source_ports.clone();
        configured.unwrap_or_else(|| StackConfig::ports_of(self.config.role))
    }

    /// Waits for the carrier: some drivers lose it when a program is attached or a socket is bound.
    /// Waits less where there was none before, as just after another stack has stopped.
    fn await_carrier(&self) -> Option<String> {
        let wait = if self.probe.carrier { CARRIER_WAIT_MS } else { NO_CARRIER_WAIT_MS };
        // Not from /sys, which shows the network namespace in which it was mounted.
        let up = || xdp::has_carrier(&self.config.interface);
        let clock = Clock::new();
        let until = clock.now().as_millis() + wait;
        while !up() {
            if clock.now().as_millis() >= until {
                let name = &self.config.interface;
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

/// Returns the machine-id(5), which makes interface identifiers the same at every start. They do
/// not reveal it, since it only keys their hash (RFC 7217 §5). Falls back to `drawn` where the
/// machine has none.
fn stable_key(drawn: &[u8; 32]) -> [u8; 16] {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match u128::from_str_radix(id.trim(), 16) {
        Ok(id) if id != 0 => id.to_be_bytes(),
        _ => core::array::from_fn(|at| drawn[at]),
    }
}

/// Draws the secret that keys the flow hash, the initial sequence numbers and the cookies, from the
/// operating system.
fn draw_secret() -> Result<[u8; 32], StartError> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut secret))
        .map_err(StartError::system("drawing a secret from /dev/urandom"))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ() {
        assert_ne!(draw_secret().unwrap(), draw_secret().unwrap());
    }
}
