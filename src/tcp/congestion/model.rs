//! What the tests of this layer share.

use super::Ack;
use crate::tcp::SeqNum;
use crate::time::{Duration, Instant};

/// An ACK of `bytes`, all of which it is that delivers them, with `in_flight` before it.
pub(super) fn ack(bytes: u32, in_flight: u32, rtt: Option<Duration>, now: Instant) -> Ack {
    Ack {
        now,
        bytes,
        delivered: bytes,
        lost: 0,
        prior_in_flight: in_flight,
        in_flight: in_flight.saturating_sub(bytes),
        rtt,
        rate: None,
        cwnd_limited: false,
        ce: 0,
        snd_una: SeqNum(0),
        snd_nxt: SeqNum(0),
    }
}
