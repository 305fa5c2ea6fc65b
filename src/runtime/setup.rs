//! From a configuration to open sockets, an attached program and shards: everything that can be wrong
//! with a request is found here, before a thread runs.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv6Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::budget::{Budget, Share};
use super::capture::Capture;
use super::clock::Clock;
use super::config::{Role, StackConfig};
use super::cores::{Cores, Visit};
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

/// What a stack will be, once checked against the interface.
pub(super) struct Plan<'a> {
    config: &'a StackConfig,
    probe: Probe,
    cores: Cores,
    secret: [u8; 32],
    /// See [`identity`].
    identity: [u8; 16],
}

/// The links of the workers, and what a user should know about them.
pub(super) struct Opened {
    pub(super) links: Vec<Box<dyn Link + Send>>,
    pub(super) bound: Vec<Bound>,
    /// Bytes of the longest packet that the interface takes now and all of them carry.
    pub(super) mtu: usize,
    /// Bytes of the longest packet that they would carry.
    pub(super) mtu_max: usize,
    pub(super) notes: Vec<String>,
}

/// Ethernet header with one VLAN tag.
const ETHERNET_MAX: usize = 18;

/// How long a driver may take to bring its link back after the program was attached: igb takes 0.4 s,
/// others up to some seconds.
const CARRIER_WAIT_MS: u64 = 10_000;
/// How long it is waited for where there was none: it may have been on its way.
const CARRIER_HOPE_MS: u64 = 3_000;

