//! A connection from SYN-SENT or ESTABLISHED to its end: the two halves and what joins them.
//!
//! Owns the calls of the program (RFC 9293 §3.9.1) and the way out of the world. Delegates the rest: how it
//! begins is in `opening`, the steps of an arriving segment are in `arrive`, the questions in `transmit`.

use super::challenge::Challenges;
use super::choices::ConnectionOptions;
use super::fast_open::EarlyMarks;
use super::interface::{CloseReason, Disposition, Env, Events, Info, PathError};
use super::isn::timestamp;
use super::marks::Marks;
use super::receive::ReceiveHalf;
use super::recovery::Recovery;
use super::send::SendHalf;
use super::timers::Timers;
use super::{
    Assembler, BufferPool, EcnMode, Phase, RingBuffer, Segment, SegmentOut, SeqNum, Settings,
    TimeWait, Timestamps,
};
use crate::time::{Duration, Instant};

/// A connection from SYN-SENT or ESTABLISHED to its end. What opening, closing and a segment in order
/// touch stands first, so that it shares as few cache lines as can be.
#[derive(Debug)]
#[repr(C)]
pub struct Connection {
    pub(super) phase: Phase,
    pub(super) events: Events,
    pub(super) marks: Marks,
    /// Added to the clock of our timestamps.
    pub(super) timestamp_offset: u32,
    pub(super) snd: SendHalf,
    pub(super) rcv: ReceiveHalf,
    pub(super) timers: Timers,
    /// Received in order and not yet read.
    pub(super) incoming: RingBuffer,
    /// Which bytes past RCV.NXT are in `incoming` too.
    pub(super) holes: Assembler,
    /// Written and not yet acknowledged.
    pub(super) outgoing: RingBuffer,
    pub(super) recovery: Recovery,
    /// When the last acceptable segment arrived.
    pub(super) heard_at: Instant,
    /// Keep-alive probes sent since.
    pub(super) keep_alive_probes: u8,
    /// Segments that may still follow in the burst under way, see `burst`.
    pub(super) burst: u8,
    /// The reset that is owed stands where the peer will believe it, and acknowledges nothing.
    pub(super) answers_by_reset: bool,
    pub(super) close_reason: Option<CloseReason>,
    /// What both ends agreed on about congestion notification; its state is in the box of rare things.
    pub(super) ecn: EcnMode,
    pub(super) challenges: Challenges,
    /// What Fast Open has to do with it, and whether a small segment is on its way.
    pub(super) early: EarlyMarks,
    /// What the program set for this connection alone.
    pub(super) choices: Option<Box<ConnectionOptions>>,
}

