//! The counters of one shard: drops by reason and events.

use super::{DropReason, Event};

/// Counters of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    drops: [u64; DropReason::ALL.len()],
    events: [u64; Event::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self { drops: [0; DropReason::ALL.len()], events: [0; Event::ALL.len()] }
    }
}

impl Counters {
    /// Counts a dropped packet.
    #[inline]
    pub const fn drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    /// Counts an event.
    #[inline]
    pub const fn count(&mut self, event: Event) {
        self.events[event as usize] += 1;
    }

    /// Counts `n` events.
    #[inline]
    pub const fn add(&mut self, event: Event, n: u64) {
        self.events[event as usize] += n;
    }

    /// Counts `n` dropped packets.
    #[inline]
    pub const fn add_drops(&mut self, reason: DropReason, n: u64) {
        self.drops[reason as usize] += n;
    }

    /// Returns the number of packets dropped for `reason`.
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Returns the number of times that `event` happened.
    pub const fn counted(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// Returns the total number of packets dropped.
    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Adds the counters of another shard.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
        for (mine, theirs) in self.events.iter_mut().zip(other.events) {
            *mine += theirs;
        }
    }

    /// Returns names and counts for reports. Drops come first, prefixed with `drop.`.
    pub fn entries(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let drops =
            DropReason::ALL.iter().map(|r| (format!("drop.{}", r.name()), self.dropped(*r)));
        let events = Event::ALL.iter().map(|e| (e.name().to_owned(), self.counted(*e)));
        drops.chain(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_under_its_own_name() {
        let mut counters = Counters::default();
        for reason in DropReason::ALL {
            counters.drop(*reason);
        }
        assert!(DropReason::ALL.iter().all(|r| counters.dropped(*r) == 1));
        let mut names: Vec<_> = counters.entries().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len() + Event::ALL.len());
    }

    #[test]
    fn every_counter_is_documented() {
        let page = include_str!("../../docs/counters.md");
        let reasons = DropReason::ALL.iter().map(|r| r.name());
        for name in reasons.chain(Event::ALL.iter().map(|e| e.name())) {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, DropReason::ALL.len() + Event::ALL.len());
    }
}
