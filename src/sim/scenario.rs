//! A scenario: hosts, their settings, what they talk, and what the network does to them, all of it drawn
//! from one seed. First comes the storm; then the network heals, and everything must come to its end.

use std::net::{IpAddr, SocketAddr};

use super::script::{Kind, Script};
use crate::limits::Limits;
use crate::link::impair::{Burst, Impairment};
use crate::rng::Rng;
use crate::shard::{Algorithm, EcnPolicy, KeepAlive};
use crate::tcp::Settings;
use crate::time::Duration;

/// The port on which every host listens.
pub(super) const PORT: u16 = 7;

/// A port on which nobody does.
const CLOSED_PORT: u16 = 9;

/// The one source port of hosts that open to each other at the same time.
const SHARED_PORT: u16 = 5000;

/// The longest storm: shorter than what the fewest retransmissions of anything last, so that whoever began
/// in it can still finish.
const STORM_MAX: Duration = Duration::from_secs(25);

/// A host.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its workers, each a shard.
    pub workers: usize,
    /// Its IP MTU.
    pub mtu: usize,
    /// How its TCP behaves.
    pub settings: Settings,
    /// What it reserves.
    pub limits: Limits,
    /// The last source port of its active opens; the first is 40,000, or the same.
    pub last_port: u16,
    /// Handshakes under way before its listener sends cookies.
    pub backlog: u32,
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct TalkPlan {
    /// What kind.
    pub kind: Kind,
    /// When it begins, and when the other end opens too if the open is simultaneous.
    pub at: Duration,
    /// Which host and worker open it.
    pub opener: (usize, usize),
    /// Which host is the other.
    pub other: usize,
    /// Over IPv6.
    pub ipv6: bool,
    /// Where nobody listens, or is.
    pub nowhere: Option<Nowhere>,
    /// What both do.
    pub scripts: [Script; 2],
}

/// Why nobody answers an open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// The port is closed.
    Port,
    /// There is no such host.
    Host,
}

/// What happens to the network.
#[derive(Clone, Debug)]
pub enum Change {
    /// The cables of a host become so: to it, from it.
    Weather(usize, Box<[Impairment; 2]>),
    /// A host crashes and starts again.
    Crash(usize),
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where it was drawn from.
    pub seed: u64,
    /// From one host to another, in fair weather.
    pub delay: Duration,
    /// The hosts.
    pub hosts: Vec<HostPlan>,
    /// What they talk.
    pub talks: Vec<TalkPlan>,
    /// Both ends of every conversation open it.
    pub simultaneous: bool,
    /// What happens, by when.
    pub changes: Vec<(Duration, Change)>,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let simultaneous = rng.happens(0.08);
        let count = if simultaneous { 2 } else { 2 + rng.below(3) as usize };
        let crash = rng.happens(0.15).then(|| rng.below(count as u64) as usize);
        let mut hosts: Vec<_> = (0..count).map(|_| HostPlan::draw(rng)).collect();
        let talks = draw_talks(rng, &hosts, simultaneous);
        if simultaneous {
            for host in &mut hosts {
                (host.workers, host.last_port) = (1, SHARED_PORT);
            }
        }
        let may_hang = crash.is_some() || talks.iter().any(|talk| talk.kind.may_break_off());
        if may_hang || hosts.iter().any(HostPlan::is_short) {
            // Who is not told of an end can only find out by asking.
            hosts.iter_mut().for_each(|host| host.settings.keep_alive = Some(ASKS));
        }
        let changes = draw_changes(rng, count, crash);
        let delay = Duration::from_micros(1 + rng.below(100));
        Self { seed, delay, hosts, talks, simultaneous, changes }
    }

    /// When the network is well again.
    pub fn heals_at(&self) -> Duration {
        self.changes.iter().map(|(at, _)| *at).max().unwrap_or_default()
    }

    /// Whether bits are flipped.
    pub fn has_corruption(&self) -> bool {
        let corrupt = |(_, change): &(Duration, Change)| matches!(change, Change::Weather(_, both) if both[1].corrupt > 0.0);
        self.changes.iter().any(corrupt)
    }

    /// Whether a host crashes.
    pub fn has_crash(&self) -> bool {
        self.changes.iter().any(|(_, change)| matches!(change, Change::Crash(_)))
    }
}

