//! Accurate feedback (RFC 9768 §3.2): a count of marked packets in three bits of every header, and
//! byte counters in an option where it fits.
//!
//! Owns the counters under the RFC's names: `r` counts what we received, `s` mirrors what the peer
//! reports.

use super::codepoint::{ByteCounters, Codepoint};
use super::echo::{Echo, Urgency};
use super::handshake::{reflected, reflection};
use crate::tcp::Segment;

/// The byte counters have 24 bits on the wire.
const BYTES_MASK: u32 = 0x00ff_ffff;

/// Half the range: a difference from here on is negative.
const BYTES_HALF: u32 = 0x0080_0000;

/// Modulus of the packet counter, which has three bits.
const CEP_MODULUS: u32 = 8;

/// RFC 9768 §3.2.1: not zero, to detect zeroing of the field.
const CEP_FIRST: u8 = 5;

/// Number of CE marks that trigger an immediate ACK (RFC 9768 §3.2.2.5.1): with unacknowledged
/// data, and without.
const MARKS_WITH_DATA: u8 = 2;
const MARKS_ALONE: u8 = 3;

/// Counters of the receiver.
#[derive(Clone, Debug)]
struct Received {
    /// CE-marked packets.
    cep: u8,
    /// Bytes by codepoint; the counter of Not-ECT stays 0.
    bytes: [u32; 4],
    /// Bit set of the counters that have ever changed.
    changed: u8,
    /// A counter has changed since we last sent an option.
    grown: bool,
    /// Codepoint of the previous packet.
    last: Codepoint,
    /// CE marks since our last ACK.
    marks: u8,
}

/// Trust in the peer's AccECN options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// No option has arrived yet (RFC 9768 §3.2.3.2.3).
    Unseen,
    Trusted,
    /// The first option had a zeroed counter (§3.2.3.2.4).
    Ignored,
}

/// Feedback of a connection in both directions.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Accurate {
    r: Received,
    s_cep: u8,
    s_ceb: u32,
    trust: Trust,
    /// Codepoint of the peer's SYN, reported by our SYN-ACK.
    peer_syn: Codepoint,
    /// Codepoint of the SYN-ACK, until an ACK has reported it.
    syn_ack: Option<Codepoint>,
    /// Options still to send even if no counter has changed: with the first ACK and with the first
    /// data (§3.2.3.2.1).
    trials: u8,
    /// No feedback has arrived yet.
    is_first: bool,
    /// The first feedback may be about our SYN-ACK.
    is_server: bool,
    /// Our packets may carry ECT.
    is_capable: bool,
    /// We respond to feedback.
    responds: bool,
}

impl Accurate {
    /// Creates the state of a client. The peer's SYN-ACK arrived as `syn_ack` and reports that our
    /// SYN arrived as `our_syn`.
    ///
    /// RFC 9768 §3.2.2.3: if a SYN sent as Not-ECT arrived as anything else, the path mangles the
    /// field: "for the remainder of the half-connection the Client is advised to send
    /// non-ECN-capable packets, but it still ought to respond to any feedback".
    pub(in crate::tcp) fn client(our_syn: Codepoint, syn_ack: Codepoint) -> Self {
        let is_capable = our_syn == Codepoint::NotEct;
        let mut state = Self { is_server: false, ..Self::server(Codepoint::NotEct, is_capable) };
        // §3.2.2.2: "it MUST increment r.cep, but no more than once".
        state.r.cep += u8::from(syn_ack == Codepoint::Ce);
        state.syn_ack = Some(syn_ack);
        state
    }

