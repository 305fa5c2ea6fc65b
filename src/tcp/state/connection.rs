//! The state of a connection from SYN-SENT or ESTABLISHED to CLOSED, and plain accessors.
//!
//! Owns the layout. The steps that change a connection are in the folders `open`, `arrive`,
//! `receive`, `send` and `recovery`, and in the files beside them.

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

/// A connection from SYN-SENT or ESTABLISHED to its end. The fields used by opening, closing and
/// in-order segments come first, so that they share as few cache lines as possible.
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
    /// Data received in order and not yet read.
    pub(in crate::tcp) incoming: RingBuffer,
    /// The byte ranges past RCV.NXT that `incoming` holds as well.
    pub(in crate::tcp) holes: Assembler,
    /// Data written and not yet acknowledged.
    pub(in crate::tcp) outgoing: RingBuffer,
    pub(in crate::tcp) recovery: Recovery,
    /// Arrival time of the last acceptable segment.
    pub(in crate::tcp) last_received_at: Instant,
    /// Keep-alive probes sent since then.
    pub(in crate::tcp) keep_alive_probes: u8,
    /// Segments that may still follow in the current burst, see `burst`.
    pub(in crate::tcp) burst: u8,
    /// The pending reset is sent at the sequence number that the peer accepts, without ACK.
    pub(in crate::tcp) bare_reset: bool,
    pub(in crate::tcp) close_reason: Option<CloseReason>,
    /// The negotiated ECN mode. The ECN state is in `choices`.
    pub(in crate::tcp) ecn: EcnMode,
    pub(in crate::tcp) challenges: Challenges,
    /// Fast Open flags, and the flags of small segments.
    pub(in crate::tcp) early: EarlyMarks,
    /// Options that the program set on this connection, and rare state.
    pub(in crate::tcp) choices: Option<Box<ConnectionOptions>>,
}

impl Connection {
    /// Returns the events since the last call.
    #[inline]
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// Returns the reason for the close, once the connection has ended.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// Returns the state.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns how many bytes [`Self::read`] would return now.
    pub fn readable(&self) -> usize {
        self.incoming.len() as usize
    }

    /// Returns true if a segment that began at `seq` is in flight. Only an ICMP message that quotes
    /// such a segment can concern this connection (RFC 5927 §4.1).
    pub fn has_in_flight(&self, seq: SeqNum) -> bool {
        // After a SYN-ACK with data, SND.UNA is past the SYN before the SYN is acknowledged.
        let first = if self.phase.is_opening() { self.snd.iss } else { self.snd.una };
        seq.at_or_after(first) && seq.before(self.snd.nxt)
    }

    /// Returns the number of segments retransmitted so far, modulo 2^32.
    pub const fn retransmissions(&self) -> u32 {
        self.recovery.retransmissions
    }

    /// Returns the timeouts since the peer last acknowledged new data.
    pub const fn timeouts(&self) -> u8 {
        self.recovery.backoff()
    }

    /// Returns the smoothed round-trip time; `None` before the first measurement.
    pub fn srtt(&self) -> Option<Duration> {
        self.recovery.rtt.srtt()
    }

    /// Returns true if the program has let go of the connection, which lives on until the peer is
    /// done.
    pub const fn is_orphan(&self) -> bool {
        self.marks.has(Marks::NO_READER)
    }

    /// Returns true if the last data was retransmitted at least R1 times.
    pub const fn is_past_r1(&self) -> bool {
        self.recovery.backoff() >= R1
    }

    /// Returns log2 of the promised receive buffer, if one is promised.
    #[inline]
    pub const fn promise(&self) -> Option<u8> {
        self.rcv.promise.held()
    }

    /// Returns the negotiated ECN mode.
    pub fn ecn_mode(&self) -> EcnMode {
        self.ecn
    }
}

/// Helpers shared by the steps.
impl Connection {
    /// Changes the state along an arrow of figure 5.
    pub(in crate::tcp) fn enter(&mut self, next: Phase) {
        debug_assert!(self.phase.may_become(next), "{:?} does not lead to {next:?}", self.phase);
        self.phase = next;
    }

    /// Returns our TSval and TS.Recent for a segment sent now.
    #[inline]
    pub(in crate::tcp) fn stamp(&self, now: Instant) -> Option<Timestamps> {
        self.marks.has(Marks::TIMESTAMPS).then(|| Timestamps {
            value: timestamp(now, self.timestamp_offset),
            echo: self.rcv.ts_recent,
        })
    }