/// Keep-alive that waits until every storm is over.
const ASKS: KeepAlive =
    KeepAlive { idle: Duration::from_secs(40), interval: Duration::from_secs(5), probes: 6 };

/// The address of a host.
pub(super) fn address(host: usize, ipv6: bool) -> IpAddr {
    let n = host as u8 + 1;
    if ipv6 {
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n].into()
    } else {
        [192, 0, 2, n].into()
    }
}

impl TalkPlan {
    /// Where its opener opens to.
    pub(super) fn target(&self, simultaneous: bool) -> SocketAddr {
        let port = match self.nowhere {
            Some(Nowhere::Port) => CLOSED_PORT,
            _ if simultaneous => SHARED_PORT,
            _ => PORT,
        };
        let host = if self.nowhere == Some(Nowhere::Host) { 99 } else { self.other };
        (address(host, self.ipv6), port).into()
    }
}

fn draw_talks(rng: &mut Rng, hosts: &[HostPlan], simultaneous: bool) -> Vec<TalkPlan> {
    // One connection a family is all that two hosts with one port each can have.
    let many = if simultaneous { 1 + rng.below(2) } else { 1 + rng.below(20) };
    let most = 1 << (4 + rng.below(13));
    let mut talks = Vec::new();
    for number in 0..many {
        let opener = if simultaneous { 0 } else { rng.below(hosts.len() as u64) as usize };
        let step = 1 + rng.below(hosts.len() as u64 - 1) as usize;
        let kind = Kind::ALL[rng.below(Kind::ALL.len() as u64) as usize];
        let at = if simultaneous { 0 } else { rng.below(3_000_000) };
        let nowhere = match rng.unit() {
            _ if simultaneous => None,
            x if x < 0.02 => Some(Nowhere::Port),
            x if x < 0.03 => Some(Nowhere::Host),
            _ => None,
        };
        talks.push(TalkPlan {
            kind,
            at: Duration::from_micros(at),
            opener: (opener, rng.below(hosts[opener].workers as u64) as usize),
            other: (opener + step) % hosts.len(),
            ipv6: if simultaneous { number == 1 } else { rng.happens(0.5) },
            nowhere,
            scripts: kind.draw(rng, most),
        });
        if simultaneous {
            talks.iter_mut().for_each(|talk| talk.opener.1 = 0);
        }
    }
    talks
}

impl HostPlan {
    fn draw(rng: &mut Rng) -> Self {
        let is_short = rng.happens(0.15);
        let connections = if is_short { 4 + rng.below(12) } else { 64 } as usize;
        let limits = Limits {
            connections,
            embryos: if rng.happens(0.2) { 1 + rng.below(3) as usize } else { 32 },
            time_waits: if is_short { 1 + rng.below(8) as usize } else { 64 },
            orphans: if is_short { 1 + rng.below(8) as usize } else { 64 },
            buffer_bytes: if is_short { 128 << 10 } else { 64 << 20 },
            batch: 1 + rng.below(64) as usize,
            neighbours: 16,
            path_mtus: 16,
            fast_open_peers: 16,
            reassembly_datagrams: 8,
            reassembly_bytes: 1 << 16,
        };
        Self {
            workers: if rng.happens(0.25) { 2 + rng.below(2) as usize } else { 1 },
            mtu: [1280, 1400, 1500, 1500, 1500][rng.below(5) as usize],
            settings: draw_settings(rng),
            limits,
            last_port: if rng.happens(0.2) { 40_003 } else { 50_000 },
            backlog: if rng.happens(0.2) { 1 + rng.below(4) as u32 } else { 1024 },
        }
    }

    /// Whether it may have to turn something down.
    pub(super) const fn is_short(&self) -> bool {
        self.limits.connections < 64 || self.may_send_cookies()
    }

    /// Whether its active opens may have to follow connections in TIME-WAIT, whose peers may not know yet that
    /// they are over.
    pub(super) const fn has_few_ports(&self) -> bool {
        self.last_port < 50_000
    }

    /// Whether it may answer with cookies, which are sent once.
    pub(super) const fn may_send_cookies(&self) -> bool {
        self.limits.embryos < 32 || self.backlog < 1024
    }

