//! The client's cache of servers (RFC 7413 §4.1.3): cookies and MSS by local and remote address,
//! and paths on which Fast Open is disabled, by remote address and port.
//!
//! Both maps are bounded and evict the entry that was changed least recently. They allocate no
//! memory until the first open with data. Refuses to know connections: the caller reports outcomes.

use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;
use std::hash::Hash;

use crate::shard::mem::keyed::Keyed;
use crate::tcp::{Attempt, FastOpen, Form, Outcome, Settings};
use crate::time::{Duration, Instant};

/// Maximum number of doublings of the pause: one minute becomes half a day.
const DOUBLINGS_MAX: u8 = 9;

/// Number of unanswered cookie requests before a pause: one in each form of the option.
const REQUESTS: u8 = 2;

/// A local address and the address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pair {
    local: u8,
    remote: IpAddr,
}

/// The client's knowledge of a server.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    cookie: Option<FastOpen>,
    mss: Option<u16>,
    /// Number of cookie requests that the server answered without a cookie.
    unanswered: u8,
}

/// A path on which Fast Open is disabled for a time.
#[derive(Clone, Copy, Debug)]
struct DisabledPath {
    until: Instant,
    times: u8,
}

/// A map of bounded size. Each entry records the time of its last change.
struct Bounded<K, V> {
    entries: HashMap<K, (Instant, V), Keyed>,
    capacity: usize,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    fn new(capacity: usize, secret: [u8; 16]) -> Self {
        Self { entries: HashMap::with_hasher(Keyed::new(secret)), capacity: capacity.max(1) }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    fn insert(&mut self, now: Instant, key: K, value: V) {
        if self.entries.capacity() == 0 {
            self.entries.reserve(self.capacity);
        }
        if self.entries.len() == self.capacity && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (changed, _))| *changed);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, (now, value));
    }
}

/// The cache of servers.
pub(in crate::shard) struct Peers {
    servers: Bounded<Pair, Server>,
    disabled: Bounded<SocketAddr, DisabledPath>,
}

/// Result of the handshake of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum AttemptResult {
    /// Connected.
    Connected,
    /// The handshake timed out, or ICMP reported the server unreachable.
    Unreachable,
    /// The program gave up, or the peer refused. This says nothing about Fast Open.
    Other,
}

impl Peers {
    pub(in crate::shard) fn new(capacity: usize, secret: [u8; 16]) -> Self {
        Self { servers: Bounded::new(capacity, secret), disabled: Bounded::new(capacity, secret) }
    }

    /// Returns how to open a connection to a server, or `None` to use a regular handshake.
    pub(in crate::shard) fn attempt(
        &self,
        now: Instant,
        local: u8,
        remote: SocketAddr,
        without_cookie: bool,
        settings: &Settings,
    ) -> Option<Attempt> {
        if self.disabled.get(&remote).is_some_and(|disabled| now < disabled.until) {
            return None;
        }
        let pair = Pair { local, remote: remote.ip() };
        let known = self.servers.get(&pair).copied().unwrap_or_default();
        // RFC 7413 §4.1.3:
        //   > Without a cached server MSS, the amount of data in the SYN packet is limited to the
        //   > default MSS of 536 bytes for IPv4 [RFC1122] and 1220 bytes for IPv6 [RFC2460].
        let mss = known.mss.unwrap_or(settings.fast_open_mss[usize::from(remote.is_ipv6())]);
        if without_cookie {
            return Some(Attempt::Send { cookie: None, mss });
        }
        Some(match known.cookie {
            Some(_) => Attempt::Send { cookie: known.cookie, mss },
            // A server that does not answer one form of the option may know the other.
            None if known.unanswered == 1 => Attempt::Ask(Form::Experimental),
            None => Attempt::Ask(Form::Assigned),
        })
    }

