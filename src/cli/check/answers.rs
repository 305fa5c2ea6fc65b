//! Which queues a peer's answers come in on: SYNs of the kernel's own sockets, to a port on which nothing should listen,
//! whose answers are caught on their way in.
//!
//! Owns the sockets, the program and the links for as long as it asks. Takes nothing from the kernel but the answers to
//! these very SYNs: only their source ports, which are bound, are claimed. What it found is judged elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use linerate::link::xsk::{Config, Mode, XskLink};
use linerate::link::{Frame, HASH_OF_PORTS, Link};
use linerate::runtime::Clock;
use linerate::wire::{EtherType, Protocol, ethernet, ipv4, ipv6, tcp};
use linerate::xdp::{self, Fragments, Hints, Policy, Program, Role, Routers, Rss, XdpMode};
use socket2::{Domain, Socket, Type};

use crate::cli::failure::Failure;

/// So many that a queue of 16 has about as many answers as its share says, and so few that a host does not mind.
const SYNS: usize = 256;
/// Sent at once: no more than the shortest of rings takes.
const BURST: usize = 32;
/// Above those that Linux picks from (`net.ipv4.ip_local_port_range`).
const PORTS: std::ops::RangeInclusive<u16> = 61000..=65535;
/// A lost SYN is sent again by the kernel after a second, and after two more: so long nothing may come before what is
/// missing is taken to be lost.
const WAIT_MS: u64 = 3_500;
/// However slowly they trickle in, a user waits no longer.
const WAIT_MAX_MS: u64 = 20_000;
/// Drivers take up to some seconds to bring their link back after a program was attached.
const CARRIER_WAIT_MS: u64 = 10_000;
/// Between two looks at the rings.
const PAUSE: Duration = Duration::from_millis(1);

/// What was asked, and what came of it.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Who was asked.
    pub peer: SocketAddr,
    /// The address that the answers came to.
    pub local: IpAddr,
    /// By source port, the queue that the answer came in on; `None` where none came.
    pub queues: Vec<(u16, Option<u32>)>,
    /// The hash that the NIC told with an answer, by source port, and whether ports went into it.
    pub hashes: Vec<(u16, u32, bool)>,
    /// How the NIC said it spreads flows, while the program was attached.
    pub rss: Option<Rss>,
    /// Receive queues that were listened on.
    pub listened: u32,
}

/// Asks `peer` through `interface`.
///
/// # Errors
/// Without a route there, or where program and sockets are refused.
pub fn ask(interface: &str, peer: SocketAddr) -> Result<Answers, Failure> {
    let tried = || format!("cannot probe {} through {interface}", peer.ip());
    let local = local_towards(interface, peer).map_err(|error| {
        let remedy = format!("give {interface} an address of the peer's network, or a route to it");
        Failure::new(tried(), error, remedy)
    })?;
    let sockets = sockets(interface, local);
    let mut ear = Ear::open(interface, local, sockets.iter().map(|(port, _)| *port))
        .map_err(|error| Failure::new(tried(), error, "stop what else uses the interface"))?;
    let mut answers = Answers {
        peer,
        local,
        queues: sockets.iter().map(|(port, _)| (*port, None)).collect(),
        hashes: Vec::new(),
        rss: xdp::rss(interface),
        listened: ear.links.len() as u32,
    };
    for burst in sockets.chunks(BURST) {
        for (_, socket) in burst {
            // In progress, as it should be; or refused by the kernel itself, which shows as no answer.
            let _ = socket.connect(&peer.into());
        }
        ear.listen(&mut answers, 10);
    }
    ear.listen_on(&mut answers);
    // Before the sockets: a late answer then finds the kernel.
    ear.program.detach();
    Ok(answers)
}

/// The address that the kernel would use.
fn local_towards(interface: &str, peer: SocketAddr) -> std::io::Result<IpAddr> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.connect(&peer.into())?;
    let local = socket.local_addr()?.as_socket().map(|local| local.ip());
    local.ok_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())
}

/// Sockets bound to ports of their own: taken ones are left out.
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

/// The program with a socket on every queue.
struct Ear {
    // In the order in which they must go.
    program: Program,
    links: Vec<(u32, XskLink)>,
    clock: Clock,
    frames: Vec<Frame>,
}

impl Ear {
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
        // After the program: some drivers add queues with it.
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
        let ear = Self { program, links, clock: Clock::new(), frames: Vec::new() };
        ear.await_carrier(interface);
        ear.claim(local, ports)
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

    /// What has no link gets no answers, which is told.
    fn await_carrier(&self, interface: &str) {
        let until = self.clock.now().as_millis() + CARRIER_WAIT_MS;
        while !xdp::has_carrier(interface) && self.clock.now().as_millis() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes what comes in for as long as something does.
    fn listen_on(&mut self, answers: &mut Answers) {
        let until = self.clock.now().as_millis() + WAIT_MAX_MS;
        let mut missing = answers.missing();
        loop {
            self.listen(answers, WAIT_MS);
            let before = std::mem::replace(&mut missing, answers.missing());
            let is_over = missing == 0 || missing == before;
            if is_over || self.clock.now().as_millis() >= until {
                break;
            }
        }
    }

    /// Takes what comes in for so long, or until every answer is there.
    fn listen(&mut self, answers: &mut Answers, milliseconds: u64) {
        let until = self.clock.now().as_millis() + milliseconds;
        while self.clock.now().as_millis() < until && answers.missing() > 0 {
            let now = self.clock.now();
            for (queue, link) in &mut self.links {
                link.receive(now, BURST, &mut self.frames);
                for (at, frame) in self.frames.drain(..).enumerate() {
                    let hash = link.metadata().get(at).and_then(|metadata| metadata.hash);
                    answers.note(*queue, &frame, hash);
                    link.release(frame);
                }
                link.flush(now);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Answers {
    /// SYNs without an answer.
    fn missing(&self) -> usize {
        self.queues.iter().filter(|(_, queue)| queue.is_none()).count()
    }

    /// Remembers where an answer came in: the first one, since the peer may send a SYN-ACK again.
    fn note(&mut self, queue: u32, frame: &[u8], hash: Option<(u32, u32)>) {
        let answered = port_answered(frame, self.peer);
        let row = self.queues.iter_mut().find(|(port, _)| Some(*port) == answered);
        let Some((port, came @ None)) = row else { return };
        *came = Some(queue);
        self.hashes.extend(hash.map(|(hash, of)| (*port, hash, of & HASH_OF_PORTS != 0)));
    }
}

/// The port of ours that a segment of the peer answers. Its sum is not looked at: nothing is taken from it.
fn port_answered(frame: &[u8], peer: SocketAddr) -> Option<u16> {
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
