//! Reasons for dropping a packet.

use super::named::named;

named! {
    /// Reason for dropping a packet.
    DropReason {
        /// The packet is shorter than its headers say.
        Truncated = "truncated",
        /// A field has a value that no valid packet has.
        Malformed = "malformed",
        /// The IPv4 header checksum is wrong.
        Ipv4Checksum = "ipv4-checksum",
        /// The TCP checksum is wrong.
        TcpChecksum = "tcp-checksum",
        /// The TCP checksum covers only the pseudo-header: the sender left the rest to an offload
        /// that the virtual link does not perform. Disable it on the peer: `ethtool -K IF tx off`.
        PartialChecksum = "partial-checksum",
        /// The ICMP checksum is wrong.
        IcmpChecksum = "icmp-checksum",
        /// The packet is not addressed to a local address.
        NotOurs = "not-ours",
        /// The stack does not implement the protocol.
        UnknownProtocol = "unknown-protocol",
        /// The length, offset or headers of a fragment are invalid.
        FragmentMalformed = "fragment-malformed",
        /// The fragment is a duplicate.
        FragmentDuplicate = "fragment-duplicate",
        /// The fragment overlaps another with different contents, or belongs to a datagram
        /// discarded for that reason (RFC 5722).
        FragmentOverlap = "fragment-overlap",
        /// Some fragments of the datagram did not arrive in time.
        ReassemblyTimeout = "reassembly-timeout",
        /// The datagram was discarded, or not started, for lack of memory or because it has too
        /// many fragments.
        ReassemblyFull = "reassembly-full",
        /// The source address is one that no host can have.
        BadSource = "bad-source",
        /// No connection and no listener match; the stack answers with a reset.
        NoConnection = "no-connection",
        /// A reset that matches no connection.
        StrayReset = "stray-reset",
        /// The listener's backlog is full.
        BacklogFull = "backlog-full",
        /// An ACK without a valid SYN cookie.
        BadCookie = "bad-cookie",
        /// The connection table is full.
        TableFull = "table-full",
        /// The segment is outside the receive window.
        OutOfWindow = "out-of-window",
        /// The timestamp is older than the last one (PAWS).
        OldTimestamp = "old-timestamp",
        /// The timestamp is missing although both ends agreed to send it.
        NoTimestamp = "no-timestamp",
        /// The segment acknowledges data that was never sent.
        BadAck = "bad-ack",
        /// A SYN in a synchronized state.
        ChallengedSyn = "challenged-syn",
        /// A reset that is not exactly in sequence.
        ChallengedReset = "challenged-reset",
        /// The ACK bit is missing where it is required.
        NoAck = "no-ack",
        /// No buffer is free for the data.
        NoBuffer = "no-buffer",
        /// Data arrived after the program closed the connection.
        AfterClose = "after-close",
        /// No frame is free for transmission.
        NoFrame = "no-frame",
        /// The queue of packets that wait for the neighbour is full, or the neighbour does not
        /// answer.
        NoNeighbour = "no-neighbour",
        /// No route to the destination exists.
        NoRoute = "no-route",
        /// An ICMP message that matches no connection (RFC 5927).
        IcmpUnmatched = "icmp-unmatched",
        /// A router advertisement or redirect that the configuration or its checks reject.
        RouterIgnored = "router-ignored",
        /// The rate limit for unsolicited answers is reached.
        RateLimited = "rate-limited",
        /// The queue to another worker is full.
        HandoverFull = "handover-full",
    }
}
