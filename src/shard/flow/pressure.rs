//! Memory that is short, and memory that is there again: the one place that looks at connections nobody has
//! called.
//!
//! Owns the order: while memory is short, connections with the largest promise give half of it back, then those
//! with the next smaller, and so on, but for those that have less than the mean; once there is some, windows that were closed for want of it open. Looks at
//! a few connections a turn, so that a million of them cost a turn no more than a thousand.

use crate::metrics::Event;
use crate::shard::engine::{Engine, lend};
use crate::time::{Duration, Instant};

/// Connections looked at in a turn: most of them miss the cache, so some tens of microseconds at most. More
/// would delay the others, fewer would let pressure last.
const LOOKS_A_TURN: u32 = 128;

/// How long to rest when all of them have been looked at and memory is still short: what they hold then is
/// data, and goes only as programs read it and peers acknowledge it.
const REST: Duration = Duration::from_millis(10);

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Goal {
    #[default]
    Nothing,
    /// Promises of this size are halved, log2.
    Halve(u8),
    /// Closed windows are opened.
    Reopen,
}

/// How far it got.
#[derive(Debug, Default)]
pub(in crate::shard) struct Tending {
    goal: Goal,
    /// The next connection to look at.
    hand: u32,
    /// Not before then.
    rest_until: Instant,
    /// Memory was short when last looked.
    was_short: bool,
}

impl Tending {
    /// When there is something to do though nothing arrives: peers wait for windows to open.
    pub(in crate::shard) fn deadline(&self, can_reopen: bool, now: Instant) -> Option<Instant> {
        (can_reopen || self.goal == Goal::Reopen).then(|| now.max(self.rest_until))
    }
}

impl Engine {
    /// Once a turn.
    #[inline]
    pub(in crate::shard) fn tend_memory(&mut self) {
        let accounts = self.pool.accounts();
        let short = accounts.is_short();
        if short || self.tending.was_short || accounts.can_reopen() {
            self.tend(short);
        }
        self.count_memory();
    }

    #[cold]
    fn tend(&mut self, short: bool) {
        if short && !self.tending.was_short {
            self.counters.count(Event::MemoryShort);
        }
        self.tending.was_short = short;
        if self.now < self.tending.rest_until {
            return;
        }
        if self.tending.goal == Goal::Nothing {
            self.tending.hand = 0;
            self.tending.goal = match self.pool.accounts().largest_promise(u8::MAX) {
                Some(shift) if short => Goal::Halve(shift),
                _ if self.pool.accounts().can_reopen() => Goal::Reopen,
                _ => return,
            };
        }
        let end = self.tables.flows.high_water();
        let until = self.tending.hand.saturating_add(LOOKS_A_TURN).min(end);
        for index in self.tending.hand..until {
            self.tend_flow(index);
        }
        self.tending.hand = until;
        if until == end {
            self.next_goal(short);
        }
    }

    fn tend_flow(&mut self, index: u32) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        match self.tending.goal {
            Goal::Halve(shift) if self.pool.accounts().is_short() => {
                if flow.connection.promise() == Some(shift) {
                    flow.connection.give_back(&mut lend!(self));
                }
            }
            Goal::Reopen => {
                flow.connection.on_memory(&mut lend!(self));
                self.touched(index);
            }
            Goal::Halve(_) | Goal::Nothing => {}
        }
    }

    /// All connections were looked at.
    fn next_goal(&mut self, short: bool) {
        self.tending.hand = 0;
        self.tending.goal = match self.tending.goal {
            Goal::Halve(shift) if short => match self.pool.accounts().largest_promise(shift) {
                Some(next) => Goal::Halve(next),
                None => {
                    self.tending.rest_until = self.now + REST;
                    Goal::Nothing
                }
            },
            Goal::Reopen => {
                self.pool.reopened();
                Goal::Nothing
            }
            Goal::Halve(_) | Goal::Nothing => Goal::Nothing,
        };
    }

    fn count_memory(&mut self) {
        if let Some((raised, lowered, refused)) = self.pool.take_counts() {
            self.counters.add(Event::WindowRaised, raised);
            self.counters.add(Event::WindowLowered, lowered);
            self.counters.add(Event::MemoryRefused, refused);
        }
    }
}
