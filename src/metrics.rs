//! What the stack counts. Every refused packet has a name: [`DropReason`] is the only way to refuse one.
//!
//! Owns the names and the plain counters, one set a shard, written by one thread. The runtime publishes
//! copies to other threads.

mod latencies;

pub use latencies::{LATENCY_BUCKETS, Latencies};

macro_rules! named {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// Why a packet went no further.
    DropReason {
        /// Shorter than its headers say.
        Truncated = "truncated",
        /// A field that no valid packet has.
        Malformed = "malformed",
        /// The IPv4 header's sum is wrong.
        Ipv4Checksum = "ipv4-checksum",
        /// The TCP sum is wrong.
        TcpChecksum = "tcp-checksum",
        /// The TCP sum covers only the pseudo-header: the sender left it to an offload that the virtual
        /// link does not do. Turn it off on the peer: `ethtool -K IF tx off`.
        PartialChecksum = "partial-checksum",
        /// The sum of an ICMP message is wrong.
        IcmpChecksum = "icmp-checksum",
        /// Not addressed to us.
        NotOurs = "not-ours",
        /// A protocol we do not speak.
        UnknownProtocol = "unknown-protocol",
        /// A fragment with a length, an end or headers that no honest sender makes.
        FragmentMalformed = "fragment-malformed",
        /// A fragment that was there already.
        FragmentDuplicate = "fragment-duplicate",
        /// A fragment that contradicts another, or of a datagram that was refused for that (RFC 5722).
        FragmentOverlap = "fragment-overlap",
        /// A datagram whose fragments did not all come in time.
        ReassemblyTimeout = "reassembly-timeout",
        /// A datagram let go, or not begun, for want of memory or with too many fragments.
        ReassemblyFull = "reassembly-full",
        /// A source address that no host can have.
        BadSource = "bad-source",
        /// No connection and no listener: answered with a reset.
        NoConnection = "no-connection",
        /// A reset for which there is no connection.
        StrayReset = "stray-reset",
        /// The listener's backlog is full.
        BacklogFull = "backlog-full",
        /// An ACK that is no valid SYN cookie.
        BadCookie = "bad-cookie",
        /// The connection table is full.
        TableFull = "table-full",
        /// Outside the receive window.
        OutOfWindow = "out-of-window",
        /// Older than the last timestamp (PAWS).
        OldTimestamp = "old-timestamp",
        /// No timestamp although both ends agreed to send them.
        NoTimestamp = "no-timestamp",
        /// Acknowledges what was never sent.
        BadAck = "bad-ack",
        /// A SYN in a synchronized state.
        ChallengedSyn = "challenged-syn",
        /// A reset that is not exactly in sequence.
        ChallengedReset = "challenged-reset",
        /// No ACK bit where one is needed.
        NoAck = "no-ack",
        /// No buffer for its data.
        NoBuffer = "no-buffer",
        /// Data after our application has gone.
        AfterClose = "after-close",
        /// No free frame to send with.
        NoFrame = "no-frame",
        /// The neighbour's queue of waiting packets is full, or the neighbour does not answer.
        NoNeighbour = "no-neighbour",
        /// No route to the destination.
        NoRoute = "no-route",
        /// An ICMP message that fits no connection (RFC 5927).
        IcmpUnmatched = "icmp-unmatched",
        /// An advertisement of a router, or a redirect, that is not listened to.
        RouterIgnored = "router-ignored",
        /// The rate of answers to strangers is used up.
        RateLimited = "rate-limited",
        /// The queue to another worker is full.
        HandoverFull = "handover-full",
    }
}

