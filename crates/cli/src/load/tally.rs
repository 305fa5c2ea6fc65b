//! What one worker has counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use linerate::shard::{CloseReason, ConnectError};
use linerate::time::Duration;

/// Latencies in nanoseconds, three significant digits, up to an hour.
pub type Latencies = Histogram<u64>;

/// An hour: longer than any timeout of TCP.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// An empty histogram; all its memory is there from the start.
pub fn latencies() -> Latencies {
    Latencies::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are constant and valid")
}

/// Counts and latencies.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Connections that reached ESTABLISHED.
    pub opened: u64,
    /// Connections closed by a full exchange of FINs.
    pub completed: u64,
    /// Requests answered.
    pub requests: u64,
    /// Payload handed to the stack.
    pub bytes_sent: u64,
    /// Payload taken from the stack.
    pub bytes_received: u64,
    /// Connections that did not open, or did not end well, by cause.
    pub failed: BTreeMap<&'static str, u64>,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Length of the measurement.
    pub measured: Duration,
    /// Time to open the connections that are kept; zero where none are.
    pub ramp: Duration,
    /// From SYN to SYN-ACK.
    pub handshake: Latencies,
    /// From our close to the end of the exchange of FINs.
    pub teardown: Latencies,
    /// From the first byte of a request to the last one of its answer.
    pub request: Latencies,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
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

    /// One more failure.
    pub fn fail(&mut self, cause: &'static str) {
        self.fail_times(cause, 1);
    }

    /// Several of one cause.
    pub fn fail_times(&mut self, cause: &'static str, times: u64) {
        if times > 0 {
            *self.failed.entry(cause).or_insert(0) += times;
        }
    }

    /// Adds another worker's. The workers ran side by side: times are not added up.
    pub fn merge(&mut self, other: &Self) {
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

/// Adds a latency; those past the end count as an hour.
pub fn record(latencies: &mut Latencies, span: Duration) {
    latencies.saturating_record(span.as_nanos().max(1));
}

/// The cause of a bad ending; `None` for a good one.
pub fn cause_of_ending(ending: CloseReason) -> Option<&'static str> {
    Some(match ending {
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

/// The cause of an open that could not begin.
pub fn cause_of_error(error: ConnectError) -> &'static str {
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
    fn two_workers_add_up() {
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