impl<'a> Plan<'a> {
    /// Checks a configuration against the interface and the kernel's own addresses and ports.
    pub(super) fn make(config: &'a StackConfig) -> Result<Self, StartError> {
        let probe = xdp::probe(&config.interface)?;
        let highest = config.queues.as_slice().iter().max().copied().unwrap_or(0);
        xdp::check_queues(&config.interface, highest + 1)?;
        let secret = secret()?;
        let cores = Cores::read();
        let plan = Self { config, probe, cores, secret, identity: identity(&secret) };
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

    /// Whether the kernel's tables are mirrored: where it owns the addresses.
    pub(super) fn mirror_wanted(&self) -> bool {
        self.config.role == Role::Shared
    }

    pub(super) const fn frame_max(&self) -> usize {
        self.probe.mtu as usize + ETHERNET_MAX
    }

    fn check_cores(&self) -> Result<(), StartError> {
        let available = self.cores.numbers();
        let mut wanted = self.config.cores.iter();
        // A kernel that does not say which there are is not contradicted.
        match wanted.find(|core| !available.is_empty() && !available.contains(core)) {
            Some(core) => Err(StartError::NoSuchCore { core: *core, available }),
            None => Ok(()),
        }
    }

    /// What there is to say about the cores of the workers. To be asked once the sockets are open: drivers ask for
    /// their interrupts anew when a program is attached, and get them on other cores.
    pub(super) fn notes_on_cores(&self) -> Vec<String> {
        let queues = self.config.queues.as_slice().iter().copied();
        let workers: Vec<(u32, usize)> = queues.zip(self.config.cores.iter().copied()).collect();
        let name = &self.config.interface;
        self.cores.notes(name, &xdp::place(name), &workers)
    }

    /// Has the calling thread take memory where worker `number` will use it, on a machine with several nodes.
    pub(super) fn visit(&self, number: usize) -> Option<Visit> {
        let core = self.config.cores.get(number).filter(|_| self.cores.have_nodes())?;
        Visit::to(*core)
    }

    fn check_addresses(&self) -> Result<(), StartError> {
        for (address, _) in &self.config.addresses {
            // Only an address that the kernel has can be bound to.
            let kernels = UdpSocket::bind((*address, 0)).is_ok();
            match self.config.role {
                Role::Exclusive if kernels => {
                    return Err(StartError::AddressInUse { address: *address });
                }
                Role::Shared if !kernels => {
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

    /// Loads the program and attaches it. Nothing is claimed yet, so that all traffic still passes.
    pub(super) fn attach_program(&self) -> Result<(Program, Vec<String>), StartError> {
        let mut program = Program::load()?;
        program.set_policy(Policy {
            role: self.config.role,
            // In shared mode the kernel puts them together: which of them were ours, nobody can tell before.
            fragments: match self.config.role {
                Role::Exclusive => Fragments::Stack,
                Role::Shared => Fragments::Pass,
            },
            routers: if self.config.autoconf { Routers::Stack } else { Routers::Kernel },
        })?;
        let hints = Hints { vlan: true, stamp: self.config.rx_timestamps, hash: false };
        program.want_hints(hints);
        let attachment = program.attach(&self.config.interface, self.config.xdp_mode)?;
        let mut notes: Vec<String> = attachment.fallback.iter().cloned().collect();
        notes.extend(steering::note_on_hints(&self.probe, attachment));
        Ok((program, notes))
    }

    /// Turns off what merges or strips frames in the NIC, where it is wanted.
    pub(super) fn disable_offloads(&self, notes: &mut Vec<String>) -> Option<OffloadGuard> {
        let name = &self.config.interface;
        notes.extend(self.config.busy_poll.and_then(|_| steering::note_on_deferral(name)));
        if !self.config.set_offloads {
            return None;
        }
        OffloadGuard::take(name)
            .map_err(|error| notes.push(format!("the offloads of `{name}` stay: {error}")))
            .ok()
    }

    /// Looks again at the queues: some drivers add queues of their own with a program, and spread flows over them
    /// (virtio-net has one for each CPU to send on, and receives on it too). Where it is wanted, the NIC is made to
    /// use the workers' queues alone.
    pub(super) fn settle_queues(&mut self, notes: &mut Vec<String>) -> Option<RssGuard> {
        let (name, queues) = (&self.config.interface, self.config.queues.as_slice());
        let before = self.probe.rss.take();
        let mut borrowed = None;
        if self.config.set_rss {
            let taken = match &before {
                Some(before) => RssGuard::take(name, before, queues),
                None => Err(std::io::Error::other("it has no RSS table")),
            };
            match taken {
                Ok(taken) => borrowed = Some(taken),
                Err(error) => notes.push(format!(
                    "`{name}` was not made to spread flows over the workers' queues alone: {error}"
                )),
            }
        }
        self.probe.rss = xdp::rss(name);
        self.probe.rx_queues = xdp::rx_queues(name);
        notes.extend(steering::notes(&self.probe, queues));
        borrowed
    }

    /// Opens a socket for each queue and puts it in the program's map.
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
            let visit = self.visit(number);
            let link = XskLink::open(&self.socket(*queue, native, stamped))?;
            drop(visit);
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
        // A zero-copy socket resets its queue, which some drivers do to the whole NIC.
        opened.notes.extend(self.await_carrier());
        Ok(opened)
    }

    fn socket(&self, queue: u32, native: bool, stamped: bool) -> xsk::Config {
        let mut config = xsk::Config::new(&self.config.interface, queue);
        // A socket on a generic program has no zero-copy, whatever the bind says.
        config.mode = if native { self.config.socket_mode } else { xsk::Mode::Copy };
        config.frame_size = self.chunk(config.mode);
        config.busy_poll = self.config.busy_poll;
        config.metadata = stamped;
        config
    }

    /// Bytes of a chunk: half a page, unless the driver may split frames in it.
    fn chunk(&self, mode: xsk::Mode) -> u32 {
        const HALF_PAGE: u32 = 2048;
        const PAGE: u32 = 4096;
        /// What the kernel keeps before each packet (XDP_PACKET_HEADROOM).
        const HEADROOM: u32 = 256;
        let may_be_shared = mode != xsk::Mode::Copy
            && self.probe.features.is_none_or(|features| features.zero_copy());
        let is_short = self.frame_max() <= (HALF_PAGE - HEADROOM) as usize;
        let is_whole = !may_be_shared || xdp::takes_half_pages(self.probe.driver.as_deref());
        self.config.chunk.unwrap_or(if is_short && is_whole { HALF_PAGE } else { PAGE })
    }

    /// Puts the capture and the impairments around a link: the capture inside, where it sees what crosses the
    /// wire.
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

    /// The memory of all workers, if that is bounded.
    pub(super) fn budget(&self) -> Option<Arc<Budget>> {
        let workers = self.config.queues.as_slice().len();
        self.config.memory_total.map(|bytes| Budget::new(bytes, workers))
    }

    /// A worker's part of it.
    pub(super) fn share(&self, budget: Option<&Arc<Budget>>) -> Option<Share> {
        budget.map(|budget| Share::new(budget, self.config.limits.buffer_bytes))
    }

    /// The shard of worker `number`, its listeners open.
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
            autoconf: config.autoconf.then_some(self.identity),
            hop_limit: config.hop_limit,
        });
        for listener in &config.listeners {
            let opened = shard.listen(*listener);
            opened.map_err(|error| StartError::Listen { port: listener.port, error })?;
        }
        Ok(shard)
    }

    /// Claims the addresses and, where they are shared, the ports: from here on frames come to us.
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

    /// Joins the groups to which neighbours send their questions for our IPv6 addresses (RFC 4291 §2.7.1, RFC
    /// 4862 §5.4.2): a NIC filters groups that nobody has joined, and a switch may. The kernel holds them for
    /// as long as the socket is open, and answers nothing for them.
    pub(super) fn join_groups(&self, notes: &mut Vec<String>) -> Option<UdpSocket> {
        let ours = self.config.addresses.iter().filter_map(|(address, _)| match address {
            IpAddr::V6(address) => Some(ndp::solicited_node(*address)),
            IpAddr::V4(_) => None,
        });
        let groups: Vec<_> = ours.collect();
        if groups.is_empty() && !self.config.autoconf || self.config.role == Role::Shared {
            return None;
        }
        let joined = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| {
            for group in groups {
                match socket.join_multicast_v6(&group, self.probe.index) {
                    // Two addresses may share a group.
                    Err(error) if error.kind() != ErrorKind::AddrInUse => return Err(error),
                    _ => {}
                }
            }
            Ok(socket)
        });
        joined
            .map_err(|error| {
                notes.push(format!(
                    "the groups of the IPv6 addresses were not joined ({error}): a NIC that filters groups \
                     keeps neighbours from finding them"
                ));
            })
            .ok()
    }

