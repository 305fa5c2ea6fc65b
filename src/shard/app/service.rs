//! What a program sees of a stack: a [`Service`] is called on the worker's own thread with an [`Io`] to
//! act through, and runs to completion. The same two traits are served by the kernel's sockets (the
//! command line's `--stack kernel`), so that one program measures both.

use core::net::{IpAddr, SocketAddr};

use crate::shard::fast_open::config::Early;
use crate::shard::flow::id::{ConnId, ListenerId};
pub use crate::tcp::congestion::Algorithm;
pub use crate::tcp::{CloseReason, EcnPolicy, KeepAlive, Loss, Repairs, SynData};
use crate::time::{Duration, Instant};

/// An active open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Where to.
    pub remote: SocketAddr,
    /// From which of our addresses; `None` picks one of the right family.
    pub local: Option<IpAddr>,
    /// The program's own number for the connection, see [`Io::user`].
    pub user: u64,
}

/// What a program may choose for one connection, where the stack's own choice does not suit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// Whether Nagle's algorithm holds small segments back (RFC 9293 MUST-17).
    Nagle(bool),
    /// Whether an idle peer is probed (MUST-24), at the stack's intervals. For established connections.
    KeepAlive(bool),
    /// Keep-alive at times of the connection's own.
    KeepAliveTimes(KeepAlive),
    /// Whether only full segments go, until it is turned off, for a while at most.
    Cork(bool),
    /// Whether what is written from now on is not pushed, as more will follow (RFC 9293 MAY-15).
    MoreFollows(bool),
    /// Whether every segment is acknowledged at once.
    QuickAck(bool),
    /// How long what was sent may stay unacknowledged (RFC 9293 §3.8.3); `None`, as the stack has it.
    UserTimeout(Option<Duration>),
    /// Whether the peer is told of the user timeout, and its advice followed (RFC 5482).
    UserTimeoutOption(bool),
    /// The congestion control, for connections being opened or established ones.
    CongestionControl(Algorithm),
    /// The most that may leave, bytes a second; `None` sets no bound.
    PacingRateMax(Option<u64>),
    /// The largest window that the peer is offered, bytes; `None` leaves it to the receive buffer.
    WindowMax(Option<u32>),
    /// How often the SYN is sent again; for connections being opened.
    SynRetries(u8),
    /// The differentiated services code point of what is sent, 0 to 63 (MUST-48, SHLD-21).
    DiffServ(u8),
    /// Whether ECN is asked for (RFC 3168, RFC 9768); for connections being opened.
    Ecn(EcnPolicy),
}

/// What troubles a connection that goes on nonetheless (RFC 9293 §3.9.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftError {
    /// Three retransmissions in a row were not answered (threshold R1, RFC 9293 §3.8.3).
    Unanswered,
    /// ICMP told that the peer can't be reached.
    Unreachable,
}

/// Why an active open could not even begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ConnectError {
    /// No local address of that family, or the one asked for is not ours.
    #[error("no local address of that family on the stack: give one with --address")]
    NoAddress,
    /// Every source port towards that target is taken or in TIME-WAIT.
    #[error("every source port towards the target is in use: use more source addresses or targets")]
    NoPort,
    /// The shard holds as many connections as its limits allow.
    #[error("the connection table is full: raise the limit of connections")]
    TableFull,
    /// No route to the target.
    #[error("no route to the target: give a gateway, or an address in its network")]
    NoRoute,
}

/// How a connection is doing, like `ss -ti`. Times in nanoseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnInfo {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The state's name as RFC 9293 writes it.
    pub state: &'static str,
    /// Congestion window.
    pub cwnd: u32,
    /// The congestion control; `None` is one of the kernel's that this stack has not.
    pub congestion: Option<Algorithm>,
    /// Slow-start threshold; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// Smoothed round-trip time; 0 before the first measurement.
    pub srtt_ns: u64,
    /// Its smoothed deviation.
    pub rttvar_ns: u64,
    /// The least round-trip time of late; 0 where it is not known.
    pub rtt_min_ns: u64,
    /// Retransmission timeout.
    pub rto_ns: u64,
    /// Segments sent again so far.
    pub retransmissions: u32,
    /// Timeouts since the peer last acknowledged something new.
    pub timeouts: u32,
    /// Bytes of data in a full segment.
    pub mss: u32,
    /// What the peer takes: SND.WND.
    pub send_window: u32,
    /// What we take: RCV.WND.
    pub receive_window: u32,
    /// What the send buffer may hold now.
    pub send_buffer: u32,
    /// What the receive buffer may hold now.
    pub receive_buffer: u32,
    /// What the program read in the last round trip; 0 unless it reads in bulk.
    pub receive_space: u32,
    /// Bytes that the peer has acknowledged.
    pub bytes_acked: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// What loss recovery does and has done.
    pub repairs: Repairs,
    /// Bytes a second that were delivered in the last whole round trip; `None` where it is not known.
    pub delivery_rate: Option<u64>,
    /// Bytes a second at which the sender spaces its segments; `None` when it does not.
    pub pacing_rate: Option<u64>,
    /// Sent and not yet acknowledged.
    pub in_flight: u32,
    /// Written and not yet acknowledged.
    pub send_queued: u32,
    /// Received and not yet read.
    pub receive_queued: u32,
    /// Whether there was data in the SYN, and what became of it (RFC 7413).
    pub syn_data: SynData,
}

