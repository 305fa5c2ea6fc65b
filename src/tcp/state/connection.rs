//! The state of a connection from SYN-SENT or ESTABLISHED to CLOSED, and plain accessors.
//!
//! Owns the layout. The steps that change a connection are in the folders `open`, `arrive`, `receive`, `send`
//! and `recovery`, and in the files beside them.

use super::assembler::Assembler;
use super::challenge::Challenges;
use super::early::EarlyMarks;
use super::marks::Marks;
use super::options::ConnectionOptions;
use super::pushing::Pushing;
use super::receive_half::ReceiveHalf;
use super::recovery::Recovery;
use super::send_half::SendHalf;
use super::timers::{R1, Timers};
use crate::tcp::Phase;
use crate::tcp::ecn::Ecn;
use crate::tcp::isn::timestamp;
use crate::tcp::{
    CloseReason, EcnMode, EcnPolicy, Events, KeepAlive, RingBuffer, SeqNum, Settings, Timestamps,
};
use crate::time::{Duration, Instant};

/// A connection from SYN-SENT or ESTABLISHED to its end. What opening, closing and a segment in order
/// touch stands first, so that it shares as few cache lines as can be.
#[derive(Debug)]
#[repr(C)]
pub struct Connection {
    pub(in crate::tcp) phase: Phase,
    pub(in crate::tcp) events: Events,
    pub(in crate::tcp) marks: Marks,
    /// Added to the clock of our timestamps.
    pub(in crate::tcp) timestamp_offset: u32,
    pub(in crate::tcp) snd: SendHalf,
    pub(in crate::tcp) rcv: ReceiveHalf,
    pub(in crate::tcp) timers: Timers,
    /// Received in order and not yet read.
    pub(in crate::tcp) incoming: RingBuffer,
    /// Which bytes past RCV.NXT are in `incoming` too.
    pub(in crate::tcp) holes: Assembler,
    /// Written and not yet acknowledged.
    pub(in crate::tcp) outgoing: RingBuffer,
    pub(in crate::tcp) recovery: Recovery,
    /// When the last acceptable segment arrived.
    pub(in crate::tcp) heard_at: Instant,
    /// Keep-alive probes sent since.
    pub(in crate::tcp) keep_alive_probes: u8,
    /// Segments that may still follow in the burst under way, see `burst`.
    pub(in crate::tcp) burst: u8,
    /// The reset that is owed stands where the peer will believe it, and acknowledges nothing.
    pub(in crate::tcp) answers_by_reset: bool,
    pub(in crate::tcp) close_reason: Option<CloseReason>,
    /// What both ends agreed on about congestion notification; its state is in the box of rare things.
    pub(in crate::tcp) ecn: EcnMode,
    pub(in crate::tcp) challenges: Challenges,
    /// What Fast Open has to do with it, and whether a small segment is on its way.
    pub(in crate::tcp) early: EarlyMarks,
    /// What the program set for this connection alone.
    pub(in crate::tcp) choices: Option<Box<ConnectionOptions>>,
}

impl Connection {
    /// What happened since the last call.
    #[inline]
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// Why it ended, once it has.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// The state.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Bytes that [`Self::read`] would give now.
    pub fn readable(&self) -> usize {
        self.incoming.len() as usize
    }

    /// Whether a segment of ours that began at `seq` is in flight: only what quotes such a one can be about
    /// us (RFC 5927 §4.1).
    pub fn has_in_flight(&self, seq: SeqNum) -> bool {
        // Behind a SYN-ACK with data SND.UNA stands before it is acknowledged.
        let first = if self.phase.is_opening() { self.snd.iss } else { self.snd.una };
        seq.at_or_after(first) && seq.before(self.snd.nxt)
    }

    /// Segments sent again so far, modulo 2^32.
    pub const fn retransmissions(&self) -> u32 {
        self.recovery.retransmissions
    }

    /// Timeouts since the peer last acknowledged something new.
    pub const fn timeouts(&self) -> u8 {
        self.recovery.backoff()
    }

    /// Smoothed round-trip time; `None` before the first measurement.
    pub fn srtt(&self) -> Option<Duration> {
        self.recovery.rtt.srtt()
    }

    /// Whether the program is done with it: it lives on by itself until the peer is done too.
    pub const fn is_orphan(&self) -> bool {
        self.marks.has(Marks::NO_READER)
    }

    /// Whether what was sent last was sent again as often as R1 says, or more often.
    pub const fn is_past_r1(&self) -> bool {
        self.recovery.backoff() >= R1
    }

    /// log2 of what is promised to it, if anything is.
    #[inline]
    pub const fn promise(&self) -> Option<u8> {
        self.rcv.promise.held()
    }

