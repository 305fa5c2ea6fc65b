//! A scenario put on: the world made, the storm let loose, healed, and all of it watched.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::host::HostId;
use super::invariants::{self, Watch};
use super::ledger::{Ledger, SharedLedger};
use super::party::{Opening, Party};
use super::scenario::{Change, HostPlan, PORT, Scenario, address};
use super::world::{Witness, World, WorldConfig};
use crate::link::memory;
use crate::shard::{Config, ListenerConfig, Service};
use crate::time::{Duration, Instant};

/// How long after the storm everything may take: a SYN that is given up after 255 s, then R2, and programs
/// that take their time.
const PATIENCE: Duration = Duration::from_secs(1200);

/// How long until nothing may be left: 2MSL, FIN-WAIT-2, whoever waits for a lost peer.
const AFTERWARDS: Duration = Duration::from_secs(600);

/// More steps, and two ends keep each other busy for nothing: the largest scenario takes a tenth.
const STEPS_MAX: u64 = 3_000_000;

/// What a trial was like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Of every frame and when it came by: the same for the same seed.
    pub trace: u64,
    /// Frames that reached the switch.
    pub frames: u64,
    /// Steps of the world.
    pub steps: u64,
    /// Time that passed in it.
    pub took: Duration,
    /// Conversations.
    pub talks: usize,
    /// Bytes that were read by all programs, each of them as it should be.
    pub bytes: u64,
}

/// Something that must hold and did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, {} ms after the start: {what}", at.as_millis())]
pub struct Violation {
    /// The seed that shows it.
    pub seed: u64,
    /// When, since the start of the world.
    pub at: Duration,
    /// What.
    pub what: String,
}

impl Scenario {
    /// Puts it on.
    ///
    /// # Errors
    /// The first thing that does not hold. A panic of the stack is one.
    pub fn run(&self) -> Result<Outcome, Violation> {
        self.run_before(None)
    }

    /// The same, every frame shown to a witness.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_before(&self, witness: Option<Witness>) -> Result<Outcome, Violation> {
        let trial = catch_unwind(AssertUnwindSafe(|| Trial::new(self, witness).run()));
        trial.unwrap_or_else(|panic| {
            let what = format!("panic: {}", words(panic.as_ref()));
            Err(Violation { seed: self.seed, at: Duration::ZERO, what })
        })
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// What the frames were, in order, mixed into one number.
#[derive(Default)]
struct Trace {
    mixed: u64,
    frames: u64,
}

impl Trace {
    fn mix(&mut self, word: u64) {
        self.mixed = (self.mixed.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn see(&mut self, now: Instant, frame: &[u8]) {
        self.frames += 1;
        self.mix(now.as_nanos());
        for chunk in frame.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }
}

struct Trial<'a> {
    scenario: &'a Scenario,
    world: World,
    begun: Instant,
    ledger: SharedLedger,
    trace: Rc<RefCell<Trace>>,
    /// By host.
    configs: Vec<Config>,
    watch: Watch,
    steps: u64,
}

impl<'a> Trial<'a> {
    fn new(scenario: &'a Scenario, witness: Option<Witness>) -> Self {
        let cable = memory::Config { frames: 1024, frame_max: 2048, ring: 1024 };
        let (seed, delay) = (scenario.seed, scenario.delay);
        let mut world = World::new(WorldConfig { seed, delay, cable });
        let trace = Rc::new(RefCell::new(Trace::default()));
        world.watch(both(Rc::clone(&trace), witness));
        let mut ledger = Ledger::default();
        for talk in &scenario.talks {
            ledger.enter(talk.kind, talk.scripts.clone());
        }
        let ledger = Rc::new(RefCell::new(ledger));
        let begun = world.now();
        let mut configs = Vec::new();
        for (host, plan) in scenario.hosts.iter().enumerate() {
            let config = config(&mut world, host, plan);
            let id = world.add_host(&config, parties(scenario, host, &ledger, begun, begun));
            listen(&mut world, id, plan);
            configs.push(config);
        }
        let watch = Watch::new(&world, scenario);
        Self { scenario, world, begun, ledger, trace, configs, watch, steps: 0 }
    }

    fn run(mut self) -> Result<Outcome, Violation> {
        let what = self.play().err();
        let took = self.world.now().since(self.begun);
        if let Some(what) = what {
            return Err(Violation { seed: self.scenario.seed, at: took, what });
        }
        let ledger = self.ledger.borrow();
        let trace = self.trace.borrow();
        Ok(Outcome {
            trace: trace.mixed,
            frames: trace.frames,
            steps: self.steps,
            took,
            talks: ledger.talks.len(),
            bytes: ledger.talks.iter().flat_map(|talk| &talk.sides).map(|side| side.read).sum(),
        })
    }

