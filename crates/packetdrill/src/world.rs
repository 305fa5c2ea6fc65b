//! The stack under test: one shard at the near end of a cable in memory, the script at its far end, and a
//! clock that moves only when told.
//!
//! Owns the order of what happens: the shard's deadlines and those of blocked calls, each at its own time;
//! after every step what the shard has sent is collected, the sockets are told, and blocked calls are tried.

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

/// The two ends of the cable.
const OURS: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 1]);
const THEIRS: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 2]);

/// Bytes before the IP packet of a frame.
const ETHERNET_LEN: usize = 14;

/// The longest packet of IP, and so the longest that a script can inject.
const PACKET_MAX: usize = 65_535;

/// Frames of each end: a turn of a full window is collected before the next.
const FRAMES: usize = 512;

/// Everything goes through these: the script's end has one hardware address, whatever addresses of IP it
/// speaks for.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// What the clock reads first: like a kernel's, long after zero.
const BEGINNING: Instant = Instant::from_millis(1_000_000_000);

/// How long a script may wait for a packet: longer than keep-alive takes to give up by default.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// What tries a blocked call; whether it has come true.
pub(super) type Attempt = Box<dyn FnMut(&mut World) -> bool + Send>;

/// A blocked call.
struct Waiter {
    number: u64,
    until: Option<Instant>,
    attempt: Attempt,
}

/// All of it.
pub(super) struct World {
    now: Instant,
    flags: Flags,
    host: Host,
    /// Made once our addresses are known.
    shard: Option<Shard>,
    near: memory::MemoryLink,
    far: memory::MemoryLink,
    program: Program,
    pub(super) sockets: Sockets,
    /// Packets on their way out, and when they were sent.
    outgoing: VecDeque<(Instant, Vec<u8>)>,
    waiters: Vec<Waiter>,
    waited: u64,
    /// Blocked calls that are over, and when they came true.
    finished: BTreeMap<u64, Instant>,
}

