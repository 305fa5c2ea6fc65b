//! `PendingFastOpenRequests` (RFC 7413 §4.2): how many connections of each listener stand on a cookie alone.

use std::collections::VecDeque;

use crate::time::{Duration, Instant};

/// How long a request that was reset still counts. RFC 7413 §5.1 bounds what a holder of many cookies can have
/// a server do; hosts whose addresses are forged answer the SYN-ACK with a reset, and would free the place
/// at once. As long as Linux has it: less, and the bound bounds less; more, and peers that reset by
/// themselves use it up.
const COUNTS_AFTER_RESET: Duration = Duration::from_secs(60);

/// The counts.
#[derive(Debug, Default)]
pub(in crate::shard) struct Pending {
    counts: Vec<u32>,
    /// Those that were reset, by when they no longer count. As many as there were places, at most.
    reset: VecDeque<(Instant, u16)>,
}

impl Pending {
    /// Those of one listener.
    pub(in crate::shard) fn of(&mut self, listener: u16, now: Instant) -> u32 {
        while let Some((_, listener)) =
            self.reset.front().copied().filter(|(until, _)| *until <= now)
        {
            self.reset.pop_front();
            self.remove(listener);
        }
        self.counts.get(usize::from(listener)).copied().unwrap_or(0)
    }

    /// One more.
    pub(in crate::shard) fn add(&mut self, listener: u16) {
        let at = usize::from(listener);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    /// The handshake of one is done, or will never be.
    pub(in crate::shard) fn remove(&mut self, listener: u16) {
        if let Some(count) = self.counts.get_mut(usize::from(listener)) {
            *count = count.saturating_sub(1);
        }
    }

    /// One was reset by who had sent its SYN, or somebody else.
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
