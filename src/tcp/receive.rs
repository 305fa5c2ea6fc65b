//! The receive half: what arrived in order, what the peer was promised, when it hears of it
//! (RFC 9293 §3.3.1, §3.8.6).
//!
//! Owns RCV.NXT, the state of the delayed ACK, and the data that arrived: in order in
//! `Connection::incoming`, past a hole in the same ring with `Connection::holes` telling where. Its memory is
//! in `memory`, the window in `offer`.
//! Invariants: an offered edge is never taken back; what lies past a hole is kept (RFC 2525 §2.5, and §2.13
//! for how many segments one ACK may answer).

use super::buffer::Promise;
use super::connection::Connection;
use super::interface::{Env, Events};
use super::marks::Marks;
use super::{Assembler, Disposition, Phase, SeqNum, WindowShift};

/// Segments that are acknowledged at once when a connection is young: a peer in slow start sends only
/// as fast as ACKs come, and a delayed one costs it a whole `ack_delay`. More, and a chatty exchange
/// loses the company of its answers for nothing.
const QUICK_ACKS: u8 = 16;

/// The program wants every segment acknowledged at once.
pub(super) const QUICK_ACKS_ALWAYS: u8 = u8::MAX;

/// The receive sequence variables, under the RFC's names.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ReceiveHalf {
    /// RCV.NXT.
    pub(super) nxt: SeqNum,
    /// RCV.NXT + RCV.WND as the peer was told: kept as an edge, since what arrives does not move it.
    pub(super) edge: SeqNum,
    /// Last.ACK.sent (RFC 7323 §4.3).
    pub(super) acked: SeqNum,
    /// TS.Recent (RFC 7323 §4.3).
    pub(super) ts_recent: u32,
    /// IRS.
    pub(super) irs: SeqNum,
    /// Where the peer's FIN stands, with [`Marks::FIN_AHEAD`]: it came before all of the data.
    pub(super) fin: SeqNum,
    /// What arrived twice and is not yet told (RFC 2883): from here …
    pub(super) duplicate: SeqNum,
    /// … so many bytes.
    pub(super) duplicate_len: u16,
    /// Our window shift.
    pub(super) shift: WindowShift,
    /// Segments with data since our last ACK.
    pub(super) segments: u8,
    /// Segments still to be acknowledged at once.
    pub(super) quick: u8,
    /// Duplicate ACKs owed. Each tells the peer of one segment that left the network (RFC 5681 §3.2),
    /// so a burst past a hole is not answered by one.
    pub(super) duplicates: u8,
    /// RCV.BUFF.
    pub(super) promise: Promise,
    /// How often RCV.NXT went all the way round to IRS.
    turns: u8,
}

impl ReceiveHalf {
    /// After the peer's SYN at `irs`, answered with the window `wnd`.
    pub(super) fn new(irs: SeqNum, wnd: u32, promise: Promise) -> Self {
        Self {
            nxt: irs + 1,
            edge: irs + 1 + wnd,
            acked: irs,
            ts_recent: 0,
            irs,
            fin: irs,
            duplicate: irs,
            duplicate_len: 0,
            shift: WindowShift::ZERO,
            segments: 0,
            quick: QUICK_ACKS,
            duplicates: 0,
            promise,
            turns: 0,
        }
    }

    /// RCV.WND.
    #[inline]
    pub(super) fn wnd(&self) -> u32 {
        if self.edge.after(self.nxt) { self.edge.distance_from(self.nxt) } else { 0 }
    }

    /// Bytes received in order so far, SYN and FIN not counted, modulo 2^40.
    pub(super) fn bytes_received(&self, phase: Phase) -> u64 {
        let controls = 1 + u64::from(phase.peer_has_closed());
        let numbers = u64::from(self.turns) << 32 | u64::from(self.nxt.distance_from(self.irs));
        numbers.saturating_sub(controls)
    }

    /// RCV.NXT <- RCV.NXT + `n`.
    fn advance(&mut self, n: u32) {
        let before = self.nxt.distance_from(self.irs);
        self.turns = self.turns.wrapping_add(u8::from(before.overflowing_add(n).1));
        self.nxt += n;
        self.edge = self.edge.latest(self.nxt);
        self.duplicates = 0;
    }
}

impl Connection {
    /// RFC 9293 §3.10.7.4, seventh: the segment text `payload` that begins at `seq`.
    pub(super) fn receive_text(
        &mut self,
        env: &mut Env<'_>,
        seq: SeqNum,
        payload: &[u8],
    ) -> Result<(), Disposition> {
        let known = if seq.before(self.rcv.nxt) { self.rcv.nxt.distance_from(seq) } else { 0 };
        if known > 0 {
            self.note_duplicate(seq, self.rcv.nxt.earliest(seq + payload.len() as u32));
        }
        let Some(fresh) = payload.get(known as usize..).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let offset = (seq + known).distance_from(self.rcv.nxt);
        let room = self.rcv.wnd().saturating_sub(offset) as usize;
        if room == 0 {
            // RFC 9293 §3.8.6.1: a zero-window probe is answered with the window as it is.
            self.marks.insert(Marks::ACK);
            return Err(Disposition::OutOfWindow);
        }
        let fresh = &fresh[..fresh.len().min(room)];
        if !self.reserve(env, self.incoming.len() + offset + fresh.len() as u32) {
            return Err(Disposition::NoBuffer);
        }
        if offset == 0 && self.holes.is_empty() {
            self.incoming.push(fresh);
            self.rcv.advance(fresh.len() as u32);
            self.note_in_order(env);
        } else {
            self.receive_past_hole(offset, fresh);
        }
        Ok(())
    }

