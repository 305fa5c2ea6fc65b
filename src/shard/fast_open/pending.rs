//! `PendingFastOpenRequests` (RFC 7413 §4.2): the number of connections of each listener that rest
//! on a cookie alone.

use std::collections::VecDeque;

use crate::time::{Duration, Instant};

/// Time for which a reset request still counts. RFC 7413 §5.1 bounds the work that a holder of many
/// cookies can cause. Hosts whose addresses are forged answer the SYN-ACK with a reset, which would
/// free the place at once. Same value as Linux: a shorter time weakens the bound; with a longer
/// one, peers that reset of their own accord exhaust it.
const COUNTS_AFTER_RESET: Duration = Duration::from_secs(60);

/// Pending requests of all listeners.
#[derive(Debug, Default)]
pub(in crate::shard) struct Pending {
    counts: Vec<u32>,
    /// Reset requests, and the time until which each counts. Bounded by the number of pending
    /// requests.
    reset: VecDeque<(Instant, u16)>,
}

impl Pending {
    /// Returns the number of pending requests of a listener.
    pub(in crate::shard) fn of(&mut self, listener: u16, now: Instant) -> u32 {
        while let Some((_, listener)) =
            self.reset.front().copied().filter(|(until, _)| *until <= now)
        {
            self.reset.pop_front();
            self.remove(listener);
        }
        self.counts.get(usize::from(listener)).copied().unwrap_or(0)
    }

    /// Counts a request.
    pub(in crate::shard) fn add(&mut self, listener: u16) {
        let at = usize::from(listener);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    /// Uncounts a request: its handshake has completed or failed.
    pub(in crate::shard) fn remove(&mut self, listener: u16) {
        if let Some(count) = self.counts.get_mut(usize::from(listener)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Keeps counting a request that was reset, by its sender or by a third host, for a minute.
    pub(in crate::shard) fn on_reset(&mut self, listener: u16, now: Instant) {
        self.reset.push_back((now + COUNTS_AFTER_RESET, listener));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_request_counts_for_a_minute() {
        // RFC 7413 §5.1
        let start = Instant::from_millis(5);
        let mut pending = Pending::default();
        assert_eq!(pending.of(3, start), 0);
        for _ in 0..3 {
            pending.add(3);
        }
        pending.remove(3);
        pending.on_reset(3, start);
        assert_eq!(pending.of(3, start + (COUNTS_AFTER_RESET - Duration::from_nanos(1))), 2);
        assert_eq!(pending.of(3, start + COUNTS_AFTER_RESET), 1);
        assert_eq!(pending.of(2, start), 0);
    }
}