    fn play(&mut self) -> Result<(), String> {
        for (at, change) in &self.scenario.changes {
            self.run_until(self.begun + *at, |_| false)?;
            self.apply(change);
        }
        let end = self.world.now() + PATIENCE;
        self.run_until(end, Ledger::is_over)?;
        if !self.ledger.borrow().is_over() {
            return Err(format!("not over in time: {}", self.unfinished()));
        }
        invariants::ended_well(&self.world, self.scenario, &self.ledger.borrow())?;
        let end = self.world.now() + AFTERWARDS;
        self.run_until(end, |_| false)?;
        invariants::nothing_left(&self.world, self.scenario)
    }

    /// Steps to `end`, or until `done`, looking at everything after each.
    fn run_until(&mut self, end: Instant, done: fn(&Ledger) -> bool) -> Result<(), String> {
        while self.world.now() < end && !done(&self.ledger.borrow()) {
            if !self.world.step_until(end) {
                return Ok(());
            }
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("the ends keep each other busy for nothing".to_owned());
            }
            self.watch.look(&self.world, self.scenario, &self.ledger.borrow())?;
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Weather(host, both) => self.world.impair(HostId(*host), both[0], both[1]),
            Change::Crash(host) => {
                let host = *host;
                self.ledger.borrow_mut().crashed(host);
                let (now, id) = (self.world.now(), HostId(host));
                let parties = parties(self.scenario, host, &self.ledger, self.begun, now);
                self.world.crash(id, &self.configs[host], parties);
                listen(&mut self.world, id, &self.scenario.hosts[host]);
            }
        }
    }

    fn unfinished(&self) -> String {
        let ledger = self.ledger.borrow();
        let mut text = String::new();
        for (number, talk) in ledger.talks.iter().enumerate() {
            for (side, it) in talk.sides.iter().enumerate().filter(|(_, it)| it.end.is_none()) {
                let info = it.conn.and_then(|((host, worker), conn)| {
                    self.world.host(HostId(host)).shard(worker).tcp_info(conn)
                });
                let (kind, written, read) = (talk.kind, it.written, it.read);
                text +=
                    &format!("\n  {number}.{side} {kind:?} wrote {written} read {read} {info:?}");
            }
        }
        text
    }
}

fn both(trace: Rc<RefCell<Trace>>, mut witness: Option<Witness>) -> Witness {
    Box::new(move |now, frame| {
        trace.borrow_mut().see(now, frame);
        if let Some(witness) = &mut witness {
            witness(now, frame);
        }
    })
}

fn config(world: &mut World, host: usize, plan: &HostPlan) -> Config {
    let addresses = vec![(address(host, false), 24), (address(host, true), 64)];
    let config = Config::new(world.next_mac(), addresses, world.draw_secret());
    Config {
        limits: plan.limits,
        settings: plan.settings.clone(),
        mtu: plan.mtu,
        ports: plan.first_port()..=plan.last_port,
        ..config
    }
}

/// The programs of a host's workers, with what they have to open from `now` on.
fn parties(
    scenario: &Scenario,
    host: usize,
    ledger: &SharedLedger,
    begun: Instant,
    now: Instant,
) -> Vec<Box<dyn Service>> {
    let workers = 0..scenario.hosts[host].workers;
    workers
        .map(|worker| -> Box<dyn Service> {
            let place = (host, worker);
            let due = openings(scenario, place)
                .map(|(at, opening)| ((begun + at).max(now), opening))
                .filter(|(_, opening)| !has_begun(ledger, opening));
            Box::new(Party::new(Rc::clone(ledger), place, due))
        })
        .collect()
}

fn has_begun(ledger: &SharedLedger, opening: &Opening) -> bool {
    let side = &ledger.borrow().talks[opening.talk].sides[opening.side];
    side.conn.is_some() || side.end.is_some()
}

/// What a worker has to open: its own conversations, and the other half of simultaneous ones.
fn openings(
    scenario: &Scenario,
    place: (usize, usize),
) -> impl Iterator<Item = (Duration, Opening)> + '_ {
    let simultaneous = scenario.simultaneous;
    scenario.talks.iter().enumerate().filter_map(move |(number, talk)| {
        let mine = address(place.0, talk.ipv6);
        if talk.opener == place {
            let target = talk.target(simultaneous);
            return Some((talk.at, Opening::new(number, 0, mine, target)));
        }
        let other_half = simultaneous && place == (talk.other, 0);
        other_half.then(|| {
            let target = (address(talk.opener.0, talk.ipv6), talk.target(true).port()).into();
            (talk.at, Opening::new(number, 1, mine, target))
        })
    })
}

fn listen(world: &mut World, id: HostId, plan: &HostPlan) {
    for worker in 0..plan.workers {
        let listener = ListenerConfig { backlog: plan.backlog, ..ListenerConfig::on_port(PORT) };
        world.host_mut(id).shard_mut(worker).listen(listener).expect("a free port");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_seed_breaks_an_invariant() {
        for seed in 0..300 {
            let outcome = Scenario::draw(seed).run();
            assert!(outcome.is_ok(), "{}", outcome.expect_err("just checked"));
        }
    }

    #[test]
    fn the_same_seed_is_the_same_world_to_the_last_frame() {
        for seed in 0..10 {
            let scenario = Scenario::draw(seed);
            assert_eq!(scenario.run(), Scenario::draw(seed).run());
        }
    }
}
