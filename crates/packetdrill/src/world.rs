//! The stack under test: one shard at the near end of an in-memory link, the script at the far end,
//! and a virtual clock.
//!
//! Owns the order of events: the deadlines of the shard and of blocked calls, each at its own time.
//! After every step, collects the packets that the shard sent, updates the sockets, and retries the
//! blocked calls.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::errno::Errno;
use super::flags::Flags;
use super::host::Host;
use super::program::Program;
use super::socket::{Options, Socket, Sockets};
use linerate::link::{Link, memory};
use linerate::shard::{Config, Io, Role, Shard, SingleWorker, TurnEnv};
use linerate::tcp::{Info, Settings};
use linerate::time::{Duration, Instant};
use linerate::wire::MacAddr;

/// MAC addresses of the two ends of the link.
const MAC_LOCAL: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 1]);
const MAC_REMOTE: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 2]);

/// Length of the Ethernet header.
const ETHERNET_LEN: usize = 14;

/// Maximum length of an IP packet, and so of a packet that a script injects.
const PACKET_MAX: usize = 65_535;

/// Frames of each end. The packets of one full window are collected before the next turn.
const FRAMES: usize = 512;

/// Next hop for all traffic: the script's end has one MAC address for all its IP addresses.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Initial time: far from zero, like a kernel's clock.
const START: Instant = Instant::from_millis(1_000_000_000);

/// Maximum wait for a packet: longer than keep-alive takes to give up by default.
const PACKET_WAIT_MAX: Duration = Duration::from_secs(4 * 3600);

/// Retries a blocked call; returns true once it completes.
pub(super) type Attempt = Box<dyn FnMut(&mut World) -> bool + Send>;

/// A blocked call.
struct Waiter {
    number: u64,
    until: Option<Instant>,
    attempt: Attempt,
}

/// The shard, its link, the sockets and the clock.
pub(super) struct World {
    now: Instant,
    flags: Flags,
    host: Host,
    /// Created once the local addresses are known.
    shard: Option<Shard>,
    near: memory::MemoryLink,
    far: memory::MemoryLink,
    program: Program,
    pub(super) sockets: Sockets,
    /// Packets sent by the stack, with their times.
    outgoing: VecDeque<(Instant, Vec<u8>)>,
    waiters: Vec<Waiter>,
    waited: u64,
    /// Completed blocked calls, with their completion times.
    finished: BTreeMap<u64, Instant>,
}

impl World {
    pub(super) fn new(flags: Flags) -> Self {
        let cable =
            memory::Config { frames: FRAMES, frame_max: PACKET_MAX + ETHERNET_LEN, ring: FRAMES };
        let (near, far) = memory::pair(cable);
        Self {
            now: START,
            host: Host::new(&flags),
            flags,
            shard: None,
            near,
            far,
            program: Program::default(),
            sockets: Sockets::default(),
            outgoing: VecDeque::new(),
            waiters: Vec::new(),
            waited: 0,
            finished: BTreeMap::new(),
        }
    }