    /// Returns the age in milliseconds of our timestamp that the peer echoes.
    #[inline]
    pub(in crate::tcp) fn age_ms(&self, now: Instant, echo: u32) -> u32 {
        timestamp(now, self.timestamp_offset).wrapping_sub(echo)
    }

    /// Negotiates timestamps: used if both SYNs had them (RFC 7323 §3.2). `theirs` is the peer's
    /// TSval.
    pub(in crate::tcp) fn agree_on_timestamps(&mut self, theirs: Option<u32>) {
        match theirs.filter(|_| self.marks.has(Marks::TIMESTAMPS)) {
            Some(value) => self.rcv.ts_recent = value,
            None => self.marks.remove(Marks::TIMESTAMPS),
        }
    }

    /// Negotiates SACK: used if both SYNs permit it (RFC 2018 §2).
    pub(in crate::tcp) fn agree_on_sack(&mut self, permitted: bool) {
        if !permitted {
            self.marks.remove(Marks::SACK);
        }
    }

    pub(in crate::tcp) fn choices_mut(&mut self) -> &mut ConnectionOptions {
        self.choices.get_or_insert_with(Box::default)
    }

    /// Returns true if only full segments may be sent.
    #[inline]
    pub(in crate::tcp) fn is_corked(&self) -> bool {
        self.choices
            .as_ref()
            .is_some_and(|choices| choices.cork || choices.pushing == Pushing::Held)
    }

    /// Returns the keep-alive parameters in force.
    pub(in crate::tcp) fn keep_alive_times(&self, settings: &Settings) -> Option<KeepAlive> {
        self.choices.as_ref().and_then(|choices| choices.keep_alive).unwrap_or(settings.keep_alive)
    }

    /// Returns the maximum number of SYN retransmissions.
    pub(in crate::tcp) fn syn_retries(&self, settings: &Settings) -> u8 {
        self.choices
            .as_ref()
            .and_then(|choices| choices.syn_retries)
            .unwrap_or(settings.syn_retries)
    }

    /// Returns when an ongoing close becomes a reset; FAR without such a deadline.
    pub(in crate::tcp) fn linger_until(&self) -> Instant {
        self.choices.as_ref().and_then(|choices| choices.linger_until).unwrap_or(Instant::FAR)
    }

    /// Returns the ECN policy of the program, or else of the host.
    pub(in crate::tcp) fn ecn_policy(&self, settings: &Settings) -> EcnPolicy {
        self.choices.as_ref().and_then(|choices| choices.ecn_policy).unwrap_or(settings.ecn)
    }

    /// Returns the ECN state, if ECN was negotiated.
    #[inline]
    pub(in crate::tcp) fn ecn_state(&self) -> Option<&Ecn> {
        if self.ecn == EcnMode::None { None } else { self.choices.as_ref()?.ecn.as_ref() }
    }

    /// Returns the ECN state for changes. Takes the field, not `self`, so that the borrow checker
    /// sees a disjoint borrow.
    #[inline]
    pub(in crate::tcp) fn ecn_state_of(
        choices: &mut Option<Box<ConnectionOptions>>,
    ) -> Option<&mut Ecn> {
        choices.as_mut()?.ecn.as_mut()
    }

    /// Returns the data in flight for congestion control: the pipe (RFC 6675 §4), or FlightSize
    /// without the data waiting for retransmission.
    #[inline]
    pub(in crate::tcp) fn in_flight(&self) -> u32 {
        match &self.recovery.flight {
            Some(flight) => flight.board.pipe(),
            None => self.snd.in_flight(),
        }
    }

    /// Returns true if the peer has acknowledged our SYN and nothing else. The probe is then the
    /// first segment, not the highest as in RFC 8985 §7.3. A listener that answered with a SYN
    /// cookie and had no room for the connection when the last ACK came (RFC 4987 §3.6) recognizes
    /// the connection only by the first segment, and answers any other with a reset. The response
    /// to the first is as informative: SACK reports the fate of the rest.
    pub(in crate::tcp) fn only_syn_acked(&self) -> bool {
        self.snd.una == self.snd.iss + 1
    }
}