    /// Records the outcome of an attempt. RFC 7413 §4.1.3.1:
    ///   > The client MUST cache negative responses from the server in order to avoid potential
    ///   > connection failures. Negative responses include the server not acknowledging the data
    ///   > in the SYN, ICMP error messages, and (most importantly) no response (SYN-ACK) from the
    ///   > server at all
    pub(in crate::shard) fn learn(
        &mut self,
        now: Instant,
        (local, remote): (u8, SocketAddr),
        outcome: &Outcome,
        end: AttemptResult,
        pause: Duration,
    ) {
        let pair = Pair { local, remote: remote.ip() };
        let mut known = self.servers.get(&pair).copied().unwrap_or_default();
        let cookie = outcome.answer.filter(|answer| answer.cookie.is_some());
        let unanswered = outcome.asked && !outcome.timed_out && end == AttemptResult::Connected;
        // §4.2.2 (1): "update the corresponding cookie and MSS information in the cookie cache".
        known.mss = outcome.mss.or(known.mss);
        known.cookie = cookie.or(known.cookie);
        known.unanswered = match cookie {
            Some(_) => 0,
            None => known.unanswered.saturating_add(u8::from(unanswered)),
        };
        self.servers.insert(now, pair, known);
        let good = cookie.is_some() || outcome.acked;
        let refused = outcome.sent && !good;
        let silent = outcome.asked && !good && (outcome.timed_out || known.unanswered >= REQUESTS);
        match end {
            AttemptResult::Other => {}
            AttemptResult::Unreachable => self.disable(now, remote, pause),
            AttemptResult::Connected if refused || silent || outcome.too_big => {
                self.disable(now, remote, pause);
            }
            AttemptResult::Connected if good => {
                self.disabled.entries.remove(&remote);
            }
            AttemptResult::Connected => {}
        }
    }

    /// Disables Fast Open on a path; the pause doubles each time. RFC 7413 §4.1.3.1:
    ///   > For any negative responses, the client SHOULD disable Fast Open on the specific path
    ///   > (the source and destination IP addresses and ports) at least temporarily.
    fn disable(&mut self, now: Instant, remote: SocketAddr, pause: Duration) {
        if pause == Duration::ZERO {
            return;
        }
        let times =
            self.disabled.get(&remote).map_or(0, |disabled| disabled.times.saturating_add(1));
        let until = now + pause.times(1 << times.min(DOUBLINGS_MAX));
        self.disabled.insert(now, remote, DisabledPath { until, times });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Cookie;

    const NOW: Instant = Instant::from_millis(1_000);
    const PAUSE: Duration = Duration::from_secs(60);

    fn server(n: u8, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::from([198, 51, 100, n]), port)
    }

    fn cookie(n: u8) -> Option<FastOpen> {
        Some(FastOpen { form: Form::Assigned, cookie: Cookie::new(&[n; 8]) })
    }

    fn peers() -> Peers {
        Peers::new(4, [1; 16])
    }

    fn next(peers: &Peers, now: Instant, remote: SocketAddr) -> Option<Attempt> {
        peers.attempt(now, 0, remote, false, &Settings::default())
    }

    fn learn(
        peers: &mut Peers,
        now: Instant,
        remote: SocketAddr,
        outcome: Outcome,
        end: AttemptResult,
    ) {
        peers.learn(now, (0, remote), &outcome, end, PAUSE);
    }

    fn answered(n: u8, mss: u16) -> Outcome {
        Outcome { answer: cookie(n), mss: Some(mss), asked: true, ..Outcome::default() }
    }

    #[test]
    fn the_cookie_and_the_mss_are_kept_by_address_and_used_for_every_port() {
        // RFC 7413 §4.1.3: "cookies are independent of service ports"
        let mut peers = peers();
        assert_eq!(next(&peers, NOW, server(1, 80)), Some(Attempt::Ask(Form::Assigned)));
        learn(&mut peers, NOW, server(1, 80), answered(1, 1400), AttemptResult::Connected);
        for port in [80, 443] {
            let attempt = Attempt::Send { cookie: cookie(1), mss: 1400 };
            assert_eq!(next(&peers, NOW, server(1, port)), Some(attempt));
        }
        assert_eq!(next(&peers, NOW, server(2, 80)), Some(Attempt::Ask(Form::Assigned)));
        // "For a multihomed client, the cookies are dependent on the client and server IP
        // addresses."
        let other = peers.attempt(NOW, 1, server(1, 80), false, &Settings::default());
        assert_eq!(other, Some(Attempt::Ask(Form::Assigned)));
        // "the most recently received".
        learn(&mut peers, NOW, server(1, 80), answered(2, 900), AttemptResult::Connected);
        let attempt = Attempt::Send { cookie: cookie(2), mss: 900 };
        assert_eq!(next(&peers, NOW, server(1, 80)), Some(attempt));
    }

