//! SYN cookies: a handshake without state (D. J. Bernstein, 1996; RFC 4987 §3.6).
//!
//! Owns a secret and the time of the last cookie. Refuses to know when the SYN table is full.
//!
//! The cookie is our ISS: `PRF(flow key, IRS, period) + MSS index`, all 32 bits. At any time two
//! periods are valid and there are four indexes, so 8 of 2^32 numbers are valid: a blind guess of
//! the ACK succeeds once in 2^29 (Linux spends bits on a visible counter: once in 2^20 to 2^22).
//! One spoofed connection takes 15 minutes of guessing at 600 k packets per second, and guesses
//! count only while cookies are being sent. The price: ISNs no longer grow slowly from one
//! incarnation of a flow to the next (RFC 9293 §3.4.1). During a flood, a flow is rarely reused
//! within two minutes.
//!
//! Options are encoded in the low bits of our timestamp, which the peer echoes (as in Linux).
//! Without timestamps the cookie has room for the MSS only, so the SYN-ACK offers neither window
//! scaling nor SACK.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::tcp::ecn::handshake;
use crate::tcp::isn::timestamp;
use crate::tcp::{
    CookieContent, EcnMode, Embryo, Flags, Segment, SegmentOut, SeqNum, Settings, WindowShift,
};
use crate::time::{Duration, Instant};

/// Length of a period. A cookie is valid in its own period and the next, so for 64 to 128 seconds.
/// Shorter refuses slow peers; longer gives guesses and replays more time.
const PERIOD: Duration = Duration::from_secs(64);

/// The MSS values that a cookie can encode, increasing: the defaults for IPv4 and IPv6, and
/// Ethernet's for IPv6 and IPv4. The cookie encodes the largest value that the peer accepts.
const MSS_TABLE: [u16; 4] = [536, 1220, 1440, 1460];

/// The low bits of TSval that encode options: four for the window shift, one for SACK, one for ECN.
const OPTION_BITS: u32 = 0x3f;
const SHIFT_BITS: u32 = 0x0f;
/// Shift value that means no window scaling.
const NO_SHIFT: u32 = 0x0f;
const SACK_BIT: u32 = 0x10;
const ECN_BIT: u32 = 0x20;

/// Creates and validates SYN cookies.
#[derive(Clone)]
pub struct CookieJar {
    hasher: SipHasher24,
    last: Option<Instant>,
}

impl core::fmt::Debug for CookieJar {
    // The secret stays out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CookieJar").field("last", &self.last).finish_non_exhaustive()
    }
}

impl CookieJar {
    /// Creates a jar keyed with 128 random bits from the operating system. Do not reuse the ISN
    /// key.
    pub fn new(secret: [u8; 16]) -> Self {
        Self { hasher: SipHasher24::new_with_key(&secret), last: None }
    }

