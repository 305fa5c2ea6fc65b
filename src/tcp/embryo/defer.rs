//! Deferred accepts: a complete handshake waits for data, as an embryo (`TCP_DEFER_ACCEPT` of
//! Linux).
//!
//! Linux, net/ipv4/tcp_minisocks.c, tcp_check_req: the bare ACK is dropped, and the request
//! remains. net/ipv4/inet_connection_sock.c, syn_ack_recalc: "Do not resend while waiting for data
//! after ACK, start to resend on end of deferring period to give last chance for data or ACK to
//! create established socket."

use super::state::{DEFERRED, Embryo, UNTIMED, WAITED};
use crate::tcp::Segment;
use crate::time::{Duration, Instant};

/// The fate of an ACK that completes a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Deferral {
    /// The connection waits for data: ignore the ACK. The embryo has a new deadline.
    Begins,
    /// The connection waits already: ignore the ACK.
    Continues,
    /// Create the connection.
    Ends,
}

impl Embryo {
    /// Decides if the handshake that `ack` completes waits for data, at most for `span`. After that
    /// the embryo retransmits its SYN-ACK, and the next ACK creates the connection.
    pub fn defer(&mut self, now: Instant, ack: &Segment<'_>, span: Duration) -> Deferral {
        let arrived = !ack.payload.is_empty() || ack.flags.fin();
        if arrived || self.ecn & WAITED != 0 {
            return Deferral::Ends;
        }
        if self.has(DEFERRED) {
            return Deferral::Continues;
        }
        // The data comes after a pause of the program, which is no round trip.
        self.flags |= DEFERRED | UNTIMED;
        self.arm_at(now + span);
        Deferral::Begins
    }
}
