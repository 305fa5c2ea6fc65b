//! Runs a scenario: builds the world, applies the storm, heals it, and checks the invariants
//! throughout.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::host::HostId;
use super::invariants::{self, Checker};
use super::ledger::{Ledger, SharedLedger};
use super::programs::{Callbacks, Programs};
use super::runner::Opening;
use super::scenario::{Change, HostPlan, Scenario, address};
use super::world::{Witness, World, WorldConfig};
use crate::link::memory;
use crate::shard::{Config, Service};
use crate::time::{Duration, Instant};

/// Time after the storm in which everything must finish: a SYN gives up after 255 s, then R2
/// follows, and slow programs.
const FINISH_WITHIN: Duration = Duration::from_secs(1200);

/// Time in which the tasks of ended connections count what they have read.
const SETTLE: Duration = Duration::from_millis(10);

/// Time after which nothing may be left: 2MSL, FIN-WAIT-2, connections that wait for a lost peer.
const CLEAN_UP: Duration = Duration::from_secs(600);

/// Limit of steps. Past it, two ends exchange frames without progress: the largest scenario takes a
/// tenth.
const STEPS_MAX: u64 = 3_000_000;

/// The result of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Hash of every frame and its time: the same for the same seed.
    pub trace: u64,
    /// Frames that reached the switch.
    pub frames: u64,
    /// Steps of the world.
    pub steps: u64,
    /// Virtual time that passed.
    pub took: Duration,
    /// Number of conversations.
    pub conversations: usize,
    /// Bytes that all programs read and verified.
    pub bytes: u64,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("seed {seed}, {} ms after the start: {what}", at.as_millis())]
pub struct Violation {
    /// The seed that reproduces it.
    pub seed: u64,
    /// Time since the start of the world.
    pub at: Duration,
    /// Description.
    pub what: String,
}

impl Scenario {
    /// Runs the scenario.
    ///
    /// # Errors
    /// The first violation. A panic of the stack is one.
    pub fn run(&self) -> Result<Outcome, Violation> {
        self.run_before(None)
    }

