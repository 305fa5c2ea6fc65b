//! The RSS probe: sends SYNs to a peer and records the queue on which each reply arrives.
//!
//! The SYNs come from kernel sockets and go to a port on which nothing should listen. The XDP
//! program redirects the replies before the kernel sees them. Owns the sockets, the program and the
//! links while the probe runs. Claims only the source ports of these SYNs, which are bound first,
//! so the kernel loses no other packet. [`rss_verdict`](super::rss_verdict) judges the result.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use linerate::link::xsk::{Config, Mode, XskLink};
use linerate::link::{Frame, HASH_OF_PORTS, Link};
use linerate::runtime::Clock;
use linerate::wire::{EtherType, Protocol, ethernet, ipv4, ipv6, tcp};
use linerate::xdp::{self, Fragments, Hints, Policy, Program, Role, Routers, Rss, XdpMode};
use socket2::{Domain, Socket, Type};

use crate::failure::Failure;

/// SYNs of one probe: enough that each of 16 queues receives about its share of the replies, and
/// few enough that the peer does not mistake them for a flood.
const SYNS: usize = 256;
/// SYNs per burst: no more than the shortest ring holds.
const BURST: usize = 32;
/// Source ports: above the default range of Linux (`net.ipv4.ip_local_port_range`).
const PORTS: std::ops::RangeInclusive<u16> = 61000..=65535;
/// Quiet time after which the missing replies count as lost. The kernel retransmits a lost SYN
/// after one second and again two seconds later.
const QUIET_MS: u64 = 3_500;
/// Upper bound on the wait, even while replies still trickle in.
const WAIT_MAX_MS: u64 = 20_000;
/// Some drivers reset the link when a program is attached and need a few seconds to restore it.
const CARRIER_WAIT_MS: u64 = 10_000;
/// Interval between two polls of the rings.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The replies to one probe.
#[derive(Clone, Debug)]
pub(super) struct Replies {
    /// The probed address and port.
    pub peer: SocketAddr,
    /// The local address that the replies were sent to.
    pub local: IpAddr,
    /// For each source port, the queue that received the reply; `None` if no reply arrived.
    pub queues: Vec<(u16, Option<u32>)>,
    /// Source port, hash that the NIC reported with the reply, and true if the hash covers ports.
    pub hashes: Vec<(u16, u32, bool)>,
    /// RSS settings of the NIC, read while the program was attached.
    pub rss: Option<Rss>,
    /// Number of receive queues with a socket.
    pub rx_queues: u32,
}

/// Probes `peer` through `interface`.
///
/// # Errors
/// Fails without a route to the peer, or if the program or a socket cannot be set up.
pub(super) fn run(interface: &str, peer: SocketAddr) -> Result<Replies, Failure> {
    let action = || format!("cannot probe {} through {interface}", peer.ip());
    let local = local_towards(interface, peer).map_err(|error| {
        let remedy = format!("give {interface} an address of the peer's network, or a route to it");
        Failure::new(action(), error, remedy)
    })?;
    let sockets = sockets(interface, local);
    let ports = sockets.iter().map(|(port, _)| *port);
    let mut capture = Capture::open(interface, local, ports).map_err(|error| {
        Failure::new(action(), error, "stop other programs that use XDP on the interface")
    })?;
    let mut replies = Replies {
        peer,
        local,
        queues: sockets.iter().map(|(port, _)| (*port, None)).collect(),
        hashes: Vec::new(),
        rss: xdp::rss(interface),
        rx_queues: capture.links.len() as u32,
    };
    for burst in sockets.chunks(BURST) {
        for (_, socket) in burst {
            // EINPROGRESS is the normal result. Any other error shows up as a missing reply.
            let _ = socket.connect(&peer.into());
        }
        capture.poll_for(&mut replies, 10);
    }
    capture.poll_until_quiet(&mut replies);
    // Detach before the sockets close, so that the kernel's sockets handle a late reply.
    capture.program.detach();
    Ok(replies)
}

/// Returns the source address that the kernel would use.
fn local_towards(interface: &str, peer: SocketAddr) -> std::io::Result<IpAddr> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.connect(&peer.into())?;
    let local = socket.local_addr()?.as_socket().map(|local| local.ip());
    local.ok_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())
}

/// Binds up to [`SYNS`] sockets, each to its own port. Skips ports that are in use.
fn sockets(interface: &str, local: IpAddr) -> Vec<(u16, Socket)> {
    let socket = |port: u16| {
        let address = SocketAddr::new(local, port);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
        socket.bind_device(Some(interface.as_bytes())).ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.bind(&address.into()).ok()?;
        Some((port, socket))
    };
    PORTS.filter_map(socket).take(SYNS).collect()
}