    /// Returns a number for a new socket.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.program.next_number()
    }

    /// Returns the current time.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Returns the current TCP settings of the host.
    pub(super) fn settings(&self) -> Settings {
        self.host.settings()
    }

    /// Returns the numeric value of a `sysctl` of the script's host.
    pub(super) fn sysctl(&self, name: &str) -> Option<u64> {
        self.host.number(name)
    }

    /// Returns the text of a `sysctl` of the script's host.
    pub(super) fn sysctl_text(&self, name: &str) -> Option<String> {
        self.host.text(name)
    }

    /// Applies `sysctl`s that the script has changed, and the socket options that affect a
    /// connection from its first segment.
    pub(super) fn apply_host_settings(&mut self, options: &Options) {
        let mut settings = self.host.settings();
        let tcp = |name: i32| options.kept.get(&(libc::IPPROTO_TCP, name)).copied();
        if let Some(mss) = tcp(libc::TCP_MAXSEG).and_then(|mss| u16::try_from(mss).ok()) {
            settings.mss = settings.mss.map(|most| most.min(mss));
        }
        if let Some(most) = options.window_max() {
            settings.receive_buffer = settings.receive_buffer.min(most);
            // The kernel's initial window is a multiple of the segment size.
            let segment = u32::from(settings.mss[0].max(1));
            let whole = most - most % segment.min(most);
            settings.receive_buffer_initial = settings.receive_buffer_initial.min(whole);
        }
        self.stack().set_settings(settings);
    }

    /// Returns the local address of a family; starts the stack.
    pub(super) fn local(&mut self, ipv6: bool) -> IpAddr {
        self.stack();
        if ipv6 { self.flags.local_v6.into() } else { self.flags.local_v4.into() }
    }

    /// Makes an address local, for the first bind or packet that names it.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the stack already has another address of the family.
    pub(super) fn add_local_address(&mut self, address: IpAddr) -> Result<(), Errno> {
        if self.shard.is_none() {
            match address {
                IpAddr::V4(address) => self.flags.local_v4 = address,
                IpAddr::V6(address) => self.flags.local_v6 = address,
            }
        }
        let ours = self.local(address.is_ipv6());
        if ours == address { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) }
    }

    /// Returns the stack; creates it on first use.
    pub(super) fn stack(&mut self) -> &mut Shard {
        let Self { shard, flags, host, now, near, program, .. } = self;
        shard.get_or_insert_with(|| {
            let addresses = vec![(flags.local_v4.into(), 32), (flags.local_v6.into(), 128)];
            // A fixed secret: every run of a script sees the same numbers.
            let mut config = Config::new(MAC_LOCAL, addresses, [0x5a; 32]);
            config.limits.connections = 1 << 10;
            config.limits.embryos = 1 << 10;
            config.limits.time_waits = 1 << 10;
            config.limits.neighbours = 8;
            config.mtu = usize::from(flags.mtu);
            config.settings = host.settings();
            // Neighbour entries are mirrored, not resolved: a script does not speak ARP.
            config.role = Role::Shared;
            (config.gateway_v4, config.gateway_v6) = (Some(GATEWAY_V4), Some(GATEWAY_V6));
            let mut shard = Shard::new(config);
            for gateway in [GATEWAY_V4.into(), GATEWAY_V6.into()] {
                shard.mirror_neighbour(*now, gateway, Some(MAC_REMOTE.0));
            }
            let env = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
            shard.start(*now, env);
            shard
        })
    }

    /// Calls the stack as a program does, then runs it until it is idle.
    pub(super) fn with_io<R>(&mut self, call: impl FnOnce(&mut dyn Io) -> R) -> R {
        self.stack();
        let Self { shard, near, program, now, .. } = self;
        let shard = shard.as_mut().expect("the stack exists");
        let env = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
        let result = shard.with_io(*now, env, call);
        self.finish_step();
        result
    }

    /// Returns the state of the socket's connection.
    pub(super) fn inspect(&self, socket: &Socket) -> Option<Info> {
        self.shard.as_ref()?.tcp_info(socket.conn()?)
    }

    /// Runs the stack until it has no more work at the current time.
    fn turn(&mut self) {
        let Self { shard: Some(shard), near, program, now, .. } = self else { return };
        let env = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
        shard.turn(*now, env);
        self.finish_step();
    }

    /// Finishes a step: collects packets, continues unfinished work, delivers events, retries
    /// blocked calls.
    fn finish_step(&mut self) {
        self.collect();
        while let Self { shard: Some(shard), near, program, now, .. } = self
            && shard.deadline().is_some_and(|at| at <= *now)
        {
            let env = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
            let turn = shard.turn(*now, env);
            self.collect();
            if turn.sent + turn.received == 0 {
                break;
            }
        }
        for event in core::mem::take(&mut self.program.events) {
            let now = self.now;
            self.sockets.on_event(now, event);
            self.note_syn_data(event);
        }
        self.try_waiters();
    }

    /// Collects the packets that the stack has sent.
    fn collect(&mut self) {
        let mut frames = Vec::new();
        self.far.receive(self.now, FRAMES, &mut frames);
        for frame in frames {
            if let Some(packet) = frame.get(ETHERNET_LEN..) {
                self.outgoing.push_back((self.now, packet.to_vec()));
            }
            self.far.release(frame);
        }
        self.near.flush(self.now);
    }

    /// Delivers a packet of the script to the stack.
    ///
    /// # Errors
    /// `EINVAL` if it is not an IP packet, `EMSGSIZE` if it is too long.
    pub(super) fn inject(&mut self, packet: &[u8]) -> Result<(), Errno> {
        let (ethertype, to) = match packet {
            [first, ..] if first >> 4 == 4 && packet.len() >= 20 => {
                let to: [u8; 4] = packet[16..20].try_into().expect("four bytes");
                ([0x08, 0x00], IpAddr::from(to))
            }
            [first, ..] if first >> 4 == 6 && packet.len() >= 40 => {
                let to: [u8; 16] = packet[24..40].try_into().expect("sixteen bytes");
                ([0x86, 0xdd], IpAddr::from(to))
            }
            _ => return Err(Errno::EINVAL),
        };
        // The stack counts and drops packets for other addresses.
        let _ = self.add_local_address(to);
        let mut bytes = Vec::with_capacity(ETHERNET_LEN + packet.len());
        bytes.extend_from_slice(&MAC_LOCAL.0);
        bytes.extend_from_slice(&MAC_REMOTE.0);
        bytes.extend_from_slice(&ethertype);
        bytes.extend_from_slice(packet);
        if bytes.len() > self.far.frame_max() {
            return Err(Errno::EMSGSIZE);
        }
        let mut frame = self.far.reserve().ok_or(Errno::ENOBUFS)?;
        frame.fill(&bytes);
        self.far.transmit(self.now, frame);
        self.turn();
        self.far.flush(self.now);
        Ok(())
    }

    /// Returns the next packet that the stack sends, with its time. Advances the clock until a
    /// packet is sent; returns `None` if there will be none.
    pub(super) fn next_packet(&mut self) -> Option<(Instant, Vec<u8>)> {
        let end = self.now + PACKET_WAIT_MAX;
        while self.outgoing.is_empty() {
            if self.now > end || !self.step() {
                return None;
            }
        }
        self.outgoing.pop_front()
    }

    /// Advances the clock to the next deadline and runs the stack. Returns false without a
    /// deadline.
    pub(super) fn step(&mut self) -> bool {
        let Some(at) = self.next_deadline() else { return false };
        self.pass_time(at);
        self.turn();
        true
    }

    /// Advances the clock to `to` without events, and accounts what limits each socket meanwhile.
    fn pass_time(&mut self, to: Instant) {
        let span = to.since(self.now);
        let limits: Vec<_> =
            self.sockets.all().map(|socket| (socket.number, self.limit_of(socket))).collect();
        for (number, limit) in limits {
            if let Some(socket) = self.sockets.by_number(number) {
                socket.limit_times.add(limit, span);
            }
        }
        self.now = to;
    }

    /// Advances the clock by `span` and processes the deadlines on the way.
    pub(super) fn advance(&mut self, span: Duration) {
        let to = self.now + span;
        while self.next_deadline().is_some_and(|at| at <= to) {
            self.step();
        }
        self.pass_time(self.now.max(to));
    }

    /// Returns the next deadline. An overdue one is moved to one microsecond from now, so the clock
    /// always advances.
    fn next_deadline(&self) -> Option<Instant> {
        let stack = self.shard.as_ref().and_then(Shard::deadline);
        let calls = self.waiters.iter().filter_map(|waiter| waiter.until).min();
        let next = stack.into_iter().chain(calls).min()?;
        Some(next.max(self.now + Duration::from_micros(1)))
    }
}