    fn source_ports(&self) -> RangeInclusive<u16> {
        let chosen = self.config.source_ports.clone();
        chosen.unwrap_or_else(|| StackConfig::ports_of(self.config.role))
    }

    /// Waits for the link to come back: some drivers drop it when a program is attached or a socket bound. What
    /// had no link before, as just after another stack has left, gets less time for it.
    fn await_carrier(&self) -> Option<String> {
        let wait = if self.probe.carrier { CARRIER_WAIT_MS } else { CARRIER_HOPE_MS };
        // Not by /sys, which shows the namespace in which it was mounted.
        let up = || xdp::has_carrier(&self.config.interface);
        let clock = Clock::new();
        let until = clock.now().as_millis() + wait;
        while !up() {
            if clock.now().as_millis() >= until {
                let name = &self.config.interface;
                return Some(format!("`{name}` has no carrier: nothing arrives before it has"));
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        None
    }
}

/// The machine's own number (machine-id(5)): what makes interface identifiers the same at every start, and
/// tells nobody of it, since it only keys their hash (RFC 7217 §5). Where there is none, `drawn`.
fn identity(drawn: &[u8; 32]) -> [u8; 16] {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match u128::from_str_radix(id.trim(), 16) {
        Ok(id) if id != 0 => id.to_be_bytes(),
        _ => core::array::from_fn(|at| drawn[at]),
    }
}

/// From the operating system: what keys the flow hash, the initial sequence numbers and the cookies.
fn secret() -> Result<[u8; 32], StartError> {
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
        assert_ne!(secret().unwrap(), secret().unwrap());
    }
}
