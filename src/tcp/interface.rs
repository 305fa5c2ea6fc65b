//! The words between a connection and its world: what it is lent, what it tells, how it judges.

use core::ops::ControlFlow;

use crate::tcp::congestion::Algorithm;
use crate::tcp::{BufferPool, Phase, SeqNum, Settings, SynData, WindowShift};
use crate::time::{Duration, Instant};

/// What the world lends to a connection for one call.
pub struct Env<'a> {
    /// Now.
    pub now: Instant,
    /// The shard's settings.
    pub settings: &'a Settings,
    /// Where buffers come from and go back to.
    pub pool: &'a mut BufferPool,
    /// How many challenge ACKs (RFC 5961 §7) the shard may still send this second: it refills this
    /// from `Settings::challenge_acks_per_second`, the connections take from it.
    pub challenge_acks: &'a mut u32,
}

/// A set of things the application should hear about; see the constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub u8);

impl Events {
    /// ESTABLISHED was reached by an active open.
    pub const CONNECTED: Self = Self(1);
    /// There is data to read that was not there before.
    pub const READABLE: Self = Self(2);
    /// There is room to write after a short write.
    pub const WRITABLE: Self = Self(4);
    /// The peer's FIN was reached in order: after what is readable there is nothing more.
    pub const PEER_CLOSED: Self = Self(8);
    /// The connection is over; see [`super::Connection::close_reason`].
    pub const CLOSED: Self = Self(16);
    /// Threshold R1 (RFC 9293 §3.8.3) is reached: what was sent stays unanswered.
    pub const UNANSWERED: Self = Self(32);
    /// ICMP told that the peer can't be reached; the connection goes on (RFC 9293 §3.9.2.2).
    pub const UNREACHABLE: Self = Self(64);

