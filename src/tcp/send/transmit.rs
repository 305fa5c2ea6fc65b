//! The plan: selects the next segment. A list of questions, one function each, asked in order of
//! priority; the first one with an answer decides.
//!
//! Planning changes no state, so `is_quiet` and `poll_segment` agree. A pending ACK is state and
//! comes last, so that it piggybacks on data or on a FIN of the same turn. A retransmission reads
//! the same buffer (RFC 2525 §2.4), a timeout sends one segment (§2.14), and a FIN is never delayed
//! (§2.15).

use super::path_mtu::PathProbe;
use crate::tcp::ecn::Ecn;
use crate::tcp::state::{EarlyMarks, Marks, Stage};
use crate::tcp::{Connection, Env, Flags, Phase, SeqNum};

/// A segment that was selected but is not yet counted as sent.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub(super) seq: SeqNum,
    /// Bytes of data.
    pub(super) len: u32,
    pub(super) flags: Flags,
    pub(super) kind: Kind,
}

/// Purpose of a planned segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reset,
    Syn,
    /// Data or FIN: new, retransmitted, or a probe.
    Text,
    /// A segment without data or control flags other than ACK.
    Bare,
}

impl Plan {
    fn text(seq: SeqNum, len: u32, fin: bool) -> Self {
        let flags = if fin { Flags::ACK.with(Flags::FIN) } else { Flags::ACK };
        Self { seq, len, flags, kind: Kind::Text }
    }

    fn bare(seq: SeqNum) -> Self {
        Self { seq, len: 0, flags: Flags::ACK, kind: Kind::Bare }
    }

    /// Returns the sequence number after the last one that the segment occupies.
    pub(in crate::tcp) fn end(&self) -> SeqNum {
        let controls = u32::from(self.flags.syn()) + u32::from(self.flags.fin());
        self.seq + self.len + controls
    }
}

impl Connection {
    /// Returns the next segment to send. The caller either sends it with [`Self::emit`] before any
    /// other call on the connection, or drops the plan.
    #[inline]
    pub fn plan(&mut self, env: &Env<'_>) -> Option<Plan> {
        // Sending resumes after idle.
        let resumes = self.snd.outstanding() == 0 && self.snd.unsent() > 0 && self.snd.wnd > 0;
        if resumes && self.phase.may_send() {
            let rto = self.rto(env.settings);
            self.recovery.on_resumed(env, rto);
        }
        self.next_plan()
    }

    /// Returns the next segment, with a shortcut for connections without pending output.
    #[inline]
    pub(in crate::tcp) fn next_plan(&self) -> Option<Plan> {
        if self.is_quiet() {
            debug_assert!(
                self.pending_plan().is_none(),
                "a quiet connection has no pending output"
            );
            return None;
        }
        self.pending_plan()
    }

