//! Segment arrival: RFC 9293 §3.10.7.4, one function per step.
//!
//! Owns the order of the checks. A step that ends the processing breaks with a [`Disposition`].

use core::ops::ControlFlow::{Break, Continue};

use crate::tcp::interface::Step;
use crate::tcp::state::{Challenge, EarlyMarks, Marks};
use crate::tcp::{CloseReason, Connection, Disposition, Env, Phase, Segment};
use crate::time::Duration;

/// RFC 7323 §5.5: a TS.Recent older than this is invalid, since the peer's clock may have wrapped.
const TS_RECENT_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3600);

impl Connection {
    /// Processes an arriving segment (SEGMENT ARRIVES).
    pub(in crate::tcp) fn arrive(
        &mut self,
        env: &mut Env<'_>,
        segment: &Segment<'_>,
    ) -> Disposition {
        let step = match self.phase {
            Phase::Closed => Break(Disposition::AfterClose),
            Phase::SynSent => self.arrive_in_syn_sent(env, segment),
            Phase::SynReceived if self.is_retransmitted_syn(segment) => {
                self.on_retransmitted_syn(segment)
            }
            Phase::SynReceived => {
                let (repeat, text) = self.without_repeated_syn(segment);
                let step = self.arrive_otherwise(env, if repeat { &text } else { segment });
                // The SYN is a duplicate, which "should be" answered with an ACK like any other
                // (first of §3.10.7.4). The peer then continues even if our SYN-ACK was lost.
                if repeat && step.is_continue() {
                    self.record_duplicate(segment.seq, segment.seq + 1);
                    self.marks.insert(Marks::ACK);
                }
                step
            }
            _ => self.arrive_otherwise(env, segment),
        };
        match step {
            Break(disposition) => disposition,
            Continue(()) => Disposition::Accepted,
        }
    }

    /// Processes a segment in any state but SYN-SENT (§3.10.7.4).
    fn arrive_otherwise(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        self.check_timestamp(env, segment)?;
        self.check_sequence(env, segment)?;
        self.last_received_at = env.now;
        self.check_reset(env, segment)?;
        self.check_syn(env, segment)?;
        self.record_codepoint(segment);
        if let Some(advice) = segment.rare.user_timeout {
            self.on_user_timeout_option(env, advice);
        }
        self.check_ack(env, segment)?;
        if segment.flags.urg() {
            self.on_urgent(segment);
        }
        self.take_text(env, segment)
    }

    /// Applies RFC 7323 §5.3 R1, before all other checks:
    ///   > If there is a Timestamps option in the arriving segment, SEG.TSval < TS.Recent,
    ///   > TS.Recent is valid, and the RST bit is not set, then treat the arriving segment as not
    ///   > acceptable: Send an acknowledgment in reply [...] and drop the segment.
    #[inline]
    pub(in crate::tcp) fn check_timestamp(
        &mut self,
        env: &mut Env<'_>,
        segment: &Segment<'_>,
    ) -> Step {
        if !self.marks.has(Marks::TIMESTAMPS) || segment.flags.rst() {
            return Continue(());
        }
        let Some(timestamps) = segment.options.timestamps else {
            // RFC 7323 §3.2: "If a non-<RST> segment is received without a TSopt, a TCP SHOULD
            // silently drop the segment."
            if !env.settings.drop_unstamped {
                return Continue(());
            }
            return Break(Disposition::NoTimestamp);
        };
        let older = (timestamps.value.wrapping_sub(self.rcv.ts_recent) as i32) < 0;
        if !older || env.now.since(self.last_received_at) > TS_RECENT_LIFETIME {
            return Continue(());
        }
        self.answer_unacceptable(env, segment);
        Break(Disposition::OldTimestamp)
    }

    /// First, check sequence number. Implements table 6 of the RFC, with two relaxations:
    ///
    /// - a segment that covers the whole window and more is trimmed like any other;
    /// - the ACK and the RST of a segment that begins exactly at the right edge are processed,
    ///   since "special allowance should be made to accept valid ACKs, URGs, and RSTs", and a peer
    ///   that has filled our window while a hole is open has no other sequence number to use.
    #[inline]
    fn check_sequence(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        let (len, end) = (segment.len(), segment.end());
        let new =
            if len == 0 { segment.seq.at_or_after(self.rcv.nxt) } else { end.after(self.rcv.nxt) };
        if new && segment.seq.at_or_before(self.rcv.edge) {
            return Continue(());
        }
        //   > If an incoming segment is not acceptable, an acknowledgment should be sent in reply
        //   > (unless the RST bit is set, if so drop the segment and return)
        if !segment.flags.rst() {
            self.answer_unacceptable(env, segment);
        }
        let syn = segment.flags.syn() && !segment.flags.rst();
        Break(if syn { Disposition::ChallengedSyn } else { Disposition::OutOfWindow })
    }

