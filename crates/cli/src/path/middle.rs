//! The box in the middle: a switch between senders and receivers, of which all frames that cross it meet
//! one impaired line.
//!
//! Owns AF_XDP links to all ends and the thread that moves frames between them. Refuses to know what a
//! frame means beyond its destination.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use linerate::link::impair::{Counts, Impaired, Impairments};
use linerate::link::memory::{self, MemoryLink};
use linerate::link::xsk::{self, XskLink};
use linerate::link::{Frame, Link as _};
use linerate::runtime::Clock;
use linerate::time::Duration;
use linerate::wire::MacAddr;
use linerate::xdp::{Policy, Program, Role, XdpMode};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::failure::Failure;

/// Frames taken from a link at a time.
const BATCH: usize = 64;

/// Frames of each side of the line: what waits and travels, and the batches in hand.
const FRAMES: usize = 16 * 1024;

/// A sleep that would be shorter is spun away: the kernel wakes late by about as much.
const SLEEP_MIN: Duration = Duration::from_micros(60);

/// The longest sleep: how late the wish to stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// On which side of the line an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What it sends takes the line's tx direction.
    Sender,
    /// What it sends takes the line's rx direction.
    Receiver,
}

/// A link to one end. The program goes first, thus is detached before the socket is closed.
pub struct Port {
    _program: Program,
    link: XskLink,
    side: Side,
    mac: MacAddr,
}

impl Port {
    /// Opens the link on `interface` of the calling thread's namespace, for an end with the link-layer
    /// address `mac` that sends to `peers`.
    ///
    /// # Errors
    /// Without the privileges or the kernel for AF_XDP.
    pub fn open(
        interface: &str,
        side: Side,
        mac: MacAddr,
        peers: &[Ipv4Addr],
    ) -> Result<Self, Failure> {
        attach(interface, peers).map_or_else(
            |wrong| {
                Err(Failure::new(
                    format!("cannot put a box in the path at {interface}"),
                    wrong,
                    "run as root on a kernel with AF_XDP (`linerate check` tells)",
                ))
            },
            |(program, link)| Ok(Self { _program: program, link, side, mac }),
        )
    }
}

fn attach(
    interface: &str,
    peers: &[Ipv4Addr],
) -> Result<(Program, XskLink), Box<dyn std::error::Error>> {
    let link = XskLink::open(&xsk::Config::new(interface, 0))?;
    let mut program = Program::load()?;
    program.set_policy(Policy { role: Role::Exclusive, ..Policy::default() })?;
    program.attach(interface, XdpMode::Auto)?;
    program.insert_socket(0, link.fd())?;
    peers.iter().try_for_each(|peer| program.claim_address((*peer).into()))?;
    Ok((program, link))
}

/// The box at work. Dropping it stops it.
#[derive(Debug)]
pub struct Middle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<[Counts; 2]>>,
}

impl Middle {
    /// Starts to move frames between `ports`.
    pub fn start(ports: Vec<Port>, impairments: &Impairments) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut switch, told) = (Switch::new(ports, impairments), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                switch.turn();
            }
            [switch.near.tx_counts(), switch.near.rx_counts()]
        });
        Self { stop, thread: Some(thread) }
    }

    /// Stops; what happened to the frames of senders, and to those of receivers.
    pub fn finish(mut self) -> [Counts; 2] {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<[Counts; 2]> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.end();
    }
}

struct Switch {
    ports: Vec<Port>,
    /// The senders' end of the line, and the receivers'.
    near: Impaired<MemoryLink>,
    far: MemoryLink,
    frames: Vec<Frame>,
    clock: Clock,
}

impl Switch {
    fn new(ports: Vec<Port>, impairments: &Impairments) -> Self {
        let sizes = memory::Config { frames: FRAMES, frame_max: 2048, ring: FRAMES };
        let (near, far) = memory::pair(sizes);
        let near = Impaired::new(near, impairments);
        Self { ports, near, far, frames: Vec::with_capacity(BATCH), clock: Clock::new() }
    }

    fn turn(&mut self) {
        self.take_in();
        self.let_out();
        let now = self.clock.now();
        self.ports.iter_mut().for_each(|port| port.link.flush(now));
        self.wait();
    }

    /// From the ends onto the line.
    fn take_in(&mut self) {
        let Self { ports, near, far, frames, clock } = self;
        for port in ports {
            port.link.receive(clock.now(), BATCH, frames);
            // Read again: what arrived while another program had the core did not enter before.
            let now = clock.now();
            for frame in frames.drain(..) {
                // Without a free frame it is lost, as in a switch that is short of memory.
                match port.side {
                    Side::Sender => copy(&frame, near, now),
                    Side::Receiver => copy(&frame, far, now),
                }
                port.link.release(frame);
            }
        }
    }

    /// From the line to the ends.
    fn let_out(&mut self) {
        let Self { ports, near, far, frames, clock } = self;
        let now = clock.now();
        near.flush(now);
        far.receive(now, usize::MAX, frames);
        for frame in frames.drain(..) {
            deliver(ports, Side::Receiver, &frame, clock);
            far.release(frame);
        }
        near.receive(now, usize::MAX, frames);
        for frame in frames.drain(..) {
            deliver(ports, Side::Sender, &frame, clock);
            near.release(frame);
        }
        far.flush(now);
    }

    /// Until a frame arrives, or one is due.
    fn wait(&self) {
        let links = self.ports.iter().filter_map(|port| port.link.deadline());
        let due_at = links.chain(self.near.deadline()).min();
        let span = due_at.map_or(SLEEP_MAX, |at| at.since(self.clock.now())).min(SLEEP_MAX);
        if span < SLEEP_MIN {
            return std::hint::spin_loop();
        }
        let fds = self.ports.iter().filter_map(|port| port.link.wait_fd());
        let mut fds: Vec<_> =
            fds.map(|fd: BorrowedFd<'_>| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let span = std::time::Duration::from(span - SLEEP_MIN);
        // Interrupted or refused: the next turn looks again.
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(span)), None);
    }
}

fn copy(frame: &Frame, link: &mut impl linerate::link::Link, now: linerate::time::Instant) {
    if let Some(mut copy) = link.reserve() {
        copy.fill(frame);
        link.transmit(now, copy);
    }
}

/// To the end on that side that the frame is for, or to all of them.
fn deliver(ports: &mut [Port], side: Side, frame: &Frame, clock: &Clock) {
    let dst = frame.first_chunk().map_or(MacAddr::BROADCAST, |dst| MacAddr(*dst));
    let is_for = |port: &&mut Port| port.side == side && (dst.is_multicast() || port.mac == dst);
    for port in ports.iter_mut().filter(is_for) {
        copy(frame, &mut port.link, clock.now());
    }
}
