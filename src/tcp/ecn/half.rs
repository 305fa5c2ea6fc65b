//! What a connection does with ECN: agrees on it, notes how packets come, heeds what ACKs tell, labels what
//! it sends.

use super::accurate::Accurate;
use super::classic::Classic;
use super::handshake::{self, answered, asked};
use super::{ByteCounters, Codepoint, Ecn, EcnMode, EcnPolicy, Feedback, Told, Urgency};
use crate::tcp::choices::ConnectionOptions;
use crate::tcp::connection::Connection;
use crate::tcp::embryo::Embryo;
use crate::tcp::interface::Env;
use crate::tcp::marks::Marks;
use crate::tcp::recovery::Stage;
use crate::tcp::{Flags, SackBlocks, Segment, SeqNum, Settings};

/// Bytes of TCP options (RFC 9293 §3.1), and what timestamps take of them.
const OPTIONS_LEN_MAX: u32 = 40;
const TIMESTAMPS_LEN: u32 = 12;

/// RFC 9768 §3.2.3.3: an option that would leave no room for two SACK blocks beside timestamps gives way.
const LEN_BESIDE_SACK: u32 = 8;

/// What ECN adds to a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Label {
    pub(in crate::tcp) flags: Flags,
    pub(in crate::tcp) codepoint: Codepoint,
    pub(in crate::tcp) counters: Option<ByteCounters>,
}

impl Ecn {
    const fn new(feedback: Feedback, iss: SeqNum) -> Self {
        Self { feedback, responded: iss, marked: 0, owes_response: false }
    }

    /// What was agreed on with the peer of a passive open.
    pub(in crate::tcp) fn of_embryo(embryo: &Embryo) -> Option<Self> {
        let capable = embryo.may_send_ect();
        let feedback = match embryo.ecn_mode() {
            EcnMode::None => return None,
            EcnMode::Classic => Feedback::Classic(Classic::new(capable)),
            EcnMode::Accurate => {
                Feedback::Accurate(Accurate::server(embryo.syn_codepoint(), capable))
            }
        };
        Some(Self::new(feedback, embryo.iss()))
    }

    /// SND.NXT when marks were last responded to; ISS before.
    #[cfg(test)]
    pub(in crate::tcp) const fn responded_at(&self) -> SeqNum {
        self.responded
    }

    pub(in crate::tcp) const fn mode(&self) -> EcnMode {
        match self.feedback {
            Feedback::Classic(_) => EcnMode::Classic,
            Feedback::Accurate(_) => EcnMode::Accurate,
        }
    }

    /// Whether the window was reduced for what is in flight from `una` on.
    pub(in crate::tcp) fn has_responded(&self, iss: SeqNum, una: SeqNum) -> bool {
        self.responded != iss && una.before(self.responded)
    }

    /// Whether an ACK alone is owed, to tell how the SYN-ACK came (RFC 9768 §3.2.2.1).
    pub(in crate::tcp) const fn owes_reflection(&self) -> bool {
        matches!(&self.feedback, Feedback::Accurate(accurate) if accurate.owes_reflection())
    }
}

/// Opening.
impl Connection {
    /// What the program or the host wants.
    fn ecn_policy(&self, settings: &Settings) -> EcnPolicy {
        self.choices.as_ref().and_then(|choices| choices.ecn_policy).unwrap_or(settings.ecn)
    }

    /// The form of feedback that both ends agreed on.
    pub fn ecn_mode(&self) -> EcnMode {
        self.ecn
    }

    /// ECN is agreed on.
    pub(in crate::tcp) fn begin_ecn(&mut self, ecn: Ecn) {
        self.ecn = ecn.mode();
        self.choices_mut().ecn = Some(ecn);
    }

    /// Its state, if it is agreed on.
    #[inline]
    pub(in crate::tcp) fn ecn_state(&self) -> Option<&Ecn> {
        if self.ecn == EcnMode::None { None } else { self.choices.as_ref()?.ecn.as_ref() }
    }

    /// The same, to be changed; a field of its own to the borrow checker.
    #[inline]
    fn ecn_state_of(choices: &mut Option<Box<ConnectionOptions>>) -> Option<&mut Ecn> {
        choices.as_mut()?.ecn.as_mut()
    }

