//! The send half: what was sent, what was acknowledged, what the peer takes (RFC 9293 §3.3.1).
//!
//! Owns the sequence space of our direction. The bytes lie in `Connection::outgoing`, which holds
//! exactly SND.UNA to `end`, our SYN and FIN aside. Invariants: UNA =< NXT =< end + 1, and
//! UNA =< resend =< resend_end =< NXT.

use super::connection::Connection;
use super::interface::{Env, Events};
use super::marks::Marks;
use super::{SeqNum, Settings, WindowShift};

/// The MSS of a peer that sends no option, for IPv4 and IPv6 (RFC 9293 MUST-15).
pub(super) const MSS_DEFAULT: [u16; 2] = [536, 1220];

/// The least MSS worth honouring, options included. Below it, the 12 bytes of timestamps would leave
/// next to no room, and a peer could make us send a packet a byte (CVE-2019-11479).
pub(super) const MSS_MIN: u16 = 64;

/// Bytes of the timestamps option, padded (RFC 7323 appendix A).
pub(super) const TIMESTAMPS_LEN: u16 = 12;

/// The send sequence variables, under the RFC's names.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SendHalf {
    /// SND.UNA: the oldest unacknowledged.
    pub(super) una: SeqNum,
    /// SND.NXT: the next that was never sent.
    pub(super) nxt: SeqNum,
    /// After the last byte written: where our FIN stands.
    pub(super) end: SeqNum,
    /// SND.WND in bytes.
    pub(super) wnd: u32,
    /// SND.WL1.
    pub(super) wl1: SeqNum,
    /// SND.WL2.
    pub(super) wl2: SeqNum,
    /// What is taken for lost and is to be sent again: from here …
    pub(super) resend: SeqNum,
    /// … to here; nothing when both are the same.
    pub(super) resend_end: SeqNum,
    /// Max(SND.WND), for RFC 9293 §3.8.6.2.1 and RFC 5961 §5.2.
    pub(super) wnd_max: u32,
    /// ISS.
    pub(super) iss: SeqNum,
    /// Eff.snd.MSS: bytes of data that one segment carries, options already taken off.
    pub(super) mss: u16,
    /// The peer's window shift.
    pub(super) shift: WindowShift,
    /// How often SND.UNA went all the way round to ISS.
    turns: u8,
}

impl SendHalf {
    /// Before our SYN.
    pub(super) fn new(iss: SeqNum) -> Self {
        Self {
            una: iss,
            nxt: iss,
            end: iss + 1,
            wnd: 0,
            wl1: SeqNum(0),
            wl2: SeqNum(0),
            resend: iss,
            resend_end: iss,
            wnd_max: 0,
            iss,
            mss: MSS_DEFAULT[0],
            shift: WindowShift::ZERO,
            turns: 0,
        }
    }

    /// Sequence numbers sent and not acknowledged, lost ones included.
    #[inline]
    pub(super) fn outstanding(&self) -> u32 {
        self.nxt.distance_from(self.una)
    }

    /// FlightSize (RFC 5681 §2), less what is taken for lost and not yet sent again.
    #[inline]
    pub(super) fn in_flight(&self) -> u32 {
        self.outstanding() - self.resend_end.distance_from(self.resend)
    }

    /// Bytes written and never sent.
    #[inline]
    pub(super) fn unsent(&self) -> u32 {
        if self.nxt.before(self.end) { self.end.distance_from(self.nxt) } else { 0 }
    }

    /// Whether our FIN was sent.
    #[inline]
    pub(super) fn fin_is_sent(&self) -> bool {
        self.nxt.after(self.end)
    }

    /// Whether our FIN was acknowledged.
    #[inline]
    pub(super) fn fin_is_acked(&self) -> bool {
        self.una.after(self.end)
    }

    /// Whether what is sent again from `seq` to `end`, the last of what was sent, takes company: what was
    /// written since fits behind it (RFC 9293 §3.7.4 leaves repacketizing to the sender), and a probe of one
    /// byte grows to a segment. What fills half a segment already goes as it was: there is no segment to be
    /// saved.
    #[inline]
    pub(super) fn takes_company(&self, seq: SeqNum, end: SeqNum) -> bool {
        end.distance_from(seq) < u32::from(self.mss) / 2
    }

    /// How much the peer's window takes from `seq` on. A window that shrank (RFC 9293 §3.8.6) takes
    /// nothing of what lies past it.
    #[inline]
    pub(super) fn window_from(&self, seq: SeqNum) -> u32 {
        let edge = self.una + self.wnd;
        if edge.after(seq) { edge.distance_from(seq) } else { 0 }
    }

    /// The sequence number of a segment without data: SND.NXT, unless a window that shrank left it
    /// outside, where the peer would drop the segment with its ACK.
    #[inline]
    pub(super) fn bare_seq(&self) -> SeqNum {
        let fin = u32::from(self.fin_is_sent());
        self.nxt.earliest(self.una + self.wnd + fin).latest(self.una)
    }

