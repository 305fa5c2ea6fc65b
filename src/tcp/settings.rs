//! What a host may choose about TCP: one `Settings` per shard, shared by all its connections.

use crate::tcp::EcnPolicy;
use crate::tcp::congestion::{Algorithm, SlowStartExit};
use crate::tcp::mss::MSS_DEFAULT;
use crate::time::Duration;

/// The tunable part of the protocol. Every field's default is what its RFC names.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest segment we can receive and send, in bytes of data without options, for IPv4
    /// (`[0]`: MTU - 40) and IPv6 (`[1]`: MTU - 60). RFC 9293 §3.7.1.
    pub mss: [u16; 2],
    /// The largest receive buffer of a connection, bytes; bounds the window that we offer, and with it the
    /// throughput: 16 MiB are 1.3 Gbit/s over 100 ms. It says the window scale too (RFC 7323 §2.3).
    pub receive_buffer: u32,
    /// The receive buffer that a connection begins with, bytes, at most the largest: it grows as data is read
    /// faster. More, and memory is short sooner; less, and slow start waits for the window.
    pub receive_buffer_initial: u32,
    /// What a peer is offered at first of a larger receive buffer, bytes: the window opens by twice what the
    /// program reads, so that who reads nothing is sent little. `None` offers the buffer at once.
    pub window_opening: Option<u32>,
    /// The largest send buffer of a connection, bytes. It holds what is in flight, so it bounds the
    /// throughput too.
    pub send_buffer: u32,
    /// The send buffer of a connection whose congestion window is small, bytes; else it is twice that window.
    /// Less, and a program is woken for every few segments.
    pub send_buffer_initial: u32,
    /// The smallest retransmission timeout. RFC 6298 (2.4) says 1 s; 200 ms is what hosts use.
    pub rto_min: Duration,
    /// The least that the timeout exceeds the smoothed round trip by: G of RFC 6298 (2.3), the tick of the
    /// timers. Less, and a timer that fires a tick early would beat the ACK on a path with no variance;
    /// more, and short paths wait for nothing. Linux has 200 ms here.
    pub rto_margin: Duration,
    /// The retransmission timeout before the first measurement: 1 s (RFC 6298 (2.1)); less is
    /// RFC 2525 §2.7.
    pub rto_initial: Duration,
    /// The largest retransmission timeout: at least 60 s (RFC 6298 (2.5)).
    pub rto_max: Duration,
    /// R2 for data: how long unacknowledged data is sent again before the connection is given up
    /// (RFC 9293 §3.8.3: at least 100 s).
    pub give_up_after: Duration,
    /// How often a SYN is sent again (R2 for SYN: at least 3 minutes, RFC 9293 MUST-23; 6 retries from
    /// 1 s give 127 s, 7 give 255 s).
    pub syn_retries: u8,
    /// How often a SYN-ACK is sent again before the embryo is dropped.
    pub syn_ack_retries: u8,
    /// How long an ACK may wait for company: below 0.5 s (RFC 9293 MUST-40).
    pub ack_delay: Duration,
    /// Nagle's algorithm for new connections (RFC 9293 §3.7.4); off favours latency.
    pub nagle: bool,
    /// Whether a small segment waits only for small ones before it to be acknowledged (draft-minshall-nagle), as
    /// Linux has it, and not for all data.
    pub nagle_by_small: bool,
    /// Keep-alive: idle time before the first probe; `None` is off, the default (RFC 9293 MUST-25),
    /// and no less than two hours by default when on (MUST-28).
    pub keep_alive: Option<KeepAlive>,
    /// How long FIN-WAIT-2 lasts when the program has closed both directions: the peer then has
    /// nothing to say, yet may never say that (RFC 9293 §3.6 leaves it open; hosts use 60 s).
    pub fin_wait_2: Duration,
    /// Maximum segment lifetime; TIME-WAIT lasts twice this. RFC 9293 §3.4.2 says 2 minutes; hosts use
    /// 30 s.
    pub msl: Duration,
    /// The initial window in segments: 10 (RFC 6928).
    pub initial_window: u8,
    /// Whether to offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Whether a segment without timestamps is dropped once both ends have agreed to send them (RFC 7323
    /// §3.2 SHOULD); Linux takes it.
    pub drop_unstamped: bool,
    /// Whether to offer selective acknowledgment (RFC 2018), and with it RACK-TLP (RFC 8985).
    pub sack: bool,
    /// Whether to offer window scaling.
    pub window_scaling: bool,
    /// Whether the first probe of a flight of which nothing is acknowledged is the first segment, where RFC
    /// 8985 §7.3 takes the last one: a listener that answered with a SYN cookie knows the connection by the
    /// first alone. Linux takes the last.
    pub probe_with_first: bool,
    /// Whether the tail of a flight is probed (RFC 8985 §7).
    pub tail_probes: bool,
    /// What a probe allows the peer for the ACK of a lone segment, TLP.max_ack_delay (RFC 8985 §7.2); `None`
    /// allows 50 ms, 5 ms for a FIN, and 200 ms to a peer that was probed in vain. Linux has 200 ms.
    pub tail_ack_delay: Option<Duration>,
    /// Whether cwnd falls to the restart window after a silence (RFC 5681 §4.1); off, RFC 7661 alone judges it.
    pub idle_restart: bool,
    /// Whether a closed window is probed by a segment without data, of a number that the peer has
    /// acknowledged, as Linux does. RFC 9293 §3.8.6.1 has an octet of data: what takes it grows by it.
    pub probe_without_data: bool,
    /// Segments that one ACK may add to the window in slow start; `None` sets no bound. RFC 9406 §4.3 has
    /// 8 for senders that do not pace and none for those that do; Linux sets none.
    pub slow_start_burst: Option<u8>,
    /// What ends the first slow start of CUBIC before a loss does.
    pub slow_start_exit: SlowStartExit,
    /// Whether each burst of segments ends with PSH, as hosts with segmentation offload do, and how many
    /// segments make one at least; off, only the last of what is queued has it (RFC 9293 MUST-61).
    pub push_bursts: Option<u8>,
    /// Whether the reset of an abort acknowledges what was received too, as hosts do; RFC 9293 §3.10.5 has
    /// <SEQ=SND.NXT><CTL=RST>.
    pub acknowledge_in_resets: bool,
    /// Whether what was received before a reset, or an end by ICMP, can still be read, as hosts have it; RFC 9293
    /// §3.10.7.4 flushes it.
    pub read_after_reset: bool,
    /// Challenge ACKs a second and connection (RFC 5961 §7): more than two ends that disagree need to find out,
    /// fewer than it takes to use up what the shard has.
    pub challenge_acks_per_connection: u8,
    /// Challenge ACKs a second and shard, give or take a half, so that nobody can tell from what is left of
    /// them how many others got.
    pub challenge_acks_per_second: u32,
    /// The congestion control of new connections.
    pub congestion: Algorithm,
    /// Whether all connections are paced. Off, only those are whose congestion control needs it (BBR): a
    /// paced segment costs a timer, and the loss-based ones are clocked by their ACKs.
    pub pacing: bool,
    /// Whether ECN is asked for and agreed to.
    pub ecn: EcnPolicy,
    /// Whether the largest packet of a path is searched for (RFC 4821).
    pub mtu_probing: MtuProbing,
    /// Packets that every path is expected to take, bytes, for IPv4 and IPv6: where the search begins (RFC 4821
    /// §7.2 has 1024, RFC 8899 §5.1.2 has 1200 and 1280 as `BASE_PLPMTU`). More, and paths that take less go
    /// through another timeout; less, and the search takes longer.
    pub mtu_base: [u16; 2],
    /// How long a server that took no data in a SYN is opened without (RFC 7413 §4.1.3.1), at first; twice as
    /// long each time that it happens again. Zero, and each open tries anew.
    pub fast_open_pause: Duration,
    /// The MSS of servers that have told none, for data in a SYN, IPv4 and IPv6 (RFC 7413 §4.1.3).
    pub fast_open_mss: [u16; 2],
}

/// Keep-alive (RFC 9293 §3.8.4). The defaults are far from RFC 2525 §2.9 and §2.11.
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

/// Whether paths are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MtuProbing {
    /// Not at all: only ICMP tells of a path's MTU.
    Off,
    /// On paths that lose what is large and say nothing of it: a "black hole" (RFC 2923 §2.1).
    #[default]
    BlackHole,
    /// On every path: packets are small at first (RFC 4821 §7.2), and grow by what probes find.
    On,
}

impl Settings {
    /// What one ACK may add to the window in slow start, bytes.
    pub(super) fn slow_start_max(&self, mss: u16) -> u32 {
        self.slow_start_burst.map_or(u32::MAX, |segments| u32::from(segments) * u32::from(mss))
    }

    /// The receive buffer of a new connection.
    #[inline]
    pub(super) fn first_receive_buffer(&self) -> u32 {
        self.receive_buffer_initial.min(self.receive_buffer)
    }

    /// The window of a SYN. RFC 7323 §2.2: it "MUST NOT be scaled".
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
