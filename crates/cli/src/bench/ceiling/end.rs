//! One end of the raw measurements: an AF_XDP link with the XDP program before it, and no stack.
//!
//! Owns the turn: receive a batch, answer each frame, flush once. Refuses to know what the frames mean.

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

/// Where an end stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// The interface in the network namespace of the thread that opens the end.
    pub interface: String,
    /// Its link-layer address.
    pub mac: MacAddr,
    /// The address that frames for it carry.
    pub address: Ipv4Addr,
    /// The core that its thread is pinned to.
    pub core: usize,
}

/// Turns between two looks at what is missing.
const LOOK_EVERY: u32 = 4096;

/// Nothing has arrived for so long: nothing is in flight any more.
const QUIET: Duration = Duration::from_millis(5);

/// What an end does with what arrives.
pub trait Responder {
    /// A frame, to be sent back, or released.
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame);

    /// Once in a while: what has not come may be lost, and may be sent again.
    fn look(&mut self, _turn: &mut Turn<'_>) {}
}

/// Answers nothing.
struct Silence;

impl Responder for Silence {
    fn on_frame(&mut self, turn: &mut Turn<'_>, frame: Frame) {
        turn.release(frame);
    }
}

/// A link and its program. The program goes first, thus is detached before the socket is closed.
pub struct End {
    program: Program,
    link: XskLink,
    frames: Vec<Frame>,
    clock: Clock,
    /// When the turn began.
    now: Instant,
    core: usize,
}

/// What a turn's frames are answered with.
pub struct Turn<'a> {
    link: &'a mut XskLink,
    /// When the turn began.
    pub now: Instant,
}

impl End {
    /// Opens the end in the calling thread's network namespace.
    ///
    /// # Errors
    /// Without the privileges or the kernel for AF_XDP.
    pub fn open(place: &Place) -> Result<Self, Failure> {
        let name = &place.interface;
        let refused = |wrong: &dyn std::fmt::Display| {
            Failure::new(
                format!("cannot measure the raw AF_XDP ceiling on {name}"),
                wrong,
                "run as root on a kernel with AF_XDP (`linerate check` tells)",
            )
        };
        let link = XskLink::open(&xsk::Config::new(name, 0)).map_err(|error| refused(&error))?;
        let program = attach(place, &link).map_err(|error| refused(&error))?;
        let (clock, frames) = (Clock::new(), Vec::with_capacity(256));
        Ok(Self { program, link, frames, now: clock.now(), clock, core: place.core })
    }

    /// Pins the calling thread and answers until `stop`.
    pub fn serve(&mut self, batch: usize, responder: &mut impl Responder, stop: &AtomicBool) {
        self.pin();
        while !stop.load(Ordering::Relaxed) {
            self.turn(batch, responder);
        }
    }

    /// Pins the calling thread and answers for `span`, with a look at what is missing first and once in a
    /// while; then lets everything in flight run out. Gives how long it really took.
    pub fn ask(
        &mut self,
        batch: usize,
        responder: &mut impl Responder,
        span: Duration,
    ) -> Duration {
        self.pin();
        let started = self.clock.now();
        for turns in 0_u32.. {
            if turns % LOOK_EVERY == 0 {
                responder.look(&mut Turn { link: &mut self.link, now: self.clock.now() });
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

    /// Answers up to `batch` frames and flushes.
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

    /// Drops whatever still arrives, until nothing has for some milliseconds.
    fn drain(&mut self) {
        let mut last = self.clock.now();
        loop {
            if self.turn(256, &mut Silence) > 0 {
                last = self.now;
            } else if self.now.since(last) > QUIET {
                return;
            }
        }
    }

    /// A core that this machine has not leaves the thread where it is.
    fn pin(&self) {
        let mut cores = CpuSet::new();
        if cores.set(self.core).is_ok() {
            let _ = sched_setaffinity(Pid::from_raw(0), &cores);
        }
    }

    /// What the link and its socket have counted.
    pub fn statistics(&mut self) -> Statistics {
        self.link.statistics()
    }

    /// How the program is attached and the socket bound, in words.
    pub fn description(&self) -> String {
        let attached = self.program.attachment().map_or("not attached", |it| it.mode.name());
        format!("{attached} XDP, {} mode", self.link.bound().name())
    }
}

impl Turn<'_> {
    /// Sends a frame.
    #[inline]
    pub fn send(&mut self, frame: Frame) {
        self.link.transmit(self.now, frame);
    }

    /// An empty frame to fill.
    #[inline]
    pub fn reserve(&mut self) -> Option<Frame> {
        self.link.reserve()
    }

    /// Gives a frame back unsent.
    #[inline]
    pub fn release(&mut self, frame: Frame) {
        self.link.release(frame);
    }
}

fn attach(place: &Place, link: &XskLink) -> Result<Program, Box<dyn std::error::Error>> {
    let mut program = Program::load()?;
    program.set_policy(Policy { role: Role::Exclusive, ..Policy::default() })?;
    program.attach(&place.interface, XdpMode::Auto)?;
    program.insert_socket(0, link.fd())?;
    program.claim_address(place.address.into())?;
    Ok(program)
}
