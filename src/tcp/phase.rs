//! The states of a connection (RFC 9293 §3.3.2) and the table of legal edges (figure 5).
//!
//! Owns the transitions and what each state permits. Refuses to know the reason for a transition:
//! `arrive` and the program's calls decide that.

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
    /// TIME-WAIT: the shard moves the connection to its TIME-WAIT table once no output is pending.
    TimeWait,
    /// CLOSED: the shard removes the connection.
    Closed,
}

impl Phase {
    /// All states, in the order of a connection's life.
    pub const ALL: [Self; 10] = [
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
    ];

    /// Returns the name as RFC 9293 writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
        }
    }

    /// Returns the legal next states: the arrows of RFC 9293 figure 5.
    ///
    /// Every state can go to CLOSED: by ABORT, by a reset, by R2 (figure 5, note 3, and §3.10.7.4,
    /// second). FIN-WAIT-1 goes to TIME-WAIT on a FIN that also acknowledges ours (note 2).
    pub const fn successors(self) -> &'static [Self] {
        match self {
            Self::SynSent => &[Self::SynReceived, Self::Established, Self::Closed],
            Self::SynReceived => &[Self::Established, Self::FinWait1, Self::Closed],
            Self::Established => &[Self::FinWait1, Self::CloseWait, Self::Closed],
            Self::FinWait1 => &[Self::FinWait2, Self::Closing, Self::TimeWait, Self::Closed],
            Self::FinWait2 | Self::Closing => &[Self::TimeWait, Self::Closed],
            Self::CloseWait => &[Self::LastAck, Self::Closed],
            Self::LastAck | Self::TimeWait => &[Self::Closed],
            Self::Closed => &[],
        }
    }

    /// Returns true if figure 5 has an arrow to `next`.
    pub fn may_become(self, next: Self) -> bool {
        self.successors().contains(&next)
    }

    /// Returns true while the SYNs are not both acknowledged: only SYNs may be sent.
    #[inline]
    pub(in crate::tcp) const fn is_opening(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived)
    }

    /// Returns true if data may be sent or retransmitted.
    #[inline]
    pub(in crate::tcp) const fn may_send(self) -> bool {
        matches!(
            self,
            Self::Established | Self::CloseWait | Self::FinWait1 | Self::Closing | Self::LastAck
        )
    }

    /// Returns true once our direction is closed: a FIN follows the last byte written.
    #[inline]
    pub(in crate::tcp) const fn ends_with_fin(self) -> bool {
        matches!(self, Self::FinWait1 | Self::Closing | Self::LastAck)
    }

    /// Returns true if the program may write (RFC 9293 §3.10.2: data written before ESTABLISHED is
    /// queued).
    #[inline]
    pub(in crate::tcp) const fn may_write(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait)
    }

    /// Returns true if text and a FIN are accepted: the peer has not closed its direction (RFC 9293
    /// §3.10.7.4, seventh).
    #[inline]
    pub(in crate::tcp) const fn may_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Returns true once the peer's FIN arrived in order. Unknown in CLOSED.
    pub const fn peer_has_closed(self) -> bool {
        matches!(self, Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait)
    }

    /// Returns true in a final state: the exchange of FINs is complete, or will not take place.
    #[inline]
    pub(in crate::tcp) const fn is_last(self) -> bool {
        matches!(self, Self::TimeWait | Self::Closed)
    }
}
