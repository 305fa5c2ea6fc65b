//! One direction of an impaired network: decides what happens to each frame and delays it.
//!
//! Owns the frames in flight, ordered by arrival time; ties keep the order of entry. Knows nothing
//! about links.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Impairment;
use super::mark::{Marked, mark};
use crate::link::Frame;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// Counters of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Frames that entered.
    pub frames: u64,
    /// Frames lost at random.
    pub lost: u64,
    /// Frames duplicated.
    pub duplicated: u64,
    /// Frames corrupted by a flipped bit.
    pub corrupted: u64,
    /// Frames delayed so that others could overtake.
    pub reordered: u64,
    /// Frames marked with CE.
    pub marked: u64,
    /// Frames dropped because the queue of the rate limiter or the direction was full.
    pub overflowed: u64,
}

/// A frame in flight. Ordered by arrival time, then by order of entry.
#[derive(Debug)]
struct InFlight {
    due_at: Instant,
    order: u64,
    frame: Frame,
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for InFlight {}
impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due_at, self.order).cmp(&(other.due_at, other.order))
    }
}

/// Outcome of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Outcome {
    /// The frame is lost; release it.
    Dropped,
    /// The frame is delivered.
    Delivered,
    /// The frame and a copy are delivered.
    Duplicated,
}

/// Length of an Ethernet header without tags, in bytes.
const ETHERNET_LEN: usize = 14;

/// One direction.
#[derive(Debug)]
pub(super) struct Pipe {
    config: Impairment,
    rng: Rng,
    /// The Gilbert-Elliott model is in the bad state.
    bad: bool,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    /// Time at which each queued frame leaves the rate limiter.
    limiter_queue: VecDeque<Instant>,
    last_due_at: Instant,
    entered: u64,
    counts: Counts,
}

impl Pipe {
    pub(super) fn new(config: Impairment, seed: u64) -> Self {
        Self {
            config,
            rng: Rng::new(seed),
            bad: false,
            in_flight: BinaryHeap::with_capacity(config.hold.min(1 << 16)),
            limiter_queue: VecDeque::new(),
            last_due_at: Instant::ZERO,
            entered: 0,
            counts: Counts::default(),
        }
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Changes the impairment of frames that enter from now on. Frames in flight keep their arrival
    /// time.
    pub(super) const fn change(&mut self, config: Impairment) {
        self.config = config;
    }

    /// Decides the outcome of a frame. Flips a bit if the frame is to be corrupted.
    pub(super) fn decide(&mut self, frame: &mut Frame) -> Outcome {
        self.counts.frames += 1;
        let too_big = self.config.mtu.is_some_and(|mtu| frame.len() > mtu + ETHERNET_LEN);
        if self.is_lost() || too_big {
            self.counts.lost += 1;
            return Outcome::Dropped;
        }
        if self.rng.happens(self.config.corrupt) && !frame.is_empty() {
            let bit = self.rng.below(frame.len() as u64 * 8) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
            self.counts.corrupted += 1;
        }
        if self.rng.happens(self.config.duplicate) {
            Outcome::Duplicated
        } else {
            Outcome::Delivered
        }
    }

    /// Counts a copy that was made.
    pub(super) const fn on_duplicated(&mut self) {
        self.counts.duplicated += 1;
    }

    fn is_lost(&mut self) -> bool {
        let mut lost = self.rng.happens(self.config.loss);
        if let Some(burst) = self.config.burst {
            let (turns, loss) = if self.bad {
                (burst.leave, burst.loss_bad)
            } else {
                (burst.enter, burst.loss_good)
            };
            lost |= self.rng.happens(loss);
            self.bad ^= self.rng.happens(turns);
        }
        lost
    }

    /// Puts a frame in flight.
    ///
    /// # Errors
    /// Returns the frame if there is no room for it.
    pub(super) fn enter(&mut self, now: Instant, mut frame: Frame) -> Result<(), Frame> {
        let passed_at = if self.in_flight.len() < self.config.hold {
            self.pass_limiter(now, frame.len())
        } else {
            None
        };
        let Some(passed_at) = passed_at else {
            self.counts.overflowed += 1;
            return Err(frame);
        };
        // The queue already contains the frame itself.
        if self.config.mark.is_some_and(|from| self.limiter_queue.len() > from) {
            self.counts.marked += u64::from(mark(&mut frame) == Marked::Yes);
        }
        let due_at = self.arrival(passed_at);
        self.in_flight.push(Reverse(InFlight { due_at, order: self.entered, frame }));
        self.entered += 1;
        Ok(())
    }

    /// Returns the time at which a frame of `len` bytes leaves the rate limiter, or `None` if the
    /// queue is full.
    fn pass_limiter(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate else { return Some(now) };
        while self.limiter_queue.front().is_some_and(|at| *at <= now) {
            self.limiter_queue.pop_front();
        }
        if self.limiter_queue.len() >= self.config.queue {
            return None;
        }
        let begins_at = self.limiter_queue.back().map_or(now, |last| *last);
        let nanos = (len as u64 * 8).saturating_mul(1_000_000_000) / rate;
        let passed_at = begins_at + Duration::from_nanos(nanos);
        self.limiter_queue.push_back(passed_at);
        Some(passed_at)
    }

    /// Returns the arrival time of a frame that left the limiter at `passed_at`.
    fn arrival(&mut self, passed_at: Instant) -> Instant {
        let Impairment { delay, jitter, reorder, gap, .. } = self.config;
        let spread = self.rng.below(jitter.times(2).as_nanos().saturating_add(1));
        let transit = (delay + Duration::from_nanos(spread)) - jitter;
        if self.rng.happens(reorder) {
            self.counts.reordered += 1;
            return passed_at + transit + gap;
        }
        // Frames of one path queue behind each other: jitter alone does not reorder them.
        self.last_due_at = self.last_due_at.max(passed_at + transit);
        self.last_due_at
    }

    /// Returns a frame that has arrived by `now`.
    pub(super) fn poll_arrived(&mut self, now: Instant) -> Option<Frame> {
        if self.deadline()? > now {
            return None;
        }
        self.in_flight.pop().map(|Reverse(in_flight)| in_flight.frame)
    }

    /// Returns the arrival time of the next frame.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(in_flight)| in_flight.due_at)
    }

    /// Removes all frames in flight, when the network is dropped.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.in_flight.drain().map(|Reverse(in_flight)| in_flight.frame)
    }
}
