//! SYN-RECEIVED of a passive open: 28 bytes until the handshake is complete.
//!
//! Owns the negotiated options and the deadline of the SYN-ACK. Refuses to know addresses, its
//! place in a table, and data. Data on a SYN "should be queued for processing later" (RFC 9293
//! §3.10.7.2). We keep and acknowledge only the SYN, since a flood could fill any queue, and the
//! peer retransmits the rest as after any loss. The caller passes data on the ACK to the connection
//! that the embryo becomes.

use super::cookie_content::CookieContent;
use crate::tcp::ecn::handshake;
use crate::tcp::isn::timestamp;
use crate::tcp::mss::MSS_DEFAULT;
use crate::tcp::{
    ByteCounters, Codepoint, Disposition, EcnMode, Flags, MtuProbing, Options, RareOptions,
    Segment, SegmentOut, SeqNum, Settings, Timestamps, WindowShift,
};
use crate::time::{Duration, Instant};

/// Minimum MSS accepted from a peer: with 12 bytes of timestamps in each segment, a smaller one
/// would cost a packet per byte of data, or leave no room at all (CVE-2019-11479).
const MSS_MIN: u16 = 64;

/// Maximum number of doublings of the timeout: 1 s becomes 18 hours, and no shift overflows.
const BACKOFF_MAX: u8 = 16;

/// An embryonic connection.
#[derive(Clone, Copy, Debug)]
pub struct Embryo {
    pub(super) iss: SeqNum,
    pub(super) irs: SeqNum,
    /// TS.Recent; meaningless without [`TIMESTAMPS`].
    pub(super) ts_recent: u32,
    /// Milliseconds, modulo 2^32.
    pub(super) deadline_ms: u32,
    /// Microseconds, modulo 2^32: 71 minutes, more than an embryo lives.
    pub(super) opened_us: u32,
    pub(super) mss: u16,
    pub(super) listener: u16,
    /// Our shift in the high nibble, the peer's in the low.
    pub(super) shifts: u8,
    pub(super) flags: u8,
    pub(super) retransmissions: u8,
    /// The negotiated ECN mode and state, see the masks, and [`WAITED`].
    pub(super) ecn: u8,
}

/// Both sides offered window scaling.
const SCALING: u8 = 1;
/// Both sides offered timestamps.
pub(super) const TIMESTAMPS: u8 = 2;
/// Both sides permit SACK.
const SACK: u8 = 4;
/// The handshake is complete, and the listener waits for data.
pub(super) const DEFERRED: u8 = 8;
/// The time between SYN-ACK and ACK is no round trip: the SYN-ACK was retransmitted (Karn) or sent
/// with a cookie.
pub(super) const UNTIMED: u8 = 16;

/// Position of the upper bits of the flags: how often memory pressure halved the window. All bits
/// set: the window is closed.
const HALVED_SHIFT: u32 = 5;
const CLOSED: u8 = 7;

/// In `Embryo::ecn`: the mode.
const MODE_MASK: u8 = 3;
/// In `Embryo::ecn`: the codepoint of the peer's latest SYN.
const CODEPOINT_SHIFT: u32 = 2;
/// In `Embryo::ecn`: a SYN or SYN-ACK without ECN was also in flight, so our packets bear no ECT
/// (RFC 9768 §3.1.5).
pub(super) const NO_ECT: u8 = 16;

/// In `Embryo::ecn`, for want of room elsewhere: the listener waits for data no longer.
pub(super) const WAITED: u8 = 32;

/// Timeouts after which a SYN-ACK no longer negotiates Accurate ECN (RFC 9768 §3.2.3.2.2).
const ACCURATE_SYN_ACKS: u8 = 2;

/// The response of an embryo to a segment. The dispositions name the drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum EmbryoAnswer {
    /// The handshake is complete: create the connection and pass it the same segment.
    Establish,
    /// The peer retransmitted its SYN: send [`Embryo::syn_ack`].
    SynAck,
    /// Send [`Embryo::ack`], within the limit for challenge ACKs (RFC 5961 §7).
    Ack(Disposition),
    /// Send [`SegmentOut::reset_for`] this segment; keep the embryo.
    Reset,
    /// Send [`SegmentOut::reset_for`] this segment, and remove the embryo.
    Refuse,
    /// The peer sent a reset: remove the embryo.
    Remove,
    /// No response.
    Ignore(Disposition),
}

