//! Flight: the scoreboard, and all loss recovery state that is needed only with data in flight.
//!
//! Owns the memory. A [`Flight`] is boxed and comes from a free list of the shard when data is
//! first sent; it returns there when all data is acknowledged. An idle connection therefore costs a
//! pointer, and a busy one gets a ring that is warm in the cache. A connection that has seen loss
//! or reordering keeps the box without the ring, because it holds knowledge about the path.

use crate::tcp::SeqNum;
use crate::tcp::delivery::Delivery;
use crate::tcp::rate::RateEstimator;
use crate::tcp::recovery::detect::{ForwardProbe, Path, Prr, Rack, Reordering, TailProbe, Undo};
use crate::tcp::scoreboard::Scoreboard;
use crate::time::Instant;

/// Maximum flights in a free list, for connections that turn idle and busy again in one turn. More
/// would hold the memory of a past peak forever.
const RESTING_MAX: usize = 1024;

/// Maximum record capacity of a flight in the free list: 180 KiB. Larger rings are rare and costly
/// to keep.
const RESTING_RECORDS_MAX: usize = 4096;

/// Loss statistics of a flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Segments marked as lost.
    pub(super) lost: u32,
    /// Duplicate segments that the peer reported.
    pub(super) duplicates: u32,
    /// Tail loss probes.
    pub(super) probes: u32,
    /// Reductions of cwnd.
    pub(super) reductions: u32,
    /// Reductions undone.
    pub(super) undone: u32,
}

/// Purpose of the armed retransmission timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) enum Alarm {
    /// The retransmission timeout (RFC 6298), or the zero-window probe.
    Timeout,
    /// A tail loss probe (RFC 8985 §7.2).
    Probe,
    /// The reordering window (RFC 8985 §6.2 step 5).
    Reordering,
}

/// The state of a connection with data in flight.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) board: Scoreboard,
    pub(super) rack: Rack,
    pub(super) tail: TailProbe,
    pub(super) prr: Prr,
    pub(super) forward: ForwardProbe,
    pub(super) rate: RateEstimator,
    pub(super) reordering: Reordering,
    pub(super) undo: Undo,
    pub(super) counts: Counts,
    pub(super) path: Path,
    pub(super) delivery: Delivery,
    /// True while at most one segment was sent since the flight was empty.
    pub(super) is_alone: bool,
    /// Purpose of the armed retransmission timer.
    pub(super) alarm: Alarm,
    /// ECN window reduction in progress: SND.NXT at its start, and the target cwnd in bytes.
    pub(super) reducing: Option<(SeqNum, u32)>,
    /// RFC 5681 §3.2 (3), RFC 6298 (5.4): the segment just found lost is retransmitted regardless
    /// of cwnd.
    pub(super) forced: bool,
    /// Last start of the retransmission timer (RFC 6298 (5.1), (5.3)). An earlier alarm that takes
    /// the timer slot does not change it.
    pub(super) timer_since: Instant,
    /// SND.NXT when cwnd last limited the flight, if within the last window.
    pub(super) full_until: Option<SeqNum>,
    /// Maximum bytes in flight within the last window, and SND.NXT at that time.
    pub(super) peak: u32,
    pub(super) peak_until: SeqNum,
}

impl Flight {
    pub(in crate::tcp) fn new() -> Self {
        Self {
            board: Scoreboard::new(),
            rack: Rack::default(),
            tail: TailProbe::default(),
            prr: Prr::default(),
            forward: ForwardProbe::default(),
            rate: RateEstimator::default(),
            reordering: Reordering::default(),
            undo: Undo::default(),
            counts: Counts::default(),
            path: Path::default(),
            delivery: Delivery::default(),
            is_alone: true,
            alarm: Alarm::Timeout,
            reducing: None,
            forced: false,
            timer_since: Instant::ZERO,
            full_until: None,
            peak: 0,
            peak_until: SeqNum(0),
        }
    }

    /// Returns true if the flight holds state that the next flight uses or a late D-SACK refers to.
    pub(super) fn remembers(&self) -> bool {
        self.undo.remembers()
            || self.reordering.remembers()
            || self.tail.is_pending()
            || self.path.holds_acks()
            || self.counts != Counts::default()
    }

    /// Releases the ring and resets per-flight state when nothing is in flight.
    pub(super) fn rest(&mut self) {
        self.board.rest();
        self.alarm = Alarm::Timeout;
        self.forced = false;
        self.reducing = None;
        self.rack = Rack::default();
        self.forward = ForwardProbe::default();
        self.full_until = None;
        self.peak = 0;
    }

    /// Resets the flight; the next data starts at `una`.
    fn restart(&mut self, una: SeqNum, now: Instant) {
        self.rest();
        self.board.restart(una);
        self.tail = TailProbe::default();
        self.rate = RateEstimator::default();
        self.reordering = Reordering::default();
        self.undo = Undo::default();
        self.counts = Counts::default();
        self.path = Path::default();
        self.delivery = Delivery::default();
        self.timer_since = now;
    }
}

/// Free list of flights of a shard.
#[derive(Debug, Default)]
pub(super) struct FlightPool {
    // The boxes themselves move in and out, so a connection holds 8 bytes.
    #[expect(clippy::vec_box)]
    resting: Vec<Box<Flight>>,
}

impl FlightPool {
    /// Returns a reset flight that starts at `una`.
    pub(super) fn acquire(&mut self, una: SeqNum, now: Instant) -> Box<Flight> {
        let mut flight = self.resting.pop().unwrap_or_else(|| Box::new(Flight::new()));
        flight.restart(una, now);
        flight
    }

    /// Returns a flight to the free list.
    pub(super) fn release(&mut self, flight: Box<Flight>) {
        if self.resting.len() < RESTING_MAX && flight.board.room() <= RESTING_RECORDS_MAX {
            self.resting.push(flight);
        }
    }
}
