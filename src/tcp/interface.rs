//! The types at the boundary of a connection: its environment, its events, its verdicts.

use core::ops::ControlFlow;

use crate::tcp::congestion::Algorithm;
use crate::tcp::{BufferPool, Phase, SeqNum, Settings, SynData, WindowShift};
use crate::time::{Duration, Instant};

/// The environment of one call into a connection.
pub struct Env<'a> {
    /// The current time.
    pub now: Instant,
    /// The shard's settings.
    pub settings: &'a Settings,
    /// The pool that buffers are allocated from and returned to.
    pub pool: &'a mut BufferPool,
    /// Number of challenge ACKs (RFC 5961 §7) that the shard may still send in this second. The
    /// shard refills it from `Settings::challenge_acks_per_second`; connections decrement it.
    pub challenge_acks: &'a mut u32,
}

/// A set of events for the application; see the constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub u8);

impl Events {
    /// An active open reached ESTABLISHED.
    pub const CONNECTED: Self = Self(1);
    /// New data is readable.
    pub const READABLE: Self = Self(2);
    /// The send buffer has room after a short write.
    pub const WRITABLE: Self = Self(4);
    /// The peer's FIN arrived in order: no data follows what is readable now.
    pub const PEER_CLOSED: Self = Self(8);
    /// The connection is over; see [`super::Connection::close_reason`].
    pub const CLOSED: Self = Self(16);
    /// Threshold R1 (RFC 9293 §3.8.3) is reached: the peer does not acknowledge what was sent.
    pub const UNANSWERED: Self = Self(32);
    /// An ICMP message says that the peer is unreachable; the connection goes on (RFC 9293
    /// §3.9.2.2).
    pub const UNREACHABLE: Self = Self(64);

    /// The peer announced new urgent data (RFC 9293 §3.8.5).
    pub const URGENT: Self = Self(128);

    /// Returns true if the set contains all of `other`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Returns true if the set contains any of `other`.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Adds `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
    /// Returns true if no event is pending.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The reason why a connection ended.
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
    /// The peer acknowledged nothing for longer than R2 (RFC 9293 §3.8.3), or never answered the
    /// SYN.
    TimedOut,
    /// Keep-alive probes went unanswered.
    KeepAlive,
    /// An ICMP message said that the peer is unreachable during an active open (RFC 5927 §5).
    Unreachable,
    /// Out of memory.
    NoBuffers,
}

/// An ICMP error about a connection, already validated by the caller against the quoted sequence
/// number (RFC 5927 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Host, network, port or protocol unreachable: a hard error while connecting, soft afterwards.
    Unreachable,
    /// Time exceeded or parameter problem: never ends the connection (RFC 9293 MUST-56).
    Soft,
    /// The path's MTU in bytes (RFC 1191, RFC 8201).
    TooBig(u32),
}

/// The verdict on an arriving segment. Everything but `Accepted` is a named drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Disposition {
    /// The segment was processed.
    Accepted,
    /// Outside the window; answered with an ACK.
    OutOfWindow,
    /// Older than the last timestamp (RFC 7323 §5.3).
    OldTimestamp,
    /// Acknowledges data never sent, or is too old (RFC 5961 §5).
    BadAck,
    /// A SYN in a synchronized state: answered with a challenge ACK (RFC 5961 §4).
    ChallengedSyn,
    /// A reset in the window but not at RCV.NXT: answered with a challenge ACK (RFC 5961 §3).
    ChallengedReset,
    /// The ACK bit is missing where it is required.
    NoAck,
    /// No buffer was available for its data.
    NoBuffer,
    /// Data arrived after the program closed (RFC 9293 §3.6.1); the connection sends a reset.
    AfterClose,
    /// No timestamp, although both ends negotiated them (RFC 7323 §3.2).
    NoTimestamp,
    /// The caller must answer with [`super::SegmentOut::reset_for`]: the segment acknowledges data
    /// that this connection, still opening, never sent (RFC 9293 §3.10.7.3). The connection goes
    /// on.
    Reset,
}

