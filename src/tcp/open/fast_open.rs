//! TCP Fast Open (RFC 7413 §4.2.2), client and server. The client sends the first SYN with a cookie
//! and data, or with a cookie request; retransmitted SYNs have neither; then it evaluates the
//! SYN-ACK. The server accepts data of a SYN and completes the handshake afterwards.
//!
//! Owns the attempt until its outcome is taken. Refuses to know if an attempt is worthwhile: the
//! caller caches servers.

use core::ops::ControlFlow::{Break, Continue};

use crate::tcp::fast_open::Outcome;
use crate::tcp::fast_open::{Opening, SynLoad};
use crate::tcp::interface::Step;
use crate::tcp::mss::MSS_DEFAULT;
use crate::tcp::rate::{RateStamp, micros};
use crate::tcp::state::{EarlyMarks, Marks};
use crate::tcp::{
    Attempt, CloseReason, Connection, Disposition, Embryo, Env, FastOpen, Flags, Phase, Segment,
    SeqNum, SynData,
};
use crate::time::Instant;

/// The client.
impl Connection {
    /// Opens with Fast Open. Call before the SYN is sent.
    pub fn attempt_fast_open(&mut self, attempt: Attempt) {
        debug_assert!(self.phase == Phase::SynSent && self.snd.nxt == self.snd.iss);
        self.early.insert(EarlyMarks::TRIES);
        let outcome = Outcome { asked: matches!(attempt, Attempt::Ask(_)), ..Outcome::default() };
        self.choices_mut().opening = Some(Opening { attempt, outcome, path_mss: None });
    }

    /// Sends this option on the first SYN-ACK.
    pub fn renew_cookie(&mut self, option: FastOpen) {
        self.early.insert(EarlyMarks::TRIES);
        let attempt = Attempt::Send { cookie: Some(option), mss: 0 };
        let outcome = Outcome::default();
        self.choices_mut().opening = Some(Opening { attempt, outcome, path_mss: None });
    }

    /// Returns the outcome of the attempt, once, after the handshake has succeeded or failed.
    pub fn take_fast_open_outcome(&mut self) -> Option<Outcome> {
        let over = !self.phase.is_opening() && !self.early.has(EarlyMarks::PASSIVE);
        if !self.early.has(EarlyMarks::TRIES) || !over {
            return None;
        }
        self.early.remove(EarlyMarks::TRIES);
        Some(self.choices.as_mut()?.opening.take()?.outcome)
    }

    /// Returns the fate of data in the SYN.
    pub const fn syn_data(&self) -> SynData {
        let early = self.early;
        match (
            early.has(EarlyMarks::DATA),
            early.has(EarlyMarks::PASSIVE),
            early.has(EarlyMarks::ACKED),
        ) {
            (false, ..) => SynData::None,
            (true, true, _) => SynData::Received,
            (true, false, true) => SynData::Acknowledged,
            (true, false, false) => SynData::Sent,
        }
    }

    fn opening_mut(&mut self) -> Option<&mut Opening> {
        self.choices.as_mut()?.opening.as_mut()
    }

    /// Returns the option and the data of the next SYN. RFC 7413 §4.2.2:
    ///   > To deal with network or servers dropping SYN packets with payload or unknown options,
    ///   > when the SYN timer fires, the client SHOULD retransmit a SYN packet without data and
    ///   > Fast Open options.
    pub(in crate::tcp) fn syn_load(&mut self, ours: u16) -> SynLoad {
        let is_first = self.snd.nxt == self.snd.iss;
        let queued = self.outgoing.len();
        let Some(opening) = self.opening_mut().filter(|_| is_first) else {
            return SynLoad::default();
        };
        let len = opening.attempt.room(ours).min(queued);
        opening.outcome.sent = len > 0;
        let option = match opening.attempt {
            Attempt::Ask(form) => Some(FastOpen { form, cookie: None }),
            Attempt::Send { cookie, .. } => cookie,
        };
        SynLoad { option, len }
    }

    /// Records that the first SYN was sent with `len` bytes of data.
    pub(in crate::tcp) fn on_syn_data_sent(&mut self, len: u32) {
        if len > 0 {
            self.early.insert(EarlyMarks::DATA);
            self.snd.nxt = self.snd.nxt.latest(self.snd.iss + 1 + len);
        }
    }

