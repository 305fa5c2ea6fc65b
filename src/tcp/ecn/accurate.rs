//! Accurate feedback (RFC 9768 §3.2): a count of marked packets in three bits of every header, counts of
//! bytes in an option where there is room.
//!
//! Owns the counters under the RFC's names: `r` of what we received, `s` of what the peer says that it did.

use super::codepoint::{ByteCounters, Codepoint};
use super::echo::{Echo, Urgency};
use super::handshake::{reflected, reflection};
use crate::tcp::Segment;

/// The byte counters have 24 bits on the wire.
const BYTES_MASK: u32 = 0x00ff_ffff;

/// Half of that: a difference from here on is one backwards.
const BYTES_HALF: u32 = 0x0080_0000;

/// The packet counter has three.
const PACKETS: u32 = 8;

/// RFC 9768 §3.2.1: not zero, so that a zeroed field shows.
const CEP_FIRST: u8 = 5;

/// Marks that want an ACK at once (RFC 9768 §3.2.2.5.1): with data to acknowledge, and without.
const MARKS_WITH_DATA: u8 = 2;
const MARKS_ALONE: u8 = 3;

/// What the receiver counts.
#[derive(Clone, Debug)]
struct Received {
    /// Marked packets.
    cep: u8,
    /// Bytes by codepoint; that of Not-ECT stays 0.
    bytes: [u32; 4],
    /// Which of them have ever changed, by bit.
    changed: u8,
    /// One has changed since an option was sent.
    grown: bool,
    /// How the packet before came.
    last: Codepoint,
    /// Marks since our last ACK.
    marks: u8,
}

/// Whether the peer's options are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// None has come yet: RFC 9768 §3.2.3.2.3.
    Unseen,
    Trusted,
    /// The first one had a counter zeroed: §3.2.3.2.4.
    Ignored,
}

/// Both directions of a connection's feedback.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Accurate {
    r: Received,
    s_cep: u8,
    s_ceb: u32,
    trust: Trust,
    /// How the peer's SYN came, for our SYN-ACK.
    peer_syn: Codepoint,
    /// How the SYN-ACK came, until an ACK has told of it.
    syn_ack: Option<Codepoint>,
    /// Options that are owed whether or not a counter has changed: with the first ACK and the first data
    /// (§3.2.3.2.1).
    trials: u8,
    /// No feedback has come yet.
    is_first: bool,
    /// That feedback may be about our SYN-ACK.
    is_server: bool,
    /// Our packets may bear ECT.
    is_capable: bool,
    /// Marks are responded to.
    heeds: bool,
}

impl Accurate {
    /// The peer's SYN-ACK came as `syn_ack` and says that our SYN came as `our_syn`.
    ///
    /// RFC 9768 §3.2.2.3: a SYN that went as Not-ECT and came as anything else shows a path that mangles the
    /// field: "for the remainder of the half-connection the Client is advised to send non-ECN-capable
    /// packets, but it still ought to respond to any feedback".
    pub(in crate::tcp) fn client(our_syn: Codepoint, syn_ack: Codepoint) -> Self {
        let is_capable = our_syn == Codepoint::NotEct;
        let mut state = Self { is_server: false, ..Self::server(Codepoint::NotEct, is_capable) };
        // §3.2.2.2: "it MUST increment r.cep, but no more than once".
        state.r.cep += u8::from(syn_ack == Codepoint::Ce);
        state.syn_ack = Some(syn_ack);
        state
    }

    /// We agreed to the peer's SYN, which came as `peer_syn`.
    pub(in crate::tcp) const fn server(peer_syn: Codepoint, is_capable: bool) -> Self {
        Self {
            r: Received {
                cep: CEP_FIRST,
                bytes: [0, 1, 1, 0],
                changed: 0,
                grown: false,
                last: Codepoint::NotEct,
                marks: 0,
            },
            s_cep: CEP_FIRST,
            s_ceb: 0,
            trust: Trust::Unseen,
            peer_syn,
            syn_ack: None,
            trials: 2,
            is_first: true,
            is_server: true,
            is_capable,
            heeds: true,
        }
    }

