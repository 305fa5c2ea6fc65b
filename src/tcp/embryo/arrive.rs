//! The responses of an embryo: RFC 9293 §3.10.7.4 for SYN-RECEIVED, step by step.

use super::state::{Embryo, EmbryoAnswer, NO_ECT, TIMESTAMPS, UNTIMED};
use crate::tcp::ecn::handshake;
use crate::tcp::{Disposition, EcnMode, Flags, Segment, SeqNum, Settings};

impl Embryo {
    /// Processes a segment for the flow. RFC 9293 §3.10.7.4 for SYN-RECEIVED.
    pub fn on_segment(&mut self, segment: &Segment<'_>, settings: &Settings) -> EmbryoAnswer {
        let rejected = self.check_timestamp(segment, settings);
        if rejected.is_none() && self.is_same_syn(segment) {
            self.update_ts_recent(segment);
            self.flags |= UNTIMED;
            return self.on_retransmitted_syn(segment);
        }
        if let Some(answer) = rejected {
            return answer;
        }
        // First, the sequence number:
        //   > If an incoming segment is not acceptable, an acknowledgment should be sent in reply
        //   > (unless the RST bit is set, if so drop the segment and return)
        let rst = segment.flags.rst();
        if !acceptable(segment, self.rcv_nxt(), self.syn_window(settings)) {
            let reason = Disposition::OutOfWindow;
            return if rst { EmbryoAnswer::Ignore(reason) } else { EmbryoAnswer::Ack(reason) };
        }
        // Second, RST: RFC 5961 §3.2 requires it to be exactly at RCV.NXT. A passive open then
        // returns to LISTEN.
        if rst {
            return if segment.seq == self.rcv_nxt() {
                EmbryoAnswer::Remove
            } else {
                EmbryoAnswer::Ack(Disposition::ChallengedReset)
            };
        }
        self.on_acceptable(segment)
    }

    /// Performs the fourth and fifth step of RFC 9293 §3.10.7.4.
    fn on_acceptable(&mut self, segment: &Segment<'_>) -> EmbryoAnswer {
        // Fourth, SYN: the RFC returns a passive open to LISTEN, so that anyone who guesses a
        // sequence number in the window could end it. We send a challenge ACK as in the
        // synchronized states (RFC 5961 §4). A peer that has truly restarted answers with a reset
        // at RCV.NXT.
        if segment.flags.syn() {
            return EmbryoAnswer::Ack(Disposition::ChallengedSyn);
        }
        // Fifth, ACK: "if the ACK bit is off, drop the segment and return".
        if !segment.flags.ack() {
            return EmbryoAnswer::Ignore(Disposition::NoAck);
        }
        //   > If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state
        //   > If the segment acknowledgment is not acceptable, form a reset segment
        //   >   <SEQ=SEG.ACK><CTL=RST>
        // We have sent only the SYN, so exactly one number is acceptable.
        if segment.ack != self.iss + 1 {
            return EmbryoAnswer::Reset;
        }
        self.update_ts_recent(segment);
        EmbryoAnswer::Establish
    }

    /// Processes a retransmitted SYN. It may request the same ECN mode as before or none (RFC 9768
    /// §3.1.5):
    ///   > MUST reset the connection with a RST packet, if it receives a 'Classic' ECN-setup SYN
    ///   > [...] and a SYN requesting AccECN feedback during the same handshake
    pub(in crate::tcp) fn on_retransmitted_syn(&mut self, syn: &Segment<'_>) -> EmbryoAnswer {
        match (self.ecn_mode(), handshake::requested_by(syn.flags)) {
            (EcnMode::Classic, EcnMode::Accurate) | (EcnMode::Accurate, EcnMode::Classic) => {
                return EmbryoAnswer::Refuse;
            }
            // > MUST NOT set ECT on any packet for the rest of the connection, if it has received
            // > [...] at least one valid SYN [...] with (AE,CWR,ECE) = (0,0,0) during the
            // > handshake.
            (_, EcnMode::None) => self.ecn |= NO_ECT,
            _ => {}
        }
        self.record_codepoint(syn.ecn);
        EmbryoAnswer::SynAck
    }

    fn is_same_syn(&self, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        flags.syn() && !flags.intersects(Flags::ACK.with(Flags::RST)) && segment.seq == self.irs
    }

    /// Checks the timestamp. RFC 7323 §5.3 R1: a segment older than TS.Recent is not acceptable;
    /// §3.2: one without a timestamp SHOULD be silently dropped. Resets are exempt from both.
    pub(in crate::tcp) fn check_timestamp(
        &self,
        segment: &Segment<'_>,
        settings: &Settings,
    ) -> Option<EmbryoAnswer> {
        if !self.has(TIMESTAMPS) || segment.flags.rst() {
            return None;
        }
        let Some(ts) = segment.options.timestamps else {
            let drops = settings.drop_unstamped;
            return drops.then_some(EmbryoAnswer::Ignore(Disposition::NoTimestamp));
        };
        let old = (ts.value.wrapping_sub(self.ts_recent) as i32) < 0;
        old.then_some(EmbryoAnswer::Ack(Disposition::OldTimestamp))
    }

    /// Updates TS.Recent, RFC 7323 §4.3 (2): SEG.TSval becomes TS.Recent if SEG.SEQ <=
    /// Last.ACK.sent, which is RCV.NXT here.
    pub(in crate::tcp) fn update_ts_recent(&mut self, segment: &Segment<'_>) {
        if let (Some(ts), true) =
            (segment.options.timestamps, segment.seq.at_or_before(self.rcv_nxt()))
        {
            self.ts_recent = ts.value;
        }
    }
}

/// Implements the four cases of RFC 9293 §3.10.7.4, table 6.
fn acceptable(segment: &Segment<'_>, rcv_nxt: SeqNum, rcv_wnd: u32) -> bool {
    let inside = |seq: SeqNum| seq.distance_from(rcv_nxt) < rcv_wnd;
    match (segment.len(), rcv_wnd) {
        (0, 0) => segment.seq == rcv_nxt,
        (0, _) => inside(segment.seq),
        (len, _) => inside(segment.seq) || inside(segment.seq + (len - 1)),
    }
}