    /// Returns true if a few fields show that no output is pending. A turn asks each scheduled
    /// connection more than once, and most of them only received an event.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        let snd = &self.snd;
        let asked = Marks::ACK.with(Marks::RESET).with(Marks::PROBE).with(Marks::KEEP_ALIVE);
        let bare = self.marks.has(asked) || self.rcv.duplicates > 0 || self.rcv.duplicate_len > 0;
        let again = self.recovery.flight.is_some() || snd.resend != snd.resend_end;
        // SND.NXT exceeds the end of the written data once the FIN is sent.
        let new = snd.nxt != snd.end || self.phase.ends_with_fin();
        !bare && !again && (!new || snd.fin_is_sent()) && !self.phase.is_opening()
    }

    /// Asks the questions in order.
    fn pending_plan(&self) -> Option<Plan> {
        if self.phase == Phase::Closed {
            return self.pending_reset();
        }
        if self.phase.is_opening() {
            return self
                .pending_syn()
                .or_else(|| self.pending_early())
                .or_else(|| self.pending_ack());
        }
        let reflection = self.pending_reflection();
        reflection
            .or_else(|| self.pending_data())
            .or_else(|| self.pending_keep_alive())
            .or_else(|| self.pending_ack())
    }

    /// Plans the pure ACK that reflects the ECN codepoint of the SYN-ACK. RFC 9768 §3.2.2.1:
    ///   > If an AccECN TCP Client intends to acknowledge the SYN/ACK with a packet that does not
    ///   > satisfy these conditions (e.g., it has data to include on the ACK), it SHOULD first send
    ///   > a pure ACK
    #[inline]
    fn pending_reflection(&self) -> Option<Plan> {
        let pending = self.ecn_state().is_some_and(Ecn::has_pending_reflection);
        (pending && self.marks.has(Marks::ACK)).then(|| Plan::bare(self.snd.bare_seq()))
    }

    /// Returns true if data or a FIN may be sent now.
    pub(in crate::tcp) fn has_pending_data(&self) -> bool {
        if self.phase.is_opening() {
            return self.pending_early().is_some();
        }
        self.pending_data().is_some()
    }

    #[inline]
    fn pending_data(&self) -> Option<Plan> {
        if !self.phase.may_send() {
            return None;
        }
        if self.is_held_back() {
            return self.pending_probe();
        }
        self.pending_retransmission()
            .or_else(|| self.pending_probe())
            .or_else(|| self.pending_new())
    }

    /// Plans a reset. RFC 9293 §3.10.5: <SEQ=SND.NXT><CTL=RST>.
    fn pending_reset(&self) -> Option<Plan> {
        let plan = Plan { seq: self.snd.nxt, len: 0, flags: Flags::RST, kind: Kind::Reset };
        self.marks.has(Marks::RESET).then_some(plan)
    }

    /// Plans a SYN, the first one or a retransmission; with ACK once the peer's SYN is known.
    fn pending_syn(&self) -> Option<Plan> {
        let never_sent = self.snd.nxt == self.snd.iss;
        let lost =
            self.snd.resend != self.snd.resend_end || self.early.has(EarlyMarks::SYN_ACK_PENDING);
        let ack = if self.phase == Phase::SynReceived { Flags::ACK } else { Flags::default() };
        let plan = Plan { seq: self.snd.iss, len: 0, flags: Flags::SYN.with(ack), kind: Kind::Syn };
        (never_sent || lost).then_some(plan)
    }

    /// Plans new data before the handshake completes. RFC 7413 §3: the server may "send data"
    /// before the ACK.
    fn pending_early(&self) -> Option<Plan> {
        let may = self.early.has(EarlyMarks::PASSIVE) && self.phase == Phase::SynReceived;
        if may && !self.is_held_back() { self.pending_new() } else { None }
    }

    /// Plans a retransmission of data or FIN.
    #[inline]
    fn pending_retransmission(&self) -> Option<Plan> {
        if self.recovery.flight.is_some() {
            return self.pending_lost();
        }
        let snd = &self.snd;
        if snd.resend == snd.resend_end {
            return None;
        }
        let reaches_new = snd.resend_end == snd.nxt;
        let limit = if reaches_new && snd.may_coalesce(snd.resend, snd.resend_end) {
            snd.end
        } else {
            snd.resend_end.earliest(snd.end)
        };
        let written = if limit.after(snd.resend) { limit.distance_from(snd.resend) } else { 0 };
        let len = written.min(u32::from(snd.mss)).min(snd.window_from(snd.resend));
        let fin = self.phase.ends_with_fin()
            && snd.resend + len == snd.end
            && (reaches_new || snd.resend_end.after(snd.end));
        let fits = snd.in_flight() == 0
            || snd.in_flight() + len <= self.recovery.allowance(snd.mss)
            || self.recovery.stage != Stage::Open;
        // RFC 5681 §3.2 (3) retransmits the lost segment regardless of cwnd.
        (fits && (len > 0 || fin)).then(|| Plan::text(snd.resend, len, fin))
    }

    /// Plans the retransmission of a lost segment, or of its missing part. New data may join the
    /// last segment, as in `pending_retransmission`.
    fn pending_lost(&self) -> Option<Plan> {
        let snd = &self.snd;
        let piece = self.lost_piece()?;
        let reaches_new = piece.end == snd.nxt;
        let limit = if reaches_new && snd.may_coalesce(piece.seq, piece.end) {
            snd.end
        } else {
            piece.end.earliest(snd.end)
        };
        let written = if limit.after(piece.seq) { limit.distance_from(piece.seq) } else { 0 };
        let len = written.min(u32::from(snd.mss)).min(snd.window_from(piece.seq));
        // A shrunken window gets a part of the first segment only; the others wait.
        if (piece.seq + len).before(piece.end.earliest(snd.end)) && piece.seq != snd.una {
            return None;
        }
        let fin = self.phase.ends_with_fin()
            && piece.seq + len == snd.end
            && (reaches_new || piece.end.after(snd.end));
        (len > 0 || fin).then(|| Plan::text(piece.seq, len, fin))
    }

    /// Plans a zero-window probe. RFC 9293 §3.8.6.1:
    ///   > The sending TCP peer must regularly transmit at least one octet of new data (if
    ///   > available), or retransmit to the receiving TCP peer even if the send window is zero
    fn pending_probe(&self) -> Option<Plan> {
        let snd = &self.snd;
        if !self.marks.has(Marks::PROBE) || snd.wnd > 0 || !snd.una.before(snd.end) {
            return None;
        }
        Some(Plan::text(snd.una, 1, false))
    }

    /// Plans new data, with the FIN after the last byte.
    #[inline]
    fn pending_new(&self) -> Option<Plan> {
        let snd = &self.snd;
        let closes = self.phase.ends_with_fin();
        let unsent = snd.unsent();
        if unsent == 0 {
            // A FIN alone ignores the window: it takes no buffer and serves as a probe.
            return (closes && snd.nxt == snd.end).then(|| Plan::text(snd.nxt, 0, true));
        }
        let allowance = self.new_allowance();
        let usable = snd.window_from(snd.nxt);
        match self.path_probe(unsent.min(usable), allowance) {
            PathProbe::None => {}
            PathProbe::Waits => return None,
            PathProbe::Due(len) => return Some(Plan::text(snd.nxt, len, false)),
        }
        let len = unsent.min(u32::from(snd.mss)).min(usable).min(allowance);
        if len == 0 || !self.is_worth_a_segment(len, usable) {
            return None;
        }
        Some(Plan::text(snd.nxt, len, closes && len == unsent))
    }

    /// Sender-side silly window avoidance and Nagle's algorithm. RFC 9293 §3.8.6.2.1, send data:
    ///   > (1) if a maximum-sized segment can be sent, i.e., if: min(D,U) >= Eff.snd.MSS;
    ///   > (2) or if the data is pushed and all queued data can be sent now, i.e., if:
    ///   >     [SND.NXT = SND.UNA and] PUSHed and D <= U
    ///   > (3) or if at least a fraction Fs of the maximum window can be sent, i.e., if:
    ///   >     [SND.NXT = SND.UNA and] min(D,U) >= Fs * Max(SND.WND);
    ///   > (4) or if the override timeout occurs.
    ///
    /// The brackets mark Nagle's conditions. Every write counts as pushed unless the socket is
    /// corked. After CLOSE no more data can fill the last segment, so it is sent at once.
    #[inline]
    fn is_worth_a_segment(&self, len: u32, usable: u32) -> bool {
        let snd = &self.snd;
        let unsent = snd.unsent();
        if len == u32::from(snd.mss) || self.marks.has(Marks::OVERRIDE) || self.is_probing_tail() {
            return true;
        }
        // A shorter segment because of cwnd waits: the next ACK allows a full one.
        let complete = len == unsent;
        if self.is_corked() && !self.phase.ends_with_fin() {
            return false;
        }
        if !complete && len < usable {
            return false;
        }
        let lone = snd.outstanding() == 0 || self.early.has_no_small_segment();
        let quiet = lone || !self.marks.has(Marks::NAGLE);
        complete && (quiet || self.phase.ends_with_fin()) || quiet && len >= snd.wnd_max / 2
    }

    /// Plans a keep-alive probe. RFC 9293 §3.8.4: an acknowledged sequence number, so that the peer
    /// must answer, and no data, since some hosts do not accept garbage bytes.
    fn pending_keep_alive(&self) -> Option<Plan> {
        self.marks.has(Marks::KEEP_ALIVE).then(|| Plan::bare(self.snd.una - 1))
    }

    /// Plans a pure ACK.
    #[inline]
    fn pending_ack(&self) -> Option<Plan> {
        let pending =
            self.marks.has(Marks::ACK) || self.rcv.duplicates > 0 || self.rcv.duplicate_len > 0;
        let opening = self.phase.is_opening();
        pending.then(|| Plan::bare(if opening { self.snd.nxt } else { self.snd.bare_seq() }))
    }
}