named! {
    /// What else is counted.
    Event {
        /// TCP segments received.
        SegmentIn = "segments-in",
        /// TCP segments sent.
        SegmentOut = "segments-out",
        /// Segments sent again.
        Retransmitted = "retransmitted",
        /// Retransmission timeouts.
        Timeout = "timeouts",
        /// Active opens.
        ActiveOpen = "active-opens",
        /// Passive opens that reached ESTABLISHED.
        PassiveOpen = "passive-opens",
        /// Connections that reached ESTABLISHED, either way.
        Established = "established",
        /// Connections closed by a full exchange of FINs.
        Finished = "finished",
        /// Connections that ended otherwise.
        Broken = "broken",
        /// Resets received for a connection.
        ResetIn = "resets-in",
        /// Resets sent.
        ResetOut = "resets-out",
        /// SYN cookies sent.
        CookieSent = "cookies-sent",
        /// SYN cookies that came back valid.
        CookieAccepted = "cookies-accepted",
        /// Fast Open cookies sent to clients that asked for one.
        FastOpenCookieSent = "fast-open-cookies-sent",
        /// Connections accepted by a Fast Open cookie, before the handshake was done.
        FastOpenAccepted = "fast-open-accepted",
        /// SYNs with a Fast Open cookie that is not ours, or no longer.
        FastOpenBadCookie = "fast-open-bad-cookies",
        /// SYNs with a good cookie that got an ordinary handshake, too many others being pending.
        FastOpenLimited = "fast-open-limited",
        /// SYNs of ours whose data the server took.
        FastOpenTaken = "fast-open-taken",
        /// SYNs of ours whose data the server did not take.
        FastOpenRefused = "fast-open-refused",
        /// Connections that entered TIME-WAIT.
        TimeWait = "time-waits",
        /// TIME-WAIT entries taken over by a new open (RFC 6191).
        TimeWaitReused = "time-waits-reused",
        /// TIME-WAIT entries dropped early, the table being full.
        TimeWaitEvicted = "time-waits-evicted",
        /// Paths found to take less, by ICMP.
        PathMtuLowered = "path-mtu-lowered",
        /// Paths found to lose what is large without a word (RFC 4821 §7.7).
        PathBlackHole = "path-black-holes",
        /// Probes of paths that arrived.
        PathProbeArrived = "path-probes-arrived",
        /// Probes of paths that were lost alone.
        PathProbeLost = "path-probes-lost",
        /// IP fragments received.
        FragmentIn = "fragments-in",
        /// Datagrams put together of fragments.
        Reassembled = "reassembled",
        /// Connections reset at close, too many others being left to themselves already.
        OrphanRefused = "orphans-refused",
        /// Receive windows that could grow, programs reading fast.
        WindowRaised = "windows-raised",
        /// Receive windows that had to give way, memory being short.
        WindowLowered = "windows-lowered",
        /// Times that there was no memory for a buffer.
        MemoryRefused = "memory-refused",
        /// Times that memory became short.
        MemoryShort = "memory-short",
        /// Frames handed to another worker.
        HandedOver = "handed-over",
        /// Frames taken from another worker.
        TakenOver = "taken-over",
        /// Frames that came in on another queue than the NIC's hash says, and had to be handed over.
        Strayed = "strayed",
        /// Frames whose time of arrival the driver told.
        StampedByDriver = "stamped-by-driver",
        /// Times that a driver told by another clock than the system's: they are not used.
        StampForeign = "stamps-foreign",
        /// ARP and NDP answers sent.
        NeighbourAnswered = "neighbour-answers",
        /// Other stations that claimed an address of ours.
        AddressConflict = "address-conflicts",
        /// Advertisements of routers that were heeded.
        RouterHeard = "router-advertisements",
        /// Redirects that were heeded.
        Redirected = "redirects",
        /// ICMP echo answers sent.
        EchoAnswered = "echo-answers",
        /// Turns that found something to do.
        BusyTurn = "busy-turns",
        /// Turns that found nothing to do.
        IdleTurn = "idle-turns",
    }
}

/// One shard's counters.
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
    /// Counts a refused packet.
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

    /// Counts `n` refused packets.
    #[inline]
    pub const fn add_drops(&mut self, reason: DropReason, n: u64) {
        self.drops[reason as usize] += n;
    }

    /// Packets refused for `reason`.
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// How often `event` happened.
    pub const fn counted(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// All packets refused.
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Adds another shard's counters.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
        for (mine, theirs) in self.events.iter_mut().zip(other.events) {
            *mine += theirs;
        }
    }

    /// Names and counts, drops first under `drop.`, for reports.
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
    fn the_page_of_counters_tells_of_each() {
        let page = include_str!("../docs/counters.md");
        let reasons = DropReason::ALL.iter().map(|r| r.name());
        for name in reasons.chain(Event::ALL.iter().map(|e| e.name())) {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, DropReason::ALL.len() + Event::ALL.len());
    }
}
