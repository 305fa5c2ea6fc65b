//! The options of opens and connections, and the errors that a program gets.

use core::net::{IpAddr, SocketAddr};

use crate::tcp::congestion::Algorithm;
use crate::tcp::{EcnPolicy, KeepAlive};
use crate::time::Duration;

/// The parameters of an active open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Address and port of the peer.
    pub remote: SocketAddr,
    /// Local address to open from; `None` rotates through the local addresses of the same family.
    pub local: Option<IpAddr>,
    /// Initial value of the program's own number for the connection, see
    /// [`Io::user_data`](crate::shard::Io::user_data).
    pub user: u64,
}

/// An option of one connection. Overrides the setting of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// Nagle's algorithm: holds a small segment back while data is unacknowledged
    /// (RFC 9293 MUST-17).
    Nagle(bool),
    /// Keep-alive probes of an idle peer (RFC 9293 MUST-24), at the intervals of the stack. For
    /// established connections.
    KeepAlive(bool),
    /// Keep-alive probes with the given times.
    KeepAliveTimes(KeepAlive),
    /// Sends only full segments until the option is turned off, the connection is closed, or the
    /// override timeout expires.
    Cork(bool),
    /// Data written from now on is followed by more: it is sent without PSH, and small segments
    /// wait (RFC 9293 MAY-15).
    MoreFollows(bool),
    /// Acknowledges every segment at once instead of delaying ACKs.
    QuickAck(bool),
    /// User timeout: how long data may stay unacknowledged before the connection ends with
    /// [`CloseReason::TimedOut`](crate::tcp::CloseReason::TimedOut) (RFC 9293 §3.8.3). `None` uses
    /// the setting of the stack.
    UserTimeout(Option<Duration>),
    /// Advertises the user timeout to the peer and follows the peer's advice (RFC 5482).
    UserTimeoutOption(bool),
    /// Congestion control algorithm, of an established connection or one being opened. A change
    /// keeps the congestion window.
    CongestionControl(Algorithm),
    /// Upper bound of the sending rate, bytes per second; `None` removes the bound.
    PacingRateMax(Option<u64>),
    /// Upper bound of the window offered to the peer, bytes; `None` leaves it to the receive
    /// buffer.
    WindowMax(Option<u32>),
    /// Upper bound of the send buffer, bytes, at least 2,304: `SO_SNDBUF` without the doubling of
    /// Linux. A larger value than the stack's has no effect, and `None` uses the stack's.
    SendBuffer(Option<u32>),
    /// Upper bound of the receive buffer, bytes, at least 1,152: `SO_RCVBUF` without the doubling
    /// of Linux. A larger value than the stack's has no effect, and `None` uses the stack's. An
    /// offered window never shrinks (RFC 9293 §3.8.6), so a smaller buffer takes effect as data
    /// arrives. Set in the same turn as [`Io::connect`](crate::shard::Io::connect), it also sets
    /// the window scale (RFC 7323 §2.3).
    ReceiveBuffer(Option<u32>),
    /// Upper bound of the segments sent, bytes of data and TCP options, at least 88 (`TCP_MAXSEG`).
    /// Set in the same turn as [`Io::connect`](crate::shard::Io::connect), it also bounds the MSS
    /// announced to the peer (RFC 9293 §3.7.1, RFC 6691). On an open connection it only lowers the
    /// segment size.
    Mss(u16),
    /// TTL or hop limit of outgoing packets, at least 1 (RFC 9293 MUST-49); `None` uses that of the
    /// stack.
    HopLimit(Option<u8>),
    /// Accepts data only while fewer than so many bytes wait to be sent (`TCP_NOTSENT_LOWAT`):
    /// [`Io::write_room`](crate::shard::Io::write_room) is 0 otherwise, and
    /// [`Service::on_writable`](crate::shard::Service::on_writable) follows below half of the mark
    /// (Linux, include/net/tcp.h, __tcp_stream_memory_free). Bytes that the congestion window and
    /// the peer's window let out at the end of this turn do not count. `None` removes the mark.
    NotSentLowWater(Option<u32>),
    /// Calls [`Service::on_readable`](crate::shard::Service::on_readable) only once so many bytes
    /// are readable (`SO_RCVLOWAT`), or the peer has closed, or has no room in the receive buffer
    /// for another segment. For 0 and 1 it is called with any data.
    ReceiveLowWater(u32),
    /// Number of SYN retransmissions before an active open fails. For connections being opened.
    SynRetries(u8),
    /// Differentiated services code point of outgoing packets, 0 to 63; larger values mean 63
    /// (RFC 9293 MUST-48, SHLD-21).
    DiffServ(u8),
    /// Negotiation of ECN (RFC 3168, RFC 9768). For connections being opened: set it in the same
    /// turn as [`Io::connect`](crate::shard::Io::connect), before the SYN leaves.
    Ecn(EcnPolicy),
}

/// An error that does not end the connection (RFC 9293 §3.9.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftError {
    /// Three retransmissions in a row were not answered (threshold R1, RFC 9293 §3.8.3).
    Unanswered,
    /// An ICMP error reports that the peer is unreachable.
    Unreachable,
}

/// The reason why [`Io::connect`](crate::shard::Io::connect) failed. No packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ConnectError {
    /// The stack has no local address of that family, or the requested one is not local.
    #[error("no local address of that family on the stack: give one with --address")]
    NoAddress,
    /// Every source port towards the target is in use or in TIME-WAIT.
    #[error("every source port towards the target is in use: use more source addresses or targets")]
    NoPort,
    /// The shard holds as many connections as its limits allow.
    #[error("the connection table is full: raise the limit of connections")]
    TableFull,
    /// No route to the target, or the target is not a unicast address.
    #[error("no route to the target: give a gateway, or an address in its network")]
    NoRoute,
}
