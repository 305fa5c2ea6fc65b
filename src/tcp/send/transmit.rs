//! The plan: which segment is next. A list of questions, asked in order, one function each; the first that has
//! an answer decides.
//!
//! Planning changes nothing, so that `has_pending_output` and `poll_segment` agree. A pending ACK is state and is asked for
//! last, so that it rides on data or on a FIN of the same turn. A retransmission reads the same buffer (RFC 2525
//! §2.4), a timeout sends one segment (§2.14), and a FIN waits for nothing (§2.15).

use super::path_mtu::PathProbe;
use crate::tcp::ecn::Ecn;
use crate::tcp::state::{EarlyMarks, Marks, Stage};
use crate::tcp::{Connection, Env, Flags, Phase, SeqNum};

/// A segment decided on, not yet counted as sent.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub(super) seq: SeqNum,
    /// Bytes of data.
    pub(super) len: u32,
    pub(super) flags: Flags,
    pub(super) kind: Kind,
}

/// What a planned segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reset,
    Syn,
    /// Data or FIN: new, again, or as a probe.
    Text,
    /// Nothing but an ACK.
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

    /// After the last sequence number that it occupies.
    pub(in crate::tcp) fn end(&self) -> SeqNum {
        let controls = u32::from(self.flags.syn()) + u32::from(self.flags.fin());
        self.seq + self.len + controls
    }
}

impl Connection {
    /// The next segment owed, if any: the caller either sends it by [`Self::emit`], before anything else happens to
    /// the connection, or forgets it.
    #[inline]
    pub fn plan(&mut self, env: &Env<'_>) -> Option<Plan> {
        // Sending begins anew.
        let resumes = self.snd.outstanding() == 0 && self.snd.unsent() > 0 && self.snd.wnd > 0;
        if resumes && self.phase.may_send() {
            let rto = self.rto(env.settings);
            self.recovery.on_resumed(env, rto);
        }
        self.next_plan()
    }

    /// The answer to the questions, which are asked of nobody who is quiet.
    #[inline]
    pub(in crate::tcp) fn next_plan(&self) -> Option<Plan> {
        if self.is_quiet() {
            debug_assert!(self.pending_plan().is_none(), "who is quiet owes nothing");
            return None;
        }
        self.pending_plan()
    }