    /// Answers an unacceptable segment with an ACK. Answers to segments without data count against
    /// the limit of RFC 5961 §7: two ends that disagree would otherwise exchange ACKs forever.
    fn answer_unacceptable(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        let text_end = segment.seq + segment.payload.len() as u32;
        self.record_duplicate(segment.seq, text_end.earliest(self.rcv.nxt));
        self.on_retransmitted_syn_ack(segment);
        if segment.payload.is_empty() && !segment.flags.fin() {
            self.challenge(env);
        } else {
            self.marks.insert(Marks::ACK);
        }
    }

    /// Schedules a challenge ACK (RFC 5961), within the limits of the connection and the shard.
    fn challenge(&mut self, env: &mut Env<'_>) {
        let most = env.settings.challenge_acks_per_connection;
        if *env.challenge_acks > 0 && self.challenges.take(env.now, most) == Challenge::Granted {
            *env.challenge_acks -= 1;
            self.marks.insert(Marks::ACK);
        }
    }

    /// Second, check the RST bit. RFC 5961 §3.2, adopted by RFC 9293:
    ///   > 2) If the RST bit is set and the sequence number exactly matches the next expected
    ///   > sequence number (RCV.NXT), then TCP endpoints MUST reset the connection
    ///   > 3) [...] does not exactly match [...] MUST send an acknowledgment (challenge ACK)
    #[inline]
    fn check_reset(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        if !segment.flags.rst() {
            return Continue(());
        }
        if self.phase == Phase::TimeWait {
            // RFC 1337 §3 (F1): a reset must not cut TIME-WAIT short.
            return Break(Disposition::Accepted);
        }
        if segment.seq != self.rcv.nxt {
            self.challenge(env);
            return Break(Disposition::ChallengedReset);
        }
        //   > If this connection was initiated with an active OPEN [...] the connection was refused
        let opening = self.phase == Phase::SynReceived && !self.early.has(EarlyMarks::PASSIVE);
        self.end(env, if opening { CloseReason::Refused } else { CloseReason::Reset });
        Break(Disposition::Accepted)
    }

    /// Fourth, check the SYN bit. RFC 5961 §4.2:
    ///   > If the SYN bit is set, irrespective of the sequence number, TCP endpoints MUST send a
    ///   > "challenge ACK" to the remote peer
    #[inline]
    fn check_syn(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        if !segment.flags.syn() {
            return Continue(());
        }
        self.challenge(env);
        Break(Disposition::ChallengedSyn)
    }

    /// RFC 7323 §4.3 (2):
    ///   > If SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent, then SEG.TSval is copied to
    ///   > TS.Recent; otherwise, it is ignored.
    ///
    /// The first condition holds here: [`Self::check_timestamp`] passed.
    #[inline]
    pub(in crate::tcp) fn update_ts_recent(&mut self, segment: &Segment<'_>) {
        if let Some(timestamps) = segment.options.timestamps
            && self.marks.has(Marks::TIMESTAMPS)
            && segment.seq.at_or_before(self.rcv.acked)
        {
            self.rcv.ts_recent = timestamps.value;
        }
    }

    /// Fifth, check the ACK field.
    #[inline]
    fn check_ack(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        if !segment.flags.ack() {
            return Break(Disposition::NoAck);
        }
        if self.phase == Phase::SynReceived && self.early.has(EarlyMarks::PASSIVE) {
            self.on_syn_ack_acked(env, segment)?;
            self.check_ack_range(env, segment)?;
        } else if self.phase == Phase::SynReceived {
            self.check_ack_of_syn(env, segment)?;
        } else {
            self.check_ack_range(env, segment)?;
        }
        // Only after that check, so that an attacker who does not know our sequence numbers cannot
        // move TS.Recent forward.
        self.update_ts_recent(segment);
        if self.snd.fin_is_acked() {
            self.on_fin_acked(env)?;
        }
        Continue(())
    }

    /// SYN-RECEIVED:
    ///   > If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state
    ///   > If the segment acknowledgment is not acceptable, form a reset segment
    ///   > <SEQ=SEG.ACK><CTL=RST>
    fn check_ack_of_syn(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        if !segment.ack.after(self.snd.una) || segment.ack.after(self.snd.nxt) {
            return Break(Disposition::Reset);
        }
        self.establish(env, segment);
        self.on_ecn_feedback(env, segment);
        Continue(())
    }