/// The action of an embryo at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum EmbryoDeadline {
    /// Retransmit [`Embryo::syn_ack`]. The embryo has a new deadline.
    Retransmit,
    /// Retransmissions are exhausted: remove the embryo silently.
    GiveUp,
    /// The deadline lies ahead.
    NotYet,
}

impl Embryo {
    /// Creates an embryo from a SYN for a listener. `ipv6` selects the MSS.
    pub fn from_syn(
        syn: &Segment<'_>,
        listener: u16,
        iss: SeqNum,
        now: Instant,
        settings: &Settings,
        ipv6: bool,
    ) -> Self {
        let content = CookieContent {
            iss,
            irs: syn.seq,
            mss: syn.options.mss.unwrap_or(MSS_DEFAULT[usize::from(ipv6)]),
            window_shift: syn.options.window_shift,
            sack_permitted: syn.options.sack_permitted,
            ecn: handshake::requested_by(syn.flags),
            ts_recent: syn.options.timestamps.map(|ts| ts.value),
        };
        let mut embryo = Self::new(&content, listener, now, settings, ipv6);
        embryo.record_codepoint(syn.ecn);
        embryo
    }

    /// Creates an embryo from the ACK of a cookie. Given that ACK, it answers
    /// [`EmbryoAnswer::Establish`] like any other.
    pub fn from_cookie(
        cookie: &CookieContent,
        listener: u16,
        now: Instant,
        settings: &Settings,
        ipv6: bool,
    ) -> Self {
        let mut embryo = Self::new(cookie, listener, now, settings, ipv6);
        embryo.flags |= UNTIMED;
        embryo
    }

    pub(in crate::tcp) fn new(
        content: &CookieContent,
        listener: u16,
        now: Instant,
        settings: &Settings,
        ipv6: bool,
    ) -> Self {
        let peer_shift = content.window_shift.unwrap_or_default();
        let our_shift = WindowShift::for_buffer(settings.receive_buffer);
        let mut embryo = Self {
            iss: content.iss,
            irs: content.irs,
            ts_recent: content.ts_recent.unwrap_or_default(),
            deadline_ms: 0,
            opened_us: micros(now),
            // RFC 9293 §3.7.1: the peer's limit or that of our own path, whichever is less.
            mss: content.mss.min(settings.mss[usize::from(ipv6)]).max(MSS_MIN),
            listener,
            shifts: our_shift.get() << 4 | peer_shift.get(),
            flags: content_flags(content, settings),
            retransmissions: 0,
            ecn: settings.ecn.agrees_to(content.ecn) as u8,
        };
        embryo.arm(now, settings);
        embryo
    }

    /// Limits the window of the SYN-ACK to about `credit`. Call before it is first sent.
    #[inline]
    pub fn offer_at_most(&mut self, credit: u32, settings: &Settings) {
        if credit < settings.syn_window() {
            let halved = (1..CLOSED).find(|halved| settings.syn_window() >> halved <= credit);
            let bits = if credit == 0 { CLOSED } else { halved.unwrap_or(CLOSED) };
            self.flags |= bits << HALVED_SHIFT;
        }
    }

    /// Returns RCV.WND until the handshake is complete.
    #[inline]
    pub(in crate::tcp) fn syn_window(&self, settings: &Settings) -> u32 {
        match self.flags >> HALVED_SHIFT {
            0 => settings.syn_window(),
            CLOSED => 0,
            halved => settings.syn_window() >> halved,
        }
    }