    /// The first source port of its active opens.
    pub(super) const fn first_port(&self) -> u16 {
        if self.last_port < 40_000 { self.last_port } else { 40_000 }
    }
}

fn draw_settings(rng: &mut Rng) -> Settings {
    let buffer = |rng: &mut Rng| 1 << (12 + rng.below(7));
    Settings {
        mss: if rng.happens(0.2) { [536, 536] } else { [1460, 1440] },
        receive_buffer: buffer(rng),
        send_buffer: buffer(rng),
        ack_delay: Duration::from_millis(rng.below(200)),
        nagle: rng.happens(0.5),
        // Shorter, and TIME-WAIT would be over before the storm is.
        msl: Duration::from_secs(30 + rng.below(30)),
        initial_window: 1 + rng.below(10) as u8,
        timestamps: rng.happens(0.7),
        drop_unstamped: rng.happens(0.5),
        sack: rng.happens(0.7),
        window_scaling: rng.happens(0.8),
        push_bursts: rng.happens(0.2).then_some(2),
        congestion: Algorithm::ALL[rng.below(4) as usize],
        pacing: rng.happens(0.2),
        ecn: [EcnPolicy::Off, EcnPolicy::Passive, EcnPolicy::On, EcnPolicy::Accurate]
            [rng.below(4) as usize],
        ..Settings::default()
    }
}

fn draw_changes(rng: &mut Rng, hosts: usize, crash: Option<usize>) -> Vec<(Duration, Change)> {
    let storm = if rng.happens(0.2) { 1_000 } else { rng.below(STORM_MAX.as_micros()) + 1 };
    let mut changes = Vec::new();
    let calm = rng.happens(0.15);
    for host in 0..hosts {
        let mut at = 0;
        while !calm && at < storm {
            // A frame crosses two cables, and two flipped bits can escape a sum of 16 bits: only one flips.
            let to = Impairment { corrupt: 0.0, ..weather(rng) };
            let change = Change::Weather(host, Box::new([to, weather(rng)]));
            changes.push((Duration::from_micros(at), change));
            at += 1 + rng.below(storm);
        }
        let fair = Impairment::default();
        let heals_at = Duration::from_micros(storm);
        changes.push((heals_at, Change::Weather(host, Box::new([fair, fair]))));
    }
    if let Some(host) = crash {
        let at = Duration::from_micros(rng.below(storm.min(6_000_000)));
        changes.push((at, Change::Crash(host)));
    }
    changes.sort_by_key(|(at, _)| *at);
    changes
}

/// A direction of a cable in the storm.
fn weather(rng: &mut Rng) -> Impairment {
    let squared = |rng: &mut Rng, most: f64| most * rng.unit() * rng.unit();
    if rng.happens(0.05) {
        return Impairment { loss: 1.0, ..Impairment::default() };
    }
    Impairment {
        loss: squared(rng, 0.3),
        burst: rng.happens(0.2).then_some(Burst {
            enter: 0.01,
            leave: 0.3,
            loss_bad: 0.8,
            loss_good: 0.0,
        }),
        delay: Duration::from_micros(rng.below(40_000)),
        jitter: Duration::from_micros(rng.below(10_000)),
        reorder: squared(rng, 0.3),
        gap: Duration::from_micros(rng.below(20_000)),
        duplicate: squared(rng, 0.2),
        corrupt: squared(rng, 0.1),
        rate: rng.happens(0.1).then(|| 200_000 + rng.below(10_000_000)),
        ..Impairment::default()
    }
}

impl PartialEq for Scenario {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_scenario() {
        assert!(Scenario::draw(3) == Scenario::draw(3));
        assert!(Scenario::draw(3) != Scenario::draw(4));
    }

    #[test]
    fn every_storm_ends_in_fair_weather() {
        for seed in 0..200 {
            let scenario = Scenario::draw(seed);
            let fair = |(_, change): &&(Duration, Change)| matches!(change, Change::Weather(_, both) if both[0] == Impairment::default());
            let healed = scenario.changes.iter().rev().take(scenario.hosts.len()).filter(fair);
            assert_eq!(healed.count(), scenario.hosts.len(), "seed {seed}");
            assert!(scenario.heals_at() <= STORM_MAX);
        }
    }
}
