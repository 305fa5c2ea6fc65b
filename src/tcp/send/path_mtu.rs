//! Path MTU: probes of a larger size (RFC 4821), and the resulting changes of the MSS.
//!
//! A probe carries the next data in one larger segment (RFC 4821 §9.1, "non-overlapping"). The
//! scoreboard records it as the segments that it replaces, so a retransmission uses their size. The
//! search itself is in `state::path_search`.

use core::ops::Range;

use crate::tcp::mss::{TIMESTAMPS_LEN, effective_mss};
use crate::tcp::state::{ConnectionOptions, Marks, Search, SearchOutcome, Stage};
use crate::tcp::{Connection, MtuProbing, PathMtuEvent, PathSizes, SeqNum, Settings};
use crate::time::{Duration, Instant};

/// Segments that should follow a probe so that its loss is detected without a timeout (RFC 4821
/// §7.4).
const TRAILING: u32 = 3;

/// Smallest path MTU that is accepted, for IPv4 and IPv6. RFC 4821 §7.7 allows 68 for IPv4. Other
/// hosts assume at least this value, and the limit denies a forger any gain from a smaller one.
const LEAST: [u16; 2] = [552, 1280];

/// Bytes of IP and TCP headers without options, for IPv4 and IPv6.
const HEADERS: [u16; 2] = [40, 60];

/// Decision on sending the next data as a path MTU probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum PathProbe {
    None,
    /// A probe is due once cwnd has room for it, which the ACKs in flight provide (RFC 4821 §7.4).
    Waits,
    /// A probe with this many bytes of data is due now.
    Due(u32),
}

impl Connection {
    fn search(&self) -> Option<&Search> {
        self.choices.as_deref().and_then(|choices| choices.search.as_ref())
    }

    fn search_mut(&mut self) -> Option<&mut Search> {
        self.choices.as_deref_mut().and_then(|choices| choices.search.as_mut())
    }

    fn family(&self) -> usize {
        usize::from(self.marks.has(Marks::IPV6))
    }

    /// Returns the packet size of a segment with `mss` bytes of data.
    fn packet_of(&self, mss: u16) -> u16 {
        let options = if self.marks.has(Marks::TIMESTAMPS) { TIMESTAMPS_LEN } else { 0 };
        mss.saturating_add(HEADERS[self.family()] + options)
    }

    /// Returns the number of data bytes in a packet of `size` bytes.
    pub(in crate::tcp) fn mss_of(&self, size: u32) -> u16 {
        let mss = size.saturating_sub(u32::from(HEADERS[self.family()]));
        let mss = u16::try_from(mss).unwrap_or(u16::MAX);
        effective_mss(mss, self.marks.has(Marks::TIMESTAMPS))
    }

    /// Returns the program's bound of the data bytes in a segment.
    fn mss_bound(&self) -> u16 {
        effective_mss(self.bounds().mss, self.marks.has(Marks::TIMESTAMPS))
    }

    /// Starts the search once the MSS is known: with probing on, segments start at the base size.
    pub(in crate::tcp) fn begin_search(&mut self, settings: &Settings) {
        if settings.mtu_probing != MtuProbing::On || !self.marks.has(Marks::SACK) {
            return;
        }
        let (size, base) = (self.packet_of(self.snd.mss), settings.mtu_base[self.family()]);
        if size > base {
            self.choices_mut().search = Some(Search::new(base, size));
            self.snd.mss = self.mss_of(base.into());
        }
    }

    /// Decides if the next data is sent as a probe. `ready` is the data that the program and the
    /// peer's window allow, `allowance` is the room in cwnd.
    ///
    /// RFC 4821 §7.4:
    ///   > It has no outstanding probes or losses. [...] The available window is greater than the
    ///   > probe size. For a protocol using in-band data for probing, enough data is available to
    ///   > send the probe.
    #[inline]
    pub(in crate::tcp) fn path_probe(&self, ready: u32, allowance: u32) -> PathProbe {
        match self.choices.as_deref() {
            Some(ConnectionOptions { search: Some(search), .. }) => {
                self.path_probe_of(search, ready, allowance)
            }
            _ => PathProbe::None,
        }
    }

    fn path_probe_of(&self, search: &Search, ready: u32, allowance: u32) -> PathProbe {
        let Some(size) = search.due() else { return PathProbe::None };
        let (len, mss) = (u32::from(self.mss_of(size.into())), u32::from(self.snd.mss));
        let whole = len + TRAILING * mss;
        // Only SACK shows that the probe alone was lost.
        let calm = self.marks.has(Marks::SACK)
            && self.recovery.stage == Stage::Open
            && self.recovery.flight.as_deref().is_none_or(|flight| {
                flight.board.waiting() == 0 && flight.board.selected() == 0 && !flight.tail.due
            });
        if !calm
            || len > u32::from(self.mss_bound())
            || len <= mss
            || ready < whole
            || self.recovery.controller.cwnd() < whole
        {
            return PathProbe::None;
        }
        if allowance >= len { PathProbe::Due(len) } else { PathProbe::Waits }
    }

    /// Records a probe that is being sent.
    pub(in crate::tcp) fn on_path_probe_sent(&mut self, seq: SeqNum, end: SeqNum) {
        let len = u16::try_from(end.distance_from(seq)).unwrap_or(u16::MAX);
        let size = self.packet_of(len);
        if let Some(search) = self.search_mut() {
            search.on_sent(seq, end, size);
        }
    }

    /// Returns the sequence range of the probe in flight.
    pub(in crate::tcp) fn path_probe_span(&self) -> Option<Range<SeqNum>> {
        self.search().and_then(Search::span)
    }

