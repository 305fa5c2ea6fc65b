//! The world: hosts, a switch and a virtual clock.

use std::cell::RefCell;
use std::rc::Rc;

use super::host::{Host, HostId};
use super::switch;
use crate::link::impair::{Impaired, Impairment, Impairments};
use crate::link::memory::{self, MemoryLink};
use crate::link::{Frame, Link};
use crate::rng::Rng;
use crate::shard::{Config, Service, Shard};
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddr;

/// The configuration of a world.
#[derive(Clone, Copy, Debug)]
pub struct WorldConfig {
    /// The seed of everything random.
    pub seed: u64,
    /// Delay from one host to another.
    pub delay: Duration,
    /// The links between hosts and switch.
    pub cable: memory::Config,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            delay: Duration::from_micros(20),
            cable: memory::Config { frames: 8192, frame_max: 2048, ring: 4096 },
        }
    }
}

/// Wraps the host's end of a cable, for instance in an impairment. The number is a random seed for
/// it.
pub(super) type Wrap<'a> = &'a mut dyn FnMut(MemoryLink, u64) -> Box<dyn Link>;

/// Hosts, a switch and a clock.
pub struct World {
    config: WorldConfig,
    now: Instant,
    rng: Rng,
    hosts: Vec<Host>,
    frames: Vec<Frame>,
    record: Option<Record>,
    witness: Option<Witness>,
}

/// Receives every frame that reaches the switch, with its time.
pub type Witness = Box<dyn FnMut(Instant, &[u8])>;

/// All frames that crossed the switch, in order.
pub type Record = Rc<RefCell<Vec<Vec<u8>>>>;

impl World {
    /// Creates a world without hosts. Its clock starts at one second.
    pub fn new(config: WorldConfig) -> Self {
        Self {
            config,
            now: Instant::from_millis(1000),
            rng: Rng::new(config.seed),
            hosts: Vec::new(),
            frames: Vec::new(),
            record: None,
            witness: None,
        }
    }

    /// Returns the present time of the world.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Returns the Ethernet address of the next host to be added.
    pub fn next_mac(&self) -> MacAddr {
        MacAddr([0x02, 0, 0, 0, 0, self.hosts.len() as u8 + 1])
    }

    /// Draws a secret for a host.
    pub fn draw_secret(&mut self) -> [u8; 32] {
        core::array::from_fn(|_| self.rng.next_u32() as u8)
    }

    /// Adds a host with one worker per service. The configuration must contain
    /// [`next_mac`](Self::next_mac).
    pub fn add_host(&mut self, config: &Config, services: Vec<Box<dyn Service>>) -> HostId {
        self.add_host_with(config, services, &mut |near, _| Box::new(near))
    }

    /// Adds a host as [`add_host`](Self::add_host) does, with a wrapper around each of its links.
    pub fn add_host_with(
        &mut self,
        config: &Config,
        services: Vec<Box<dyn Service>>,
        wrap: Wrap<'_>,
    ) -> HostId {
        let host = self.boot(config, services, wrap);
        self.hosts.push(host);
        HostId(self.hosts.len() - 1)
    }

    /// Crashes a host and restarts it with these services. All its state is lost, and so are the
    /// frames on its cables and their impairments.
    pub fn crash(&mut self, id: HostId, config: &Config, services: Vec<Box<dyn Service>>) {
        self.hosts[id.0] = self.boot(config, services, &mut |near, _| Box::new(near));
    }

    fn boot(&mut self, config: &Config, services: Vec<Box<dyn Service>>, wrap: Wrap<'_>) -> Host {
        let mut host = Host::new(config.mac.0);
        let workers = services.len() as u16;
        for (worker, service) in services.into_iter().enumerate() {
            let (near, far) = memory::pair(self.config.cable);
            let seed = self.rng.next_u64();
            let near = wrap(near, seed);
            let far = Impaired::new(far, &Impairments { seed: !seed, ..Impairments::default() });
            let config = Config { worker: worker as u16, workers, ..config.clone() };
            host.add(self.now, Shard::new(config), (near, far), service);
        }
        host
    }

    /// Sets the impairments of a host's cables: `to` for frames to the host, `from` for frames from
    /// it.
    pub fn impair(&mut self, id: HostId, to: Impairment, from: Impairment) {
        for worker in &mut self.hosts[id.0].workers {
            worker.far.change(to, from);
        }
    }

    /// Returns a host.
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0]
    }

    /// Returns a host for changes.
    pub fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[id.0]
    }

    /// Makes a host drain, as [`Stack::drain`](crate::runtime::Stack::drain) does: its listeners
    /// close and its services learn of it. After `grace` the connections that are left are reset.
    pub fn drain(&mut self, id: HostId, grace: Duration) {
        let deadline = self.now + grace;
        self.hosts[id.0].drain(self.now, deadline);
    }

    /// Sends a frame to worker 0 of a host as if it came from the switch.
    pub fn inject(&mut self, id: HostId, bytes: &[u8]) {
        let far = &mut self.hosts[id.0].workers[0].far;
        if let Some(mut frame) = far.reserve() {
            frame.fill(bytes);
            far.transmit(self.now, frame);
        }
    }

    /// Starts a new record of the frames that cross the switch.
    pub fn record(&mut self) -> Record {
        Rc::clone(self.record.insert(Record::default()))
    }

    /// Passes every frame to `witness` from now on.
    pub fn watch(&mut self, witness: Witness) {
        self.witness = Some(witness);
    }

    /// Runs one turn of every worker, forwards frames, and advances the clock to the next event.
    /// Returns false when no event is pending.
    pub fn step(&mut self) -> bool {
        self.step_until(Instant::FAR)
    }

    /// Steps as [`step`](Self::step) does, with the clock advancing no further than `end`.
    pub fn step_until(&mut self, end: Instant) -> bool {
        let mut moved = false;
        for host in &mut self.hosts {
            moved |= host.turn(self.now);
        }
        let Self { now, hosts, frames, record, witness, .. } = self;
        let at = *now;
        let seen = |frame: &[u8]| {
            if let Some(witness) = witness {
                witness(at, frame);
            }
            if let Some(record) = record {
                record.borrow_mut().push(frame.to_vec());
            }
        };
        moved |= switch::forward(at, hosts, frames, seen) > 0;
        if moved {
            self.now += self.config.delay;
            return true;
        }
        let Some(next) = self.hosts.iter().filter_map(Host::deadline).min() else { return false };
        // The next turn handles deadlines that have passed. The clock must advance all the same.
        self.now = next.max(self.now + Duration::from_micros(1)).min(end.max(self.now));
        true
    }

    /// Steps until `done`, for at most `span`. Returns true if it was done.
    pub fn run(&mut self, span: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + span;
        while !done(self) {
            if self.now > end || !self.step() {
                return done(self);
            }
        }
        true
    }

    /// Steps for a span of time.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end && self.step_until(end) {}
        // Without pending events, time passes all the same.
        self.now = self.now.max(end);
    }
}