    /// Returns the MSS to announce in a SYN, lower on a path known to have a smaller MTU.
    pub(in crate::tcp) fn syn_mss(&self, ours: u16) -> u16 {
        let opening = self.choices.as_ref().and_then(|choices| choices.opening.as_ref());
        opening.and_then(|opening| opening.path_mss).map_or(ours, |path| path.min(ours))
    }

    /// Records a retransmission of the SYN by the timer.
    pub(in crate::tcp) fn on_fast_open_syn_timeout(&mut self) {
        if let Some(opening) = self.opening_mut() {
            opening.outcome.timed_out = true;
        }
    }

    /// Applies a path MTU of `mtu` to a SYN with data: retransmits it immediately without data, as
    /// after a timeout.
    pub(in crate::tcp) fn on_syn_too_big(&mut self, mtu: u32) {
        if self.phase != Phase::SynSent || !self.early.has(EarlyMarks::DATA) {
            return;
        }
        let headers = if self.marks.has(Marks::IPV6) { 60 } else { 40 };
        let mss = u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
        if let Some(opening) = self.opening_mut().filter(|opening| !opening.outcome.too_big) {
            opening.outcome.too_big = true;
            opening.path_mss = Some(mss);
            self.snd.resend_syn();
        }
    }

    /// Evaluates the acknowledgment of our SYN, up to `segment.ack`; SND.UNA is already there. RFC
    /// 7413 §4.2.2:
    ///   > The client SHOULD retransmit any unacknowledged data in the first ACK packet
    ///
    /// The data is retransmitted in segments of the negotiated MSS and does not count as lost: a
    /// server that ignores data in SYNs is no sign of congestion.
    #[cold]
    pub(in crate::tcp) fn on_fast_open_answer(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        let first: SeqNum = self.snd.iss + 1;
        let acked = segment.ack.distance_from(first);
        if self.early.has(EarlyMarks::DATA) {
            if acked > 0 {
                self.drop_acked(env, acked);
            }
            if self.snd.outstanding() == 0 {
                self.early.insert(EarlyMarks::ACKED);
                // The rest of a request is sent with the ACK, so no immediate ACKs are needed.
                if self.snd.unsent() > 0 {
                    self.rcv.quick = 0;
                }
            } else {
                self.resend_syn_data(env);
            }
        }
        let mss = MSS_DEFAULT[usize::from(self.marks.has(Marks::IPV6))];
        if let Some(opening) = self.opening_mut() {
            opening.outcome.acked = acked > 0;
            if segment.flags.syn() {
                let had_option = !matches!(opening.attempt, Attempt::Send { cookie: None, .. });
                opening.outcome.answer = segment.rare.fast_open.filter(|_| had_option);
                opening.outcome.mss = Some(segment.options.mss.unwrap_or(mss));
            }
        }
    }

    /// Schedules the retransmission of unacknowledged SYN data. Its end had PSH, as does the end of
    /// any data sent at once.
    fn resend_syn_data(&mut self, env: &mut Env<'_>) {
        if !self.marks.has(Marks::SACK) {
            return self.snd.resend_all();
        }
        let (una, nxt, mss) = (self.snd.una, self.snd.nxt, u32::from(self.snd.mss));
        let flight = self.recovery.flight.insert(env.pool.flights.acquire(una, env.now));
        flight.board.on_sent(nxt, micros(env.now), RateStamp::default());
        flight.board.cut(mss);
        flight.board.on_pushed(nxt, true);
        flight.is_alone = nxt.distance_from(una) <= mss;
    }
}

/// The server.
impl Connection {
    /// Creates a passive open from a SYN with a valid cookie; `embryo` holds the negotiated
    /// options. A SYN-ACK is pending. The caller then passes the SYN's data to
    /// [`Self::take_syn_data`].
    pub fn from_fast_open(
        env: &mut Env<'_>,
        embryo: &Embryo,
        timestamp_offset: u32,
        ipv6: bool,
        syn: &Segment<'_>,
    ) -> Self {
        let mut c = Self::syn_received_from_embryo(env, embryo, timestamp_offset, ipv6);
        c.early.insert(EarlyMarks::PASSIVE);
        c.rcv.acked = c.rcv.irs;
        // RFC 7413 §4.2.2:
        //   > If the FastOpened flag is set, the server MUST follow [RFC5681] (based on [RFC3390])
        //   > to set the initial congestion window for sending more data packets.
        c.recovery.begin(&c.snd, env, false, None);
        // RFC 7323 §2.2: the window of a SYN is not scaled.
        c.snd.set_window(u32::from(syn.window), syn.seq, c.snd.iss + 1);
        c
    }