/// The attached program and an AF_XDP socket on every queue.
struct Capture {
    // Field order is drop order: the program is detached before the sockets close.
    program: Program,
    links: Vec<(u32, XskLink)>,
    clock: Clock,
    frames: Vec<Frame>,
}

impl Capture {
    fn open(
        interface: &str,
        local: IpAddr,
        ports: impl Iterator<Item = u16>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut program = Program::load()?;
        program.set_hints(Hints { vlan: true, stamp: false, hash: true });
        let reads_hashes = program.attach(interface, XdpMode::Auto)?.hints.hash;
        program.set_policy(Policy {
            role: Role::Shared,
            fragments: Fragments::Pass,
            routers: Routers::Kernel,
        })?;
        let mut links = Vec::new();
        // Count the queues after the attach: some drivers add queues for XDP.
        for queue in 0..xdp::rx_queues(interface).min(xdp::QUEUES_MAX) {
            let small = Config {
                mode: Mode::Copy,
                rx_ring: 256,
                tx_ring: 64,
                held: 64,
                metadata: reads_hashes,
                ..Config::new(interface, queue)
            };
            let link = XskLink::open(&small)?;
            program.insert_socket(queue, link.fd().as_raw_fd())?;
            links.push((queue, link));
        }
        let capture = Self { program, links, clock: Clock::new(), frames: Vec::new() };
        capture.await_carrier(interface);
        capture.claim(local, ports)
    }

    fn claim(
        mut self,
        local: IpAddr,
        ports: impl Iterator<Item = u16>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        for port in ports {
            self.program.claim_ports(port..=port)?;
        }
        self.program.claim_address(local)?;
        Ok(self)
    }

    /// Waits for the carrier. Without one the probe continues and reports that no reply arrived.
    fn await_carrier(&self, interface: &str) {
        let until = self.clock.now().as_millis() + CARRIER_WAIT_MS;
        while !xdp::has_carrier(interface) && self.clock.now().as_millis() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Polls until every reply has arrived, or until none arrives for [`QUIET_MS`].
    fn poll_until_quiet(&mut self, replies: &mut Replies) {
        let until = self.clock.now().as_millis() + WAIT_MAX_MS;
        let mut missing = replies.missing();
        loop {
            self.poll_for(replies, QUIET_MS);
            let before = std::mem::replace(&mut missing, replies.missing());
            let is_over = missing == 0 || missing == before;
            if is_over || self.clock.now().as_millis() >= until {
                break;
            }
        }
    }

    /// Polls all queues for the given time, or until every reply has arrived.
    fn poll_for(&mut self, replies: &mut Replies, milliseconds: u64) {
        let until = self.clock.now().as_millis() + milliseconds;
        while self.clock.now().as_millis() < until && replies.missing() > 0 {
            let now = self.clock.now();
            for (queue, link) in &mut self.links {
                link.receive(now, BURST, &mut self.frames);
                for (at, frame) in self.frames.drain(..).enumerate() {
                    let hash = link.metadata().get(at).and_then(|metadata| metadata.hash);
                    replies.record(*queue, &frame, hash);
                    link.release(frame);
                }
                link.flush(now);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Replies {
    /// Returns the number of SYNs without a reply.
    fn missing(&self) -> usize {
        self.queues.iter().filter(|(_, queue)| queue.is_none()).count()
    }

    /// Records the queue of the first reply to a SYN. The peer may retransmit its SYN-ACK.
    fn record(&mut self, queue: u32, frame: &[u8], hash: Option<(u32, u32)>) {
        let local_port = local_port_of(frame, self.peer);
        let row = self.queues.iter_mut().find(|(port, _)| Some(*port) == local_port);
        let Some((port, first @ None)) = row else { return };
        *first = Some(queue);
        self.hashes.extend(hash.map(|(hash, of)| (*port, hash, of & HASH_OF_PORTS != 0)));
    }
}

/// Returns the local port that a segment of `peer` is addressed to. Does not verify the checksum:
/// the payload is not used.
fn local_port_of(frame: &[u8], peer: SocketAddr) -> Option<u16> {
    let (ethernet, packet) = ethernet::parse(frame).ok()?;
    let (source, protocol, segment) = match ethernet.ethertype {
        EtherType::IPV4 => {
            let (ip, segment) = ipv4::parse(packet).ok()?;
            (IpAddr::V4(ip.src), ip.protocol, segment)
        }
        EtherType::IPV6 => {
            let (ip, segment) = ipv6::parse(packet).ok()?;
            (IpAddr::V6(ip.src), ip.protocol, segment)
        }
        _ => return None,
    };
    let (header, _) = tcp::parse(segment).ok().filter(|_| protocol == Protocol::TCP)?;
    (SocketAddr::new(source, header.src_port) == peer).then_some(header.dst_port)
}