    /// Creates the state of a server that accepted AccECN; the peer's SYN arrived as `peer_syn`.
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
            responds: true,
        }
    }

    /// Counts an acceptable segment other than a SYN; `unacknowledged` says that there was data to
    /// acknowledge before it.
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
        //   > An AccECN Data Receiver SHOULD emit an ACK whenever a data packet marked CE arrives
        //   > after the previous packet was not CE.
        let is_change = len > 0 && before != Codepoint::Ce;
        //   > An AccECN receiver of a packet MUST emit an ACK if 'n' CE marks have arrived since
        //   > the previous ACK. If there is unacknowledged data at the receiver, 'n' SHOULD be 2.
        //   > If there is no unacknowledged data at the receiver, 'n' SHOULD be 3 and MUST be no
        //   > less than 3.
        let has_data = unacknowledged || len > 0;
        let most = if has_data { MARKS_WITH_DATA } else { MARKS_ALONE };
        if is_change || r.marks >= most { Urgency::Now } else { Urgency::AsUsual }
    }

    /// Records a retransmitted SYN-ACK: its ACK reports it like the first one (§3.2.2.1).
    pub(in crate::tcp) const fn on_syn_ack_retransmitted(&mut self, came: Codepoint) {
        if !self.is_server {
            self.syn_ack = Some(came);
        }
    }

    /// Returns true if a pure ACK must report the SYN-ACK's codepoint (§3.2.2.1).
    pub(in crate::tcp) const fn has_pending_reflection(&self) -> bool {
        self.syn_ack.is_some()
    }

    /// Returns the ACE field of a segment: the packet counter, except once the reflection, on an
    /// ACK that is `bare` of data and has no SACK blocks.
    pub(in crate::tcp) fn ace(&mut self, bare: bool, without_sack: bool) -> u8 {
        self.r.marks = 0;
        let syn_ack = if bare { self.syn_ack.take() } else { None };
        match syn_ack.filter(|_| without_sack) {
            Some(came) => reflection(came),
            None => self.r.cep & 7,
        }
    }

    /// Returns the option of a segment, if one is pending and fits into `room` bytes. It has every
    /// counter that has ever changed (§3.2.3.3, the recommended simple scheme). `carries_data` uses
    /// up one more trial.
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

    /// Returns the counters in the shortest form without a gap.
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

    /// Returns the ACE field of a SYN-ACK.
    pub(in crate::tcp) const fn syn_ack_field(&self) -> u8 {
        reflection(self.peer_syn)
    }

    /// Returns true if our packets may carry ECT.
    pub(in crate::tcp) const fn is_capable(&self) -> bool {
        self.is_capable
    }

    /// Processes the option of a SYN-ACK, or its absence.
    pub(in crate::tcp) fn on_first_option(&mut self, option: Option<&ByteCounters>) {
        let Some(option) = option else { return };
        // RFC 9768 §3.2.3.2.4: "If it runs a test and either initial value is zero, the Client will
        // switch into a mode that ignores AccECN Options".
        let zeroed = option.e0b == Some(0) || option.e1b == Some(0);
        self.trust = if zeroed { Trust::Ignored } else { Trust::Trusted };
        self.s_ceb = option.ceb.unwrap_or(self.s_ceb);
    }

    /// Processes an acceptable, not superseded ACK of `acked` new bytes in segments of `mss`.
    pub(in crate::tcp) fn on_ack(&mut self, segment: &Segment<'_>, acked: u32, mss: u32) -> Echo {
        let field = super::handshake::field(segment.flags);
        let option = segment.rare.accecn.as_ref();
        if core::mem::take(&mut self.is_first) {
            if let Some(echo) = self.on_first_ack(segment, field) {
                self.on_first_option(option);
                return echo;
            }
            if self.trust == Trust::Unseen && option.is_some() {
                self.on_first_option(option);
            }
        }
        if !self.responds {
            return Echo::default();
        }
        self.decode(field, option, acked, mss)
    }

    /// Processes the first feedback: it is about the SYN-ACK if a server gets it in a pure ACK
    /// (table 4).
    fn on_first_ack(&mut self, segment: &Segment<'_>, field: u8) -> Option<Echo> {
        let pure = segment.is_empty() && segment.rare.sack.is_empty();
        if field == 0 {
            // Table 4, note 1:
            //   > for the rest of the connection the Server MUST NOT set ECT on outgoing packets
            //   > and MUST NOT respond to AccECN feedback.
            // §3.2.2.4 advises the same when any first feedback has a field of zero.
            self.is_capable = false;
            self.responds = false;
            return Some(Echo::default());
        }
        if !(pure && self.is_server) {
            return None;
        }
        let came = reflected(field);
        // §3.2.2.3: we sent the SYN-ACK as Not-ECT.
        self.is_capable &= came.is_none_or(|came| came == Codepoint::NotEct);
        let congestion = came == Some(Codepoint::Ce);
        self.s_cep += u8::from(congestion);
        Some(Echo { congestion, bytes: 0 })
    }

    /// Decodes the field and the option (RFC 9768 appendix A.2).
    fn decode(&mut self, field: u8, option: Option<&ByteCounters>, acked: u32, mss: u32) -> Echo {
        let packets = acked.div_ceil(mss.max(1));
        let least = u32::from(field.wrapping_sub(self.s_cep) & 7);
        let bytes = self.decode_bytes(option);
        // §3.2.2.5.2: the field may have wrapped; without options the safest likely case is
        // assumed.
        let marks = match bytes {
            None if self.trust != Trust::Trusted && packets >= CEP_MODULUS => {
                packets - (packets - least) % CEP_MODULUS
            }
            Some(bytes) => {
                let needed = bytes.div_ceil(mss.max(1));
                least
                    + needed.saturating_sub(least).div_ceil(CEP_MODULUS)
                        * CEP_MODULUS
                        * u32::from(packets >= CEP_MODULUS)
            }
            None => least,
        };
        self.s_cep = self.s_cep.wrapping_add(marks as u8);
        if bytes.is_some_and(|bytes| bytes > 0) && least == 0 && packets < CEP_MODULUS {
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

    /// Returns the increase of the CE byte counter in the option.
    fn decode_bytes(&mut self, option: Option<&ByteCounters>) -> Option<u32> {
        if self.trust == Trust::Ignored {
            return None;
        }
        let option = option?;
        self.trust = Trust::Trusted;
        // An omitted field has not changed.
        let Some(ceb) = option.ceb else { return Some(0) };
        let more = ceb.wrapping_sub(self.s_ceb) & BYTES_MASK;
        self.s_ceb = ceb;
        // A decrease: the estimate used until now was too high.
        Some(if more < BYTES_HALF { more } else { 0 })
    }
}

/// Returns the padded length of an option in bytes.
fn option_len(counters: &ByteCounters) -> u32 {
    let fields = [counters.e0b, counters.ceb, counters.e1b].iter().flatten().count() as u32;
    (2 + 3 * fields).next_multiple_of(4)
}
