//! The state of connections and of the buffer memory, for programs and reports.

use core::net::SocketAddr;

use crate::tcp::congestion::Algorithm;
use crate::tcp::{CloseReason, Repairs, SynData};

/// The state of a handle, from [`Io::status`](crate::shard::Io::status).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The handshake is in progress.
    Opening,
    /// The connection is open, or closes and still has data to read.
    Open {
        /// The peer has sent FIN: [`Io::readable`](crate::shard::Io::readable) is the rest of the
        /// stream.
        peer_closed: bool,
    },
    /// The connection is over, and [`Service::on_closed`](crate::shard::Service::on_closed) is
    /// about to report it.
    Closed(CloseReason),
    /// The handle names no connection any more.
    Stale,
}

/// The state of a connection, like `ss -ti`. Times are in nanoseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnInfo {
    /// Local address and port.
    pub local: SocketAddr,
    /// Remote address and port.
    pub remote: SocketAddr,
    /// Name of the TCP state, as in RFC 9293.
    pub state: &'static str,
    /// Congestion window.
    pub cwnd: u32,
    /// Congestion control; `None` if the kernel uses one that this stack does not implement.
    pub congestion: Option<Algorithm>,
    /// Slow-start threshold; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// Smoothed round-trip time; 0 before the first measurement.
    pub srtt_ns: u64,
    /// Smoothed deviation of the round-trip time.
    pub rttvar_ns: u64,
    /// Minimum of the recent round-trip times; 0 if unknown.
    pub rtt_min_ns: u64,
    /// Retransmission timeout.
    pub rto_ns: u64,
    /// Number of retransmitted segments.
    pub retransmissions: u32,
    /// Timeouts since the peer last acknowledged new data.
    pub timeouts: u32,
    /// Bytes of data in a full segment.
    pub mss: u32,
    /// Window offered by the peer: SND.WND.
    pub send_window: u32,
    /// Window offered to the peer: RCV.WND.
    pub receive_window: u32,
    /// Current limit of the send buffer.
    pub send_buffer: u32,
    /// Current limit of the receive buffer.
    pub receive_buffer: u32,
    /// Bytes that the program read in the last round trip; 0 unless it reads in bulk.
    pub receive_space: u32,
    /// Bytes acknowledged by the peer.
    pub bytes_acked: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// State and totals of loss recovery.
    pub repairs: Repairs,
    /// Bytes per second delivered in the last complete round trip; `None` if unknown.
    pub delivery_rate: Option<u64>,
    /// Pacing rate, bytes per second; `None` if the sender is not paced.
    pub pacing_rate: Option<u64>,
    /// Bytes sent and not yet acknowledged.
    pub in_flight: u32,
    /// Bytes written and not yet acknowledged.
    pub send_queued: u32,
    /// Bytes received and not yet read.
    pub receive_queued: u32,
    /// Data in the SYN, and its outcome (RFC 7413).
    pub syn_data: SynData,
}

impl ConnInfo {
    /// Returns the info of a flow that has only its ends and its state: an embryo, or TIME-WAIT.
    pub(in crate::shard) const fn without_connection(
        local: SocketAddr,
        remote: SocketAddr,
        state: &'static str,
    ) -> Self {
        Self {
            local,
            remote,
            state,
            cwnd: 0,
            congestion: None,
            ssthresh: 0,
            srtt_ns: 0,
            rttvar_ns: 0,
            rtt_min_ns: 0,
            rto_ns: 0,
            retransmissions: 0,
            timeouts: 0,
            mss: 0,
            send_window: 0,
            receive_window: 0,
            send_buffer: 0,
            receive_buffer: 0,
            receive_space: 0,
            bytes_acked: 0,
            bytes_received: 0,
            repairs: Repairs::NONE,
            delivery_rate: None,
            pacing_rate: None,
            in_flight: 0,
            send_queued: 0,
            receive_queued: 0,
            syn_data: SynData::None,
        }
    }
}

/// The memory of a shard's send and receive buffers, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Upper limit of `promised + send_buffers`.
    pub limit: usize,
    /// Bytes reserved for receive buffers, filled or not.
    pub promised: usize,
    /// Bytes allocated to send buffers.
    pub send_buffers: usize,
    /// Bytes of buffers of both kinds that hold data now.
    pub in_use: usize,
    /// Bytes that the process holds for buffers: in use, or cached for reuse.
    pub held: usize,
}

impl Memory {
    /// Returns the bytes that are neither promised nor allocated.
    pub const fn free(&self) -> usize {
        self.limit.saturating_sub(self.promised + self.send_buffers)
    }
}