    /// Implements RFC 7413 §4.2.2: "Buffer the data and notify the application." A FIN waits until
    /// the handshake completes, after the SYN-ACK and the data.
    pub fn take_syn_data(&mut self, env: &mut Env<'_>, syn: &Segment<'_>) {
        let end = syn.seq + 1 + syn.payload.len() as u32;
        if !syn.payload.is_empty() && self.receive_text(env, syn.seq + 1, syn.payload).is_ok() {
            self.early.insert(EarlyMarks::DATA);
        }
        if syn.flags.fin() && self.rcv.nxt == end {
            self.rcv.fin = end;
            self.marks.insert(Marks::FIN_AHEAD);
        }
        self.settle(env);
    }

    /// Returns true if the connection is pending in the sense of RFC 7413 §4.2.
    pub fn is_pending_fast_open(&self) -> bool {
        self.early.has(EarlyMarks::PASSIVE) && self.phase == Phase::SynReceived
    }

    /// Returns true if the segment is a retransmission of the SYN: the SYN-ACK was lost or late.
    pub(in crate::tcp) fn is_retransmitted_syn(&self, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        self.early.has(EarlyMarks::PASSIVE)
            && flags.syn()
            && !flags.intersects(Flags::ACK.with(Flags::RST))
            && segment.seq == self.rcv.irs
    }

    pub(in crate::tcp) fn on_retransmitted_syn(&mut self, segment: &Segment<'_>) -> Step {
        if let Some(timestamps) = segment.options.timestamps
            && self.marks.has(Marks::TIMESTAMPS)
            && timestamps.value.wrapping_sub(self.rcv.ts_recent) as i32 > 0
        {
            self.rcv.ts_recent = timestamps.value;
        }
        self.on_retransmitted_syn_ecn(segment);
        self.early.insert(EarlyMarks::SYN_ACK_PENDING);
        Break(Disposition::Accepted)
    }

    /// Records that the SYN-ACK was sent, for the first time or retransmitted.
    pub(in crate::tcp) fn on_syn_ack_sent(&mut self) {
        self.early.remove(EarlyMarks::SYN_ACK_PENDING);
        if self.snd.una == self.snd.iss {
            self.snd.advance_una(self.snd.iss + 1);
        }
    }

    /// RFC 7413 §4.2.2:
    ///   > If the SYN-ACK timer fires, the server SHOULD retransmit a SYN-ACK segment with neither
    ///   > data nor Fast Open options for compatibility reasons.
    pub(in crate::tcp) fn on_syn_ack_timeout(&mut self, env: &mut Env<'_>) {
        if self.recovery.backoff() >= env.settings.syn_ack_retries {
            return self.end(env, CloseReason::TimedOut);
        }
        self.recovery.back_off();
        self.early.insert(EarlyMarks::SYN_TIMED_OUT);
        self.early.insert(EarlyMarks::SYN_ACK_PENDING);
    }

    /// RFC 7413 §4.2.2:
    ///   > Upon receiving an ACK acknowledging the SYN sequence, the server decrements
    ///   > PendingFastOpenRequests and advances to the ESTABLISHED state.
    ///
    /// The ACK may acknowledge data as well; the following steps are those of ESTABLISHED.
    pub(in crate::tcp) fn on_syn_ack_acked(
        &mut self,
        env: &mut Env<'_>,
        segment: &Segment<'_>,
    ) -> Step {
        if segment.ack.before(self.snd.iss + 1) || segment.ack.after(self.snd.nxt) {
            return Break(Disposition::Reset);
        }
        self.early.remove(EarlyMarks::SYN_ACK_PENDING);
        self.timers.retransmit_at = Instant::FAR;
        self.measure_handshake(env, segment);
        let window = self.snd.shift.scale(segment.window);
        self.snd.set_window(window, segment.seq, segment.ack);
        self.enter_established(env);
        if self.snd.outstanding() > 0 {
            self.restart_timer(env);
        }
        Continue(())
    }
}