impl World {
    pub(super) fn new(flags: Flags) -> Self {
        let cable =
            memory::Config { frames: FRAMES, frame_max: PACKET_MAX + ETHERNET_LEN, ring: FRAMES };
        let (near, far) = memory::pair(cable);
        Self {
            now: BEGINNING,
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

    /// A number for a new socket.
    pub(super) const fn draw_number(&mut self) -> u64 {
        self.program.draw_number()
    }

    /// Now.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// How TCP behaves now.
    pub(super) fn settings(&self) -> Settings {
        self.host.settings()
    }

    /// A setting of the script's host.
    pub(super) fn sysctl(&self, name: &str) -> Option<u64> {
        self.host.number(name)
    }

    /// The same as text.
    pub(super) fn sysctl_text(&self, name: &str) -> Option<String> {
        self.host.text(name)
    }

    /// Takes note of the settings that the script has changed, and of those of a socket that must be known
    /// before there is a connection.
    pub(super) fn look_at_host(&mut self, options: &Options) {
        let mut settings = self.host.settings();
        let tcp = |name: i32| options.kept.get(&(libc::IPPROTO_TCP, name)).copied();
        if let Some(mss) = tcp(libc::TCP_MAXSEG).and_then(|mss| u16::try_from(mss).ok()) {
            settings.mss = settings.mss.map(|most| most.min(mss));
        }
        if let Some(most) = options.window_max() {
            settings.receive_buffer = settings.receive_buffer.min(most);
            // The kernel offers whole segments at first.
            let segment = u32::from(settings.mss[0].max(1));
            let whole = most - most % segment.min(most);
            settings.receive_buffer_initial = settings.receive_buffer_initial.min(whole);
        }
        self.awake().set_settings(settings);
    }

    /// Our address of a family, and the stack with it.
    pub(super) fn local(&mut self, ipv6: bool) -> IpAddr {
        self.awake();
        if ipv6 { self.flags.local_v6.into() } else { self.flags.local_v4.into() }
    }

    /// Makes an address ours, as the first bind or packet that names one does.
    ///
    /// # Errors
    /// When the stack has others already.
    pub(super) fn adopt(&mut self, address: IpAddr) -> Result<(), Errno> {
        if self.shard.is_none() {
            match address {
                IpAddr::V4(address) => self.flags.local_v4 = address,
                IpAddr::V6(address) => self.flags.local_v6 = address,
            }
        }
        let ours = self.local(address.is_ipv6());
        if ours == address { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) }
    }

    /// The stack, made if need be.
    pub(super) fn awake(&mut self) -> &mut Shard {
        let Self { shard, flags, host, now, near, program, .. } = self;
        shard.get_or_insert_with(|| {
            let addresses = vec![(flags.local_v4.into(), 32), (flags.local_v6.into(), 128)];
            // The same secret for every run: a script is a test, and sees the same numbers each time.
            let mut config = Config::new(OURS, addresses, [0x5a; 32]);
            config.limits.connections = 1 << 10;
            config.limits.embryos = 1 << 10;
            config.limits.time_waits = 1 << 10;
            config.limits.neighbours = 8;
            config.mtu = usize::from(flags.mtu);
            config.settings = host.settings();
            // Neighbours are told, not asked for: a script does not speak ARP.
            config.role = Role::Shared;
            (config.gateway_v4, config.gateway_v6) = (Some(GATEWAY_V4), Some(GATEWAY_V6));
            let mut shard = Shard::new(config);
            for gateway in [GATEWAY_V4.into(), GATEWAY_V6.into()] {
                shard.mirror_neighbour(*now, gateway, Some(THEIRS.0));
            }
            let around = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
            shard.start(*now, around);
            shard
        })
    }

    /// Acts on the stack as a program does, and lets it come to rest.
    pub(super) fn act<R>(&mut self, call: impl FnOnce(&mut dyn Io) -> R) -> R {
        self.awake();
        let Self { shard, near, program, now, .. } = self;
        let shard = shard.as_mut().expect("the stack is awake");
        let around = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
        let result = shard.with_io(*now, around, call);
        self.rest();
        result
    }

    /// Asks the stack something that changes nothing.
    pub(super) fn inspect(&self, socket: &Socket) -> Option<Info> {
        self.shard.as_ref()?.tcp_info(socket.conn()?)
    }

    /// Turns of the stack until it has nothing more to do at this time.
    fn turn(&mut self) {
        let Self { shard: Some(shard), near, program, now, .. } = self else { return };
        let around = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
        shard.turn(*now, around);
        self.rest();
    }

    /// After a step: what was sent is collected, unfinished work goes on, sockets and blocked calls are told.
    fn rest(&mut self) {
        self.collect();
        while let Self { shard: Some(shard), near, program, now, .. } = self
            && shard.deadline().is_some_and(|at| at <= *now)
        {
            let around = &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker };
            let turn = shard.turn(*now, around);
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

    /// Takes what the stack has sent.
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

    /// A packet of the script arrives.
    ///
    /// # Errors
    /// When it is no packet of IP, or longer than one can be.
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
        // For an address that is not ours it is still a packet: the stack counts and drops it.
        let _ = self.adopt(to);
        let mut bytes = Vec::with_capacity(ETHERNET_LEN + packet.len());
        bytes.extend_from_slice(&OURS.0);
        bytes.extend_from_slice(&THEIRS.0);
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

    /// The next packet that the stack sends, and when: the clock moves on until there is one. `None` when
    /// there will be none.
    pub(super) fn next_packet(&mut self) -> Option<(Instant, Vec<u8>)> {
        let end = self.now + PATIENCE;
        while self.outgoing.is_empty() {
            if self.now > end || !self.step() {
                return None;
            }
        }
        self.outgoing.pop_front()
    }

    /// Moves the clock to the next thing that is to happen; whether there is any.
    pub(super) fn step(&mut self) -> bool {
        let Some(at) = self.next_deadline() else { return false };
        self.pass(at);
        self.turn();
        true
    }

    /// Nothing happens until `to`; what sockets wait for meanwhile is noted.
    fn pass(&mut self, to: Instant) {
        let span = to.since(self.now);
        let limits: Vec<_> =
            self.sockets.all().map(|socket| (socket.number, self.limit_of(socket))).collect();
        for (number, limit) in limits {
            if let Some(socket) = self.sockets.by_number(number) {
                socket.spent.add(limit, span);
            }
        }
        self.now = to;
    }

    /// Moves the clock, and lets happen on the way what is due.
    pub(super) fn advance(&mut self, span: Duration) {
        let to = self.now + span;
        while self.next_deadline().is_some_and(|at| at <= to) {
            self.step();
        }
        self.pass(self.now.max(to));
    }

    /// When something is to happen next. What is overdue is so for the stack's own clockwork only, a little
    /// later it has happened.
    fn next_deadline(&self) -> Option<Instant> {
        let stack = self.shard.as_ref().and_then(Shard::deadline);
        let calls = self.waiters.iter().filter_map(|waiter| waiter.until).min();
        let next = stack.into_iter().chain(calls).min()?;
        Some(next.max(self.now + Duration::from_micros(1)))
    }
}

/// Blocked calls.
impl World {
    /// Notes a call that waits, until a time at most.
    pub(super) fn add_waiter(&mut self, until: Option<Instant>, attempt: Attempt) -> u64 {
        self.waited += 1;
        self.waiters.push(Waiter { number: self.waited, until, attempt });
        self.waited
    }

    /// When a blocked call came true, once it has; told once.
    pub(super) fn take_finished(&mut self, number: u64) -> Option<Instant> {
        self.finished.remove(&number)
    }

    /// Whether a blocked call is over.
    pub(super) fn is_finished(&self, number: u64) -> bool {
        self.finished.contains_key(&number)
    }

    /// Whether any call is over and not told.
    pub(super) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Forgets a blocked call.
    pub(super) fn remove_waiter(&mut self, number: u64) {
        self.waiters.retain(|waiter| waiter.number != number);
    }

    fn try_waiters(&mut self) {
        // An attempt acts on the stack, which comes back here; it finds nothing to try then.
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