    /// SND.UNA <- SEG.ACK.
    pub(super) fn advance_una(&mut self, ack: SeqNum) {
        let round = ack.distance_from(self.iss) < self.una.distance_from(self.iss);
        self.turns = self.turns.wrapping_add(u8::from(round));
        self.una = ack;
        self.resend = self.resend.latest(ack);
        self.resend_end = self.resend_end.latest(ack);
    }

    /// Bytes acknowledged so far, SYN and FIN not counted, modulo 2^40.
    pub(super) fn bytes_acked(&self) -> u64 {
        let controls = u64::from(self.una != self.iss) + u64::from(self.fin_is_acked());
        let numbers = u64::from(self.turns) << 32 | u64::from(self.una.distance_from(self.iss));
        numbers.saturating_sub(controls)
    }

    /// All that is outstanding is to be sent again.
    pub(super) fn resend_all(&mut self) {
        self.resend = self.una;
        self.resend_end = self.nxt;
    }

    /// What was sent and not acknowledged is given up: SND.NXT <- SND.UNA.
    pub(super) fn fall_back_to_una(&mut self) {
        (self.nxt, self.resend, self.resend_end) = (self.una, self.una, self.una);
    }

    /// The SYN is to be sent again, without what went with it.
    pub(super) fn resend_syn(&mut self) {
        self.resend = self.una;
        self.resend_end = self.iss + 1;
    }

    /// SND.WND <- SEG.WND, from a segment that may update it.
    pub(super) fn set_window(&mut self, wnd: u32, seq: SeqNum, ack: SeqNum) {
        self.wnd = wnd;
        self.wnd_max = self.wnd_max.max(wnd);
        self.wl1 = seq;
        self.wl2 = ack;
    }
}

/// Eff.snd.MSS for a peer that takes segments of `mss` bytes (RFC 9293 §3.7.1, RFC 6691: the option
/// does not count the options of each segment, so the sender takes them off; RFC 2525 §2.18 is to forget).
pub(super) fn effective_mss(mss: u16, timestamps: bool) -> u16 {
    let options = if timestamps { TIMESTAMPS_LEN } else { 0 };
    mss.max(MSS_MIN) - options
}

impl Connection {
    /// See [`Connection::write`].
    pub(super) fn queue(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        if !self.phase.may_write() || self.marks.has(Marks::CLOSE_PENDING) {
            return 0;
        }
        self.note_app_limited();
        let wanted = bytes.len().min(self.room(env.settings) as usize);
        self.reserve_to_send(env.pool, self.outgoing.len() + wanted as u32);
        let taken = self.outgoing.push(&bytes[..wanted]);
        self.snd.end += taken as u32;
        self.note_written();
        if taken < bytes.len() {
            self.marks.insert(Marks::WANTS_ROOM);
        }
        self.settle(env);
        taken
    }

    /// What the send buffer may hold: what is in flight, and as much again that waits for the next ACKs.
    /// More would only be old by the time it leaves. What is selected is in flight no more and yet keeps its
    /// place until the hole before it is filled (RFC 2018 §8), so it comes on top: else a round trip or two
    /// of repair would leave nothing to send.
    pub(super) fn send_buffer(&self, settings: &Settings) -> u32 {
        let selected = self.recovery.flight.as_deref().map_or(0, |flight| flight.board.selected());
        let wanted = self.recovery.controller.cwnd().saturating_mul(2).saturating_add(selected);
        settings.send_buffer_initial.max(wanted).min(settings.send_buffer)
    }

    /// Bytes that the send buffer has room for.
    pub(super) fn room(&self, settings: &Settings) -> u32 {
        self.send_buffer(settings).saturating_sub(self.outgoing.len())
    }

    /// Drops `acked` bytes that the peer has, and tells a program that found no room.
    pub(super) fn drop_acked(&mut self, env: &mut Env<'_>, acked: u32) {
        self.outgoing.consume(acked);
        self.pass_urgent();
        if self.outgoing.is_empty() {
            self.let_go_sent(env.pool);
        }
        self.tell_of_room(env.settings);
    }

    /// A program that found no room is told of it, whether an ACK gave it back or, by selecting, added some.
    #[inline]
    pub(super) fn tell_of_room(&mut self, settings: &Settings) {
        // A quarter of the buffer: less, and a program would be woken for every segment.
        if self.marks.has(Marks::WANTS_ROOM)
            && self.room(settings) >= self.send_buffer(settings) / 4
        {
            self.marks.remove(Marks::WANTS_ROOM);
            self.events.insert(Events::WRITABLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_shrank_takes_nothing_of_what_lies_past_it() {
        let mut snd = SendHalf::new(SeqNum(0));
        (snd.una, snd.nxt, snd.end) = (SeqNum(1), SeqNum(1001), SeqNum(2001));
        snd.set_window(500, SeqNum(0), SeqNum(1));
        assert_eq!(snd.window_from(snd.nxt), 0);
        assert_eq!(snd.window_from(snd.una), 500);
        assert_eq!(snd.bare_seq(), SeqNum(501));
    }

    #[test]
    fn timestamps_take_twelve_bytes_of_every_segment() {
        assert_eq!(effective_mss(1460, true), 1448);
        assert_eq!(effective_mss(1460, false), 1460);
        assert_eq!(effective_mss(1, true), 52);
    }
}