/// The stage of loss recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Nothing is missing.
    #[default]
    None,
    /// Data arrived out of order.
    Disorder,
    /// ECN signalled congestion within the last round trip.
    Marked,
    /// Fast recovery is repairing a loss.
    Recovery,
    /// The retransmission timer expired.
    TimedOut,
}

/// The decision of a processing step: continue, or stop with a verdict.
pub(super) type Step = ControlFlow<Disposition>;

/// The statistics of loss recovery. Without SACK only the stage is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// The current stage.
    pub stage: Loss,
    /// Bytes considered lost and not yet retransmitted.
    pub waiting: u32,
    /// Bytes that the peer has SACKed.
    pub selected: u32,
    /// Segments considered lost so far.
    pub lost: u32,
    /// Segments that the peer reported as duplicates (RFC 2883): retransmitted unnecessarily, or
    /// duplicated by the network.
    pub duplicates: u32,
    /// Tail loss probes sent (RFC 8985 §7).
    pub probes: u32,
    /// Reductions of the congestion window because of losses.
    pub reductions: u32,
    /// Reductions that were undone as spurious (RFC 3522, RFC 3708, RFC 5682).
    pub undone: u32,
    /// True if the path has been seen to reorder segments (RFC 8985 §6.2 step 3).
    pub reordering_seen: bool,
}

impl Repairs {
    /// The statistics of a connection that has lost nothing.
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

/// The statistics of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The state.
    pub phase: Phase,
    /// Congestion window, bytes.
    pub cwnd: u32,
    /// Slow-start threshold, bytes; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// The congestion control algorithm.
    pub congestion: Algorithm,
    /// The pacing rate in bytes per second; `None` if the connection is only ACK-clocked.
    pub pacing_rate: Option<u64>,
    /// Bytes per second delivered in the last complete round trip; `None` with nothing in flight,
    /// or without SACK.
    pub delivery_rate: Option<u64>,
    /// Smoothed round-trip time; zero before the first measurement.
    pub srtt: Duration,
    /// Smoothed deviation of the round-trip time.
    pub rttvar: Duration,
    /// Retransmission timeout, backoff included.
    pub rto: Duration,
    /// Segments retransmitted so far.
    pub retransmissions: u32,
    /// Timeouts since the peer last acknowledged new data.
    pub timeouts: u8,
    /// The statistics of loss recovery.
    pub repairs: Repairs,
    /// Bytes that the peer has acknowledged, modulo 2^40.
    pub bytes_acked: u64,
    /// Bytes received in order, modulo 2^40.
    pub bytes_received: u64,
    /// Bytes sent and not yet acknowledged.
    pub in_flight: u32,
    /// The stage of loss recovery.
    pub loss: Loss,
    /// Segments sent and not acknowledged; of these, SACKed, considered lost (retransmitted or
    /// not), retransmitted.
    pub segments: [u32; 4],
    /// The maximum reordering seen, in segments; at least 3.
    pub reordering: u16,
    /// Number of times that reordering was seen, up to 255.
    pub reorderings: u8,
    /// Minimum round-trip time of the last minutes; zero before the first measurement.
    pub rtt_min: Duration,
    /// Bytes written and not yet acknowledged.
    pub send_queued: u32,
    /// Bytes received and not yet read.
    pub receive_queued: u32,
    /// Current capacity of the send buffer, bytes.
    pub send_buffer: u32,
    /// RCV.BUFF: current capacity of the receive buffer, bytes.
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
    /// Effective MSS for sending, bytes of data per segment.
    pub mss: u16,
    /// True if both ends send timestamps (RFC 7323 §3.2).
    pub timestamps: bool,
    /// True if both ends permit SACK (RFC 2018 §2).
    pub sack: bool,
    /// Our window shift and the peer's.
    pub shifts: (WindowShift, WindowShift),
    /// The fate of data in the SYN (RFC 7413).
    pub syn_data: SynData,
    /// The reason for the close, once the connection has ended.
    pub close_reason: Option<CloseReason>,
}