impl ConnInfo {
    /// Of a flow of which there is no more to tell than its ends and its state.
    pub(in crate::shard) const fn outline(
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

/// The memory of a shard's buffers, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The most that there may be of it.
    pub limit: usize,
    /// What receive buffers may grow to; `promised` and `lent` never pass the limit together.
    pub promised: usize,
    /// Send buffers.
    pub lent: usize,
    /// What holds data now, of both.
    pub in_use: usize,
    /// What the process has of it: in use, or resting for the next.
    pub held: usize,
}

impl Memory {
    /// What nobody has a claim to.
    pub const fn free(&self) -> usize {
        self.limit.saturating_sub(self.promised + self.lent)
    }
}

/// What a service can do. Every call is about connections of this worker, returns at once, and takes
/// effect before the turn ends.
pub trait Io {
    /// The time of this turn.
    fn now(&self) -> Instant;

    /// Opens a connection; [`Service::on_connected`] or [`Service::on_closed`] tells how it went.
    ///
    /// # Errors
    /// When nothing could be sent at all; there is no callback then.
    fn connect(&mut self, open: &ConnectOptions) -> Result<ConnId, ConnectError>;

    /// The same, with data that goes in the SYN where the server is known to take it (RFC 7413, TCP Fast
    /// Open), and follows the handshake where it is not. Gives the connection and how many bytes were taken,
    /// as [`write`](Io::write) does. A server that is not known is asked for a cookie on the way.
    ///
    /// The network may bring a SYN twice, long after the first: only for requests that can bear being
    /// answered twice (RFC 7413 §6.1).
    ///
    /// # Errors
    /// As [`connect`](Io::connect).
    fn connect_with(
        &mut self,
        open: &ConnectOptions,
        early: &Early<'_>,
    ) -> Result<(ConnId, usize), ConnectError> {
        let conn = self.connect(open)?;
        Ok((conn, self.write(conn, early.data)))
    }

    /// Bytes that the SYN of [`connect_with`](Io::connect_with) would take along now; `None` when the server
    /// is not known to take any.
    fn early_room(&mut self, _open: &ConnectOptions, _early: &Early<'_>) -> Option<usize> {
        None
    }

    /// Copies received data into `buffer` and returns how many bytes; 0 when there is none now (or the
    /// handle is stale).
    fn read(&mut self, conn: ConnId, buffer: &mut [u8]) -> usize;

    /// Queues data and returns how many bytes were taken; when fewer than offered,
    /// [`Service::on_writable`] follows once there is room.
    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> usize;

    /// Queues data as [`write`](Io::write) does and marks it, and all before it, as urgent. New programs
    /// should not (RFC 9293 SHLD-13); where there is no such mechanism it is plain data.
    fn write_urgent(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.write(conn, bytes)
    }

    /// Bytes of urgent data still to be read, arrived or not; 0 where there is no such mechanism.
    fn urgent(&self, _conn: ConnId) -> usize {
        0
    }

    /// Bytes that [`write`](Io::write) would take now.
    fn write_room(&self, conn: ConnId) -> usize;

    /// Bytes that [`read`](Io::read) would give now.
    fn readable(&self, conn: ConnId) -> usize;

    /// Closes our direction after what was written: FIN. Reading goes on (half-close).
    fn close(&mut self, conn: ConnId);

    /// Closes both directions: as [`close`](Io::close), and nothing more will be read. What is unread, or
    /// arrives from now on, is answered with a reset.
    fn close_both(&mut self, conn: ConnId);

    /// The same, and if it is not done by `deadline` the connection ends with a reset.
    fn close_by(&mut self, conn: ConnId, deadline: Instant);

    /// Ends the connection at once with a reset.
    fn abort(&mut self, conn: ConnId);

    /// Chooses something for one connection; nothing where the handle is stale.
    fn set_option(&mut self, conn: ConnId, option: SocketOption);

    /// The program's own number for the connection; 0 for a stale handle.
    fn user_data(&self, conn: ConnId) -> u64;

    /// Sets the program's own number.
    fn set_user_data(&mut self, conn: ConnId, user: u64);

    /// How the connection is doing.
    fn info(&self, conn: ConnId) -> Option<ConnInfo>;

    /// Segments sent again by all connections of this worker so far, where the stack can tell.
    fn retransmissions(&self) -> u64;

    /// Asks for [`Service::on_alarm`] at `at` (one alarm a worker: the earliest asked for wins).
    fn set_alarm(&mut self, at: Instant);

    /// Asks the worker to stop after this turn.
    fn stop(&mut self);

    /// Connections of this worker, of every kind but TIME-WAIT.
    fn connections(&self) -> usize;
}

/// A program that runs on a worker. Each call is made between receiving a batch and sending its answers.
#[allow(unused_variables)]
pub trait Service {
    /// The worker starts.
    fn on_start(&mut self, io: &mut dyn Io) {}

    /// A passive open reached ESTABLISHED; with Fast Open, its SYN brought a good cookie, and it may be written
    /// to already.
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {}

    /// An active open reached ESTABLISHED. `took` runs from the SYN to the SYN-ACK.
    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {}

    /// There is new data to read.
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// There is room again after a short write.
    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// The peer has announced urgent data, or more of it: [`Io::urgent`] tells how much (RFC 9293 §3.8.5).
    /// It is read like any other.
    fn on_urgent(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// The peer closed its direction; what is still readable is the end of it.
    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// Something is wrong, and the connection goes on. RFC 9293 MUST-47; a service that does not want to
    /// hear of it leaves this out (SHLD-20).
    fn on_soft_error(&mut self, io: &mut dyn Io, conn: ConnId, error: SoftError) {}

    /// The connection is over; `user` is the program's number, the handle is stale from now on.
    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, ending: CloseReason) {}

    /// The alarm of [`Io::set_alarm`].
    fn on_alarm(&mut self, io: &mut dyn Io) {}
}
