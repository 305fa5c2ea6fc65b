//! Events other than drops.

use super::named::named;

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
        /// Panics of the program that its service survived.
        ProgramPanic = "program-panics",
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
