//! The TCP settings of a host: one `Settings` per shard, shared by all its connections.

use crate::tcp::EcnPolicy;
use crate::tcp::congestion::{Algorithm, SlowStartExit};
use crate::tcp::mss::MSS_DEFAULT;
use crate::time::Duration;

/// The tunable parameters of the protocol. Defaults follow the RFCs except where noted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest segment that we receive and send, in bytes of data without options, for IPv4
    /// (`[0]`: MTU - 40) and IPv6 (`[1]`: MTU - 60). RFC 9293 §3.7.1.
    pub mss: [u16; 2],
    /// Maximum receive buffer of a connection, bytes. It limits the offered window, and with it the
    /// throughput: 16 MiB give 1.3 Gbit/s over 100 ms. It also determines the window scale (RFC
    /// 7323 §2.3).
    pub receive_buffer: u32,
    /// Initial receive buffer of a connection, bytes, at most the maximum. It grows as the program
    /// reads faster. Larger values exhaust memory sooner; smaller ones make slow start wait for the
    /// window.
    pub receive_buffer_initial: u32,
    /// Initial window offered out of a larger receive buffer, bytes. The window opens by twice what
    /// the program reads, so a connection that is not read receives little. `None` offers the whole
    /// buffer at once.
    pub window_opening: Option<u32>,
    /// Maximum send buffer of a connection, bytes. It holds the data in flight, so it limits the
    /// throughput too.
    pub send_buffer: u32,
    /// Send buffer of a connection with a small congestion window, bytes; otherwise the send buffer
    /// is twice that window. Smaller values wake the program for every few segments.
    pub send_buffer_initial: u32,
    /// Minimum retransmission timeout. RFC 6298 (2.4) says 1 s; hosts use 200 ms.
    pub rto_min: Duration,
    /// Minimum margin of the timeout over the smoothed round-trip time: G of RFC 6298 (2.3), the
    /// tick of the timers. With less, a timer that fires a tick early would beat the ACK on a path
    /// without variance; with more, short paths wait needlessly. Linux uses 200 ms.
    pub rto_margin: Duration,
    /// Retransmission timeout before the first measurement: 1 s (RFC 6298 (2.1)). RFC 2525 §2.7
    /// describes the harm of less.
    pub rto_initial: Duration,
    /// Maximum retransmission timeout: at least 60 s (RFC 6298 (2.5)).
    pub rto_max: Duration,
    /// R2 for data: how long unacknowledged data is retransmitted before the connection is given up
    /// (RFC 9293 §3.8.3: at least 100 s).
    pub give_up_after: Duration,
    /// Maximum retransmissions of a SYN (R2 for SYN: at least 3 minutes, RFC 9293 MUST-23; 6
    /// retries from 1 s give 127 s, 7 give 255 s).
    pub syn_retries: u8,
    /// Maximum retransmissions of a SYN-ACK before the embryo is dropped.
    pub syn_ack_retries: u8,
    /// Maximum delay of an ACK: below 0.5 s (RFC 9293 MUST-40).
    pub ack_delay: Duration,
    /// Nagle's algorithm for new connections (RFC 9293 §3.7.4). Turn it off for latency.
    pub nagle: bool,
    /// If true, a small segment waits only for unacknowledged small segments
    /// (draft-minshall-nagle), as in Linux, and not for all unacknowledged data.
    pub nagle_by_small: bool,
    /// Keep-alive for new connections. `None` turns it off, the default (RFC 9293 MUST-25). When
    /// on, the default idle time is no less than two hours (MUST-28).
    pub keep_alive: Option<KeepAlive>,
    /// Duration of FIN-WAIT-2 after the program closed both directions. The peer may never send its
    /// FIN. RFC 9293 §3.6 sets no limit; hosts use 60 s.
    pub fin_wait_2: Duration,
    /// Maximum segment lifetime. TIME-WAIT lasts twice as long. RFC 9293 §3.4.2 says 2 minutes;
    /// hosts use 30 s.
    pub msl: Duration,
    /// The initial window in segments: 10 (RFC 6928).
    pub initial_window: u8,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Drop segments without timestamps once both ends have negotiated them (RFC 7323 §3.2 SHOULD).
    /// Linux accepts them.
    pub drop_unstamped: bool,
    /// Offer selective acknowledgment (RFC 2018), and with it RACK-TLP (RFC 8985).
    pub sack: bool,
    /// Offer window scaling.
    pub window_scaling: bool,
    /// Probe with the first segment when nothing of the flight is acknowledged. RFC 8985 §7.3 and
    /// Linux probe with the last. A listener that answered with a SYN cookie recognizes the
    /// connection by the first segment only.
    pub probe_with_first: bool,
    /// Send tail loss probes (RFC 8985 §7).
    pub tail_probes: bool,
    /// Allowance of a tail loss probe for the peer's delayed ACK of a lone segment,
    /// TLP.max_ack_delay (RFC 8985 §7.2). `None` allows 50 ms, 5 ms for a FIN, and 200 ms for a
    /// peer that was probed unnecessarily. Linux uses 200 ms.
    pub tail_ack_delay: Option<Duration>,
    /// Reduce cwnd to the restart window after an idle period (RFC 5681 §4.1). If false, only RFC
    /// 7661 applies.
    pub idle_restart: bool,
    /// Probe a zero window with an empty segment whose sequence number the peer has already
    /// acknowledged, as Linux does. RFC 9293 §3.8.6.1 probes with an octet of data, which grows the
    /// receiver's queue if it is accepted.
    pub probe_without_data: bool,
    /// Maximum increase of the window by one ACK in slow start, in segments; `None` sets no limit.
    /// RFC 9406 §4.3 has 8 for senders that do not pace and none for those that do; Linux has none.
    pub slow_start_burst: Option<u8>,
    /// The algorithm that ends CUBIC's first slow start before a loss does.
    pub slow_start_exit: SlowStartExit,
    /// Set PSH on the last segment of each burst, as hosts with segmentation offload do; the value
    /// is the minimum number of segments per burst. `None` sets PSH only on the last queued segment
    /// (RFC 9293 MUST-61).
    pub push_bursts: Option<u8>,
    /// Acknowledge received data in the reset of an abort, as hosts do. RFC 9293 §3.10.5 has
    /// <SEQ=SND.NXT><CTL=RST>.
    pub acknowledge_in_resets: bool,
    /// Keep received data readable after a reset or an ICMP error, as hosts do. RFC 9293 §3.10.7.4
    /// flushes it.
    pub read_after_reset: bool,
    /// Challenge ACKs per second and connection (RFC 5961 §7). Above two, which two ends with
    /// different state need to resynchronize; far below the shard's limit, so that one connection
    /// cannot exhaust it.
    pub challenge_acks_per_connection: u8,
    /// Challenge ACKs per second and shard, randomized by half of it either way, so that an
    /// attacker cannot infer from the remaining number how many ACKs other connections used.
    pub challenge_acks_per_second: u32,
    /// The congestion control algorithm of new connections.
    pub congestion: Algorithm,
    /// Pace all connections. If false, only those whose congestion control needs it (BBR) are
    /// paced: each paced segment costs a timer, and ACKs clock the loss-based algorithms.
    pub pacing: bool,
    /// The ECN policy: request ECN, accept it, or neither.
    pub ecn: EcnPolicy,
    /// Search for the path MTU (RFC 4821).
    pub mtu_probing: MtuProbing,
    /// Packet size that every path is expected to carry, bytes, for IPv4 and IPv6: the start of the
    /// search (RFC 4821 §7.2 has 1024, RFC 8899 §5.1.2 has 1200 and 1280 as `BASE_PLPMTU`). Larger
    /// values cost another timeout on paths with a smaller MTU; smaller ones lengthen the search.
    pub mtu_base: [u16; 2],
    /// Initial pause before data is sent in a SYN again to a server that did not accept it (RFC
    /// 7413 §4.1.3.1). Doubles with each repetition. Zero tries at every open.
    pub fast_open_pause: Duration,
    /// MSS assumed for servers with an unknown MSS, for data in a SYN, IPv4 and IPv6 (RFC 7413
    /// §4.1.3).
    pub fast_open_mss: [u16; 2],
}