    /// The peer has urgent data that was not announced before (RFC 9293 §3.8.5).
    pub const URGENT: Self = Self(128);

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether any of `other` is in the set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Adds `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
    /// Whether there is nothing to tell.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both FINs were sent and acknowledged.
    Finished,
    /// Aborted by our application.
    Aborted,
    /// The peer sent a reset.
    Reset,
    /// The peer answered our SYN with a reset.
    Refused,
    /// Nothing was acknowledged for longer than R2 (RFC 9293 §3.8.3), or the SYN was never answered.
    TimedOut,
    /// Keep-alive probes went unanswered.
    KeepAlive,
    /// ICMP told that the peer can't be reached while we were connecting (RFC 5927 §5).
    Unreachable,
    /// There was no memory for it.
    NoBuffers,
}

/// What ICMP can tell a connection, already validated against its sequence numbers by the caller's
/// quote (RFC 5927 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Host, network, port or protocol unreachable: hard while connecting, soft afterwards.
    Unreachable,
    /// Time exceeded or parameter problem: never the end (RFC 9293 MUST-56).
    Soft,
    /// The path's MTU in bytes (RFC 1191, RFC 8201).
    TooBig(u32),
}

/// How an arriving segment was dealt with; everything but `Accepted` is a drop with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Disposition {
    /// Used.
    Accepted,
    /// Outside the window (an ACK is owed).
    OutOfWindow,
    /// Older than the last timestamp (RFC 7323 §5.3).
    OldTimestamp,
    /// Acknowledges what was never sent, or too old (RFC 5961 §5).
    BadAck,
    /// A SYN in a synchronized state: challenged (RFC 5961 §4).
    ChallengedSyn,
    /// A reset in the window but not at RCV.NXT: challenged (RFC 5961 §3).
    ChallengedReset,
    /// No ACK bit where one is needed.
    NoAck,
    /// There was no buffer for its data.
    NoBuffer,
    /// Data after the receiver has gone (RFC 9293 §3.6.1); the connection resets itself.
    AfterClose,
    /// No timestamp although both ends agreed to send them (RFC 7323 §3.2).
    NoTimestamp,
    /// To be answered by the caller with [`super::SegmentOut::reset_for`]: it acknowledges what this
    /// connection, still opening, never sent (RFC 9293 §3.10.7.3). The connection goes on.
    Reset,
}

/// Where loss recovery stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Nothing is missing.
    #[default]
    None,
    /// Something arrived out of order.
    Disorder,
    /// Congestion was told by ECN within the last round trip.
    Marked,
    /// Something was lost and is repaired in fast recovery.
    Recovery,
    /// The timer has expired.
    TimedOut,
}

/// What a step decides: go on, or stop here.
pub(super) type Step = ControlFlow<Disposition>;

/// What loss recovery does and has done for a connection. Without SACK only the stage is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Where it stands.
    pub stage: Loss,
    /// Bytes that are taken for lost and wait to be sent again.
    pub waiting: u32,
    /// Bytes that the peer has selectively acknowledged.
    pub selected: u32,
    /// Segments taken for lost so far.
    pub lost: u32,
    /// Segments that the peer reported to have had already (RFC 2883): sent again for nothing, or by the
    /// network.
    pub duplicates: u32,
    /// Probes of the end of a flight (RFC 8985 §7).
    pub probes: u32,
    /// Reductions of the congestion window for losses.
    pub reductions: u32,
    /// Those of them that were taken back, since nothing was lost (RFC 3522, RFC 3708, RFC 5682).
    pub undone: u32,
    /// Whether the path has been seen to change the order (RFC 8985 §6.2 step 3).
    pub reordering_seen: bool,
}

impl Repairs {
    /// Of who has lost nothing.
    pub const NONE: Self = Self {
        stage: Loss::None,
        waiting: 0,
        selected: 0,
        lost: 0,
        duplicates: 0,
        probes: 0,
        reductions: 0,
        undone: 0,
        reordering_seen: false,
    };
}

/// How a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The state.
    pub phase: Phase,
    /// Congestion window, bytes.
    pub cwnd: u32,
    /// Slow-start threshold, bytes; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// The congestion control.
    pub congestion: Algorithm,
    /// How fast segments leave, bytes a second; `None` if only ACKs clock them.
    pub pacing_rate: Option<u64>,
    /// Bytes a second that were delivered in the last whole round trip; `None` with nothing in flight, or
    /// without SACK.
    pub delivery_rate: Option<u64>,
    /// Smoothed round-trip time; zero before the first measurement.
    pub srtt: Duration,
    /// Its smoothed deviation.
    pub rttvar: Duration,
    /// Retransmission timeout, backoff included.
    pub rto: Duration,
    /// Segments sent again so far.
    pub retransmissions: u32,
    /// Timeouts since the peer last acknowledged something new.
    pub timeouts: u8,
    /// What loss recovery does and has done.
    pub repairs: Repairs,
    /// Bytes that the peer has acknowledged, modulo 2^40.
    pub bytes_acked: u64,
    /// Bytes received in order, modulo 2^40.
    pub bytes_received: u64,
    /// Bytes sent and not yet acknowledged.
    pub in_flight: u32,
    /// Where loss recovery stands.
    pub loss: Loss,
    /// Segments sent and not acknowledged; of these, selectively acknowledged, taken for lost (sent again or
    /// not), sent again.
    pub segments: [u32; 4],
    /// How far out of order segments have arrived, in segments, at most; at least 3.
    pub reordering: u16,
    /// How often that was seen, up to 255.
    pub reorderings: u8,
    /// The shortest round trip of the last minutes; zero before the first measurement.
    pub rtt_min: Duration,
    /// Bytes written and not yet acknowledged.
    pub send_queued: u32,
    /// Bytes received and not yet read.
    pub receive_queued: u32,
    /// Bytes that the send buffer may hold now.
    pub send_buffer: u32,
    /// RCV.BUFF: bytes that the receive buffer may hold now.
    pub receive_buffer: u32,
    /// ISS.
    pub iss: SeqNum,
    /// SND.UNA.
    pub snd_una: SeqNum,
    /// SND.NXT.
    pub snd_nxt: SeqNum,
    /// SND.WND, bytes.
    pub snd_wnd: u32,
    /// IRS.
    pub irs: SeqNum,
    /// RCV.NXT.
    pub rcv_nxt: SeqNum,
    /// RCV.WND, bytes.
    pub rcv_wnd: u32,
    /// Effective MSS for sending, bytes of data a segment.
    pub mss: u16,
    /// Whether both ends send timestamps (RFC 7323 §3.2).
    pub timestamps: bool,
    /// Whether both ends permit SACK (RFC 2018 §2).
    pub sack: bool,
    /// Our window shift and the peer's.
    pub shifts: (WindowShift, WindowShift),
    /// Whether there was data in the SYN (RFC 7413).
    pub syn_data: SynData,
    /// Why it ended, once it has.
    pub close_reason: Option<CloseReason>,
}
