//! The states of a connection (RFC 9293 §3.3.2) and the table of legal edges (figure 5).

/// The state of a [`super::Connection`]. LISTEN and CLOSED-before-open have no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// SYN-SENT.
    SynSent,
    /// SYN-RECEIVED.
    SynReceived,
    /// ESTABLISHED.
    Established,
    /// FIN-WAIT-1.
    FinWait1,
    /// FIN-WAIT-2.
    FinWait2,
    /// CLOSE-WAIT.
    CloseWait,
    /// CLOSING.
    Closing,
    /// LAST-ACK.
    LastAck,
    /// TIME-WAIT: the shard moves the connection to its TIME-WAIT table once it owes nothing.
    TimeWait,
    /// CLOSED: the shard removes the connection.
    Closed,
}