/// Keep-alive parameters (RFC 9293 §3.8.4). The defaults avoid the problems of RFC 2525 §2.9 and
/// §2.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Idle time before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes before the connection is given up.
    pub probes: u8,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// The policy for the path MTU search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MtuProbing {
    /// Never: only ICMP reports a path's MTU.
    Off,
    /// On paths that silently drop large packets: a "black hole" (RFC 2923 §2.1).
    #[default]
    BlackHole,
    /// On every path: packets start small (RFC 4821 §7.2) and grow with successful probes.
    On,
}

impl Settings {
    /// Returns the most that one ACK may add to the window in slow start, bytes.
    pub(super) fn slow_start_max(&self, mss: u16) -> u32 {
        self.slow_start_burst.map_or(u32::MAX, |segments| u32::from(segments) * u32::from(mss))
    }

    /// Returns the receive buffer of a new connection.
    #[inline]
    pub(super) fn first_receive_buffer(&self) -> u32 {
        self.receive_buffer_initial.min(self.receive_buffer)
    }

    /// Returns the window of a SYN. RFC 7323 §2.2: it "MUST NOT be scaled".
    #[inline]
    pub(super) fn syn_window(&self) -> u32 {
        self.first_receive_buffer().min(u32::from(u16::MAX))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mss: [1460, 1440],
            receive_buffer: 16 << 20,
            receive_buffer_initial: 64 << 10,
            window_opening: None,
            send_buffer: 16 << 20,
            send_buffer_initial: 64 << 10,
            rto_min: Duration::from_millis(200),
            rto_margin: Duration::from_millis(1),
            rto_initial: Duration::from_secs(1),
            rto_max: Duration::from_secs(60),
            give_up_after: Duration::from_secs(120),
            syn_retries: 7,
            syn_ack_retries: 5,
            ack_delay: Duration::from_millis(40),
            nagle: true,
            nagle_by_small: false,
            keep_alive: None,
            fin_wait_2: Duration::from_secs(60),
            msl: Duration::from_secs(30),
            initial_window: 10,
            timestamps: true,
            drop_unstamped: true,
            sack: true,
            window_scaling: true,
            probe_with_first: true,
            tail_probes: true,
            tail_ack_delay: None,
            idle_restart: true,
            probe_without_data: false,
            slow_start_burst: Some(8),
            slow_start_exit: SlowStartExit::default(),
            push_bursts: None,
            acknowledge_in_resets: false,
            read_after_reset: false,
            challenge_acks_per_connection: 10,
            challenge_acks_per_second: 1000,
            congestion: Algorithm::default(),
            pacing: false,
            ecn: EcnPolicy::default(),
            mtu_probing: MtuProbing::default(),
            mtu_base: [1200, 1280],
            fast_open_pause: Duration::from_secs(60),
            fast_open_mss: MSS_DEFAULT,
        }
    }
}
