//! A connection from SYN-SENT or ESTABLISHED to its end: the two halves and what joins them. This
//! file delegates; the steps of an arriving segment are in `arrive`, the questions in `transmit`.

use super::embryo::Embryo;
use super::time_wait::TimeWait;
use super::{BufferPool, Phase, Segment, SegmentOut, SeqNum, Settings};
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
    /// The connection is over; see [`Connection::close_reason`].
    pub const CLOSED: Self = Self(16);

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
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
    /// To be answered by the caller with [`SegmentOut::reset_for`]: it acknowledges what this
    /// connection, still opening, never sent (RFC 9293 §3.10.7.3). The connection goes on.
    Reset,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    phase: Phase,
    events: Events,
    close_reason: Option<CloseReason>,
}

/// How a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Congestion window, bytes.
    pub cwnd: u32,
    /// Slow-start threshold, bytes; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// Smoothed round-trip time; zero before the first measurement.
    pub srtt: Duration,
    /// Retransmission timeout, backoff included.
    pub rto: Duration,
    /// Segments sent again so far.
    pub retransmissions: u32,
    /// Bytes sent and not yet acknowledged.
    pub in_flight: u32,
    /// Bytes written and not yet acknowledged.
    pub send_queued: u32,
    /// Bytes received and not yet read.
    pub receive_queued: u32,
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
}

#[allow(unused_variables)]
impl Connection {
    /// An active open: SYN-SENT; [`Self::poll_segment`] gives the SYN.
    pub fn open(env: &mut Env<'_>, iss: SeqNum, timestamp_offset: u32, ipv6: bool) -> Self {
        Self { phase: Phase::SynSent, events: Events::default(), close_reason: None }
    }

    /// A passive open whose handshake `handshake_ack` completes: ESTABLISHED. The caller then feeds the
    /// same segment to [`Self::on_segment`], since data or a FIN may ride on it.
    pub fn from_embryo(
        env: &mut Env<'_>,
        embryo: &Embryo,
        timestamp_offset: u32,
        ipv6: bool,
        handshake_ack: &Segment<'_>,
    ) -> Self {
        Self { phase: Phase::Established, events: Events::default(), close_reason: None }
    }

    /// A segment arrived.
    pub fn on_segment(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Disposition {
        Disposition::Accepted
    }

    /// Time has come to [`Self::poll_deadline`]; harmless when it has not.
    pub fn on_deadline(&mut self, env: &mut Env<'_>) {}

    /// When [`Self::on_deadline`] wants to be called; ask again after every other call.
    pub fn poll_deadline(&self) -> Option<Instant> {
        None
    }

    /// The next segment owed, counted as sent: the caller must send it.
    pub fn poll_segment(&mut self, env: &mut Env<'_>) -> Option<SegmentOut<'_>> {
        None
    }

    /// Whether [`Self::poll_segment`] would give something.
    pub fn owes(&self) -> bool {
        false
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// Why it ended, once it has.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// The state.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the caller may let go of it: CLOSED or TIME-WAIT, nothing owed, nothing left to read.
    pub fn is_over(&self) -> bool {
        false
    }

    /// Takes received bytes.
    pub fn read(&mut self, env: &mut Env<'_>, bytes: &mut [u8]) -> usize {
        0
    }

    /// Queues bytes; when fewer are taken than offered, [`Events::WRITABLE`] follows.
    pub fn write(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        0
    }

    /// Bytes that [`Self::write`] would take now, memory permitting.
    pub fn write_room(&self, settings: &Settings) -> usize {
        0
    }

    /// Bytes that [`Self::read`] would give now.
    pub fn readable(&self) -> usize {
        0
    }

    /// Closes our direction after what was written: FIN. Reading goes on (half-close).
    pub fn close(&mut self, env: &mut Env<'_>) {}

    /// Closes both directions: as [`Self::close`], and nothing more will be read. Data unread, or
    /// arriving from now on, is answered with a reset (RFC 9293 §3.6.1, RFC 2525 §2.17).
    pub fn close_both(&mut self, env: &mut Env<'_>) {}

    /// Ends it at once: CLOSED, with a reset owed where the phase demands one.
    pub fn abort(&mut self, env: &mut Env<'_>) {}

    /// ICMP about a segment of ours that began at `quoted_seq`.
    pub fn on_path_error(&mut self, env: &mut Env<'_>, error: PathError, quoted_seq: SeqNum) {}

    /// What is kept of it in TIME-WAIT, and whether it uses timestamps.
    pub fn to_time_wait(&self) -> (TimeWait, bool) {
        (TimeWait::new(SeqNum(0), SeqNum(0), 0), false)
    }

    /// Gives all buffers back, before it is dropped.
    pub fn release(&mut self, pool: &mut BufferPool) {}

    /// How it is doing.
    pub fn info(&self, settings: &Settings) -> Info {
        Info {
            cwnd: 0,
            ssthresh: 0,
            srtt: Duration::ZERO,
            rto: Duration::ZERO,
            retransmissions: 0,
            in_flight: 0,
            send_queued: 0,
            receive_queued: 0,
            iss: SeqNum(0),
            snd_una: SeqNum(0),
            snd_nxt: SeqNum(0),
            snd_wnd: 0,
            irs: SeqNum(0),
            rcv_nxt: SeqNum(0),
            rcv_wnd: 0,
            mss: 0,
        }
    }
}