    /// Places text that touches a hole, and takes what has become contiguous.
    fn receive_past_hole(&mut self, offset: u32, fresh: &[u8]) {
        let end = offset + fresh.len() as u32;
        if let Some((from, to)) = self.holes.overlap(offset, end) {
            self.note_duplicate(self.rcv.nxt + from, self.rcv.nxt + to);
        }
        if self.holes.add(offset, end).is_err() {
            self.rcv.duplicates = self.rcv.duplicates.saturating_add(1);
            return;
        }
        self.incoming.write_at(self.incoming.len() + offset, fresh);
        let contiguous = self.holes.take_front();
        if contiguous == 0 {
            // RFC 5681 §4.2:
            //   > A TCP receiver SHOULD send an immediate duplicate ACK when an out-of-order segment
            //   > arrives.
            self.rcv.duplicates = self.rcv.duplicates.saturating_add(1);
            return;
        }
        self.incoming.advance_len(contiguous);
        self.rcv.advance(contiguous);
        self.events.insert(Events::READABLE);
        //   > In addition, a TCP receiver SHOULD send an immediate ACK when the incoming segment fills
        //   > in all or part of a gap in the sequence space.
        self.marks.insert(Marks::ACK);
    }

    /// In-order text arrived: an ACK is owed, now or soon.
    #[inline]
    pub(super) fn note_in_order(&mut self, env: &Env<'_>) {
        self.events.insert(Events::READABLE);
        self.rcv.segments = self.rcv.segments.saturating_add(1);
        // RFC 9293 §3.8.6.3 (SHLD-19, MUST-40), RFC 5681 §4.2:
        //   > an ACK SHOULD be generated for at least every second full-sized segment, and MUST be
        //   > generated within 500 ms of the arrival of the first unacknowledged packet.
        if self.rcv.segments >= 2 || self.rcv.quick > 0 {
            if self.rcv.quick != QUICK_ACKS_ALWAYS {
                self.rcv.quick = self.rcv.quick.saturating_sub(1);
            }
            self.marks.insert(Marks::ACK);
        } else {
            self.timers.ack_at = self.timers.ack_at.min(env.now + env.settings.ack_delay);
        }
    }

    /// RFC 9293 §3.10.7.4, eighth: a FIN that stands at `seq`.
    pub(super) fn receive_fin(&mut self, env: &mut Env<'_>, seq: SeqNum) {
        // One past the edge is taken too: a FIN needs no buffer, and a peer with nothing more to send
        // would else have to wait for a timer to get it through a full window.
        if seq.after(self.rcv.edge) || seq.before(self.rcv.nxt) {
            return;
        }
        if seq != self.rcv.nxt {
            self.rcv.fin = seq;
            self.marks.insert(Marks::FIN_AHEAD.with(Marks::ACK));
            return;
        }
        //   > If the FIN bit is set, signal the user "connection closing" [...], advance RCV.NXT over the
        //   > FIN, and send an acknowledgment for the FIN.
        self.rcv.advance(1);
        // What claims to stand behind a FIN is nothing.
        self.holes = Assembler::default();
        self.marks.remove(Marks::FIN_AHEAD);
        self.marks.insert(Marks::ACK);
        self.events.insert(Events::PEER_CLOSED);
        match self.phase {
            Phase::Established => self.enter(Phase::CloseWait),
            // Had our FIN been acknowledged, perhaps in this segment, this were FIN-WAIT-2.
            Phase::FinWait1 => self.enter(Phase::Closing),
            Phase::FinWait2 => self.enter_time_wait(env),
            _ => {}
        }
        if self.incoming.is_empty() {
            self.let_go_received(env.pool, env.settings);
        }
    }

    /// See [`Connection::read`].
    pub(super) fn take(&mut self, env: &mut Env<'_>, bytes: &mut [u8]) -> usize {
        let wanted = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.incoming.len());
        if wanted == 0 {
            return 0;
        }
        let (first, second) = self.incoming.slices(0, wanted);
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..first.len() + second.len()].copy_from_slice(second);
        self.incoming.consume(wanted);
        self.pass_urgent();
        if self.rcv.promise.is_tuned() {
            self.tune(env);
        }
        if self.incoming.is_empty() && self.holes.is_empty() {
            self.let_go_received(env.pool, env.settings);
        }
        self.note_room(env);
        self.tell_end_when_drained();
        wanted as usize
    }

    /// A segment with ACK is sent: what was owed is told. Duplicate ACKs stay owed, since only an ACK
    /// without data counts as one.
    #[inline]
    pub(super) fn note_acked(&mut self) {
        self.rcv.acked = self.rcv.nxt;
        self.rcv.segments = 0;
        self.timers.ack_at = crate::time::Instant::FAR;
        self.marks.remove(Marks::ACK);
    }
}
