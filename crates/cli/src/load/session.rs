//! The part of a run that all patterns share, on one worker: opening and counting connections, and
//! the stages of the run.
//!
//! A run with a number of connections (`connect`, `request` and `stream` with `--connections`) is
//! measured as a whole. A run with a duration is measured between a warm-up and a drain; patterns
//! with persistent connections open them before the warm-up, in the ramp. A connection of the
//! connect pattern belongs to the stage in which it opens: one that opens during the measurement
//! counts, even if it ends in the drain.
//!
//! The session does not know what happens on a connection.

use std::sync::Arc;
use std::sync::Mutex;

use linerate::shard::{CloseReason, ConnId, ConnectError, ConnectOptions, Early, Io};
use linerate::time::{Duration, Instant};

use super::plan::{Pattern, Plan};
use super::progress::Gauges;
use super::tally::{Tally, cause_of_close, cause_of_error, record};
use crate::stop::Stop;

/// Interval of the timer that advances the stages and publishes the gauges.
const TICK: Duration = Duration::from_millis(20);

/// Pause after a failed open. Doubles with each consecutive failure, up to 64 times.
const PAUSE: Duration = Duration::from_millis(1);

/// Time that the ramp waits for the next connection before the run continues with those it has.
const RAMP_TIMEOUT: Duration = Duration::from_secs(5);

/// Slot in which a worker stores its final tally.
pub(super) type Result = Arc<Mutex<Option<Tally>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ramp { since: Instant },
    WarmUp { until: Instant },
    Measure { since: Instant, until: Instant },
    Drain { until: Instant },
    Over,
}

/// The run of one worker.
pub(super) struct Session {
    /// The plan of this worker.
    pub plan: Plan,
    /// Counts and latencies.
    pub tally: Tally,
    stage: Stage,
    stop: Stop,
    result: Result,
    gauges: Arc<Gauges>,
    attempts: u64,
    live: u64,
    handshakes: u64,
    failures_in_a_row: u32,
    pause_until: Instant,
    last_end: Instant,
    last_open: Instant,
    tick_at: Instant,
}

impl Session {
    /// Creates a session that has not started.
    pub(super) fn new(plan: Plan, stop: Stop, result: Result, gauges: Arc<Gauges>) -> Self {
        Self {
            plan,
            tally: Tally::new(),
            stage: Stage::Ramp { since: Instant::ZERO },
            stop,
            result,
            gauges,
            attempts: 0,
            live: 0,
            handshakes: 0,
            failures_in_a_row: 0,
            pause_until: Instant::ZERO,
            last_end: Instant::ZERO,
            last_open: Instant::ZERO,
            tick_at: Instant::ZERO,
        }
    }

    /// Starts the run.
    pub(super) fn start(&mut self, io: &mut dyn Io) {
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

    /// Returns true during the measurement.
    pub(super) fn is_measuring(&self) -> bool {
        matches!(self.stage, Stage::Measure { .. })
    }

    /// Returns true once open connections should close.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Drain { .. } | Stage::Over)
    }

    /// Returns true if a connection that opens now counts. Persistent connections always count.
    pub(super) fn counts_connections(&self) -> bool {
        self.is_measuring() || self.plan.pattern != Pattern::Connect
    }

    /// Returns true if another connection should open now.
    pub(super) fn wants_more(&self, now: Instant) -> bool {
        if self.is_draining() || now < self.pause_until {
            return false;
        }
        if self.plan.pattern == Pattern::Idle {
            return self.handshakes < self.plan.concurrency && self.live < self.connections_max();
        }
        let is_within_budget = self.plan.connections.is_none_or(|all| self.attempts < all);
        is_within_budget && self.live < self.plan.concurrency
    }

    /// Returns the maximum number of open connections.
    fn connections_max(&self) -> u64 {
        match self.plan.pattern {
            Pattern::Idle => self.plan.connections.unwrap_or(self.plan.concurrency),
            _ => self.plan.concurrency,
        }
    }

    /// Opens a connection to the next target, from the next source address of the same family.
    pub(super) fn open(&mut self, io: &mut dyn Io, user: u64) -> Option<ConnId> {
        self.open_by(io, user, |io, open| io.connect(open))
    }

    /// Like [`Self::open`], with data of which some may travel in the SYN. Also returns the number
    /// of bytes that the stack accepted.
    pub(super) fn open_with(
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
        let number = self.attempts;
        self.attempts += 1;
        let remote = self.plan.targets[(number % self.plan.targets.len() as u64) as usize];
        let of_family = |source: &&std::net::IpAddr| source.is_ipv4() == remote.is_ipv4();
        let sources = self.plan.sources.iter().filter(of_family);
        let count = sources.clone().count() as u64;
        // Advance the source once per round over the targets, so that every source meets every
        // target.
        let round = number / self.plan.targets.len() as u64;
        let local = (count > 0).then(|| sources.clone().nth((round % count) as usize).copied());
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

    /// Records an established connection.
    pub(super) fn on_opened(&mut self, now: Instant, counts: bool, took: Duration) {
        self.last_open = now;
        self.handshakes = self.handshakes.saturating_sub(1);
        self.failures_in_a_row = 0;
        if counts {
            self.tally.opened += 1;
            record(&mut self.tally.handshake, took);
        }
    }

    /// Records the end of a connection.
    pub(super) fn on_ended(&mut self, io: &mut dyn Io, end: &ConnectionEnd) {
        self.live = self.live.saturating_sub(1);
        self.last_end = io.now();
        if !end.opened {
            self.handshakes = self.handshakes.saturating_sub(1);
        }
        match cause_of_close(end.reason) {
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

    /// Backs off after consecutive failures, so as not to flood a dead target.
    fn pause(&mut self, io: &mut dyn Io) {
        let shift = self.failures_in_a_row.min(6);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.pause_until = io.now() + PAUSE.times(1 << shift);
        io.set_alarm(self.pause_until);
    }

    /// Advances to the next stage when it is due, and sets the next alarm.
    pub(super) fn tick(&mut self, io: &mut dyn Io) {
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
            Stage::Measure { until, .. } if now >= until || self.is_complete() => {
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

    /// Returns true once all persistent connections are open, or no more have opened for a while.
    fn is_ramped(&self, now: Instant) -> bool {
        let is_full = self.handshakes == 0 && self.live >= self.connections_max();
        is_full || now.since(self.last_open) >= RAMP_TIMEOUT
    }

    fn end_ramp(&mut self, now: Instant, since: Instant) {
        self.tally.ramp = self.last_open.since(since);
        if self.tally.opened == 0 {
            return self.begin_drain(now);
        }
        self.stage = Stage::WarmUp { until: now + self.plan.warm_up };
    }

    /// Returns true once a run with a number of connections has finished all of them.
    fn is_complete(&self) -> bool {
        self.plan.is_counted()
            && self.live == 0
            && self.plan.connections.is_some_and(|all| self.attempts >= all)
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
            // Up to the end of the last connection, not up to the tick after it.
            Stage::Measure { since, .. } if self.is_complete() => self.last_end.since(since),
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

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionEnd {
    /// Reason that the stack reports.
    pub reason: CloseReason,
    /// True if it was established.
    pub opened: bool,
    /// True if it belongs to the measurement.
    pub counts: bool,
    /// Time of our close; `None` excludes the connection from the teardown latencies.
    pub closed_at: Option<Instant>,
    /// Failure that the pattern detected, even if TCP closed the connection cleanly.
    pub fault: Option<&'static str>,
}
