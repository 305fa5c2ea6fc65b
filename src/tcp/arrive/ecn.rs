//! ECN processing of arriving segments (RFC 3168, RFC 9768): the negotiation by the SYNs, the
//! codepoint of the IP header, and the peer's feedback.

use crate::tcp::ecn::handshake::{negotiated, requested_by};
use crate::tcp::ecn::{Accurate, Classic, Echo, Ecn, Feedback, Urgency};
use crate::tcp::state::{Marks, Stage};
use crate::tcp::{Codepoint, Connection, EcnMode, Env, Flags, Segment, Settings};

impl Connection {
    /// Negotiates ECN with the peer's SYN or SYN-ACK in SYN-SENT. RFC 9768 §3.1.5: the first one
    /// decides, later ones change nothing.
    pub(in crate::tcp) fn agree_on_ecn(&mut self, settings: &Settings, syn: &Segment<'_>) {
        let policy = self.ecn_policy(settings);
        let requested = policy.requested_mode();
        let iss = self.snd.iss;
        if !syn.flags.ack() {
            // Simultaneous open: use the mode that both requested, each agreeing as a server does.
            let capable = policy.requested_mode_after(self.recovery.backoff()) == requested;
            let mode = requested_by(syn.flags).min(requested);
            if let Some(ecn) = Ecn::server(mode, syn.ecn, capable, iss) {
                self.begin_ecn(ecn);
            }
            return;
        }
        let ecn = match negotiated(requested, syn.flags) {
            (EcnMode::None, _) => return,
            (EcnMode::Classic, _) => Ecn::new(Feedback::Classic(Classic::new(true)), iss),
            (EcnMode::Accurate, our_syn) => {
                let mut accurate = Accurate::client(our_syn, syn.ecn);
                accurate.on_first_option(syn.rare.accecn.as_ref());
                let mut ecn = Ecn::new(Feedback::Accurate(accurate), iss);
                // RFC 9768 §3.2.2.2: "the TCP Client still triggers the congestion control actions
                // necessary to respond to the CE feedback".
                ecn.response_pending = our_syn == Codepoint::Ce;
                ecn
            }
        };
        self.begin_ecn(ecn);
    }

    /// Processes a retransmitted SYN, perhaps received after we sent data. RFC 9768 §3.1.5:
    /// feedback follows the latest SYN, and after a SYN that does not request ECN, ECT must not be
    /// sent.
    pub(in crate::tcp) fn on_retransmitted_syn_ecn(&mut self, syn: &Segment<'_>) {
        let Some(ecn) = Self::ecn_state_of(&mut self.choices) else { return };
        let capable = requested_by(syn.flags) != EcnMode::None;
        match &mut ecn.feedback {
            Feedback::Classic(classic) => *classic = Classic::new(classic.is_capable() && capable),
            Feedback::Accurate(accurate) => {
                *accurate = Accurate::server(syn.ecn, accurate.is_capable() && capable);
            }
        }
    }

    /// Processes a retransmitted SYN-ACK: our ACK of the first may have been lost.
    pub(in crate::tcp) fn on_retransmitted_syn_ack(&mut self, segment: &Segment<'_>) {
        let is_syn_ack = segment.flags.contains(Flags::SYN.with(Flags::ACK));
        if is_syn_ack
            && segment.seq == self.rcv.irs
            && let Some(ecn) = Self::ecn_state_of(&mut self.choices)
            && let Feedback::Accurate(accurate) = &mut ecn.feedback
        {
            accurate.on_syn_ack_retransmitted(segment.ecn);
        }
    }

    /// Records the codepoint of an acceptable segment.
    #[inline]
    pub(in crate::tcp) fn record_codepoint(&mut self, segment: &Segment<'_>) {
        if self.ecn != EcnMode::None {
            self.process_codepoint(segment);
        }
    }

    fn process_codepoint(&mut self, segment: &Segment<'_>) {
        let Some(ecn) = Self::ecn_state_of(&mut self.choices) else { return };
        match &mut ecn.feedback {
            Feedback::Classic(classic) => classic.on_packet(segment),
            Feedback::Accurate(accurate) => {
                let unacknowledged = self.rcv.nxt != self.rcv.acked;
                if accurate.on_packet(segment, unacknowledged) == Urgency::Now {
                    self.marks.insert(Marks::ACK);
                }
            }
        }
    }

    /// Processes the ECN feedback of an acceptable ACK, before SND.UNA advances.
    #[inline]
    pub(in crate::tcp) fn on_ecn_feedback(&mut self, env: &Env<'_>, segment: &Segment<'_>) {
        if self.ecn != EcnMode::None {
            self.on_ecn_marks(env, segment);
        }
    }

    fn on_ecn_marks(&mut self, env: &Env<'_>, segment: &Segment<'_>) {
        let Some(ecn) = Self::ecn_state_of(&mut self.choices) else { return };
        let acked = segment.ack.distance_from(self.snd.una);
        let Echo { congestion, bytes } = match &mut ecn.feedback {
            Feedback::Classic(classic) => classic.on_ack(segment, acked),
            Feedback::Accurate(accurate) => {
                accurate.on_ack(segment, acked, u32::from(self.snd.mss))
            }
        };
        ecn.marked = ecn.marked.saturating_add(bytes);
        let congestion = congestion || core::mem::take(&mut ecn.response_pending);
        // RFC 3168 §6.1.2:
        //   > TCP should not react to congestion indications more than once every window of data
        if !congestion || segment.ack.before(ecn.responded) {
            return;
        }
        ecn.responded = self.snd.nxt;
        // In recovery the window of this flight has already been reduced.
        if self.recovery.stage == Stage::Open {
            self.answer_congestion_echo(env.now);
        }
        if let Some(ecn) = Self::ecn_state_of(&mut self.choices)
            && let Feedback::Classic(classic) = &mut ecn.feedback
        {
            classic.on_response();
        }
    }

    /// Returns how many of the `delivered` bytes arrived CE-marked.
    #[inline]
    pub(in crate::tcp) fn take_marked(&mut self, delivered: u32) -> u32 {
        if self.ecn == EcnMode::None {
            return 0;
        }
        let Some(ecn) = Self::ecn_state_of(&mut self.choices) else { return 0 };
        let marked = ecn.marked.min(delivered);
        ecn.marked -= marked;
        marked
    }
}