/// Blocked calls.
impl World {
    /// Adds a blocked call with an optional deadline; returns its number.
    pub(super) fn add_waiter(&mut self, until: Option<Instant>, attempt: Attempt) -> u64 {
        self.waited += 1;
        self.waiters.push(Waiter { number: self.waited, until, attempt });
        self.waited
    }

    /// Returns the completion time of a blocked call and forgets the call; `None` while it waits.
    pub(super) fn take_finished(&mut self, number: u64) -> Option<Instant> {
        self.finished.remove(&number)
    }

    /// Returns true if a blocked call has completed.
    pub(super) fn is_finished(&self, number: u64) -> bool {
        self.finished.contains_key(&number)
    }

    /// Returns true if a completed call has not been collected by its thread.
    pub(super) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Removes a blocked call.
    pub(super) fn remove_waiter(&mut self, number: u64) {
        self.waiters.retain(|waiter| waiter.number != number);
    }

    fn try_waiters(&mut self) {
        // An attempt runs the stack, which calls this function again; the list is then empty.
        let mut waiting = core::mem::take(&mut self.waiters);
        waiting.retain_mut(|waiter| {
            let over = (waiter.attempt)(self) || waiter.until.is_some_and(|at| at <= self.now);
            if over {
                self.finished.insert(waiter.number, self.now);
            }
            !over
        });
        self.waiters.splice(0..0, waiting);
    }
}