    /// Returns true if the segments just found lost are exactly the probe, which is not a
    /// congestion signal.
    pub(in crate::tcp) fn is_lost_path_probe(&mut self, now: Instant) -> bool {
        let span = self.recovery.flight.as_deref().and_then(|flight| flight.board.lost_span());
        match (self.search_mut(), span) {
            (Some(search), Some((from, to))) => search.is_probe_loss(now, from, to),
            _ => false,
        }
    }

    /// Reports the start of loss recovery to the search.
    pub(in crate::tcp) fn on_loss_beside_path_probe(&mut self) {
        if let Some(search) = self.search_mut() {
            search.on_congestion();
        }
    }

    /// Processes an advance of SND.UNA.
    pub(in crate::tcp) fn on_path_acked(&mut self, now: Instant) {
        let (una, window) = (self.snd.una, self.window_time());
        let Some(search) = self.search_mut() else { return };
        search.wake(now);
        // RFC 4821 §7.6.1:
        //   > If the probe size is larger than the eff_pmtu, raise eff_pmtu to the probe size.
        if let SearchOutcome::Takes(size) = search.on_acked(now, una, window) {
            self.raise_mss(size);
        }
    }

    /// Returns as many round trips as cwnd holds packets.
    fn window_time(&self) -> Duration {
        let packets = self.recovery.controller.cwnd() / u32::from(self.snd.mss.max(1));
        self.recovery.rtt.srtt().unwrap_or_default().times(u64::from(packets.max(1)))
    }

    fn raise_mss(&mut self, size: u16) {
        let mss = self.mss_of(size.into()).min(self.mss_bound());
        if mss > self.snd.mss {
            self.snd.mss = mss;
            self.recovery.controller.on_mss(mss);
        }
    }

    /// Reduces the segment size when timeouts reach R1: RFC 4821 §7.7,
    ///   > a full-stop timeout [...] SHOULD be taken as an indication of some significantly
    ///   > disruptive event in the network, such as a router failure or a routing change to a path
    ///   > with a smaller MTU. For TCP, this occurs when the R1 timeout threshold [...] expires.
    ///
    /// If the lost segment is already small, the cause is another one. Packets no larger than the
    /// base size, which every path is expected to carry, stay as they are.
    pub(in crate::tcp) fn on_full_stop(&mut self, settings: &Settings) {
        let family = self.family();
        let (base, least) = (settings.mtu_base[family], LEAST[family]);
        let size = self.packet_of(self.snd.mss);
        let new = (size > base).then(|| Search::new(base, size));
        let Some(mut search) = self.search().cloned().or(new) else { return };
        let next = search.on_full_stop(size, base, least);
        let fits = self.first_in_flight() <= u32::from(self.mss_of(next.into()));
        if settings.mtu_probing == MtuProbing::Off || fits {
            return;
        }
        self.choices_mut().search = Some(search);
        self.lower_mss(next.into());
    }

    /// Returns the length in bytes of the oldest outstanding segment.
    fn first_in_flight(&self) -> u32 {
        let first = self.recovery.flight.as_deref().and_then(|flight| flight.board.first());
        first.map_or_else(
            || self.snd.outstanding().min(u32::from(self.snd.mss)),
            |piece| piece.end.distance_from(piece.seq),
        )
    }

    /// Processes a retransmission timeout.
    pub(in crate::tcp) fn on_timeout_of_path_probe(&mut self, now: Instant) {
        let (una, window) = (self.snd.una, self.window_time());
        if let Some(search) = self.search_mut() {
            // The range records the failed probe; its data is retransmitted like any other.
            let _ = search.on_timeout(now, una, window);
        }
    }

    /// Processes an ICMP message that reports a smaller MTU.
    pub(in crate::tcp) fn on_too_big(&mut self, mtu: u32) {
        if let Some(search) = self.search_mut() {
            search.on_too_big(u16::try_from(mtu).unwrap_or(u16::MAX));
        }
        self.lower_mss(mtu);
    }

    /// Returns what the search found since the last call, for other connections on the same path.
    pub fn take_path_mtu_event(&mut self) -> Option<PathMtuEvent> {
        let size = self.packet_of(self.snd.mss);
        self.search_mut()?.take_event(size)
    }

    /// Applies what another connection found out about the path (RFC 4821 §5.2). Packets in flight
    /// may still arrive, so a connection with outstanding data ignores a smaller size and searches
    /// by itself.
    pub fn on_path_sizes(&mut self, sizes: PathSizes) {
        let size = self.packet_of(self.snd.mss);
        let unused = self.snd.outstanding() == 0 && !self.phase.is_opening();
        if let Some(search) = self.search_mut() {
            if sizes.eff_pmtu > size {
                let size = search.learn(sizes.search_low);
                self.raise_mss(size);
            }
        } else if sizes.eff_pmtu < size && unused {
            let search = Search::new(sizes.search_low, sizes.search_high.min(size));
            self.choices_mut().search = Some(search);
            self.lower_mss(sizes.eff_pmtu.into());
        }
    }

    /// Applies an MTU that another connection to the same host learned (RFC 1191 §6.3, RFC 8201
    /// §5.2).
    pub fn on_path_mtu(&mut self, mtu: u16) {
        self.on_too_big(u32::from(mtu));
    }

    /// Lowers the MSS to fit packets of `mtu` bytes (RFC 9293 §3.7.5).
    pub(in crate::tcp) fn lower_mss(&mut self, mtu: u32) {
        let mss = self.mss_of(mtu);
        if mss < self.snd.mss && !self.phase.is_opening() {
            self.snd.mss = mss;
            self.recovery.on_path_mss(&mut self.snd, mss);
        }
    }
}