    /// The form of feedback that both ends agreed on.
    pub fn ecn_mode(&self) -> EcnMode {
        self.ecn
    }
}

/// Shared by the steps.
impl Connection {
    /// Takes an arrow of figure 5.
    pub(in crate::tcp) fn enter(&mut self, next: Phase) {
        debug_assert!(self.phase.may_become(next), "{:?} does not lead to {next:?}", self.phase);
        self.phase = next;
    }

    /// Our TSval and TS.Recent for a segment sent now.
    #[inline]
    pub(in crate::tcp) fn stamp(&self, now: Instant) -> Option<Timestamps> {
        self.marks.has(Marks::TIMESTAMPS).then(|| Timestamps {
            value: timestamp(now, self.timestamp_offset),
            echo: self.rcv.ts_recent,
        })
    }

    /// How old the timestamp of ours is that the peer echoes, milliseconds.
    #[inline]
    pub(in crate::tcp) fn age_ms(&self, now: Instant, echo: u32) -> u32 {
        timestamp(now, self.timestamp_offset).wrapping_sub(echo)
    }

    /// Timestamps are used if both SYNs had them (RFC 7323 §3.2); `theirs` is the peer's TSval.
    pub(in crate::tcp) fn agree_on_timestamps(&mut self, theirs: Option<u32>) {
        match theirs.filter(|_| self.marks.has(Marks::TIMESTAMPS)) {
            Some(value) => self.rcv.ts_recent = value,
            None => self.marks.remove(Marks::TIMESTAMPS),
        }
    }

    /// RFC 2018 §2: SACK is used if both SYNs permit it.
    pub(in crate::tcp) fn agree_on_sack(&mut self, permitted: bool) {
        if !permitted {
            self.marks.remove(Marks::SACK);
        }
    }

    pub(in crate::tcp) fn choices_mut(&mut self) -> &mut ConnectionOptions {
        self.choices.get_or_insert_with(Box::default)
    }

    /// Whether only full segments may go.
    #[inline]
    pub(in crate::tcp) fn is_corked(&self) -> bool {
        self.choices
            .as_ref()
            .is_some_and(|choices| choices.cork || choices.pushing == Pushing::Held)
    }

    /// When and how the connection is kept alive.
    pub(in crate::tcp) fn keep_alive_times(&self, settings: &Settings) -> Option<KeepAlive> {
        self.choices.as_ref().and_then(|choices| choices.keep_alive).unwrap_or(settings.keep_alive)
    }

    /// How often a SYN is sent again.
    pub(in crate::tcp) fn syn_retries(&self, settings: &Settings) -> u8 {
        self.choices
            .as_ref()
            .and_then(|choices| choices.syn_retries)
            .unwrap_or(settings.syn_retries)
    }

    /// When a close under way becomes a reset; FAR without such a deadline.
    pub(in crate::tcp) fn linger_until(&self) -> Instant {
        self.choices.as_ref().and_then(|choices| choices.linger_until).unwrap_or(Instant::FAR)
    }

    /// What the program or the host wants.
    pub(in crate::tcp) fn ecn_policy(&self, settings: &Settings) -> EcnPolicy {
        self.choices.as_ref().and_then(|choices| choices.ecn_policy).unwrap_or(settings.ecn)
    }

    /// Its state, if it is agreed on.
    #[inline]
    pub(in crate::tcp) fn ecn_state(&self) -> Option<&Ecn> {
        if self.ecn == EcnMode::None { None } else { self.choices.as_ref()?.ecn.as_ref() }
    }

    /// The same, to be changed; a field of its own to the borrow checker.
    #[inline]
    pub(in crate::tcp) fn ecn_state_of(
        choices: &mut Option<Box<ConnectionOptions>>,
    ) -> Option<&mut Ecn> {
        choices.as_mut()?.ecn.as_mut()
    }

    /// What congestion control counts: the pipe (RFC 6675 §4), or FlightSize less what is to be sent again.
    #[inline]
    pub(in crate::tcp) fn in_flight(&self) -> u32 {
        match &self.recovery.flight {
            Some(flight) => flight.board.pipe(),
            None => self.snd.in_flight(),
        }
    }

    /// Whether the peer has acknowledged our SYN and nothing else. Then the probe is the first segment, where
    /// RFC 8985 §7.3 takes the highest: a listener that answered with a SYN cookie and had no room for the
    /// connection when the last ACK came (RFC 4987 §3.6) knows it by the first segment alone, and answers
    /// any other with a reset. The answer to the first tells as much: by SACK, what came of the rest.
    pub(in crate::tcp) fn nothing_acked(&self) -> bool {
        self.snd.una == self.snd.iss + 1
    }
}
