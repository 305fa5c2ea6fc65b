//! Segment arrival in SYN-SENT (RFC 9293 §3.10.7.3) and the completion of the handshake, including
//! simultaneous opens (§3.5).

use core::ops::ControlFlow::{Break, Continue};

use crate::tcp::interface::Step;
use crate::tcp::mss::{MSS_DEFAULT, effective_mss};
use crate::tcp::state::{Marks, ReceiveHalf};
use crate::tcp::{
    CloseReason, Connection, Disposition, Env, Events, Flags, Phase, Segment, WindowShift,
};
use crate::time::Instant;

impl Connection {
    /// Processes a segment in SYN-SENT (§3.10.7.3).
    pub(in crate::tcp) fn arrive_in_syn_sent(
        &mut self,
        env: &mut Env<'_>,
        segment: &Segment<'_>,
    ) -> Step {
        let flags = segment.flags;
        // First, check the ACK bit:
        //   > If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set, if
        //   > so drop the segment and return)
        let acceptable = segment.ack.after(self.snd.iss) && segment.ack.at_or_before(self.snd.nxt);
        if flags.ack() && !acceptable {
            return Break(if flags.rst() { Disposition::BadAck } else { Disposition::Reset });
        }
        if flags.ack() && !flags.rst() && self.echoes_unknown_timestamp(env.now, segment) {
            return Break(Disposition::Reset);
        }
        // Second, check the RST bit:
        //   > If the ACK was acceptable, then signal to the user "error: connection reset", drop
        //   > the segment, enter CLOSED state [...]. Otherwise (no ACK), drop the segment and
        //   > return.
        if flags.rst() {
            if !flags.ack() {
                return Break(Disposition::NoAck);
            }
            self.end(env, CloseReason::Refused);
            return Break(Disposition::Accepted);
        }
        // Fifth: "if neither of the SYN or RST bits is set, then drop the segment and return".
        if !flags.syn() {
            return Break(Disposition::NoAck);
        }
        self.take_syn(env, segment);
        if flags.ack() {
            self.establish(env, segment);
            //   > If there are other controls or text in the segment, then continue processing at
            //   > the sixth step under Section 3.10.7.4 where the URG bit is checked
            return self.take_text(env, segment);
        }
        //   > Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment
        //   > <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>
        // Text of the SYN is not acknowledged, so the peer retransmits it.
        self.enter(Phase::SynReceived);
        self.snd.resend_syn();
        Continue(())
    }

    /// Returns true if a SYN-ACK echoes a timestamp that none of our SYNs had. It then answers a
    /// SYN of an earlier connection (RFC 7323 §4: TSecr is the TSval that the peer received last).
    fn echoes_unknown_timestamp(&self, now: Instant, segment: &Segment<'_>) -> bool {
        let Some(age_ms) = self.echoed_ms(now, segment) else { return false };
        let open_ms = now.since(self.last_received_at).as_millis() as u32;
        age_ms > open_ms.saturating_add(1)
    }

    /// Processes the peer's SYN, fourth of §3.10.7.3: RCV.NXT <- SEG.SEQ+1, IRS <- SEG.SEQ, and
    /// option negotiation.
    fn take_syn(&mut self, env: &Env<'_>, syn: &Segment<'_>) {
        let settings = env.settings;
        self.last_received_at = env.now;
        // The window that our SYN announced.
        self.rcv = ReceiveHalf::new(syn.seq, self.rcv.wnd(), self.rcv.promise);
        self.agree_on_timestamps(syn.options.timestamps.map(|ts| ts.value));
        self.agree_on_sack(syn.options.sack_permitted);
        self.agree_on_ecn(settings, syn);
        if let Some(advice) = syn.rare.user_timeout {
            self.on_user_timeout_option(env, advice);
        }
        // RFC 7323 §2.2: scaling is on only if both SYNs offer it.
        if let Some(theirs) = syn.options.window_shift.filter(|_| settings.window_scaling) {
            self.snd.shift = theirs;
            self.rcv.shift = WindowShift::for_buffer(self.scaled_buffer(settings));
        }
        let ipv6 = usize::from(self.marks.has(Marks::IPV6));
        let mss = syn.options.mss.unwrap_or(MSS_DEFAULT[ipv6]).min(self.mss_max(settings));
        self.snd.mss = effective_mss(mss, self.marks.has(Marks::TIMESTAMPS));
        self.begin_search(settings);
    }

    /// Enters ESTABLISHED on the ACK of our SYN:
    ///   > SND.WND <- SEG.WND, SND.WL1 <- SEG.SEQ, SND.WL2 <- SEG.ACK
    pub(in crate::tcp) fn establish(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        self.on_syn_acked(env, segment);
        // RFC 7323 §2.2: the window of a SYN is not scaled.
        let shift = if segment.flags.syn() { WindowShift::ZERO } else { self.snd.shift };
        self.snd.set_window(shift.scale(segment.window), segment.seq, segment.ack);
        if self.phase == Phase::SynSent || segment.flags.syn() {
            self.marks.insert(Marks::ACK);
        }
        self.events.insert(Events::CONNECTED);
        self.enter_established(env);
    }

    /// Enters ESTABLISHED: both SYNs are acknowledged. A pending CLOSE takes effect.
    pub(in crate::tcp) fn enter_established(&mut self, env: &Env<'_>) {
        self.enter(Phase::Established);
        self.arm_keep_alive(env);
        if self.marks.has(Marks::CLOSE_PENDING) {
            self.marks.remove(Marks::CLOSE_PENDING);
            self.enter(Phase::FinWait1);
        }
    }

    /// Removes a repeated SYN. In SYN-RECEIVED the peer's SYN,ACK still carries the SYN already
    /// processed (RFC 9293 figure 7, line 6). Without the SYN, the segment is an ACK at RCV.NXT.
    pub(in crate::tcp) fn without_repeated_syn<'a>(
        &self,
        segment: &Segment<'a>,
    ) -> (bool, Segment<'a>) {
        let mut rest = *segment;
        let repeat = segment.flags.syn()
            && segment.flags.ack()
            && !segment.flags.rst()
            && segment.seq == self.rcv.irs;
        rest.seq += 1;
        // The window of a SYN is not scaled, but that of an ACK will be.
        rest.window = self.snd.shift.field(u32::from(rest.window));
        rest.flags = rest.flags.without(Flags::SYN);
        (repeat, rest)
    }
}
