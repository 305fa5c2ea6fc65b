//! The facts that a congestion control receives.

use crate::tcp::SeqNum;
use crate::tcp::rate::RateSample;
use crate::time::{Duration, Instant};

/// Rule that ends the first slow start before a loss, when the congestion control is CUBIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SlowStartExit {
    /// HyStart++ (RFC 9406): growing round trips slow it down, and end it if they persist.
    #[default]
    HyStartPlusPlus,
    /// The original HyStart, as in Linux: growing round trips, or an ACK train of half a round
    /// trip, end it at once. Less is lost where the queue is short; jitter can end it early.
    HyStart,
    /// None: slow start continues until a loss.
    Loss,
}

/// An ACK that delivers something or reveals a loss. All amounts in bytes, without SYN and FIN.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Now.
    pub now: Instant,
    /// Newly acknowledged cumulatively.
    pub bytes: u32,
    /// Newly acknowledged, cumulatively or selectively.
    pub delivered: u32,
    /// Newly marked lost.
    pub lost: u32,
    /// In flight before this ACK: sent, and neither acknowledged nor lost.
    pub prior_in_flight: u32,
    /// The maximum in flight within the last window.
    pub used: u32,
    /// The maximum growth of the window in slow start (L of RFC 3465 §2.2).
    pub slow_start_max: u32,
    /// The rule that ends the first slow start.
    pub slow_start_exit: SlowStartExit,
    /// In flight after this ACK.
    pub in_flight: u32,
    /// The round trip that this ACK measures, if it does.
    pub rtt: Option<Duration>,
    /// The delivery rate that this ACK measures, if it does.
    pub rate: Option<RateSample>,
    /// True if cwnd, and not the program or the peer's window, limited the flight since the last
    /// ACK.
    pub cwnd_limited: bool,
    /// The part of `delivered` that arrived with a CE mark (ECN).
    pub ce: u32,
    /// SND.UNA after this ACK.
    pub snd_una: SeqNum,
    /// SND.NXT.
    pub snd_nxt: SeqNum,
}

impl Ack {
    /// Returns the growth of the window that this ACK allows. SACK blocks or duplicate ACKs may
    /// have reported a part of the bytes before, and let other segments go already (RFC 3042).
    pub(super) fn growth(&self) -> u32 {
        self.bytes.min(self.delivered)
    }
}

/// A data segment that is sent, new or retransmitted.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Now.
    pub now: Instant,
    /// Bytes of data.
    pub bytes: u32,
    /// In flight, this segment included.
    pub in_flight: u32,
    /// True if the program, and not cwnd, limits the flight.
    pub app_limited: bool,
}
