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
struct Travelling {
    due_at: Instant,
    order: u64,
    frame: Frame,
}

impl PartialEq for Travelling {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Travelling {}
impl PartialOrd for Travelling {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Travelling {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due_at, self.order).cmp(&(other.due_at, other.order))
    }
}

/// Outcome of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    /// The frame is lost; release it.
    Lost,
    /// The frame is delivered.
    Once,
    /// The frame and a copy are delivered.
    Twice,
}

/// Length of an Ethernet header without tags, in bytes.
const ETHERNET: usize = 14;

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    config: Impairment,
    rng: Rng,
    /// The Gilbert-Elliott model is in the bad state.
    bad: bool,
    travelling: BinaryHeap<Reverse<Travelling>>,
    /// Time at which each queued frame leaves the rate limiter.
    passing: VecDeque<Instant>,
    last_due_at: Instant,
    entered: u64,
    counts: Counts,
}

impl Lane {
    pub(super) fn new(config: Impairment, seed: u64) -> Self {
        Self {
            config,
            rng: Rng::new(seed),
            bad: false,
            travelling: BinaryHeap::with_capacity(config.hold.min(1 << 16)),
            passing: VecDeque::new(),
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
    pub(super) fn judge(&mut self, frame: &mut Frame) -> Fate {
        self.counts.frames += 1;
        let too_big = self.config.mtu.is_some_and(|mtu| frame.len() > mtu + ETHERNET);
        if self.is_lost() || too_big {
            self.counts.lost += 1;
            return Fate::Lost;
        }
        if self.rng.happens(self.config.corrupt) && !frame.is_empty() {
            let bit = self.rng.below(frame.len() as u64 * 8) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
            self.counts.corrupted += 1;
        }
        if self.rng.happens(self.config.duplicate) { Fate::Twice } else { Fate::Once }
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
        let passed_at = if self.travelling.len() < self.config.hold {
            self.pass_limiter(now, frame.len())
        } else {
            None
        };
        let Some(passed_at) = passed_at else {
            self.counts.overflowed += 1;
            return Err(frame);
        };
        // The queue already contains the frame itself.
        if self.config.mark.is_some_and(|from| self.passing.len() > from) {
            self.counts.marked += u64::from(mark(&mut frame) == Marked::Yes);
        }
        let due_at = self.arrival(passed_at);
        self.travelling.push(Reverse(Travelling { due_at, order: self.entered, frame }));
        self.entered += 1;
        Ok(())
    }

    /// Returns the time at which a frame of `len` bytes leaves the rate limiter, or `None` if the
    /// queue is full.
    fn pass_limiter(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate else { return Some(now) };
        while self.passing.front().is_some_and(|at| *at <= now) {
            self.passing.pop_front();
        }
        if self.passing.len() >= self.config.queue {
            return None;
        }
        let begins_at = self.passing.back().map_or(now, |last| *last);
        let nanos = (len as u64 * 8).saturating_mul(1_000_000_000) / rate;
        let passed_at = begins_at + Duration::from_nanos(nanos);
        self.passing.push_back(passed_at);
        Some(passed_at)
    }

    /// Returns the arrival time of a frame that left the limiter at `passed_at`.
    fn arrival(&mut self, passed_at: Instant) -> Instant {
        let Impairment { delay, jitter, reorder, gap, .. } = self.config;
        let spread = self.rng.below(jitter.times(2).as_nanos().saturating_add(1));
        let travels = (delay + Duration::from_nanos(spread)) - jitter;
        if self.rng.happens(reorder) {
            self.counts.reordered += 1;
            return passed_at + travels + gap;
        }
        // Frames of one path queue behind each other: jitter alone does not reorder them.
        self.last_due_at = self.last_due_at.max(passed_at + travels);
        self.last_due_at
    }

    /// Returns a frame that has arrived by `now`.
    pub(super) fn poll_arrived(&mut self, now: Instant) -> Option<Frame> {
        if self.deadline()? > now {
            return None;
        }
        self.travelling.pop().map(|Reverse(travelling)| travelling.frame)
    }

    /// Returns the arrival time of the next frame.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.travelling.peek().map(|Reverse(travelling)| travelling.due_at)
    }

    /// Removes all frames in flight, when the network is dropped.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.travelling.drain().map(|Reverse(travelling)| travelling.frame)
    }
}