    /// ESTABLISHED and later. RFC 5961 §5.2:
    ///   > The ACK value is considered acceptable only if it is in the range of ((SND.UNA -
    ///   > MAX.SND.WND) <= SEG.ACK <= SND.NXT). All incoming segments whose ACK value doesn't
    ///   > satisfy the above condition MUST be discarded and an ACK sent back.
    #[inline]
    fn check_ack_range(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        let ack = segment.ack;
        if ack.before(self.snd.una) {
            if self.snd.una.distance_from(ack) <= self.snd.wnd_max {
                // Its SACK blocks may still be new.
                if self.is_selective(segment) {
                    self.on_selective_ack(env, segment);
                }
                // "If the ACK is a duplicate (SEG.ACK =< SND.UNA), it can be ignored."
                return Continue(());
            }
            self.challenge(env);
            return Break(Disposition::BadAck);
        }
        if ack.after(self.snd.nxt) {
            self.challenge(env);
            return Break(Disposition::BadAck);
        }
        self.on_ecn_feedback(env, segment);
        if self.is_selective(segment) {
            self.on_selective_ack(env, segment);
        } else if ack != self.snd.una {
            self.on_new_ack(env, segment);
        } else if self.is_duplicate_ack(segment) {
            self.on_duplicate_ack(env.now);
        }
        self.update_window(env, segment);
        self.release_unpushed();
        Continue(())
    }

    /// RFC 5681 §2:
    ///   > (a) the receiver of the ACK has outstanding data, (b) the incoming acknowledgment
    ///   > carries no data, (c) the SYN and FIN bits are both off, (d) the acknowledgment number is
    ///   > equal to the greatest acknowledgment received [...] (e) the advertised window [...]
    ///   > equals the advertised window in the last incoming acknowledgment.
    fn is_duplicate_ack(&self, segment: &Segment<'_>) -> bool {
        self.snd.outstanding() > 0
            && segment.is_empty()
            && self.snd.shift.scale(segment.window) == self.snd.wnd
            && self.snd.wnd > 0
    }

    /// RFC 9293 §3.10.7.4:
    ///   > If (SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)), set SND.WND <-
    ///   > SEG.WND, set SND.WL1 <- SEG.SEQ, and set SND.WL2 <- SEG.ACK.
    #[inline]
    fn update_window(&mut self, env: &Env<'_>, segment: &Segment<'_>) {
        let newer = self.snd.wl1.before(segment.seq)
            || self.snd.wl1 == segment.seq && self.snd.wl2.at_or_before(segment.ack);
        if newer {
            let was_closed = self.snd.wnd == 0;
            let wnd = self.snd.shift.scale(segment.window);
            self.snd.set_window(wnd, segment.seq, segment.ack);
            if was_closed && wnd > 0 {
                self.on_opened_window(env);
            }
        }
        if self.snd.wnd == 0 {
            self.on_closed_window(env);
        }
    }

    /// Fifth, the transitions on the ACK of our FIN.
    fn on_fin_acked(&mut self, env: &mut Env<'_>) -> Step {
        match self.phase {
            Phase::FinWait1 => {
                self.enter(Phase::FinWait2);
                if self.marks.has(Marks::NO_READER) {
                    self.arm_fin_wait_2(env);
                }
                Continue(())
            }
            Phase::Closing => {
                self.enter_time_wait(env);
                Break(Disposition::Accepted)
            }
            Phase::LastAck => {
                self.enter(Phase::Closed);
                self.finish(env);
                Break(Disposition::Accepted)
            }
            _ => Continue(()),
        }
    }

    /// Seventh, the segment text, and eighth, the FIN bit.
    #[inline]
    pub(in crate::tcp) fn take_text(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        if !self.phase.may_receive() {
            //   > This should not occur since a FIN has been received from the remote side. Ignore
            //   > the segment text.
            return Continue(());
        }
        let seq = segment.seq + u32::from(segment.flags.syn());
        if !segment.payload.is_empty() {
            self.reset_unread(env, segment)?;
            if let Err(disposition) = self.receive_text(env, seq, segment.payload) {
                return Break(disposition);
            }
            if self.rcv.promise.is_tuned() {
                self.time_arrival(env, segment);
            }
        }
        if segment.flags.fin() {
            self.receive_fin(env, seq + segment.payload.len() as u32);
        } else if self.marks.has(Marks::FIN_AHEAD) && self.rcv.fin == self.rcv.nxt {
            self.receive_fin(env, self.rcv.fin);
        }
        Continue(())
    }

    /// RFC 9293 §3.6.1:
    ///   > If such a host issues a CLOSE call while received data is still pending in the TCP
    ///   > connection, or if new data is received after CLOSE is called, its TCP implementation
    ///   > SHOULD send a RST to show that data was lost. (SHLD-3)
    fn reset_unread(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Step {
        let text_end = segment.seq + segment.payload.len() as u32;
        if !self.marks.has(Marks::NO_READER) || !text_end.after(self.rcv.nxt) {
            return Continue(());
        }
        self.abort(env);
        // SND.NXT may be past the data and FIN that the peer has received, and RFC 5961 §3 makes it
        // accept a reset only at its RCV.NXT. As far as we know that is SND.UNA: SEG.ACK, unless
        // the segment is old.
        self.snd.fall_back_to_una();
        self.bare_reset = true;
        Break(Disposition::AfterClose)
    }
}