    /// Builds the SYN-ACK, first or retransmitted.
    pub fn syn_ack(
        &self,
        now: Instant,
        timestamp_offset: u32,
        settings: &Settings,
        ipv6: bool,
    ) -> SegmentOut<'static> {
        SegmentOut {
            seq: self.iss,
            ack: self.rcv_nxt(),
            flags: Flags::SYN.with(Flags::ACK).with(self.ecn_flags()),
            window: self.syn_window(settings) as u16,
            options: Options {
                mss: Some(settings.mss[usize::from(ipv6)]),
                // RFC 7323 §2.2, §3.2: in a SYN-ACK only if it was in the SYN.
                window_shift: self.has(SCALING).then(|| self.our_shift()),
                timestamps: self.stamp(now, timestamp_offset),
                // RFC 2018 §2: likewise.
                sack_permitted: self.has(SACK),
            },
            rare: RareOptions { accecn: self.ecn_option(), ..RareOptions::NONE },
            ..SegmentOut::default()
        }
    }

    /// Builds an empty ACK with the current sequence numbers: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>.
    pub fn ack(
        &self,
        now: Instant,
        timestamp_offset: u32,
        settings: &Settings,
    ) -> SegmentOut<'static> {
        SegmentOut {
            seq: self.iss + 1,
            ack: self.rcv_nxt(),
            flags: Flags::ACK,
            window: self.our_shift().field(self.syn_window(settings)),
            options: Options {
                timestamps: self.stamp(now, timestamp_offset),
                ..Options::default()
            },
            ..SegmentOut::default()
        }
    }

    /// Processes the deadline of the SYN-ACK. Safe to call early.
    pub fn on_deadline(&mut self, now: Instant, settings: &Settings) -> EmbryoDeadline {
        if self.deadline(now) > now {
            return EmbryoDeadline::NotYet;
        }
        if self.has(DEFERRED) {
            // The SYN-ACK was not lost: its retransmission asks the peer for another ACK.
            self.flags &= !DEFERRED;
            self.ecn |= WAITED;
            self.arm(now, settings);
            return EmbryoDeadline::Retransmit;
        }
        if self.retransmissions >= settings.syn_ack_retries {
            return EmbryoDeadline::GiveUp;
        }
        self.retransmissions += 1;
        self.flags |= UNTIMED;
        if self.ecn_mode() == EcnMode::Accurate && self.retransmissions >= ACCURATE_SYN_ACKS {
            self.ecn |= NO_ECT;
        }
        self.arm(now, settings);
        EmbryoDeadline::Retransmit
    }

    /// Returns when to call [`Self::on_deadline`]. Stored in 32 bits of milliseconds, which repeat
    /// every 49 days; `now` selects the instant.
    pub fn deadline(&self, now: Instant) -> Instant {
        let now_ms = now.as_millis();
        let ahead = self.deadline_ms.wrapping_sub(now_ms as u32) as i32;
        Instant::from_millis(now_ms.saturating_add_signed(i64::from(ahead)))
    }

    /// Sets the deadline. RFC 6298 (5.5): the timeout doubles each time.
    fn arm(&mut self, now: Instant, settings: &Settings) {
        let doublings = self.retransmissions.min(BACKOFF_MAX);
        let timeout = settings.rto_initial.times(1 << doublings).min(settings.rto_max);
        self.arm_at(now + timeout);
    }

    /// Sets the deadline, rounded up to the next millisecond: never early.
    pub(super) fn arm_at(&mut self, at: Instant) {
        self.deadline_ms = (at + Duration::from_nanos(999_999)).as_millis() as u32;
    }

    /// Returns our initial sequence number.
    pub const fn iss(&self) -> SeqNum {
        self.iss
    }

    /// Returns the peer's initial sequence number.
    pub const fn irs(&self) -> SeqNum {
        self.irs
    }

    /// Returns the maximum segment size to the peer, options and data: the lesser of its MSS and
    /// ours.
    pub const fn mss(&self) -> u16 {
        self.mss
    }

    /// Returns our and the peer's window shift, if both sides scale (RFC 7323 §2.2).
    pub const fn shifts(&self) -> Option<(WindowShift, WindowShift)> {
        if self.has(SCALING) { Some((self.our_shift(), self.peer_shift())) } else { None }
    }

    /// Returns TS.Recent, if both sides use timestamps (RFC 7323 §3.2).
    pub const fn timestamps(&self) -> Option<u32> {
        if self.has(TIMESTAMPS) { Some(self.ts_recent) } else { None }
    }

    /// Returns true if both sides permit SACK (RFC 2018 §2).
    pub const fn sack_permitted(&self) -> bool {
        self.has(SACK)
    }

    /// Returns the negotiated ECN mode.
    pub const fn ecn_mode(&self) -> EcnMode {
        match self.ecn & MODE_MASK {
            0 => EcnMode::None,
            1 => EcnMode::Classic,
            _ => EcnMode::Accurate,
        }
    }

    /// Returns true if the connection needs none of the rare state.
    #[inline]
    pub fn is_plain(&self, settings: &Settings) -> bool {
        self.ecn_mode() == EcnMode::None && settings.mtu_probing != MtuProbing::On
    }

    /// Returns the codepoint of the peer's latest SYN.
    pub(in crate::tcp) const fn syn_codepoint(&self) -> Codepoint {
        Codepoint::from_bits(self.ecn >> CODEPOINT_SHIFT)
    }

    /// Returns true if our packets may bear ECT.
    pub(in crate::tcp) const fn may_send_ect(&self) -> bool {
        self.ecn & NO_ECT == 0
    }

    /// Records the codepoint of a SYN. RFC 9768 §3.1.5: "MUST feed back the IP-ECN field on the
    /// latest valid SYN".
    pub(in crate::tcp) const fn record_codepoint(&mut self, came: Codepoint) {
        self.ecn = self.ecn & !(3 << CODEPOINT_SHIFT) | came.bits() << CODEPOINT_SHIFT;
    }

    /// Returns the ECN flags of the SYN-ACK. RFC 9768 §3.2.3.2.2: an unanswered SYN-ACK is
    /// retransmitted first without the option, then without the flags, in case the path drops what
    /// it does not know.
    fn ecn_flags(&self) -> Flags {
        let silent = self.retransmissions >= ACCURATE_SYN_ACKS;
        match self.ecn_mode() {
            EcnMode::Accurate if silent => Flags::default(),
            mode => handshake::agreement(mode, self.syn_codepoint()),
        }
    }

    fn ecn_option(&self) -> Option<ByteCounters> {
        (self.ecn_mode() == EcnMode::Accurate && !self.has(UNTIMED)).then(ByteCounters::initial)
    }

    /// Returns the listener that received the SYN.
    pub const fn listener(&self) -> u16 {
        self.listener
    }

    /// Returns how often the timer retransmitted the SYN-ACK. RFC 5681 §3.1: above 0 the initial
    /// window is 1 segment.
    pub const fn retransmissions(&self) -> u8 {
        self.retransmissions
    }

    /// Returns the time since the SYN if it measures the round trip of our SYN-ACK: not if it was
    /// retransmitted (Karn's algorithm, RFC 6298 §3) or sent with a cookie.
    pub fn handshake_rtt(&self, now: Instant) -> Option<Duration> {
        let elapsed = micros(now).wrapping_sub(self.opened_us);
        (!self.has(UNTIMED)).then(|| Duration::from_micros(u64::from(elapsed)))
    }

    /// Returns RCV.NXT: after the SYN.
    pub(in crate::tcp) fn rcv_nxt(&self) -> SeqNum {
        self.irs + 1
    }

    pub(in crate::tcp) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    const fn our_shift(&self) -> WindowShift {
        if self.has(SCALING) {
            WindowShift::from_offer(self.shifts >> 4)
        } else {
            WindowShift::ZERO
        }
    }

    const fn peer_shift(&self) -> WindowShift {
        WindowShift::from_offer(self.shifts & 0x0f)
    }

    pub(in crate::tcp) fn stamp(&self, now: Instant, offset: u32) -> Option<Timestamps> {
        self.has(TIMESTAMPS)
            .then(|| Timestamps { value: timestamp(now, offset), echo: self.ts_recent })
    }
}

/// Returns the options common to both sides, as flags.
fn content_flags(content: &CookieContent, settings: &Settings) -> u8 {
    let flag = |bit: u8, on: bool| if on { bit } else { 0 };
    flag(SCALING, content.window_shift.is_some() && settings.window_scaling)
        | flag(TIMESTAMPS, content.ts_recent.is_some() && settings.timestamps)
        | flag(SACK, content.sack_permitted && settings.sack)
}

fn micros(now: Instant) -> u32 {
    (now.as_nanos() / 1_000) as u32
}
