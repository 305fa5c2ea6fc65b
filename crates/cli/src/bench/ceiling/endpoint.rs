//! One endpoint of the raw measurements: an AF_XDP link with the XDP program, without a stack.
//!
//! Owns the turn: receive a batch, pass each frame to a responder, flush once. Does not interpret
//! frames.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};

use linerate::link::xsk::{self, XskLink};
use linerate::link::{Frame, Link as _, Statistics};
use linerate::runtime::Clock;
use linerate::time::{Duration, Instant};
use linerate::wire::MacAddr;
use linerate::xdp::{Policy, Program, Role, XdpMode};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::failure::Failure;

/// Configuration of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct EndpointConfig {
    /// Interface in the network namespace of the thread that opens the endpoint.
    pub interface: String,
    /// MAC address.
    pub mac: MacAddr,
    /// IPv4 address.
    pub address: Ipv4Addr,
    /// Core that the thread is pinned to.
    pub core: usize,
}

/// Number of turns between two checks for lost frames.
const TURNS_PER_TIMEOUT_CHECK: u32 = 4096;

/// Time without received frames after which no frame is in flight.
const DRAIN_QUIET: Duration = Duration::from_millis(5);

/// Processes received frames.
pub(super) trait Responder {
    /// Processes a frame; must send or release it.
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame);

    /// Checks for lost frames; called periodically.
    fn check_timeouts(&mut self, _turn: &mut Turn<'_>) {}
}

/// Releases every frame without a reply.
struct Discard;

impl Responder for Discard {
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame) {
        turn.release(frame);
    }
}

/// A link and its XDP program. The field order matters: the program is detached before the socket
/// closes.
pub(super) struct Endpoint {
    program: Program,
    link: XskLink,
    frames: Vec<Frame>,
    clock: Clock,
    /// Time at the start of the turn.
    now: Instant,
    core: usize,
}

/// The link, as responders see it during a turn.
pub(super) struct Turn<'a> {
    link: &'a mut XskLink,
    /// Time at the start of the turn.
    pub now: Instant,
}

impl Endpoint {
    /// Opens the endpoint in the calling thread's network namespace.
    ///
    /// # Errors
    /// Without root privileges, or on a kernel without AF_XDP.
    pub(super) fn open(config: &EndpointConfig) -> Result<Self, Failure> {
        let name = &config.interface;
        let refused = |wrong: &dyn std::fmt::Display| {
            Failure::new(
                format!("cannot measure the raw AF_XDP ceiling on {name}"),
                wrong,
                "run as root on a kernel with AF_XDP (see `linerate check`)",
            )
        };
        let link = XskLink::open(&xsk::Config::new(name, 0)).map_err(|error| refused(&error))?;
        let program = attach(config, &link).map_err(|error| refused(&error))?;
        let (clock, frames) = (Clock::new(), Vec::with_capacity(256));
        Ok(Self { program, link, frames, now: clock.now(), clock, core: config.core })
    }

    /// Pins the calling thread and processes frames until `stop` is set.
    pub(super) fn run_until(
        &mut self,
        batch: usize,
        responder: &mut impl Responder,
        stop: &AtomicBool,
    ) {
        self.pin();
        while !stop.load(Ordering::Relaxed) {
            self.turn(batch, responder);
        }
    }

    /// Pins the calling thread and processes frames for `span`, checking for lost frames at the
    /// start and periodically. Then drains the frames in flight. Returns the actual duration,
    /// without the drain.
    pub(super) fn run_for(
        &mut self,
        batch: usize,
        responder: &mut impl Responder,
        span: Duration,
    ) -> Duration {
        self.pin();
        let started = self.clock.now();
        for turns in 0_u32.. {
            if turns % TURNS_PER_TIMEOUT_CHECK == 0 {
                responder.check_timeouts(&mut Turn { link: &mut self.link, now: self.clock.now() });
            }
            self.turn(batch, responder);
            if self.now.since(started) >= span {
                break;
            }
        }
        let took = self.now.since(started);
        self.drain();
        took
    }

    /// Processes up to `batch` frames and flushes. Returns the number of frames received.
    #[inline]
    fn turn(&mut self, batch: usize, responder: &mut impl Responder) -> usize {
        self.now = self.clock.now();
        let received = self.link.receive(self.now, batch, &mut self.frames);
        let mut turn = Turn { link: &mut self.link, now: self.now };
        for frame in self.frames.drain(..) {
            responder.on_frame(&mut turn, frame);
        }
        self.link.flush(self.now);
        received
    }

    /// Releases received frames until none has arrived for [`DRAIN_QUIET`].
    fn drain(&mut self) {
        let mut last = self.clock.now();
        loop {
            if self.turn(256, &mut Discard) > 0 {
                last = self.now;
            } else if self.now.since(last) > DRAIN_QUIET {
                return;
            }
        }
    }

    /// Pins the calling thread. If the core does not exist, the thread stays unpinned.
    fn pin(&self) {
        let mut cores = CpuSet::new();
        if cores.set(self.core).is_ok() {
            let _ = sched_setaffinity(Pid::from_raw(0), &cores);
        }
    }

    /// Returns the counters of the link and its socket.
    pub(super) fn statistics(&mut self) -> Statistics {
        self.link.statistics()
    }

    /// Describes how the program is attached and the socket is bound.
    pub(super) fn description(&self) -> String {
        let attached = self.program.attachment().map_or("not attached", |it| it.mode.name());
        format!("{attached} XDP, {} mode", self.link.bound().name())
    }
}

impl Turn<'_> {
    /// Sends a frame.
    #[inline]
    pub(super) fn send(&mut self, frame: Frame) {
        self.link.transmit(self.now, frame);
    }

    /// Returns an empty frame to fill.
    #[inline]
    pub(super) fn reserve(&mut self) -> Option<Frame> {
        self.link.reserve()
    }

    /// Releases a frame without sending it.
    #[inline]
    pub(super) fn release(&mut self, frame: Frame) {
        self.link.release(frame);
    }
}

fn attach(config: &EndpointConfig, link: &XskLink) -> Result<Program, Box<dyn std::error::Error>> {
    let mut program = Program::load()?;
    program.set_policy(Policy { role: Role::Exclusive, ..Policy::default() })?;
    program.attach(&config.interface, XdpMode::Auto)?;
    program.insert_socket(0, link.fd())?;
    program.claim_address(config.address.into())?;
    Ok(program)
}