    /// Builds the SYN-ACK for a SYN without keeping state. `key` encodes the flow; `ipv6` selects
    /// the MSS to announce.
    pub fn syn_ack(
        &mut self,
        key: &[u8],
        syn: &Segment<'_>,
        now: Instant,
        timestamp_offset: u32,
        settings: &Settings,
        ipv6: bool,
    ) -> SegmentOut<'static> {
        let iss = self.cookie(key, syn, now);
        let embryo = Embryo::from_syn(syn, 0, iss, now, settings, ipv6);
        let mut segment = embryo.syn_ack(now, timestamp_offset, settings, ipv6);
        match &mut segment.options.timestamps {
            Some(ts) => ts.value = with_options(timestamp(now, timestamp_offset), &embryo),
            None => {
                segment.options.window_shift = None;
                segment.options.sack_permitted = false;
                if embryo.ecn_mode() == EcnMode::Classic {
                    segment.flags = segment.flags.without(Flags::ECE);
                }
            }
        }
        segment
    }

    /// Returns the ISS that encodes a SYN.
    pub fn cookie(&mut self, key: &[u8], syn: &Segment<'_>, now: Instant) -> SeqNum {
        self.last = Some(now);
        let offer = syn.options.mss.unwrap_or(MSS_TABLE[0]);
        // A peer with an MSS below 536 (none is known) still gets index 0, 536 bytes.
        let index = MSS_TABLE.iter().rposition(|&mss| mss <= offer).unwrap_or(0);
        self.prf(key, syn.seq, period(now)) + index as u32
    }

    /// Decodes the options negotiated with the sender of an ACK that matches no connection, if it
    /// acknowledges a valid cookie.
    pub fn check(&self, key: &[u8], ack: &Segment<'_>, now: Instant) -> Option<CookieContent> {
        if !self.is_active(now)
            || !ack.flags.ack()
            || ack.flags.intersects(Flags::SYN.with(Flags::RST))
        {
            return None;
        }
        let (iss, irs) = (ack.ack - 1, ack.seq - 1);
        let index_in = |period: u32| {
            let index = iss.distance_from(self.prf(key, irs, period));
            MSS_TABLE.get(usize::try_from(index).ok()?)
        };
        let this = period(now);
        let mss = *index_in(this).or_else(|| index_in(this.wrapping_sub(1)))?;
        let ts = ack.options.timestamps;
        let bits = ts.map_or(NO_SHIFT, |ts| ts.echo & OPTION_BITS);
        let shift = bits & SHIFT_BITS;
        Some(CookieContent {
            iss,
            irs,
            mss,
            window_shift: (shift != NO_SHIFT).then(|| WindowShift::from_offer(shift as u8)),
            sack_permitted: bits & SACK_BIT != 0,
            ecn: ecn_of(ack, bits),
            ts_recent: ts.map(|ts| ts.value),
        })
    }

    /// Returns true if a cookie was sent recently. At other times no ACK is accepted as a cookie.
    fn is_active(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.since(last) <= PERIOD.times(2))
    }

    fn prf(&self, key: &[u8], irs: SeqNum, period: u32) -> SeqNum {
        let mut hasher = self.hasher;
        hasher.write(key);
        hasher.write(&irs.0.to_le_bytes());
        hasher.write(&period.to_le_bytes());
        SeqNum(hasher.finish() as u32)
    }
}

/// Decodes the negotiated ECN mode: classic ECN from the timestamp, Accurate ECN from the peer's
/// flags. RFC 9768 §5.1:
///   > if the ACK contains an ACE field with the value 0b010 to 0b111 [...] the Server can infer
///   > that it negotiated AccECN
fn ecn_of(ack: &Segment<'_>, bits: u32) -> EcnMode {
    if bits & ECN_BIT != 0 {
        EcnMode::Classic
    } else if handshake::field(ack.flags) >= 0b010 {
        EcnMode::Accurate
    } else {
        EcnMode::None
    }
}

fn period(now: Instant) -> u32 {
    (now.as_nanos() / PERIOD.as_nanos()) as u32
}

