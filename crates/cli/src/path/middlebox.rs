//! The middlebox: a switch between senders and receivers that passes all frames over one impaired
//! link.
//!
//! Owns AF_XDP links to all hosts and the thread that forwards frames between them. Looks at
//! nothing in a frame but its destination.

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

/// Maximum frames received from a link at a time.
const BATCH: usize = 64;

/// Frames on each side of the impaired link: queued, in flight, and in the current batches.
const FRAMES: usize = 16 * 1024;

/// Spin instead of sleeping for less than this: the kernel wakes a thread late by about as much.
const SLEEP_MIN: Duration = Duration::from_micros(60);

/// Maximum sleep; bounds the delay until the stop flag is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// Side of the impaired link that a host is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Its frames use the tx direction of the link.
    Sender,
    /// Its frames use the rx direction of the link.
    Receiver,
}

/// A link to one host. The field order matters: the program is detached before the socket closes.
pub(super) struct Port {
    _program: Program,
    link: XskLink,
    side: Side,
    mac: MacAddr,
}

impl Port {
    /// Opens the link on `interface` in the calling thread's namespace, to a host with the MAC
    /// address
    /// `mac` that sends to `peers`.
    ///
    /// # Errors
    /// Without root privileges, or on a kernel without AF_XDP.
    pub(super) fn open(
        interface: &str,
        side: Side,
        mac: MacAddr,
        peers: &[Ipv4Addr],
    ) -> Result<Self, Failure> {
        attach(interface, peers).map_or_else(
            |wrong| {
                Err(Failure::new(
                    format!("cannot attach the middlebox to {interface}"),
                    wrong,
                    "run as root on a kernel with AF_XDP (see `linerate check`)",
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

/// A running middlebox. Dropping it stops its thread.
#[derive(Debug)]
pub(super) struct Middlebox {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<[Counts; 2]>>,
}

impl Middlebox {
    /// Starts a thread that forwards frames between `ports`.
    pub(super) fn start(ports: Vec<Port>, impairments: &Impairments) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut switch, stop_flag) = (Switch::new(ports, impairments), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stop_flag.load(Ordering::Relaxed) {
                switch.turn();
            }
            [switch.near.tx_counts(), switch.near.rx_counts()]
        });
        Self { stop, thread: Some(thread) }
    }

    /// Stops the thread. Returns the counts of the frames of senders and of receivers.
    pub(super) fn finish(mut self) -> [Counts; 2] {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<[Counts; 2]> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl Drop for Middlebox {
    fn drop(&mut self) {
        self.end();
    }
}

struct Switch {
    ports: Vec<Port>,
    /// The senders' end of the impaired link; `far` is the receivers' end.
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
        self.forward_to_line();
        self.forward_to_hosts();
        let now = self.clock.now();
        self.ports.iter_mut().for_each(|port| port.link.flush(now));
        self.wait();
    }

    /// Moves received frames from the hosts onto the impaired link.
    fn forward_to_line(&mut self) {
        let Self { ports, near, far, frames, clock } = self;
        for port in ports {
            port.link.receive(clock.now(), BATCH, frames);
            // Read the clock after receiving: frames may have arrived while this thread was
            // preempted, and must not enter the link in the past.
            let now = clock.now();
            for frame in frames.drain(..) {
                // Without a free frame, the copy is dropped, as in a switch without buffer space.
                match port.side {
                    Side::Sender => copy(&frame, near, now),
                    Side::Receiver => copy(&frame, far, now),
                }
                port.link.release(frame);
            }
        }
    }

    /// Moves frames that are due from the impaired link to the hosts.
    fn forward_to_hosts(&mut self) {
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

    /// Waits until a frame arrives or is due.
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
        // Ignore errors: the next turn polls again.
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(span)), None);
    }
}

fn copy(frame: &Frame, link: &mut impl linerate::link::Link, now: linerate::time::Instant) {
    if let Some(mut copy) = link.reserve() {
        copy.fill(frame);
        link.transmit(now, copy);
    }
}

/// Delivers a frame to its destination on `side`, or to all hosts there if it is multicast.
fn deliver(ports: &mut [Port], side: Side, frame: &Frame, clock: &Clock) {
    let dst = frame.first_chunk().map_or(MacAddr::BROADCAST, |dst| MacAddr(*dst));
    let is_for = |port: &&mut Port| port.side == side && (dst.is_multicast() || port.mac == dst);
    for port in ports.iter_mut().filter(is_for) {
        copy(frame, &mut port.link, clock.now());
    }
}
