//! Counts and latencies of one worker.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use linerate::shard::{CloseReason, ConnectError};
use linerate::time::Duration;

/// Histogram of latencies in nanoseconds, with three significant digits, up to one hour.
pub(crate) type Latencies = Histogram<u64>;

/// One hour: longer than any TCP timeout.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Returns an empty histogram with all memory allocated.
pub(crate) fn latencies() -> Latencies {
    Latencies::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are constant and valid")
}

/// Counts and latencies.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Connections that reached ESTABLISHED.
    pub opened: u64,
    /// Connections closed cleanly, by FINs in both directions.
    pub completed: u64,
    /// Completed requests.
    pub requests: u64,
    /// Payload bytes written to the stack.
    pub bytes_sent: u64,
    /// Payload bytes read from the stack.
    pub bytes_received: u64,
    /// Failed connections by cause: not opened, or not closed cleanly.
    pub failed: BTreeMap<&'static str, u64>,
    /// Retransmitted segments.
    pub retransmissions: u64,
    /// Length of the measurement.
    pub measured: Duration,
    /// Time that it took to open the persistent connections; zero if the pattern has none.
    pub ramp: Duration,
    /// From SYN to SYN-ACK.
    pub handshake: Latencies,
    /// From our close to the end of the FIN exchange.
    pub teardown: Latencies,
    /// From the first byte of a request to the last byte of its response.
    pub request: Latencies,
}

impl Tally {
    /// Creates an empty tally.
    pub(super) fn new() -> Self {
        Self {
            opened: 0,
            completed: 0,
            requests: 0,
            bytes_sent: 0,
            bytes_received: 0,
            failed: BTreeMap::new(),
            retransmissions: 0,
            measured: Duration::ZERO,
            ramp: Duration::ZERO,
            handshake: latencies(),
            teardown: latencies(),
            request: latencies(),
        }
    }

    /// Counts a failure.
    pub(super) fn fail(&mut self, cause: &'static str) {
        self.fail_times(cause, 1);
    }

    /// Counts several failures with the same cause.
    pub(super) fn fail_times(&mut self, cause: &'static str, times: u64) {
        if times > 0 {
            *self.failed.entry(cause).or_insert(0) += times;
        }
    }

    /// Adds the tally of another worker. Workers run concurrently, so times are not added.
    pub(super) fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.completed += other.completed;
        self.requests += other.requests;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.retransmissions += other.retransmissions;
        self.measured = self.measured.max(other.measured);
        self.ramp = self.ramp.max(other.ramp);
        for (cause, times) in &other.failed {
            self.fail_times(cause, *times);
        }
        for (mine, theirs) in [
            (&mut self.handshake, &other.handshake),
            (&mut self.teardown, &other.teardown),
            (&mut self.request, &other.request),
        ] {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
    }
}

/// Records a latency; values above one hour count as one hour.
pub(crate) fn record(latencies: &mut Latencies, span: Duration) {
    latencies.saturating_record(span.as_nanos().max(1));
}

/// Returns the name of a close reason as a failure; `None` for a clean close.
pub(super) fn cause_of_close(reason: CloseReason) -> Option<&'static str> {
    Some(match reason {
        CloseReason::Finished => return None,
        CloseReason::Aborted => "aborted",
        CloseReason::Reset => "reset",
        CloseReason::Refused => "refused",
        CloseReason::TimedOut => "timed-out",
        CloseReason::KeepAlive => "keep-alive",
        CloseReason::Unreachable => "unreachable",
        CloseReason::NoBuffers => "no-buffers",
    })
}

/// Returns the name of a connect error as a failure.
pub(super) fn cause_of_error(error: ConnectError) -> &'static str {
    match error {
        ConnectError::NoAddress => "no-address",
        ConnectError::NoPort => "no-port",
        ConnectError::TableFull => "table-full",
        ConnectError::NoRoute => "no-route",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_adds_counts_and_keeps_the_longest_time() {
        let (mut one, mut two) = (Tally::new(), Tally::new());
        one.opened = 1;
        one.measured = Duration::from_secs(3);
        two.opened = 2;
        two.measured = Duration::from_secs(2);
        one.fail("reset");
        two.fail("reset");
        record(&mut two.handshake, Duration::from_micros(5));
        one.merge(&two);
        assert_eq!((one.opened, one.failed["reset"], one.handshake.len()), (3, 2, 1));
        assert_eq!(one.measured, Duration::from_secs(3));
    }
}
