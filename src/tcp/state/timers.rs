//! The three timers of a connection.

use crate::time::Instant;

/// R1 of RFC 9293 §3.8.3:
///   > The value of R1 SHOULD correspond to at least 3 retransmissions, at the current RTO
///   > (SHLD-10).
///
/// With fewer, a burst of losses would alarm programs; with more, they learn of a dead path late.
pub(in crate::tcp) const R1: u8 = 3;

/// The deadlines; [`Instant::FAR`] is off.
#[derive(Debug)]
#[repr(C)]
pub(in crate::tcp) struct Timers {
    /// Retransmit (RFC 6298), Persist (RFC 9293 §3.8.6.1), or the override of silly-window
    /// avoidance.
    pub(in crate::tcp) retransmit_at: Instant,
    /// DelayedAck (RFC 9293 §3.8.6.3).
    pub(in crate::tcp) ack_at: Instant,
    /// KeepAlive (RFC 9293 §3.8.4), the timeout of FIN-WAIT-2, or the deadline of a close.
    pub(in crate::tcp) idle_at: Instant,
}

impl Default for Timers {
    fn default() -> Self {
        Self { retransmit_at: Instant::FAR, ack_at: Instant::FAR, idle_at: Instant::FAR }
    }
}

impl Timers {
    /// Returns the next deadline.
    #[inline]
    pub(in crate::tcp) fn earliest(&self) -> Option<Instant> {
        let at = self.retransmit_at.min(self.ack_at).min(self.idle_at);
        (at != Instant::FAR).then_some(at)
    }
}
