//! One direction of a bad network: decides each frame's fate and holds those that travel.
//!
//! Owns the frames on their way, in order of arrival time; ties keep the order of entry. Knows no link.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Impairment;
use super::mark::{Marked, mark};
use crate::link::Frame;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// What one direction has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that went in.
    pub frames: u64,
    /// Frames lost by chance.
    pub lost: u64,
    /// Frames of which a copy went along.
    pub duplicated: u64,
    /// Frames with a flipped bit.
    pub corrupted: u64,
    /// Frames held back so that others could overtake.
    pub reordered: u64,
    /// Frames marked instead of dropped.
    pub marked: u64,
    /// Frames dropped, the rate limiter's queue or the lane being full.
    pub overflowed: u64,
}

/// A frame on its way. Ordered by when it arrives, then by when it went in.
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

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    /// It is lost: give it back.
    Lost,
    /// It travels.
    Once,
    /// It travels, and so does a copy.
    Twice,
}

/// Bytes of an Ethernet header without tags.
const ETHERNET: usize = 14;

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    config: Impairment,
    rng: Rng,
    /// The state of the Gilbert-Elliott network.
    bad: bool,
    travelling: BinaryHeap<Reverse<Travelling>>,
    /// When each frame that waits for the rate limiter will have passed it.
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

    /// Treats frames otherwise from now on; those on their way arrive as they would have.
    pub(super) const fn change(&mut self, config: Impairment) {
        self.config = config;
    }

    /// Draws the fate of a frame, and corrupts it if that is part of it.
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

    /// Notes that a copy was really made.
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

    /// Sends a frame on its way.
    ///
    /// # Errors
    /// The frame comes back when there is no room for it.
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
        // It has joined the queue itself.
        if self.config.mark.is_some_and(|from| self.passing.len() > from) {
            self.counts.marked += u64::from(mark(&mut frame) == Marked::Yes);
        }
        let due_at = self.arrival(passed_at);
        self.travelling.push(Reverse(Travelling { due_at, order: self.entered, frame }));
        self.entered += 1;
        Ok(())
    }

    /// When a frame of `len` bytes has passed the rate limiter; `None` when its queue is full.
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

    /// When a frame that passed the limiter arrives.
    fn arrival(&mut self, passed_at: Instant) -> Instant {
        let Impairment { delay, jitter, reorder, gap, .. } = self.config;
        let spread = self.rng.below(jitter.times(2).as_nanos().saturating_add(1));
        let travels = (delay + Duration::from_nanos(spread)) - jitter;
        if self.rng.happens(reorder) {
            self.counts.reordered += 1;
            return passed_at + travels + gap;
        }
        // Frames of one path queue behind each other: jitter alone does not let one overtake.
        self.last_due_at = self.last_due_at.max(passed_at + travels);
        self.last_due_at
    }

    /// A frame that has arrived by `now`.
    pub(super) fn poll_arrived(&mut self, now: Instant) -> Option<Frame> {
        if self.deadline()? > now {
            return None;
        }
        self.travelling.pop().map(|Reverse(travelling)| travelling.frame)
    }

    /// When the next frame arrives.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.travelling.peek().map(|Reverse(travelling)| travelling.due_at)
    }

    /// All frames on their way, when the network ends.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.travelling.drain().map(|Reverse(travelling)| travelling.frame)
    }
}