    /// An acceptable segment came that is no SYN; `unacknowledged` when there was data to acknowledge before
    /// it.
    pub(in crate::tcp) fn on_packet(
        &mut self,
        segment: &Segment<'_>,
        unacknowledged: bool,
    ) -> Urgency {
        let r = &mut self.r;
        let len = segment.payload.len() as u32;
        let before = core::mem::replace(&mut r.last, segment.ecn);
        if segment.ecn != Codepoint::NotEct && len > 0 {
            let counter = &mut r.bytes[usize::from(segment.ecn.bits())];
            *counter = counter.wrapping_add(len) & BYTES_MASK;
            r.changed |= 1 << segment.ecn.bits();
            r.grown = true;
        }
        if segment.ecn != Codepoint::Ce {
            return Urgency::AsUsual;
        }
        r.cep = r.cep.wrapping_add(1);
        r.marks = r.marks.saturating_add(1);
        // RFC 9768 §3.2.2.5.1:
        //   > An AccECN Data Receiver SHOULD emit an ACK whenever a data packet marked CE arrives after the
        //   > previous packet was not CE.
        let is_change = len > 0 && before != Codepoint::Ce;
        //   > An AccECN receiver of a packet MUST emit an ACK if 'n' CE marks have arrived since the previous
        //   > ACK. If there is unacknowledged data at the receiver, 'n' SHOULD be 2. If there is no
        //   > unacknowledged data at the receiver, 'n' SHOULD be 3 and MUST be no less than 3.
        let has_data = unacknowledged || len > 0;
        let most = if has_data { MARKS_WITH_DATA } else { MARKS_ALONE };
        if is_change || r.marks >= most { Urgency::Now } else { Urgency::AsUsual }
    }

    /// A SYN-ACK came again: it is acknowledged as the first was (§3.2.2.1).
    pub(in crate::tcp) const fn on_syn_ack_again(&mut self, came: Codepoint) {
        if !self.is_server {
            self.syn_ack = Some(came);
        }
    }

    /// Whether an ACK without anything else is owed, to tell of the SYN-ACK (§3.2.2.1).
    pub(in crate::tcp) const fn has_pending_reflection(&self) -> bool {
        self.syn_ack.is_some()
    }

    /// The ACE field of a segment: the count, but once the reflection, on an ACK that is `bare` of data and
    /// of SACK blocks.
    pub(in crate::tcp) fn ace(&mut self, bare: bool, without_sack: bool) -> u8 {
        self.r.marks = 0;
        let syn_ack = if bare { self.syn_ack.take() } else { None };
        match syn_ack.filter(|_| without_sack) {
            Some(came) => reflection(came),
            None => self.r.cep & 7,
        }
    }

    /// The option of a segment, if one is owed and takes no more than `room` bytes: every counter that has
    /// ever changed (§3.2.3.3, the recommended simple scheme). `carries_data` spends a trial more.
    pub(in crate::tcp) fn option(&mut self, room: u32, carries_data: bool) -> Option<ByteCounters> {
        let tries = self.trials == 2 || self.trials == 1 && carries_data;
        if !self.r.grown && !tries {
            return None;
        }
        let counters = self.counters();
        if option_len(&counters) > room {
            return None;
        }
        self.r.grown = false;
        if tries {
            self.trials = if carries_data { 0 } else { 1 };
        }
        Some(counters)
    }

    /// The counters in the shortest form without a gap.
    fn counters(&self) -> ByteCounters {
        let [_, e1b, e0b, ceb] = self.r.bytes;
        let changed = |point: Codepoint| self.r.changed >> point.bits() & 1 == 1;
        let (has_e1, has_ce) = (changed(Codepoint::Ect1), changed(Codepoint::Ce));
        let has_e0 = changed(Codepoint::Ect0) || !has_e1;
        ByteCounters {
            e0b: has_e0.then_some(e0b),
            ceb: (has_ce || has_e0 && has_e1).then_some(ceb),
            e1b: has_e1.then_some(e1b),
        }
    }

    /// The flags of a SYN-ACK.
    pub(in crate::tcp) const fn syn_ack_field(&self) -> u8 {
        reflection(self.peer_syn)
    }

    /// Whether our packets may bear ECT.
    pub(in crate::tcp) const fn is_capable(&self) -> bool {
        self.is_capable
    }

    /// The option of a SYN-ACK came, or did not.
    pub(in crate::tcp) fn on_first_option(&mut self, option: Option<&ByteCounters>) {
        let Some(option) = option else { return };
        // RFC 9768 §3.2.3.2.4: "If it runs a test and either initial value is zero, the Client will switch
        // into a mode that ignores AccECN Options".
        let zeroed = option.e0b == Some(0) || option.e1b == Some(0);
        self.trust = if zeroed { Trust::Ignored } else { Trust::Trusted };
        self.s_ceb = option.ceb.unwrap_or(self.s_ceb);
    }