    /// What a SYN of ours says, and the option of a SYN-ACK.
    pub(in crate::tcp) fn label_syn(&self, settings: &Settings, answers: bool) -> Label {
        let sent_before = self.recovery.backoff();
        if !answers {
            let wish = self.ecn_policy(settings).wish_after(sent_before);
            return Label { flags: handshake::request(wish), ..Label::default() };
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

    /// The peer's SYN or SYN-ACK came in SYN-SENT. RFC 9768 §3.1.5: the first one tells, no later one
    /// changes it.
    pub(in crate::tcp) fn agree_on_ecn(&mut self, settings: &Settings, syn: &Segment<'_>) {
        let policy = self.ecn_policy(settings);
        let wish = policy.wish();
        let iss = self.snd.iss;
        if !syn.flags.ack() {
            // Both opened at once: what both asked for, each agreeing as a server does.
            let capable = policy.wish_after(self.recovery.backoff()) == wish;
            let feedback = match asked(syn.flags).min(wish) {
                EcnMode::None => None,
                EcnMode::Classic => Some(Feedback::Classic(Classic::new(capable))),
                EcnMode::Accurate => Some(Feedback::Accurate(Accurate::server(syn.ecn, capable))),
            };
            if let Some(feedback) = feedback {
                self.begin_ecn(Ecn::new(feedback, iss));
            }
            return;
        }
        let ecn = match answered(wish, syn.flags) {
            (EcnMode::None, _) => return,
            (EcnMode::Classic, _) => Ecn::new(Feedback::Classic(Classic::new(true)), iss),
            (EcnMode::Accurate, our_syn) => {
                let mut accurate = Accurate::client(our_syn, syn.ecn);
                accurate.on_first_option(syn.rare.accecn.as_ref());
                let mut ecn = Ecn::new(Feedback::Accurate(accurate), iss);
                // RFC 9768 §3.2.2.2: "the TCP Client still triggers the congestion control actions
                // necessary to respond to the CE feedback".
                ecn.owes_response = our_syn == Codepoint::Ce;
                ecn
            }
        };
        self.begin_ecn(ecn);
    }

    /// The peer's SYN came again, after data of ours perhaps. RFC 9768 §3.1.5: the latest one tells how it
    /// came, and after one that asks for nothing, ECT is not to be sent.
    pub(in crate::tcp) fn note_ecn_of_syn_again(&mut self, syn: &Segment<'_>) {
        let Some(ecn) = Self::ecn_state_of(&mut self.choices) else { return };
        let capable = asked(syn.flags) != EcnMode::None;
        match &mut ecn.feedback {
            Feedback::Classic(classic) => *classic = Classic::new(classic.is_capable() && capable),
            Feedback::Accurate(accurate) => {
                *accurate = Accurate::server(syn.ecn, accurate.is_capable() && capable);
            }
        }
    }

    /// The peer's SYN-ACK came again, after ours to the first may have been lost.
    pub(in crate::tcp) fn note_syn_ack_again(&mut self, segment: &Segment<'_>) {
        let is_syn_ack = segment.flags.contains(Flags::SYN.with(Flags::ACK));
        if is_syn_ack
            && segment.seq == self.rcv.irs
            && let Some(ecn) = Self::ecn_state_of(&mut self.choices)
            && let Feedback::Accurate(accurate) = &mut ecn.feedback
        {
            accurate.on_syn_ack_again(segment.ecn);
        }
    }
}

/// Receiving.
impl Connection {
    /// An acceptable segment came.
    #[inline]
    pub(in crate::tcp) fn note_codepoint(&mut self, segment: &Segment<'_>) {
        if self.ecn != EcnMode::None {
            self.note_mark(segment);
        }
    }

    fn note_mark(&mut self, segment: &Segment<'_>) {
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
}

/// Sending.
impl Connection {
    /// An acceptable ACK came: before SND.UNA advances.
    #[inline]
    pub(in crate::tcp) fn heed_ecn(&mut self, env: &Env<'_>, segment: &Segment<'_>) {
        if self.ecn != EcnMode::None {
            self.heed_marks(env, segment);
        }
    }

    fn heed_marks(&mut self, env: &Env<'_>, segment: &Segment<'_>) {
        let Some(ecn) = Self::ecn_state_of(&mut self.choices) else { return };
        let acked = segment.ack.distance_from(self.snd.una);
        let Told { congestion, bytes } = match &mut ecn.feedback {
            Feedback::Classic(classic) => classic.on_ack(segment, acked),
            Feedback::Accurate(accurate) => {
                accurate.on_ack(segment, acked, u32::from(self.snd.mss))
            }
        };
        ecn.marked = ecn.marked.saturating_add(bytes);
        let congestion = congestion || core::mem::take(&mut ecn.owes_response);
        // RFC 3168 §6.1.2:
        //   > TCP should not react to congestion indications more than once every window of data
        if !congestion || segment.ack.before(ecn.responded) {
            return;
        }
        ecn.responded = self.snd.nxt;
        // In recovery the window of this flight was reduced already.
        if self.recovery.stage == Stage::Open {
            self.answer_congestion_echo(env.now);
        }
        if let Some(ecn) = Self::ecn_state_of(&mut self.choices)
            && let Feedback::Classic(classic) = &mut ecn.feedback
        {
            classic.on_response();
        }
    }

    /// How much of the `delivered` bytes came marked.
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

    /// What ECN adds to a segment with `len` bytes of data, `fresh` if they were never sent, and with these
    /// SACK blocks.
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
                // §3.2.3.2.2: what is sent again goes without, should a path lose what has options.
                let again = len > 0 && !fresh;
                let counters = if again { None } else { accurate.option(room, len > 0) };
                (flags, accurate.is_capable(), counters)
            }
        };
        // RFC 3168 §6.1.4, §6.1.5, §6.1.6: neither on pure ACKs, nor on retransmissions, nor on probes.
        // RFC 8311 §4.1: ECT(0), since ECT(1) stands for another response.
        let codepoint = if fresh && capable { Codepoint::Ect0 } else { Codepoint::NotEct };
        Label { flags, codepoint, counters }
    }

    /// Bytes that an option may take.
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