impl Connection {
    /// A segment arrived.
    pub fn on_segment(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Disposition {
        let disposition = self.arrive(env, segment);
        self.settle(env);
        disposition
    }

    /// Time has come to [`Self::poll_deadline`]; harmless when it has not.
    pub fn on_deadline(&mut self, env: &mut Env<'_>) {
        self.expire(env);
        self.settle(env);
    }

    /// When [`Self::on_deadline`] wants to be called; ask again after every other call.
    #[inline]
    pub fn poll_deadline(&self) -> Option<Instant> {
        match self.pace_deadline() {
            Some(at) => Some(self.timers.earliest().map_or(at, |other| other.min(at))),
            None => self.timers.earliest(),
        }
    }

    /// The next segment owed, counted as sent: the caller must send it.
    #[inline]
    pub fn poll_segment(&mut self, env: &mut Env<'_>) -> Option<SegmentOut<'_>> {
        let plan = self.plan(env)?;
        Some(self.emit(env, plan))
    }

    /// Whether [`Self::poll_segment`] would give something.
    pub fn owes(&self) -> bool {
        self.next_plan().is_some()
    }

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

    /// Whether the caller may let go of it: CLOSED or TIME-WAIT, nothing owed, nothing left to read.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.phase.is_last() && self.incoming.is_empty() && !self.owes()
    }

    /// Takes received bytes.
    pub fn read(&mut self, env: &mut Env<'_>, bytes: &mut [u8]) -> usize {
        self.take(env, bytes)
    }

    /// Queues bytes; when fewer are taken than offered, [`Events::WRITABLE`] follows.
    pub fn write(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        self.queue(env, bytes)
    }

    /// Bytes that [`Self::write`] would take now, memory permitting.
    pub fn write_room(&self, settings: &Settings) -> usize {
        let open = self.phase.may_write() && !self.marks.has(Marks::CLOSE_PENDING);
        if open { self.room(settings) as usize } else { 0 }
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

    /// The path takes packets of `mtu` bytes at most, as another connection to the same host has found out
    /// (RFC 1191 §6.3, RFC 8201 §5.2).
    pub fn on_path_mtu(&mut self, mtu: u16) {
        self.on_too_big(u32::from(mtu));
    }

    /// ICMP about a segment of ours that began at `quoted_seq`.
    pub fn on_path_error(&mut self, env: &mut Env<'_>, error: PathError, quoted_seq: SeqNum) {
        if !self.has_in_flight(quoted_seq) {
            return;
        }
        match error {
            // RFC 5927 §5.2: hard errors are soft once the peer has answered, else an ICMP that anyone
            // may forge would end connections.
            PathError::Unreachable if self.phase.is_opening() => {
                self.end(env, CloseReason::Unreachable);
            }
            // RFC 9293 §3.9.2.2: "it SHOULD make the information available to the application (SHLD-25)".
            PathError::Unreachable | PathError::Soft => self.events.insert(Events::UNREACHABLE),
            PathError::TooBig(mtu) if self.phase.is_opening() => self.on_syn_too_big(mtu),
            PathError::TooBig(mtu) => self.on_too_big(mtu),
        }
    }

    /// What is kept of it in TIME-WAIT, and whether it uses timestamps.
    pub fn to_time_wait(&self) -> (TimeWait, bool) {
        let entry = TimeWait::new(self.snd.nxt, self.rcv.nxt, self.rcv.ts_recent);
        (entry, self.marks.has(Marks::TIMESTAMPS))
    }

    /// Gives all buffers back, before it is dropped.
    pub fn release(&mut self, pool: &mut BufferPool) {
        self.let_go(pool);
        self.holes = Assembler::default();
        self.release_flight(pool);
    }

    fn release_flight(&mut self, pool: &mut BufferPool) {
        if let Some(flight) = self.recovery.flight.take() {
            pool.flights.release(flight);
        }
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

    /// How it is doing.
    pub fn info(&self, settings: &Settings) -> Info {
        Info {
            phase: self.phase,
            cwnd: self.recovery.controller.cwnd(),
            ssthresh: self.recovery.controller.ssthresh(),
            congestion: self.recovery.controller.algorithm(),
            pacing_rate: self.pacing_rate(settings.pacing),
            delivery_rate: self.delivery_rate(),
            srtt: self.recovery.rtt.srtt().unwrap_or_default(),
            rttvar: self.recovery.rtt.rttvar().unwrap_or_default(),
            rtt_min: self.least_rtt(),
            rto: self.rto_backed_off(settings),
            retransmissions: self.recovery.retransmissions,
            timeouts: self.recovery.backoff(),
            repairs: self.repairs(),
            bytes_acked: self.snd.bytes_acked(),
            bytes_received: self.rcv.bytes_received(self.phase),
            in_flight: self.in_flight(),
            loss: self.loss(),
            segments: self.tally(),
            reordering: self.reordering().degree.max(3),
            reorderings: self.reordering().times,
            send_queued: self.outgoing.len(),
            receive_queued: self.incoming.len(),
            send_buffer: self.send_buffer(settings),
            receive_buffer: self.receive_buffer(settings),
            iss: self.snd.iss,
            snd_una: self.snd.una,
            snd_nxt: self.snd.nxt,
            snd_wnd: self.snd.wnd,
            irs: self.rcv.irs,
            rcv_nxt: self.rcv.nxt,
            rcv_wnd: self.rcv.wnd(),
            mss: self.snd.mss,
            timestamps: self.marks.has(Marks::TIMESTAMPS),
            sack: self.marks.has(Marks::SACK),
            shifts: (self.rcv.shift, self.snd.shift),
            syn_data: self.syn_data(),
            close_reason: self.close_reason,
        }
    }
}

/// What the parts share.
impl Connection {
    /// Takes an arrow of figure 5.
    pub(super) fn enter(&mut self, next: Phase) {
        debug_assert!(self.phase.may_become(next), "{:?} does not lead to {next:?}", self.phase);
        self.phase = next;
    }

    /// CLOSED, for a reason other than a full exchange: what is queued is flushed.
    pub(super) fn end(&mut self, env: &mut Env<'_>, reason: CloseReason) {
        self.enter(Phase::Closed);
        self.timers = Timers::default();
        self.close_reason = Some(reason);
        if env.settings.read_after_reset && reason != CloseReason::Aborted {
            self.let_go_sent(env.pool);
            self.holes = Assembler::default();
            self.release_flight(env.pool);
            return self.tell_end_when_drained();
        }
        self.release(env.pool);
        self.events.insert(Events::CLOSED);
    }

    /// TIME-WAIT: both FINs are exchanged.
    pub(super) fn enter_time_wait(&mut self, env: &mut Env<'_>) {
        self.enter(Phase::TimeWait);
        self.finish(env);
    }

    /// Both FINs are exchanged and ours is acknowledged; what was received can still be read.
    pub(super) fn finish(&mut self, env: &mut Env<'_>) {
        self.timers = Timers::default();
        self.let_go_sent(env.pool);
        self.release_flight(env.pool);
        self.close_reason = Some(CloseReason::Finished);
        self.tell_end_when_drained();
    }

    /// Tells of the end once nothing is left to read: the handle dies with it.
    pub(super) fn tell_end_when_drained(&mut self) {
        if self.phase.is_last() && self.incoming.is_empty() {
            self.events.insert(Events::CLOSED);
        }
    }

    /// Our TSval and TS.Recent for a segment sent now.
    #[inline]
    pub(super) fn stamp(&self, now: Instant) -> Option<Timestamps> {
        self.marks.has(Marks::TIMESTAMPS).then(|| Timestamps {
            value: timestamp(now, self.timestamp_offset),
            echo: self.rcv.ts_recent,
        })
    }

    /// How old the timestamp of ours is that the peer echoes, milliseconds.
    #[inline]
    pub(super) fn age_ms(&self, now: Instant, echo: u32) -> u32 {
        timestamp(now, self.timestamp_offset).wrapping_sub(echo)
    }

    /// Timestamps are used if both SYNs had them (RFC 7323 §3.2); `theirs` is the peer's TSval.
    pub(super) fn agree_on_timestamps(&mut self, theirs: Option<u32>) {
        match theirs.filter(|_| self.marks.has(Marks::TIMESTAMPS)) {
            Some(value) => self.rcv.ts_recent = value,
            None => self.marks.remove(Marks::TIMESTAMPS),
        }
    }

    /// RFC 2018 §2: SACK is used if both SYNs permit it.
    pub(super) fn agree_on_sack(&mut self, permitted: bool) {
        if !permitted {
            self.marks.remove(Marks::SACK);
        }
    }

    /// RFC 9293 §3.7.5: the path takes packets of `mtu` bytes only.
    pub(super) fn lower_mss(&mut self, mtu: u32) {
        let mss = self.mss_of(mtu);
        if mss < self.snd.mss && !self.phase.is_opening() {
            self.snd.mss = mss;
            self.recovery.on_path_mss(&mut self.snd, mss);
        }
    }
}
