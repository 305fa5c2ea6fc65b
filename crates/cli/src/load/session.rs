//! What all patterns share on one worker: opening and counting connections, and the stages of a run.
//!
//! A run of so many connections (`connect`, `request` and `stream` with `--connections`) is measured as a
//! whole. A run of so many seconds is measured between a warm-up and a drain; the patterns that keep their
//! connections open them before (the ramp). A connection of the connect pattern belongs to the stage
//! that it was opened in: what was opened while measuring counts, even when it ends in the drain.
//!
//! Refuses to know what happens on a connection.

use std::sync::Arc;
use std::sync::Mutex;

use linerate::shard::{CloseReason, ConnId, ConnectError, ConnectOptions, Early, Io};
use linerate::time::{Duration, Instant};

use super::plan::{Pattern, Plan};
use super::progress::Gauges;
use super::tally::{Tally, cause_of_ending, cause_of_error, record};
use crate::stop::Stop;

/// How often the stages and the gauges are looked after when nothing else calls.
const TICK: Duration = Duration::from_millis(20);

/// The pause after a failed open; doubled with each failure in a row, up to 64 times this.
const PAUSE: Duration = Duration::from_millis(1);

/// How long the ramp waits for one more connection before the run goes on with those there are.
const RAMP_PATIENCE: Duration = Duration::from_secs(5);

/// Where a worker leaves its tally.
pub type Result = Arc<Mutex<Option<Tally>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ramp { since: Instant },
    WarmUp { until: Instant },
    Measure { since: Instant, until: Instant },
    Drain { until: Instant },
    Over,
}

/// One worker's run.
pub struct Session {
    /// What to do.
    pub plan: Plan,
    /// What was counted.
    pub tally: Tally,
    stage: Stage,
    stop: Stop,
    result: Result,
    gauges: Arc<Gauges>,
    begun: u64,
    live: u64,
    handshakes: u64,
    failures_in_a_row: u32,
    pause_until: Instant,
    last_end: Instant,
    last_open: Instant,
    tick_at: Instant,
}

impl Session {
    /// A run that has not begun.
    pub fn new(plan: Plan, stop: Stop, result: Result, gauges: Arc<Gauges>) -> Self {
        Self {
            plan,
            tally: Tally::new(),
            stage: Stage::Ramp { since: Instant::ZERO },
            stop,
            result,
            gauges,
            begun: 0,
            live: 0,
            handshakes: 0,
            failures_in_a_row: 0,
            pause_until: Instant::ZERO,
            last_end: Instant::ZERO,
            last_open: Instant::ZERO,
            tick_at: Instant::ZERO,
        }
    }

    /// The run begins.
    pub fn start(&mut self, io: &mut dyn Io) {
        let now = io.now();
        self.last_open = now;
        self.stage = if self.plan.is_counted() {
            self.measure(now)
        } else if self.plan.pattern == Pattern::Connect {
            Stage::WarmUp { until: now + self.plan.warm_up }
        } else {
            Stage::Ramp { since: now }
        };
        self.tick(io);
    }

    /// Whether what happens now counts.
    pub fn is_measuring(&self) -> bool {
        matches!(self.stage, Stage::Measure { .. })
    }

