//! Memory pressure: shrinks receive windows, then reopens them. The only place that visits
//! connections without an event of theirs.
//!
//! While memory is short, the connections with the largest window promise give back half of it,
//! then those with the next smaller one, and so on, except for connections below the mean. Once
//! memory is available, windows that were closed for lack of it reopen. Each turn visits a few
//! connections, so a million connections cost a turn no more than a thousand.

use crate::metrics::Event;
use crate::shard::flow::endpoint::{Endpoint, conn_env};
use crate::shard::mem::pressure::Goal;
use crate::shard::mem::turn_state::TurnState;
use crate::time::{Duration, Instant};

/// Connections visited per turn. Most of them miss the cache, so a turn takes some tens of
/// microseconds at most. More would delay other connections; fewer would prolong the pressure.
const VISITS_PER_TURN: u32 = 128;

/// Pause after all connections were visited and memory is still short. The memory then holds data,
/// and is freed only as programs read it and peers acknowledge it.
const PAUSE: Duration = Duration::from_millis(10);

impl Endpoint {
    /// Handles memory pressure, once per turn.
    #[inline]
    pub(in crate::shard) fn relieve_memory(&mut self, turn: &mut TurnState) {
        let accounts = self.pool.accounts();
        let short = accounts.is_short();
        if short || self.pressure.was_short || accounts.can_reopen() {
            self.relieve(turn, short);
        }
        self.count_memory(turn);
    }

    #[cold]
    fn relieve(&mut self, turn: &mut TurnState, short: bool) {
        if short && !self.pressure.was_short {
            turn.counters.count(Event::MemoryShort);
        }
        self.pressure.was_short = short;
        if turn.now < self.pressure.paused_until {
            return;
        }
        if self.pressure.goal == Goal::Nothing {
            self.pressure.cursor = 0;
            self.pressure.goal = match self.pool.accounts().largest_promise(u8::MAX) {
                Some(shift) if short => Goal::Halve(shift),
                _ if self.pool.accounts().can_reopen() => Goal::Reopen,
                _ => return,
            };
        }
        let end = self.tables.flows.high_water();
        let until = self.pressure.cursor.saturating_add(VISITS_PER_TURN).min(end);
        for index in self.pressure.cursor..until {
            self.relieve_flow(turn.now, index);
        }
        self.pressure.cursor = until;
        if until == end {
            self.next_goal(turn.now, short);
        }
    }

    fn relieve_flow(&mut self, now: Instant, index: u32) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        match self.pressure.goal {
            Goal::Halve(shift) if self.pool.accounts().is_short() => {
                if flow.connection.promise() == Some(shift) {
                    flow.connection.give_back(&mut conn_env!(self, now));
                }
            }
            Goal::Reopen => {
                flow.connection.on_memory(&mut conn_env!(self, now));
                self.schedule(index);
            }
            Goal::Halve(_) | Goal::Nothing => {}
        }
    }

    /// Chooses the next goal after a full walk.
    fn next_goal(&mut self, now: Instant, short: bool) {
        self.pressure.cursor = 0;
        self.pressure.goal = match self.pressure.goal {
            Goal::Halve(shift) if short => match self.pool.accounts().largest_promise(shift) {
                Some(next) => Goal::Halve(next),
                None => {
                    self.pressure.paused_until = now + PAUSE;
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

    fn count_memory(&mut self, turn: &mut TurnState) {
        if let Some((raised, lowered, refused)) = self.pool.take_counts() {
            turn.counters.add(Event::WindowRaised, raised);
            turn.counters.add(Event::WindowLowered, lowered);
            turn.counters.add(Event::MemoryRefused, refused);
        }
    }
}
