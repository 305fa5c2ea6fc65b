//! ECN fields of outgoing segments (RFC 3168, RFC 9768): flags, IP codepoint and AccECN option.

use crate::tcp::ecn::{Feedback, handshake};
use crate::tcp::state::Marks;
use crate::tcp::{ByteCounters, Codepoint, Connection, EcnMode, Flags, SackBlocks, Settings};

/// Maximum bytes of TCP options (RFC 9293 §3.1), and the bytes that timestamps occupy.
const OPTIONS_LEN_MAX: u32 = 40;
const TIMESTAMPS_LEN: u32 = 12;

/// RFC 9768 §3.2.3.3: the AccECN option must leave room for two SACK blocks beside timestamps.
const LEN_BESIDE_SACK: u32 = 8;

/// ECN fields of one segment.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Label {
    pub(in crate::tcp) flags: Flags,
    pub(in crate::tcp) codepoint: Codepoint,
    pub(in crate::tcp) counters: Option<ByteCounters>,
}

impl Connection {
    /// Returns the ECN fields of a SYN or, if `answers` is set, of a SYN-ACK.
    pub(in crate::tcp) fn label_syn(&self, settings: &Settings, answers: bool) -> Label {
        let sent_before = self.recovery.backoff();
        if !answers {
            let requested = self.ecn_policy(settings).requested_mode_after(sent_before);
            return Label { flags: handshake::request(requested), ..Label::default() };
        }
        match self.ecn_state().map(|ecn| &ecn.feedback) {
            None => Label::default(),
            Some(Feedback::Classic(_)) => {
                let flags = handshake::agreement(EcnMode::Classic, Codepoint::NotEct);
                Label { flags, ..Label::default() }
            }
            Some(Feedback::Accurate(accurate)) => Label {
                flags: handshake::flags(accurate.syn_ack_field()),
                counters: (sent_before == 0).then(ByteCounters::initial),
                ..Label::default()
            },
        }
    }

    /// Returns the ECN fields of a segment with `len` bytes of data and these SACK blocks. `fresh`
    /// means that the data was never sent before.
    #[inline]
    pub(in crate::tcp) fn label(&mut self, len: u32, fresh: bool, sack: &SackBlocks) -> Label {
        if self.ecn != EcnMode::None {
            self.label_marked(len, fresh, sack)
        } else {
            Label::default()
        }
    }

    fn label_marked(&mut self, len: u32, fresh: bool, sack: &SackBlocks) -> Label {
        let room = self.option_room(len, sack);
        let Some(ecn) = Self::ecn_state_of(&mut self.choices) else { return Label::default() };
        let (flags, capable, counters) = match &mut ecn.feedback {
            Feedback::Classic(classic) => {
                let flags = classic.flags(fresh, self.recovery.controller.ssthresh());
                (flags, classic.is_capable(), None)
            }
            Feedback::Accurate(accurate) => {
                let flags = handshake::flags(accurate.ace(len == 0, sack.is_empty()));
                // §3.2.3.2.2: a retransmission omits the option, in case the path drops segments
                // with it.
                let again = len > 0 && !fresh;
                let counters = if again { None } else { accurate.option(room, len > 0) };
                (flags, accurate.is_capable(), counters)
            }
        };
        // RFC 3168 §6.1.4, §6.1.5, §6.1.6: pure ACKs, retransmissions and window probes are
        // Not-ECT. RFC 8311 §4.1: ECT(0), since ECT(1) requests a different response.
        let codepoint = if fresh && capable { Codepoint::Ect0 } else { Codepoint::NotEct };
        Label { flags, codepoint, counters }
    }

    /// Returns the bytes available to the AccECN option.
    fn option_room(&self, len: u32, sack: &SackBlocks) -> u32 {
        let blocks = sack.as_slice().len() as u32;
        if len > 0 {
            let taken = if blocks == 0 { 0 } else { 4 + 8 * blocks };
            return u32::from(self.snd.mss).saturating_sub(len + taken);
        }
        if !self.marks.has(Marks::TIMESTAMPS) {
            OPTIONS_LEN_MAX
        } else if blocks == 0 {
            OPTIONS_LEN_MAX - TIMESTAMPS_LEN
        } else {
            LEN_BESIDE_SACK
        }
    }
}
