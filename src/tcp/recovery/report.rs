//! What a program may know of loss recovery.
//!
//! Owns the words for it. The counts live with the flight: before its first loss a connection has none.

use crate::tcp::connection::Connection;
use crate::tcp::interface::Loss;
use crate::time::Duration;

/// What loss recovery does and has done for a connection. Without SACK only the stage is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Where it stands.
    pub stage: Loss,
    /// Bytes that are taken for lost and wait to be sent again.
    pub waiting: u32,
    /// Bytes that the peer has selectively acknowledged.
    pub selected: u32,
    /// Segments taken for lost so far.
    pub lost: u32,
    /// Segments that the peer reported to have had already (RFC 2883): sent again for nothing, or by the
    /// network.
    pub duplicates: u32,
    /// Probes of the end of a flight (RFC 8985 §7).
    pub probes: u32,
    /// Reductions of the congestion window for losses.
    pub reductions: u32,
    /// Those of them that were taken back, since nothing was lost (RFC 3522, RFC 3708, RFC 5682).
    pub undone: u32,
    /// Whether the path has been seen to change the order (RFC 8985 §6.2 step 3).
    pub reordering_seen: bool,
}

impl Repairs {
    /// Of who has lost nothing.
    pub const NONE: Self = Self {
        stage: Loss::None,
        waiting: 0,
        selected: 0,
        lost: 0,
        duplicates: 0,
        probes: 0,
        reductions: 0,
        undone: 0,
        reordering_seen: false,
    };
}

impl Connection {
    /// What loss recovery does and has done.
    pub(in crate::tcp) fn repairs(&self) -> Repairs {
        let stage = self.loss();
        let Some(flight) = self.recovery.flight.as_deref() else {
            return Repairs { stage, ..Repairs::NONE };
        };
        Repairs {
            stage,
            waiting: flight.board.waiting(),
            selected: flight.board.selected(),
            lost: flight.counts.lost,
            duplicates: flight.counts.duplicates,
            probes: flight.counts.probes,
            reductions: flight.counts.reductions,
            undone: flight.counts.undone,
            reordering_seen: flight.reordering.seen,
        }
    }

    /// The least round trip of the last minutes; zero before the first measurement.
    pub(in crate::tcp) fn least_rtt(&self) -> Duration {
        let us = self.recovery.flight.as_deref().map_or(0, |flight| flight.path.min_rtt_us());
        Duration::from_micros(u64::from(us))
    }

    /// Bytes a second that were delivered in the last whole round trip of the flight under way.
    pub(in crate::tcp) fn delivery_rate(&self) -> Option<u64> {
        self.recovery.flight.as_deref()?.delivery.rate()
    }
}