    /// Whether open connections should come to their end.
    pub fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Drain { .. } | Stage::Over)
    }

    /// Whether a connection that opens now counts. Connections that are kept always do.
    pub fn counts_connections(&self) -> bool {
        self.is_measuring() || self.plan.pattern != Pattern::Connect
    }

    /// Whether another connection should be opened now.
    pub fn wants_more(&self, now: Instant) -> bool {
        if self.is_draining() || now < self.pause_until {
            return false;
        }
        if self.plan.pattern == Pattern::Idle {
            return self.handshakes < self.plan.concurrency && self.live < self.held();
        }
        let is_within_budget = self.plan.connections.is_none_or(|all| self.begun < all);
        is_within_budget && self.live < self.plan.concurrency
    }

    /// Connections that are held at once.
    fn held(&self) -> u64 {
        match self.plan.pattern {
            Pattern::Idle => self.plan.connections.unwrap_or(self.plan.concurrency),
            _ => self.plan.concurrency,
        }
    }

    /// Opens one connection to the next target, from the next source of its family.
    pub fn open(&mut self, io: &mut dyn Io, user: u64) -> Option<ConnId> {
        self.open_by(io, user, |io, open| io.connect(open))
    }

    /// The same with data, some of which may travel in the SYN; gives how much of it was taken.
    pub fn open_with(
        &mut self,
        io: &mut dyn Io,
        user: u64,
        data: &[u8],
    ) -> Option<(ConnId, usize)> {
        let early = Early { data, without_cookie: false };
        self.open_by(io, user, |io, open| io.connect_with(open, &early))
    }

    fn open_by<T>(
        &mut self,
        io: &mut dyn Io,
        user: u64,
        connect: impl FnOnce(&mut dyn Io, &ConnectOptions) -> core::result::Result<T, ConnectError>,
    ) -> Option<T> {
        let number = self.begun;
        self.begun += 1;
        let remote = self.plan.targets[(number % self.plan.targets.len() as u64) as usize];
        let of_family = |source: &&std::net::IpAddr| source.is_ipv4() == remote.is_ipv4();
        let sources = self.plan.sources.iter().filter(of_family);
        let count = sources.clone().count() as u64;
        // The quotient, so that every source meets every target.
        let turn = number / self.plan.targets.len() as u64;
        let local = (count > 0).then(|| sources.clone().nth((turn % count) as usize).copied());
        match connect(io, &ConnectOptions { remote, local: local.flatten(), user }) {
            Ok(opened) => {
                self.live += 1;
                self.handshakes += 1;
                Some(opened)
            }
            Err(error) => {
                self.tally.fail(cause_of_error(error));
                self.pause(io);
                None
            }
        }
    }

    /// A connection opened.
    pub fn on_opened(&mut self, now: Instant, counts: bool, took: Duration) {
        self.last_open = now;
        self.handshakes = self.handshakes.saturating_sub(1);
        self.failures_in_a_row = 0;
        if counts {
            self.tally.opened += 1;
            record(&mut self.tally.handshake, took);
        }
    }

    /// A connection ended. `opened`: it had been established; `closed_at`: when we closed it; `fault`:
    /// what the pattern has against it, though TCP may be content.
    pub fn on_ended(&mut self, io: &mut dyn Io, end: &End) {
        self.live = self.live.saturating_sub(1);
        self.last_end = io.now();
        if !end.opened {
            self.handshakes = self.handshakes.saturating_sub(1);
        }
        match cause_of_ending(end.ending) {
            None => {
                if end.counts {
                    self.tally.completed += 1;
                    if let Some(at) = end.closed_at {
                        record(&mut self.tally.teardown, io.now().since(at));
                    }
                }
                if end.counts
                    && let Some(fault) = end.fault
                {
                    self.tally.fail(fault);
                }
            }
            Some(cause) => {
                if end.counts {
                    self.tally.fail(end.fault.unwrap_or(cause));
                }
                self.pause(io);
            }
        }
    }

    /// Failures in a row slow the opening down, so that a dead target is not hammered.
    fn pause(&mut self, io: &mut dyn Io) {
        let shift = self.failures_in_a_row.min(6);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.pause_until = io.now() + PAUSE.times(1 << shift);
        io.set_alarm(self.pause_until);
    }

    /// Moves to the next stage when it is time, and sees to it that it is called again.
    pub fn tick(&mut self, io: &mut dyn Io) {
        let now = io.now();
        if now < self.tick_at {
            return io.set_alarm(self.tick_at);
        }
        if self.stop.is_raised() && !self.is_draining() {
            self.begin_drain(now);
        }
        match self.stage {
            Stage::Ramp { since } if self.is_ramped(now) => self.end_ramp(now, since),
            Stage::WarmUp { until } if now >= until => self.stage = self.measure(now),
            Stage::Measure { until, .. } if now >= until || self.is_spent() => {
                self.begin_drain(now);
            }
            _ => {}
        }
        if let Stage::Drain { until } = self.stage
            && (self.live == 0 || now >= until)
        {
            self.finish(io);
        }
        self.gauges.publish(&self.tally, self.live);
        self.tick_at = self.next_tick(now);
        io.set_alarm(self.tick_at);
    }

    fn next_tick(&self, now: Instant) -> Instant {
        let regular = now + TICK;
        let edge = match self.stage {
            Stage::WarmUp { until } | Stage::Measure { until, .. } | Stage::Drain { until } => {
                until
            }
            Stage::Ramp { .. } | Stage::Over => regular,
        };
        let resume = if self.pause_until > now { self.pause_until } else { regular };
        regular.min(edge).min(resume)
    }

    /// Every connection that is to be kept has been opened, or has failed for good.
    fn is_ramped(&self, now: Instant) -> bool {
        let is_full = self.handshakes == 0 && self.live >= self.held();
        is_full || now.since(self.last_open) >= RAMP_PATIENCE
    }

    fn end_ramp(&mut self, now: Instant, since: Instant) {
        self.tally.ramp = self.last_open.since(since);
        if self.tally.opened == 0 {
            return self.begin_drain(now);
        }
        self.stage = Stage::WarmUp { until: now + self.plan.warm_up };
    }

    /// A run of so many connections has had them all.
    fn is_spent(&self) -> bool {
        self.plan.is_counted()
            && self.live == 0
            && self.plan.connections.is_some_and(|all| self.begun >= all)
    }

    fn measure(&mut self, now: Instant) -> Stage {
        if self.plan.pattern == Pattern::Connect {
            self.tally = Tally::new();
        }
        Stage::Measure {
            since: now,
            until: self.plan.duration.map_or(Instant::FAR, |duration| now + duration),
        }
    }

    fn begin_drain(&mut self, now: Instant) {
        self.tally.measured = match self.stage {
            // The last connection's end, not the tick after it.
            Stage::Measure { since, .. } if self.is_spent() => self.last_end.since(since),
            Stage::Measure { since, .. } => now.since(since),
            _ => Duration::ZERO,
        };
        self.stage = Stage::Drain { until: now + self.plan.grace };
    }

    fn finish(&mut self, io: &mut dyn Io) {
        self.stage = Stage::Over;
        self.tally.fail_times("unfinished", self.live);
        self.tally.retransmissions = io.retransmissions();
        if let Ok(mut result) = self.result.lock() {
            *result = Some(self.tally.clone());
        }
        io.stop();
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// As the stack says.
    pub ending: CloseReason,
    /// It had been established.
    pub opened: bool,
    /// It belongs to the measurement.
    pub counts: bool,
    /// When we closed our direction, if we did.
    pub closed_at: Option<Instant>,
    /// What the pattern has against it.
    pub fault: Option<&'static str>,
}
