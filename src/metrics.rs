//! The counters of the stack. Every dropped packet has a named reason: [`DropReason`] is the only
//! way to drop one.
//!
//! Owns the names and the plain counters, one set per shard, written by one thread. The runtime
//! publishes copies to other threads.

mod latencies;

pub use latencies::{LATENCY_BUCKETS, Latencies};

macro_rules! named {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name used in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

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

named! {
    /// Events that are counted.
    Event {
        /// TCP segments received.
        SegmentIn = "segments-in",
        /// TCP segments sent.
        SegmentOut = "segments-out",
        /// Segments retransmitted.
        Retransmitted = "retransmitted",
        /// Retransmission timeouts.
        Timeout = "timeouts",
        /// Active opens.
        ActiveOpen = "active-opens",
        /// Passive opens that reached ESTABLISHED.
        PassiveOpen = "passive-opens",
        /// Connections that reached ESTABLISHED, either way.
        Established = "established",
        /// Connections closed cleanly.
        Finished = "finished",
        /// Connections that ended in any other way.
        Broken = "broken",
        /// Resets received for a connection.
        ResetIn = "resets-in",
        /// Resets sent.
        ResetOut = "resets-out",
        /// SYN cookies sent.
        CookieSent = "cookies-sent",
        /// Valid SYN cookies returned by clients.
        CookieAccepted = "cookies-accepted",
        /// Fast Open cookies sent to clients that requested one.
        FastOpenCookieSent = "fast-open-cookies-sent",
        /// Connections accepted by a Fast Open cookie, before the handshake completed.
        FastOpenAccepted = "fast-open-accepted",
        /// SYNs with a Fast Open cookie that is invalid or expired.
        FastOpenBadCookie = "fast-open-bad-cookies",
        /// SYNs with a valid cookie that got an ordinary handshake because too many others were
        /// pending.
        FastOpenLimited = "fast-open-limited",
        /// SYNs sent whose data the server accepted.
        FastOpenTaken = "fast-open-taken",
        /// SYNs sent whose data the server did not accept.
        FastOpenRefused = "fast-open-refused",
        /// Connections that entered TIME-WAIT.
        TimeWait = "time-waits",
        /// TIME-WAIT entries reused by a new open (RFC 6191).
        TimeWaitReused = "time-waits-reused",
        /// TIME-WAIT entries evicted early because the table was full.
        TimeWaitEvicted = "time-waits-evicted",
        /// Path MTUs lowered by ICMP.
        PathMtuLowered = "path-mtu-lowered",
        /// Paths found to drop large packets silently (RFC 4821 §7.7).
        PathBlackHole = "path-black-holes",
        /// Path MTU probes that arrived.
        PathProbeArrived = "path-probes-arrived",
        /// Path MTU probes that were lost while other segments arrived.
        PathProbeLost = "path-probes-lost",
        /// IP fragments received.
        FragmentIn = "fragments-in",
        /// Datagrams reassembled from fragments.
        Reassembled = "reassembled",
        /// Connections reset at close because too many orphans existed already.
        OrphanRefused = "orphans-refused",
        /// Receive windows raised because programs read fast.
        WindowRaised = "windows-raised",
        /// Receive windows lowered because of memory pressure.
        WindowLowered = "windows-lowered",
        /// Buffer allocations that failed.
        MemoryRefused = "memory-refused",
        /// Times that memory pressure began.
        MemoryShort = "memory-short",
        /// Frames handed over to another worker.
        HandedOver = "handed-over",
        /// Frames handed over by another worker.
        TakenOver = "taken-over",
        /// Frames that arrived on a queue other than the one the NIC's hash selects, and had to be
        /// handed over.
        Strayed = "strayed",
        /// Frames timestamped by the driver.
        StampedByDriver = "stamped-by-driver",
        /// Driver timestamps ignored because they are from a clock other than the system's.
        StampForeign = "stamps-foreign",
        /// ARP and NDP answers sent.
        NeighbourAnswered = "neighbour-answers",
        /// Hosts that claimed a local address.
        AddressConflict = "address-conflicts",
        /// Router advertisements applied.
        RouterHeard = "router-advertisements",
        /// Redirects applied.
        Redirected = "redirects",
        /// ICMP echo answers sent.
        EchoAnswered = "echo-answers",
        /// Turns with work to do.
        BusyTurn = "busy-turns",
        /// Turns without work.
        IdleTurn = "idle-turns",
    }
}

/// Counters of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    drops: [u64; DropReason::ALL.len()],
    events: [u64; Event::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self { drops: [0; DropReason::ALL.len()], events: [0; Event::ALL.len()] }
    }
}

impl Counters {
    /// Counts a dropped packet.
    #[inline]
    pub const fn drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    /// Counts an event.
    #[inline]
    pub const fn count(&mut self, event: Event) {
        self.events[event as usize] += 1;
    }

    /// Counts `n` events.
    #[inline]
    pub const fn add(&mut self, event: Event, n: u64) {
        self.events[event as usize] += n;
    }

    /// Counts `n` dropped packets.
    #[inline]
    pub const fn add_drops(&mut self, reason: DropReason, n: u64) {
        self.drops[reason as usize] += n;
    }

    /// Returns the number of packets dropped for `reason`.
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Returns the number of times that `event` happened.
    pub const fn counted(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// Returns the total number of packets dropped.
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Adds the counters of another shard.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
        for (mine, theirs) in self.events.iter_mut().zip(other.events) {
            *mine += theirs;
        }
    }

    /// Returns names and counts for reports. Drops come first, prefixed with `drop.`.
    pub fn entries(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let drops =
            DropReason::ALL.iter().map(|r| (format!("drop.{}", r.name()), self.dropped(*r)));
        let events = Event::ALL.iter().map(|e| (e.name().to_owned(), self.counted(*e)));
        drops.chain(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_under_its_own_name() {
        let mut counters = Counters::default();
        for reason in DropReason::ALL {
            counters.drop(*reason);
        }
        assert!(DropReason::ALL.iter().all(|r| counters.dropped(*r) == 1));
        let mut names: Vec<_> = counters.entries().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len() + Event::ALL.len());
    }

    #[test]
    fn every_counter_is_documented() {
        let page = include_str!("../docs/counters.md");
        let reasons = DropReason::ALL.iter().map(|r| r.name());
        for name in reasons.chain(Event::ALL.iter().map(|e| e.name())) {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, DropReason::ALL.len() + Event::ALL.len());
    }
}
