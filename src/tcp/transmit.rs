//! What a connection owes the peer: a list of questions, asked in order, one function each; and the
//! segment that answers the first that says yes.
//!
//! Owns the choice and the bookkeeping of what is sent. Asking changes nothing, so that `owes` and
//! `poll_segment` can't disagree; sending is all or nothing. That an ACK is owed is state, asked last:
//! so it rides on data or a FIN of the same turn. What is sent again is read from the same buffer (RFC 2525
//! §2.4), a timeout sends one segment (§2.14), and a FIN waits for nothing (§2.15).

use super::connection::Connection;
use super::ecn::Ecn;
use super::fast_open::{EarlyMarks, SynLoad};
use super::interface::Env;
use super::marks::Marks;
use super::path_probe::PathProbe;
use super::recovery::Stage;
use super::{Flags, Options, Phase, RareOptions, SegmentOut, SeqNum, WindowShift};

/// A segment decided on, not yet counted as sent.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    seq: SeqNum,
    /// Bytes of data.
    len: u32,
    flags: Flags,
    kind: Kind,
}

/// What a planned segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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
    fn end(&self) -> SeqNum {
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
    pub(super) fn next_plan(&self) -> Option<Plan> {
        if self.is_quiet() {
            debug_assert!(self.ask().is_none(), "who is quiet owes nothing");
            return None;
        }
        self.ask()
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
    fn ask(&self) -> Option<Plan> {
        if self.phase == Phase::Closed {
            return self.owed_reset();
        }
        if self.phase.is_opening() {
            return self.owed_syn().or_else(|| self.owed_early()).or_else(|| self.owed_ack());
        }
        let reflection = self.owed_reflection();
        reflection
            .or_else(|| self.owed_data())
            .or_else(|| self.owed_keep_alive())
            .or_else(|| self.owed_ack())
    }

    /// The ACK that tells how the SYN-ACK came, before data? RFC 9768 §3.2.2.1:
    ///   > If an AccECN TCP Client intends to acknowledge the SYN/ACK with a packet that does not satisfy
    ///   > these conditions (e.g., it has data to include on the ACK), it SHOULD first send a pure ACK
    #[inline]
    fn owed_reflection(&self) -> Option<Plan> {
        let owed = self.ecn_state().is_some_and(Ecn::owes_reflection);
        (owed && self.marks.has(Marks::ACK)).then(|| Plan::bare(self.snd.bare_seq()))
    }

    /// Whether data or a FIN may go.
    pub(super) fn owes_data(&self) -> bool {
        if self.phase.is_opening() {
            return self.owed_early().is_some();
        }
        self.owed_data().is_some()
    }

    #[inline]
    fn owed_data(&self) -> Option<Plan> {
        if !self.phase.may_send() {
            return None;
        }
        if self.is_held_back() {
            return self.owed_probe();
        }
        self.owed_again().or_else(|| self.owed_probe()).or_else(|| self.owed_new())
    }

    /// A reset? RFC 9293 §3.10.5: <SEQ=SND.NXT><CTL=RST>.
    fn owed_reset(&self) -> Option<Plan> {
        let plan = Plan { seq: self.snd.nxt, len: 0, flags: Flags::RST, kind: Kind::Reset };
        self.marks.has(Marks::RESET).then_some(plan)
    }

    /// A SYN? The first, or again; with ACK once we know the peer's.
    fn owed_syn(&self) -> Option<Plan> {
        let never_sent = self.snd.nxt == self.snd.iss;
        let lost =
            self.snd.resend != self.snd.resend_end || self.early.has(EarlyMarks::OWES_SYN_ACK);
        let ack = if self.phase == Phase::SynReceived { Flags::ACK } else { Flags::default() };
        let plan = Plan { seq: self.snd.iss, len: 0, flags: Flags::SYN.with(ack), kind: Kind::Syn };
        (never_sent || lost).then_some(plan)
    }

    /// New data before the handshake is done? RFC 7413 §3: the server may "send data" before the ACK.
    fn owed_early(&self) -> Option<Plan> {
        let may = self.early.has(EarlyMarks::PASSIVE) && self.phase == Phase::SynReceived;
        if may && !self.is_held_back() { self.owed_new() } else { None }
    }

    /// Data or FIN again?
    #[inline]
    fn owed_again(&self) -> Option<Plan> {
        if self.recovery.flight.is_some() {
            return self.owed_lost();
        }
        let snd = &self.snd;
        if snd.resend == snd.resend_end {
            return None;
        }
        let reaches_new = snd.resend_end == snd.nxt;
        let limit = if reaches_new && snd.takes_company(snd.resend, snd.resend_end) {
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
    fn owed_lost(&self) -> Option<Plan> {
        let snd = &self.snd;
        let piece = self.lost_piece()?;
        let reaches_new = piece.end == snd.nxt;
        let limit = if reaches_new && snd.takes_company(piece.seq, piece.end) {
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
    fn owed_probe(&self) -> Option<Plan> {
        let snd = &self.snd;
        if !self.marks.has(Marks::PROBE) || snd.wnd > 0 || !snd.una.before(snd.end) {
            return None;
        }
        Some(Plan::text(snd.una, 1, false))
    }

    /// New data, with the FIN behind the last of it?
    #[inline]
    fn owed_new(&self) -> Option<Plan> {
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
        let lone = snd.outstanding() == 0 || self.early.tells_no_small();
        let quiet = lone || !self.marks.has(Marks::NAGLE);
        complete && (quiet || self.phase.ends_with_fin()) || quiet && len >= snd.wnd_max / 2
    }

    /// A keep-alive probe? RFC 9293 §3.8.4: a sequence number that the peer has acknowledged, so that it
    /// must answer; no data, since some would not take garbage.
    fn owed_keep_alive(&self) -> Option<Plan> {
        self.marks.has(Marks::KEEP_ALIVE).then(|| Plan::bare(self.snd.una - 1))
    }

    /// An ACK?
    #[inline]
    fn owed_ack(&self) -> Option<Plan> {
        let owed =
            self.marks.has(Marks::ACK) || self.rcv.duplicates > 0 || self.rcv.duplicate_len > 0;
        let opening = self.phase.is_opening();
        owed.then(|| Plan::bare(if opening { self.snd.nxt } else { self.snd.bare_seq() }))
    }
}

/// Sending what was planned.
impl Connection {
    /// The segment of `plan`, counted as sent.
    pub fn emit(&mut self, env: &mut Env<'_>, plan: Plan) -> SegmentOut<'_> {
        match plan.kind {
            Kind::Reset => {
                self.marks.remove(Marks::RESET);
                // Who has not heard of our SYN knows a reset by what it acknowledges (RFC 9293 §3.10.7.3).
                let unheard = self.snd.nxt == self.snd.iss;
                let host = env.settings.acknowledge_in_resets && !self.answers_by_reset;
                let acks = host || unheard;
                // RFC 7323 §3.2: the timestamps "SHOULD be sent in an <RST> segment".
                SegmentOut {
                    seq: plan.seq,
                    ack: if acks { self.rcv.nxt } else { SeqNum(0) },
                    flags: if acks { plan.flags.with(Flags::ACK) } else { plan.flags },
                    options: Options { timestamps: self.stamp(env.now), ..Options::default() },
                    ..SegmentOut::default()
                }
            }
            Kind::Syn => self.emit_syn(env, plan),
            Kind::Text | Kind::Bare => self.emit_text(env, plan),
        }
    }

    fn emit_syn(&mut self, env: &mut Env<'_>, plan: Plan) -> SegmentOut<'_> {
        let settings = env.settings;
        let answers = plan.flags.ack();
        let mss = settings.mss[usize::from(self.marks.has(Marks::IPV6))];
        let load = if self.early.has(EarlyMarks::TRIES) {
            self.load_of_syn(mss)
        } else {
            SynLoad::default()
        };
        self.note_sent(env, plan);
        if answers {
            self.note_acked();
            if self.early.has(EarlyMarks::PASSIVE) {
                self.note_syn_ack_sent();
            }
        }
        self.note_syn_data_sent(load.len);
        // RFC 7323 §2.2, §3.2: in an answer only what the peer's SYN offered.
        let agreed = self.snd.shift != WindowShift::ZERO || self.rcv.shift != WindowShift::ZERO;
        // A cookie takes all the room that options have.
        let user_timeout = match load.option {
            None => self.user_timeout_option(settings, true),
            Some(_) => None,
        };
        let label = self.label_syn(settings, answers);
        let scales = if answers { agreed } else { settings.window_scaling };
        SegmentOut {
            seq: plan.seq,
            ack: if answers { self.rcv.nxt } else { SeqNum(0) },
            flags: plan.flags.with(label.flags),
            window: self.rcv.wnd() as u16,
            options: Options {
                mss: Some(self.mss_of_syn(mss)),
                window_shift: scales.then(|| WindowShift::for_buffer(settings.receive_buffer)),
                timestamps: self.stamp(env.now),
                sack_permitted: self.marks.has(Marks::SACK),
            },
            rare: RareOptions {
                user_timeout,
                accecn: label.counters,
                fast_open: load.option,
                ..RareOptions::NONE
            },
            payload: self.outgoing.slices(0, load.len),
            ..SegmentOut::default()
        }
    }

    #[inline]
    fn emit_text(&mut self, env: &mut Env<'_>, plan: Plan) -> SegmentOut<'_> {
        let window = self.offer_window(env);
        let new = plan.len > 0 && plan.seq == self.snd.nxt;
        let fresh = new && !self.marks.has(Marks::PROBE);
        let end = plan.seq + plan.len;
        let mut pushes = plan.len > 0 && self.ends_push(env, plan.seq, end);
        if plan.kind == Kind::Text {
            self.note_sent(env, plan);
            let ends_burst = new && self.ends_burst(env.settings);
            if new && (pushes || ends_burst) {
                self.note_pushed(env, plan.end(), pushes);
            }
            pushes |= ends_burst;
        } else {
            self.marks.remove(Marks::KEEP_ALIVE);
            self.rcv.duplicates = self.rcv.duplicates.saturating_sub(1);
        }
        self.note_acked();
        let user_timeout = self.user_timeout_beside(env.settings, plan.len);
        let sack = self.sack_option(plan.len);
        let label = self.label(plan.len, fresh, &sack);
        let mut flags = if pushes { plan.flags.with(Flags::PSH) } else { plan.flags };
        flags = flags.with(label.flags);
        let urgent = self.urgent_pointer(plan.seq);
        if urgent.is_some() {
            flags = flags.with(Flags::URG);
        }
        let first = self.snd.end - self.outgoing.len();
        SegmentOut {
            seq: plan.seq,
            ack: self.rcv.nxt,
            flags,
            window,
            urgent: urgent.unwrap_or(0),
            ecn: label.codepoint,
            options: Options { timestamps: self.stamp(env.now), ..Options::default() },
            rare: RareOptions { sack, user_timeout, accecn: label.counters, fast_open: None },
            payload: self.outgoing.slices(plan.seq.distance_from(first), plan.len),
        }
    }

    /// New data of `len` bytes is about to be sent.
    fn note_small(&mut self, len: u32) {
        if len < u32::from(self.snd.mss) {
            self.early.insert(EarlyMarks::SMALL);
        } else if self.snd.outstanding() == 0 {
            self.early.remove(EarlyMarks::SMALL);
        }
    }

    /// Sequence space is sent: SND.NXT advances over what is new, and the timer runs.
    #[inline]
    fn note_sent(&mut self, env: &mut Env<'_>, plan: Plan) {
        let end = plan.end();
        let again = plan.seq.before(self.snd.nxt);
        // A FIN alone needs no scoreboard: what opens and closes pays nothing for it. A probe of a closed
        // window that is sent again takes part in nothing.
        let selective = (plan.len > 0 && self.marks.has(Marks::SACK)
            || self.recovery.flight.is_some())
            && !plan.flags.syn()
            && !(again && self.marks.has(Marks::PROBE));
        if again {
            self.recovery.on_sent_again();
            self.snd.resend = self.snd.resend.latest(end).earliest(self.snd.resend_end);
        } else if plan.len > 0 || plan.flags.syn() {
            self.recovery.on_sent(end, env.now);
        }
        if self.marks.has(Marks::PROBE.with(Marks::OVERRIDE)) {
            if self.marks.has(Marks::PROBE) {
                self.marks.insert(Marks::PROBED);
            }
            self.marks.remove(Marks::PROBE.with(Marks::OVERRIDE));
        }
        if self.early.has(EarlyMarks::COUNTS_SMALL) && plan.len > 0 && !again {
            self.note_small(plan.len);
        }
        if selective {
            self.note_in_flight(env, plan.seq, end, plan.len);
        }
        self.snd.nxt = self.snd.nxt.latest(end);
        if selective && !self.phase.is_opening() {
            self.arm_after_sent(env, again);
        } else {
            self.arm_retransmit(env);
            if plan.flags.fin() && !again {
                self.arm_fin_probe(env);
            }
        }
        if plan.len > 0 {
            self.pace(env, plan.len);
        }
    }
}