    /// Runs the scenario and passes every frame to `witness`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_before(&self, witness: Option<Witness>) -> Result<Outcome, Violation> {
        self.run_programs(&mut Callbacks, witness)
    }

    /// Runs the scenario with these programs, and passes every frame to `witness`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn run_programs(
        &self,
        programs: &mut dyn Programs,
        witness: Option<Witness>,
    ) -> Result<Outcome, Violation> {
        let trial = catch_unwind(AssertUnwindSafe(|| Trial::new(self, programs, witness).run()));
        trial.unwrap_or_else(|panic| {
            let what = format!("panic: {}", panic_message(panic.as_ref()));
            Err(Violation { seed: self.seed, at: Duration::ZERO, what })
        })
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// A hash of the frames in order.
#[derive(Default)]
struct Trace {
    hash: u64,
    frames: u64,
}

impl Trace {
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn record(&mut self, now: Instant, frame: &[u8]) {
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
    programs: &'a mut dyn Programs,
    world: World,
    started_at: Instant,
    ledger: SharedLedger,
    trace: Rc<RefCell<Trace>>,
    /// By host.
    configs: Vec<Config>,
    checker: Checker,
    steps: u64,
}

impl<'a> Trial<'a> {
    fn new(
        scenario: &'a Scenario,
        programs: &'a mut dyn Programs,
        witness: Option<Witness>,
    ) -> Self {
        let cable = memory::Config { frames: 1024, frame_max: 2048, ring: 1024 };
        let (seed, delay) = (scenario.seed, scenario.delay);
        let mut world = World::new(WorldConfig { seed, delay, cable });
        let trace = Rc::new(RefCell::new(Trace::default()));
        world.watch(observer(Rc::clone(&trace), witness));
        let mut ledger = Ledger::default();
        for conversation in &scenario.conversations {
            ledger.add(conversation.kind, conversation.scripts.clone());
        }
        let ledger = Rc::new(RefCell::new(ledger));
        let started_at = world.now();
        let mut configs = Vec::new();
        for (host, plan) in scenario.hosts.iter().enumerate() {
            let config = config(&mut world, host, plan);
            let services = services(programs, scenario, host, &ledger, [started_at; 2]);
            let id = world.add_host(&config, services);
            programs.listen(&mut world, id, plan);
            configs.push(config);
        }
        let checker = Checker::new(&world, scenario);
        Self { scenario, programs, world, started_at, ledger, trace, configs, checker, steps: 0 }
    }

    fn run(mut self) -> Result<Outcome, Violation> {
        let what = self.play().err();
        let took = self.world.now().since(self.started_at);
        if let Some(what) = what {
            return Err(Violation { seed: self.scenario.seed, at: took, what });
        }
        let ledger = self.ledger.borrow();
        let trace = self.trace.borrow();
        Ok(Outcome {
            trace: trace.hash,
            frames: trace.frames,
            steps: self.steps,
            took,
            conversations: ledger.conversations.len(),
            bytes: ledger
                .conversations
                .iter()
                .flat_map(|conversation| &conversation.sides)
                .map(|side| side.read)
                .sum(),
        })
    }

    fn play(&mut self) -> Result<(), String> {
        for (at, change) in &self.scenario.changes {
            self.run_until(self.started_at + *at, |_| false)?;
            self.apply(change);
        }
        let end = self.world.now() + FINISH_WITHIN;
        self.run_until(end, Ledger::is_over)?;
        if !self.ledger.borrow().is_over() {
            return Err(format!("not over in time: {}", self.unfinished()));
        }
        // A task learns of an end in the turn after it.
        let end = self.world.now() + SETTLE;
        self.run_until(end, |_| false)?;
        invariants::ended_well(&self.world, self.scenario, &self.ledger.borrow())?;
        let end = self.world.now() + CLEAN_UP;
        self.run_until(end, |_| false)?;
        invariants::nothing_left(&self.world, self.scenario)?;
        self.programs.end(&mut self.world)?;
        invariants::nothing_left(&self.world, self.scenario)
    }

    /// Steps to `end`, or until `done`, and checks the invariants after each step.
    fn run_until(&mut self, end: Instant, done: fn(&Ledger) -> bool) -> Result<(), String> {
        while self.world.now() < end && !done(&self.ledger.borrow()) {
            if !self.world.step_until(end) {
                return Ok(());
            }
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("the ends exchange frames without progress".to_owned());
            }
            self.checker.check(&self.world, self.scenario, &self.ledger.borrow())?;
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Impair(host, both) => self.world.impair(HostId(*host), both[0], both[1]),
            Change::Crash(host) => {
                let host = *host;
                self.ledger.borrow_mut().crashed(host);
                let (now, id) = (self.world.now(), HostId(host));
                let times = [self.started_at, now];
                let services = services(self.programs, self.scenario, host, &self.ledger, times);
                self.world.crash(id, &self.configs[host], services);
                self.programs.listen(&mut self.world, id, &self.scenario.hosts[host]);
            }
            Change::Drain(host, grace) => self.world.drain(HostId(*host), *grace),
        }
    }

    fn unfinished(&self) -> String {
        let ledger = self.ledger.borrow();
        let mut text = String::new();
        for (number, conversation) in ledger.conversations.iter().enumerate() {
            for (side, it) in
                conversation.sides.iter().enumerate().filter(|(_, it)| it.end.is_none())
            {
                let info = it.conn.and_then(|((host, worker), conn)| {
                    self.world.host(HostId(host)).shard(worker).tcp_info(conn)
                });
                let (kind, written, read) = (conversation.kind, it.written, it.read);
                text +=
                    &format!("\n  {number}.{side} {kind:?} wrote {written} read {read} {info:?}");
            }
        }
        text
    }
}

fn observer(trace: Rc<RefCell<Trace>>, mut witness: Option<Witness>) -> Witness {
    Box::new(move |now, frame| {
        trace.borrow_mut().record(now, frame);
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

/// Creates the services of a host's workers, with the connections that they open: times count from
/// the start of the world, and those that have passed by now are due.
fn services(
    programs: &mut dyn Programs,
    scenario: &Scenario,
    host: usize,
    ledger: &SharedLedger,
    [started_at, now]: [Instant; 2],
) -> Vec<Box<dyn Service>> {
    let service = |worker| {
        let place = (host, worker);
        let due = openings(scenario, place)
            .map(|(at, opening)| ((started_at + at).max(now), opening))
            .filter(|(_, opening)| !has_opened(ledger, opening));
        programs.program(ledger, place, due.collect())
    };
    (0..scenario.hosts[host].workers).map(service).collect()
}

fn has_opened(ledger: &SharedLedger, opening: &Opening) -> bool {
    let side = &ledger.borrow().conversations[opening.conversation].sides[opening.side];
    side.conn.is_some() || side.end.is_some()
}

/// Returns the connections that a worker opens: its own conversations, and the other half of
/// simultaneous ones.
fn openings(
    scenario: &Scenario,
    place: (usize, usize),
) -> impl Iterator<Item = (Duration, Opening)> + '_ {
    let simultaneous = scenario.simultaneous;
    scenario.conversations.iter().enumerate().filter_map(move |(number, conversation)| {
        let local = address(place.0, conversation.ipv6);
        if conversation.opener == place {
            let target = conversation.target(simultaneous);
            return Some((conversation.at, Opening::new(number, 0, local, target)));
        }
        let other_half = simultaneous && place == (conversation.other, 0);
        other_half.then(|| {
            let target = (
                address(conversation.opener.0, conversation.ipv6),
                conversation.target(true).port(),
            )
                .into();
            (conversation.at, Opening::new(number, 1, local, target))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_seed_violates_an_invariant() {
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