/// Encodes the options in the low bits of `now`, never later than `now`: the connection's later
/// timestamps must not run backwards.
fn with_options(now: u32, embryo: &Embryo) -> u32 {
    let shift = embryo.shifts().map_or(NO_SHIFT, |(_, peer)| u32::from(peer.get()));
    let sack = if embryo.sack_permitted() { SACK_BIT } else { 0 };
    let ecn = if embryo.ecn_mode() == EcnMode::Classic { ECN_BIT } else { 0 };
    let value = now & !OPTION_BITS | shift | sack | ecn;
    if value.wrapping_sub(now) as i32 > 0 { value.wrapping_sub(OPTION_BITS + 1) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::tcp::{EmbryoAnswer, Options, Timestamps};

    const KEY: &[u8] = b"10.0.0.1:80 10.0.0.2:4242";
    const NOW: Instant = Instant::from_millis(1_000_000);
    const IRS: SeqNum = SeqNum(77);

    fn syn(options: Options) -> Segment<'static> {
        let flags = Flags::SYN;
        Segment { seq: IRS, flags, window: 1, options, ..Segment::default() }
    }

    fn with_mss(mss: u16) -> Segment<'static> {
        syn(Options { mss: Some(mss), ..Options::default() })
    }

    /// Returns the ACK that a peer sends in response to `syn_ack`.
    fn ack_of(syn: &Segment<'_>, syn_ack: &SegmentOut<'_>) -> Segment<'static> {
        let timestamps = syn_ack.options.timestamps;
        let timestamps = timestamps.map(|ts| Timestamps { value: 900, echo: ts.value });
        Segment {
            seq: syn.seq + 1,
            ack: syn_ack.seq + 1,
            flags: Flags::ACK,
            window: 1,
            options: Options { timestamps, ..Options::default() },
            ..Segment::default()
        }
    }

    fn exchange(
        jar: &mut CookieJar,
        syn: &Segment<'_>,
    ) -> (SegmentOut<'static>, Option<CookieContent>) {
        let syn_ack = jar.syn_ack(KEY, syn, NOW, 0, &Settings::default(), false);
        (syn_ack, jar.check(KEY, &ack_of(syn, &syn_ack), NOW + Duration::from_millis(30)))
    }

    #[test]
    fn without_timestamps_the_mss_survives_and_no_other_option_is_offered() {
        let mut jar = CookieJar::new([1; 16]);
        let table = [(0, 536), (536, 536), (1219, 536), (1440, 1440), (1459, 1440), (9000, 1460)];
        for (offer, kept) in table {
            let mut syn = with_mss(offer);
            syn.options.window_shift = Some(WindowShift::from_offer(7));
            syn.options.sack_permitted = true;
            let (syn_ack, content) = exchange(&mut jar, &syn);
            assert_eq!(syn_ack.options, Options { mss: Some(1460), ..Options::default() });
            let content = content.unwrap();
            assert_eq!((content.mss, content.iss, content.irs), (kept, syn_ack.seq, IRS));
            assert_eq!((content.window_shift, content.sack_permitted), (None, false));
        }
        assert_eq!(exchange(&mut jar, &syn(Options::default())).1.unwrap().mss, 536);
    }

    #[test]
    fn with_timestamps_every_option_survives() {
        let mut jar = CookieJar::new([1; 16]);
        let shifts = (0..=14).map(|raw| Some(WindowShift::from_offer(raw))).chain([None]);
        for (shift, bits) in shifts.flat_map(|shift| (0..4).map(move |bits| (shift, bits))) {
            let mut syn = with_mss(1460);
            syn.options.timestamps = Some(Timestamps { value: 800, echo: 0 });
            syn.options.window_shift = shift;
            syn.options.sack_permitted = bits & 1 != 0;
            if bits & 2 != 0 {
                syn.flags = syn.flags.with(Flags::ECE).with(Flags::CWR);
            }
            let content = exchange(&mut jar, &syn).1.unwrap();
            assert_eq!(content.window_shift, shift);
            let ecn = if bits & 2 != 0 { EcnMode::Classic } else { EcnMode::None };
            assert_eq!((content.sack_permitted, content.ecn), (bits & 1 != 0, ecn));
            assert_eq!(content.ts_recent, Some(900));
        }
    }

    #[test]
    fn the_timestamp_of_a_cookie_is_never_ahead_of_the_clock() {
        let mut rng = Rng::new(1);
        let mut jar = CookieJar::new([1; 16]);
        let mut syn = with_mss(1460);
        syn.options.timestamps = Some(Timestamps { value: 800, echo: 0 });
        for _ in 0..1_000 {
            let offset = rng.next_u32();
            let syn_ack = jar.syn_ack(KEY, &syn, NOW, offset, &Settings::default(), false);
            let lag =
                timestamp(NOW, offset).wrapping_sub(syn_ack.options.timestamps.unwrap().value);
            assert!(lag < 64, "lag {lag}");
        }
    }

    #[test]
    fn the_embryo_of_a_cookie_accepts_the_same_ack() {
        let mut jar = CookieJar::new([1; 16]);
        let mut syn = with_mss(1400);
        syn.options.timestamps = Some(Timestamps { value: 800, echo: 0 });
        syn.options.window_shift = Some(WindowShift::from_offer(7));
        let settings = Settings::default();
        let syn_ack = jar.syn_ack(KEY, &syn, NOW, 0, &settings, false);
        let ack = ack_of(&syn, &syn_ack);
        let content = jar.check(KEY, &ack, NOW).unwrap();
        let mut embryo = Embryo::from_cookie(&content, 5, NOW, &settings, false);
        assert_eq!(embryo.on_segment(&ack, &settings), EmbryoAnswer::Establish);
        assert_eq!((embryo.mss(), embryo.listener(), embryo.timestamps()), (1220, 5, Some(900)));
        assert_eq!(embryo.shifts().unwrap().1, WindowShift::from_offer(7));
        assert_eq!(embryo.handshake_rtt(NOW), None);
    }

    #[test]
    fn a_cookie_is_valid_for_one_to_two_periods() {
        let mut jar = CookieJar::new([1; 16]);
        let syn = with_mss(1460);
        let start = Instant::ZERO + PERIOD.times(10);
        for (at, ages) in
            [(start, [127_999, 128_000]), (start + Duration::from_secs(63), [64_999, 65_000])]
        {
            let cookie = jar.cookie(KEY, &syn, at);
            let ack = Segment { seq: IRS + 1, ack: cookie + 1, flags: Flags::ACK, ..syn };
            assert!(jar.check(KEY, &ack, at + Duration::from_millis(ages[0])).is_some());
            assert!(jar.check(KEY, &ack, at + Duration::from_millis(ages[1])).is_none());
        }
    }

    #[test]
    fn a_cookie_is_bound_to_its_flow_its_peer_number_and_its_jar() {
        let mut jar = CookieJar::new([1; 16]);
        let cookie = jar.cookie(KEY, &with_mss(1460), NOW);
        let ack = Segment { seq: IRS + 1, ack: cookie + 1, flags: Flags::ACK, ..with_mss(0) };
        assert!(jar.check(KEY, &ack, NOW).is_some());
        assert!(jar.check(b"10.0.0.1:80 10.0.0.3:4242", &ack, NOW).is_none());
        assert!(jar.check(KEY, &Segment { seq: IRS + 2, ..ack }, NOW).is_none());
        let mut other = CookieJar::new([2; 16]);
        let _ = other.cookie(b"opens it", &with_mss(1460), NOW);
        assert!(other.check(KEY, &ack, NOW).is_none());
        for flags in [Flags::SYN.with(Flags::ACK), Flags::RST.with(Flags::ACK), Flags::PSH] {
            assert!(jar.check(KEY, &Segment { flags, ..ack }, NOW).is_none());
        }
    }

    #[test]
    fn exactly_eight_numbers_are_valid_cookies() {
        let mut jar = CookieJar::new([1; 16]);
        let cookies = [NOW + PERIOD, NOW].map(|at| jar.cookie(KEY, &with_mss(0), at));
        let good = |ack: SeqNum| {
            let ack = Segment { seq: IRS + 1, ack, flags: Flags::ACK, ..with_mss(0) };
            jar.check(KEY, &ack, NOW + PERIOD).is_some()
        };
        for cookie in cookies {
            let around = (0..2_000).filter(|&n| good(cookie + n - 1_000)).count();
            assert_eq!(around, MSS_TABLE.len());
        }
        let mut rng = Rng::new(2);
        assert!((0..200_000).all(|_| !good(SeqNum(rng.next_u32()))));
    }

    #[test]
    fn no_ack_passes_as_a_cookie_while_none_was_sent() {
        let mut jar = CookieJar::new([1; 16]);
        let cookie = jar.clone().cookie(KEY, &with_mss(1460), NOW);
        let ack = Segment { seq: IRS + 1, ack: cookie + 1, flags: Flags::ACK, ..with_mss(0) };
        assert!(jar.check(KEY, &ack, NOW).is_none());
        let _ = jar.cookie(b"another flow", &with_mss(1460), NOW);
        assert!(jar.check(KEY, &ack, NOW).is_some());
    }
}