    /// An acceptable ACK came, not superseded, that acknowledges `acked` new bytes in segments of `mss`.
    pub(in crate::tcp) fn on_ack(&mut self, segment: &Segment<'_>, acked: u32, mss: u32) -> Echo {
        let field = super::handshake::field(segment.flags);
        let option = segment.rare.accecn.as_ref();
        if core::mem::take(&mut self.is_first) {
            if let Some(told) = self.on_first_ack(segment, field) {
                self.on_first_option(option);
                return told;
            }
            if self.trust == Trust::Unseen && option.is_some() {
                self.on_first_option(option);
            }
        }
        if !self.heeds {
            return Echo::default();
        }
        self.decode(field, option, acked, mss)
    }

    /// The first feedback: about the SYN-ACK if it is a pure ACK to the server (table 4).
    fn on_first_ack(&mut self, segment: &Segment<'_>, field: u8) -> Option<Echo> {
        let pure = segment.is_empty() && segment.rare.sack.is_empty();
        if field == 0 {
            // Table 4, note 1:
            //   > for the rest of the connection the Server MUST NOT set ECT on outgoing packets and MUST NOT
            //   > respond to AccECN feedback.
            // §3.2.2.4 advises the same when any first feedback has a field of zero.
            self.is_capable = false;
            self.heeds = false;
            return Some(Echo::default());
        }
        if !(pure && self.is_server) {
            return None;
        }
        let came = reflected(field);
        // §3.2.2.3: our SYN-ACK went as Not-ECT.
        self.is_capable &= came.is_none_or(|came| came == Codepoint::NotEct);
        let congestion = came == Some(Codepoint::Ce);
        self.s_cep += u8::from(congestion);
        Some(Echo { congestion, bytes: 0 })
    }

    /// RFC 9768 appendix A.2.
    fn decode(&mut self, field: u8, option: Option<&ByteCounters>, acked: u32, mss: u32) -> Echo {
        let packets = acked.div_ceil(mss.max(1));
        let least = u32::from(field.wrapping_sub(self.s_cep) & 7);
        let bytes = self.decode_bytes(option);
        // §3.2.2.5.2: the field may have gone round; without options the safest likely case is taken.
        let marks = match bytes {
            None if self.trust != Trust::Trusted && packets >= PACKETS => {
                packets - (packets - least) % PACKETS
            }
            Some(bytes) => {
                let needed = bytes.div_ceil(mss.max(1));
                least
                    + needed.saturating_sub(least).div_ceil(PACKETS)
                        * PACKETS
                        * u32::from(packets >= PACKETS)
            }
            None => least,
        };
        self.s_cep = self.s_cep.wrapping_add(marks as u8);
        if bytes.is_some_and(|bytes| bytes > 0) && least == 0 && packets < PACKETS {
            // §3.2.3.2.5: s.ceb has increased but s.cep has not:
            //   > the Data Sender MUST disable sending ECN-capable packets for the remainder of the
            //   > half-connection
            self.is_capable = false;
        }
        let estimate = marks.saturating_mul(mss);
        Echo {
            congestion: marks > 0 || bytes.is_some_and(|bytes| bytes > 0),
            bytes: bytes.unwrap_or_else(|| {
                self.s_ceb = self.s_ceb.wrapping_add(estimate) & BYTES_MASK;
                estimate
            }),
        }
    }

    /// How many more bytes the option says came marked.
    fn decode_bytes(&mut self, option: Option<&ByteCounters>) -> Option<u32> {
        if self.trust == Trust::Ignored {
            return None;
        }
        let option = option?;
        self.trust = Trust::Trusted;
        // A field that is left out has not changed.
        let Some(ceb) = option.ceb else { return Some(0) };
        let more = ceb.wrapping_sub(self.s_ceb) & BYTES_MASK;
        self.s_ceb = ceb;
        // Less than before: the estimate that stood for it was too high.
        Some(if more < BYTES_HALF { more } else { 0 })
    }
}

/// Bytes of an option, padded.
fn option_len(counters: &ByteCounters) -> u32 {
    let fields = [counters.e0b, counters.ceb, counters.e1b].iter().flatten().count() as u32;
    (2 + 3 * fields).next_multiple_of(4)
}
