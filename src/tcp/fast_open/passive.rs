//! The server's part (RFC 7413 §4.2.2): a connection that a SYN with a good cookie brings to life, with its
//! data, before the handshake is done.
//!
//! Owns SYN-RECEIVED of such a connection. Our SYN counts as acknowledged from the start, in the sequence
//! space alone: SND.UNA stands behind it, so that data can be sent and accounted for as in ESTABLISHED. What
//! the timer sends again until the ACK comes is the SYN-ACK, and nothing else.

use core::ops::ControlFlow::{Break, Continue};

use super::EarlyMarks;
use crate::tcp::arrive::Step;
use crate::tcp::connection::Connection;
use crate::tcp::interface::{CloseReason, Env};
use crate::tcp::marks::Marks;
use crate::tcp::{Disposition, Embryo, Flags, Phase, Segment};
use crate::time::Instant;

impl Connection {
    /// A passive open by a SYN whose cookie is good, `embryo` telling what is agreed on. It owes the
    /// SYN-ACK; the caller then gives it the SYN's data, by [`Self::take_syn_data`].
    pub fn from_fast_open(
        env: &mut Env<'_>,
        embryo: &Embryo,
        timestamp_offset: u32,
        ipv6: bool,
        syn: &Segment<'_>,
    ) -> Self {
        let mut c = Self::agreed(env, embryo, timestamp_offset, ipv6);
        c.early.insert(EarlyMarks::PASSIVE);
        c.rcv.acked = c.rcv.irs;
        // RFC 7413 §4.2.2:
        //   > If the FastOpened flag is set, the server MUST follow [RFC5681] (based on [RFC3390]) to set
        //   > the initial congestion window for sending more data packets.
        c.recovery.begin(&c.snd, env, false, None);
        // RFC 7323 §2.2: the window of a SYN is not scaled.
        c.snd.set_window(u32::from(syn.window), syn.seq, c.snd.iss + 1);
        c
    }

    /// RFC 7413 §4.2.2: "Buffer the data and notify the application." A FIN waits for the handshake: SYN-ACK
    /// and data come first.
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

    /// Whether it is one that RFC 7413 §4.2 counts as pending.
    pub fn is_pending_fast_open(&self) -> bool {
        self.early.has(EarlyMarks::PASSIVE) && self.phase == Phase::SynReceived
    }

    /// Its SYN came again: the SYN-ACK was lost, or is slow.
    pub(in crate::tcp) fn is_syn_again(&self, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        self.early.has(EarlyMarks::PASSIVE)
            && flags.syn()
            && !flags.intersects(Flags::ACK.with(Flags::RST))
            && segment.seq == self.rcv.irs
    }

    pub(in crate::tcp) fn on_syn_again(&mut self, segment: &Segment<'_>) -> Step {
        if let Some(timestamps) = segment.options.timestamps
            && self.marks.has(Marks::TIMESTAMPS)
            && timestamps.value.wrapping_sub(self.rcv.ts_recent) as i32 > 0
        {
            self.rcv.ts_recent = timestamps.value;
        }
        self.note_ecn_of_syn_again(segment);
        self.early.insert(EarlyMarks::OWES_SYN_ACK);
        Break(Disposition::Accepted)
    }

    /// The SYN-ACK was sent, first or again.
    pub(in crate::tcp) fn note_syn_ack_sent(&mut self) {
        self.early.remove(EarlyMarks::OWES_SYN_ACK);
        if self.snd.una == self.snd.iss {
            self.snd.advance_una(self.snd.iss + 1);
        }
    }

    /// RFC 7413 §4.2.2:
    ///   > If the SYN-ACK timer fires, the server SHOULD retransmit a SYN-ACK segment with neither data nor
    ///   > Fast Open options for compatibility reasons.
    pub(in crate::tcp) fn on_syn_ack_timeout(&mut self, env: &mut Env<'_>) {
        if self.recovery.backoff() >= env.settings.syn_ack_retries {
            return self.end(env, CloseReason::TimedOut);
        }
        self.recovery.back_off();
        self.marks.insert(Marks::SYN_TIMED_OUT);
        self.early.insert(EarlyMarks::OWES_SYN_ACK);
    }

    /// RFC 7413 §4.2.2:
    ///   > Upon receiving an ACK acknowledging the SYN sequence, the server decrements
    ///   > PendingFastOpenRequests and advances to the ESTABLISHED state.
    ///
    /// It may acknowledge data as well: what follows is done as in ESTABLISHED.
    pub(in crate::tcp) fn on_syn_ack_acked(
        &mut self,
        env: &mut Env<'_>,
        segment: &Segment<'_>,
    ) -> Step {
        if segment.ack.before(self.snd.iss + 1) || segment.ack.after(self.snd.nxt) {
            return Break(Disposition::Reset);
        }
        self.early.remove(EarlyMarks::OWES_SYN_ACK);
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