    #[test]
    fn without_a_cached_mss_data_is_limited_to_the_default() {
        // RFC 7413 §4.1.3
        let send = |remote| peers().attempt(NOW, 0, remote, true, &Settings::default());
        assert_eq!(send(server(1, 80)), Some(Attempt::Send { cookie: None, mss: 536 }));
        let v6 = "[2001:db8::1]:80".parse().expect("an address");
        assert_eq!(send(v6), Some(Attempt::Send { cookie: None, mss: 1220 }));
        assert_eq!(Attempt::Send { cookie: None, mss: 536 }.room(1460), 496);
        assert_eq!(Attempt::Send { cookie: None, mss: 9000 }.room(1460), 1420);
        assert_eq!(Attempt::Ask(Form::Assigned).room(1460), 0);
    }

    #[test]
    fn every_negative_response_disables_fast_open_on_the_port_for_a_while() {
        // RFC 7413 §4.1.3.1
        let sent = Outcome { sent: true, mss: Some(1460), ..Outcome::default() };
        let asked = Outcome { asked: true, mss: Some(1460), ..Outcome::default() };
        let negative = [
            (sent, AttemptResult::Connected),
            (Outcome { too_big: true, ..sent }, AttemptResult::Connected),
            (Outcome { timed_out: true, ..sent }, AttemptResult::Connected),
            (Outcome { timed_out: true, ..sent }, AttemptResult::Unreachable),
            (Outcome { timed_out: true, ..asked }, AttemptResult::Connected),
            (sent, AttemptResult::Unreachable),
        ];
        for (outcome, end) in negative {
            let mut peers = peers();
            learn(&mut peers, NOW, server(1, 80), answered(1, 1460), AttemptResult::Connected);
            learn(&mut peers, NOW, server(1, 80), outcome, end);
            assert_eq!(next(&peers, NOW, server(1, 80)), None, "{outcome:?} {end:?}");
            assert!(next(&peers, NOW, server(1, 81)).is_some(), "another port");
            let later = NOW + PAUSE;
            assert!(next(&peers, later, server(1, 80)).is_some());
            // The second time, the pause is twice as long.
            learn(&mut peers, later, server(1, 80), outcome, end);
            assert_eq!(next(&peers, later + PAUSE, server(1, 80)), None);
            assert!(next(&peers, later + PAUSE.times(2), server(1, 80)).is_some());
        }
    }

    #[test]
    fn other_responses_disable_nothing() {
        let sent = Outcome { sent: true, mss: Some(1460), ..Outcome::default() };
        let fine = [
            (Outcome { acked: true, ..sent }, AttemptResult::Connected),
            // A late SYN-ACK to the first SYN: the timeout was spurious.
            (Outcome { acked: true, timed_out: true, ..sent }, AttemptResult::Connected),
            // The cookie had expired.
            (Outcome { answer: cookie(2), ..sent }, AttemptResult::Connected),
            (sent, AttemptResult::Other),
        ];
        for (outcome, end) in fine {
            let mut peers = peers();
            learn(&mut peers, NOW, server(1, 80), outcome, end);
            assert!(next(&peers, NOW, server(1, 80)).is_some(), "{outcome:?} {end:?}");
        }
    }

    #[test]
    fn a_server_without_fast_open_gets_one_request_in_each_form_and_then_a_pause() {
        // RFC 7413 §4.2.1: "only attempt another cookie request after a certain period".
        let mut peers = peers();
        let asked = Outcome { asked: true, mss: Some(1460), ..Outcome::default() };
        learn(&mut peers, NOW, server(1, 80), asked, AttemptResult::Connected);
        assert_eq!(next(&peers, NOW, server(1, 80)), Some(Attempt::Ask(Form::Experimental)));
        learn(&mut peers, NOW, server(1, 80), asked, AttemptResult::Connected);
        assert_eq!(next(&peers, NOW, server(1, 80)), None);
        assert_eq!(next(&peers, NOW + PAUSE, server(1, 80)), Some(Attempt::Ask(Form::Assigned)));
    }

    #[test]
    fn a_full_cache_evicts_the_oldest_server() {
        let mut peers = peers();
        for n in 0..6 {
            let now = NOW + Duration::from_secs(n.into());
            learn(&mut peers, now, server(n, 80), answered(n, 1400), AttemptResult::Connected);
        }
        let known =
            |n: &u8| matches!(next(&peers, NOW, server(*n, 80)), Some(Attempt::Send { .. }));
        assert_eq!((0..6).filter(known).collect::<Vec<u8>>(), [2, 3, 4, 5]);
    }
}