    /// Whether a look at a few fields is enough to know that nothing is owed. Most connections that a turn
    /// touches have only been told something, and each is asked more than once.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        let snd = &self.snd;
        let asked = Marks::ACK.with(Marks::RESET).with(Marks::PROBE).with(Marks::KEEP_ALIVE);
        let bare = self.marks.has(asked) || self.rcv.duplicates > 0 || self.rcv.duplicate_len > 0;
        let again = self.recovery.flight.is_some() || snd.resend != snd.resend_end;
        // SND.NXT is past what was written once the FIN is sent.
        let new = snd.nxt != snd.end || self.phase.ends_with_fin();
        !bare && !again && (!new || snd.fin_is_sent()) && !self.phase.is_opening()
    }

    /// The questions.
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

    /// The ACK that tells how the SYN-ACK came, before data? RFC 9768 §3.2.2.1:
    ///   > If an AccECN TCP Client intends to acknowledge the SYN/ACK with a packet that does not satisfy
    ///   > these conditions (e.g., it has data to include on the ACK), it SHOULD first send a pure ACK
    #[inline]
    fn pending_reflection(&self) -> Option<Plan> {
        let pending = self.ecn_state().is_some_and(Ecn::has_pending_reflection);
        (pending && self.marks.has(Marks::ACK)).then(|| Plan::bare(self.snd.bare_seq()))
    }

    /// Whether data or a FIN may go.
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

    /// A reset? RFC 9293 §3.10.5: <SEQ=SND.NXT><CTL=RST>.
    fn pending_reset(&self) -> Option<Plan> {
        let plan = Plan { seq: self.snd.nxt, len: 0, flags: Flags::RST, kind: Kind::Reset };
        self.marks.has(Marks::RESET).then_some(plan)
    }

    /// A SYN? The first, or again; with ACK once we know the peer's.
    fn pending_syn(&self) -> Option<Plan> {
        let never_sent = self.snd.nxt == self.snd.iss;
        let lost =
            self.snd.resend != self.snd.resend_end || self.early.has(EarlyMarks::SYN_ACK_PENDING);
        let ack = if self.phase == Phase::SynReceived { Flags::ACK } else { Flags::default() };
        let plan = Plan { seq: self.snd.iss, len: 0, flags: Flags::SYN.with(ack), kind: Kind::Syn };
        (never_sent || lost).then_some(plan)
    }

    /// New data before the handshake is done? RFC 7413 §3: the server may "send data" before the ACK.
    fn pending_early(&self) -> Option<Plan> {
        let may = self.early.has(EarlyMarks::PASSIVE) && self.phase == Phase::SynReceived;
        if may && !self.is_held_back() { self.pending_new() } else { None }
    }

    /// Data or FIN again?
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
        // RFC 5681 §3.2 (3) sends the lost segment again whatever cwnd is.
        (fits && (len > 0 || fin)).then(|| Plan::text(snd.resend, len, fin))
    }

    /// A lost segment again, or what is missing of it? The last one takes company, as above.
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
        // Into a window that shrank goes a part of the first segment; the others wait.
        if (piece.seq + len).before(piece.end.earliest(snd.end)) && piece.seq != snd.una {
            return None;
        }
        let fin = self.phase.ends_with_fin()
            && piece.seq + len == snd.end
            && (reaches_new || piece.end.after(snd.end));
        (len > 0 || fin).then(|| Plan::text(piece.seq, len, fin))
    }

    /// A zero-window probe? RFC 9293 §3.8.6.1:
    ///   > The sending TCP peer must regularly transmit at least one octet of new data (if available),
    ///   > or retransmit to the receiving TCP peer even if the send window is zero
    fn pending_probe(&self) -> Option<Plan> {
        let snd = &self.snd;
        if !self.marks.has(Marks::PROBE) || snd.wnd > 0 || !snd.una.before(snd.end) {
            return None;
        }
        Some(Plan::text(snd.una, 1, false))
    }

    /// New data, with the FIN behind the last of it?
    #[inline]
    fn pending_new(&self) -> Option<Plan> {
        let snd = &self.snd;
        let closes = self.phase.ends_with_fin();
        let unsent = snd.unsent();
        if unsent == 0 {
            // A FIN alone waits for no window: it takes no buffer, and serves as a probe.
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

    /// Silly-window avoidance of the sender and Nagle's algorithm. RFC 9293 §3.8.6.2.1, send data:
    ///   > (1) if a maximum-sized segment can be sent, i.e., if: min(D,U) >= Eff.snd.MSS;
    ///   > (2) or if the data is pushed and all queued data can be sent now, i.e., if:
    ///   >     [SND.NXT = SND.UNA and] PUSHed and D <= U
    ///   > (3) or if at least a fraction Fs of the maximum window can be sent, i.e., if:
    ///   >     [SND.NXT = SND.UNA and] min(D,U) >= Fs * Max(SND.WND);
    ///   > (4) or if the override timeout occurs.
    ///
    /// where what is in brackets is Nagle's. Every write is pushed. After CLOSE nothing will come to
    /// make the last segment fuller, so it does not wait.
    #[inline]
    fn is_worth_a_segment(&self, len: u32, usable: u32) -> bool {
        let snd = &self.snd;
        let unsent = snd.unsent();
        if len == u32::from(snd.mss) || self.marks.has(Marks::OVERRIDE) || self.is_probing_tail() {
            return true;
        }
        // Less than a segment because of cwnd: the next ACK makes it whole.
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

    /// A keep-alive probe? RFC 9293 §3.8.4: a sequence number that the peer has acknowledged, so that it
    /// must answer; no data, since some would not take garbage.
    fn pending_keep_alive(&self) -> Option<Plan> {
        self.marks.has(Marks::KEEP_ALIVE).then(|| Plan::bare(self.snd.una - 1))
    }

    /// An ACK?
    #[inline]
    fn pending_ack(&self) -> Option<Plan> {
        let pending =
            self.marks.has(Marks::ACK) || self.rcv.duplicates > 0 || self.rcv.duplicate_len > 0;
        let opening = self.phase.is_opening();
        pending.then(|| Plan::bare(if opening { self.snd.nxt } else { self.snd.bare_seq() }))
    }
}
