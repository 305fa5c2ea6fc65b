//! What is in flight: the scoreboard, and all that loss recovery keeps only while something is in flight.
//!
//! Owns the memory: a [`Flight`] is boxed, lent from a free list of the shard when data is first sent, and
//! given back when all of it is acknowledged. So an idle connection pays a pointer, and a busy one finds a
//! ring that is warm. One that has met losses or reordering keeps the box, without the ring: it knows the
//! path.

use crate::tcp::SeqNum;
use crate::tcp::delivery::Delivery;
use crate::tcp::rate::RateEstimator;
use crate::tcp::recovery::detect::{ForwardProbe, Path, Prr, Rack, Reordering, TailProbe, Undo};
use crate::tcp::scoreboard::Scoreboard;
use crate::time::Instant;

/// Flights that a free list keeps: those that turn idle and busy again in one turn. More would hold the
/// memory of a past peak for ever.
const RESTING_MAX: usize = 1024;

/// Records that a resting flight may keep room for: 180 KiB. Larger rings are rare, and costly to keep.
const RESTING_RECORDS_MAX: usize = 4096;

/// What has been lost, and what only seemed so, since there is a flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Segments taken for lost.
    pub(super) lost: u32,
    /// Segments that the peer reported to have had already.
    pub(super) duplicates: u32,
    /// Probes of a tail.
    pub(super) probes: u32,
    /// Reductions of the window.
    pub(super) reductions: u32,
    /// Reductions taken back.
    pub(super) undone: u32,
}

/// What the retransmission slot is armed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) enum Alarm {
    /// The timeout (RFC 6298), or the probe of a closed window.
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
    /// Whether only one segment was sent since nothing was in flight.
    pub(super) is_alone: bool,
    /// What the retransmission slot of the timers is armed for.
    pub(super) alarm: Alarm,
    /// While the flight comes down since ECN told of congestion: SND.NXT then, and down to what, bytes.
    pub(super) reducing: Option<(SeqNum, u32)>,
    /// RFC 5681 §3.2 (3), RFC 6298 (5.4): what was just found lost is sent again whatever cwnd is.
    pub(super) forced: bool,
    /// When the retransmission timer was last started (RFC 6298 (5.1), (5.3)): an earlier alarm that
    /// takes its place does not move it.
    pub(super) timer_since: Instant,
    /// SND.NXT when cwnd last limited the flight, if that was within the last window.
    pub(super) full_until: Option<SeqNum>,
    /// The most in flight within the last window, and SND.NXT then.
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

    /// Whether something is to be remembered that the next flight can use, or a late report refer to.
    pub(super) fn remembers(&self) -> bool {
        self.undo.remembers()
            || self.reordering.remembers()
            || self.tail.is_pending()
            || self.path.holds_acks()
            || self.counts != Counts::default()
    }

    /// Nothing is in flight any more.
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

    /// Nothing is in flight, and what is sent next begins at `una`.
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

/// The free list of a shard.
#[derive(Debug, Default)]
pub(super) struct FlightPool {
    // The boxes themselves move in and out: a connection holds 8 bytes.
    #[expect(clippy::vec_box)]
    resting: Vec<Box<Flight>>,
}

impl FlightPool {
    /// A flight that begins at `una`.
    pub(super) fn acquire(&mut self, una: SeqNum, now: Instant) -> Box<Flight> {
        let mut flight = self.resting.pop().unwrap_or_else(|| Box::new(Flight::new()));
        flight.restart(una, now);
        flight
    }

    /// Takes one back.
    pub(super) fn release(&mut self, flight: Box<Flight>) {
        if self.resting.len() < RESTING_MAX && flight.board.room() <= RESTING_RECORDS_MAX {
            self.resting.push(flight);
        }
    }
}
