//! A scenario: hosts, their settings, their conversations and the impairments of the network, all
//! drawn from one seed. First comes a storm of impairments; then the network heals, and everything
//! must finish.

use std::net::{IpAddr, SocketAddr};

use super::script::{Kind, Script};
use crate::limits::Limits;
use crate::link::impair::{Burst, Impairment};
use crate::rng::Rng;
use crate::shard::{Algorithm, EcnPolicy, KeepAlive};
use crate::tcp::Settings;
use crate::time::Duration;

/// The port on which every host listens.
pub(crate) const PORT: u16 = 7;

/// A port without a listener.
const CLOSED_PORT: u16 = 9;

/// The only source port of hosts that open simultaneously.
const SHARED_PORT: u16 = 5000;

/// The longest storm. It is shorter than the retransmissions of every connection last, so that one
/// that began in it can still finish.
const STORM_MAX: Duration = Duration::from_secs(25);

/// The plan of a host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostPlan {
    /// Number of workers, each with a shard.
    pub workers: usize,
    /// Its IP MTU.
    pub mtu: usize,
    /// Its TCP settings.
    pub settings: Settings,
    /// Its memory limits.
    pub limits: Limits,
    /// The last source port of its active opens. The first one is 40,000, or the same if that is
    /// lower.
    pub last_port: u16,
    /// Pending handshakes from which its listener sends cookies.
    pub backlog: u32,
}

/// The plan of a conversation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConversationPlan {
    /// Its kind.
    pub kind: Kind,
    /// When it is opened, by both ends if the open is simultaneous.
    pub at: Duration,
    /// The host and worker that open it.
    pub opener: (usize, usize),
    /// The other host.
    pub other: usize,
    /// True for IPv6.
    pub ipv6: bool,
    /// Set if the target does not answer.
    pub dead_target: Option<DeadTarget>,
    /// The scripts of the opener and of the other side.
    pub scripts: [Script; 2],
}

/// A target that does not accept connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadTarget {
    /// A closed port.
    ClosedPort,
    /// An address without a host.
    NoHost,
}

/// A change of the network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// New impairments of a host's cables: to it, and from it.
    Impair(usize, Box<[Impairment; 2]>),
    /// A host crashes and starts again.
    Crash(usize),
    /// A host drains: its listeners close, and after this time its connections are reset.
    Drain(usize, Duration),
}

/// A scenario.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// Delay from one host to another without impairments.
    pub delay: Duration,
    /// The hosts.
    pub hosts: Vec<HostPlan>,
    /// The conversations.
    pub conversations: Vec<ConversationPlan>,
    /// True if both ends of every conversation open it.
    pub simultaneous: bool,
    /// The changes with their times, in order.
    pub changes: Vec<(Duration, Change)>,
}

impl Scenario {
    /// Draws the scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let simultaneous = rng.happens(0.08);
        let count = if simultaneous { 2 } else { 2 + rng.below(3) as usize };
        let crash = rng.happens(0.15).then(|| rng.below(count as u64) as usize);
        let mut hosts: Vec<_> = (0..count).map(|_| HostPlan::draw(rng)).collect();
        let conversations = draw_conversations(rng, &hosts, simultaneous);
        if simultaneous {
            for host in &mut hosts {
                (host.workers, host.last_port) = (1, SHARED_PORT);
            }
        }
        let may_be_orphaned = crash.is_some()
            || conversations.iter().any(|conversation| conversation.kind.may_end_early());
        if may_be_orphaned || hosts.iter().any(HostPlan::has_low_limits) {
            // A host that misses the end of a connection can only detect it by keep-alive.
            hosts.iter_mut().for_each(|host| host.settings.keep_alive = Some(KEEP_ALIVE));
        }
        let changes = draw_changes(rng, count, crash);
        let delay = Duration::from_micros(1 + rng.below(100));
        Self { seed, delay, hosts, conversations, simultaneous, changes }
    }

    /// Draws the scenario of a seed with programs that leave connections at any moment: a host that
    /// misses such an end detects it by keep-alive. In some scenarios a host drains in the storm.
    pub fn draw_restless(seed: u64) -> Self {
        let mut scenario = Self::draw(seed);
        let mut rng = Rng::new(!seed);
        for host in &mut scenario.hosts {
            host.settings.keep_alive = Some(KEEP_ALIVE);
        }
        if rng.happens(0.15) {
            let host = rng.below(scenario.hosts.len() as u64) as usize;
            let at = Duration::from_micros(rng.below(scenario.heals_at().as_micros().max(1)));
            let grace = Duration::from_micros(rng.below(STORM_MAX.as_micros()));
            scenario.changes.push((at, Change::Drain(host, grace)));
            scenario.changes.sort_by_key(|(at, _)| *at);
        }
        scenario
    }

    /// Returns the time at which the network heals.
    pub fn heals_at(&self) -> Duration {
        self.changes.iter().map(|(at, _)| *at).max().unwrap_or_default()
    }

    /// Returns true if the network flips bits.
    pub fn has_corruption(&self) -> bool {
        let corrupt = |(_, change): &(Duration, Change)| matches!(change, Change::Impair(_, both) if both[1].corrupt > 0.0);
        self.changes.iter().any(corrupt)
    }

    /// Returns true if a host drains.
    pub fn has_drain(&self) -> bool {
        self.changes.iter().any(|(_, change)| matches!(change, Change::Drain(..)))
    }

    /// Returns true if a host crashes.
    pub fn has_crash(&self) -> bool {
        self.changes.iter().any(|(_, change)| matches!(change, Change::Crash(_)))
    }
}

/// Keep-alive that starts after every storm.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(40), interval: Duration::from_secs(5), probes: 6 };

/// Returns the address of a host.
pub(crate) fn address(host: usize, ipv6: bool) -> IpAddr {
    let n = host as u8 + 1;
    if ipv6 {
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n].into()
    } else {
        [192, 0, 2, n].into()
    }
}

impl ConversationPlan {
    /// Returns the address to which the opener connects.
    pub(super) fn target(&self, simultaneous: bool) -> SocketAddr {
        let port = match self.dead_target {
            Some(DeadTarget::ClosedPort) => CLOSED_PORT,
            _ if simultaneous => SHARED_PORT,
            _ => PORT,
        };
        let host = if self.dead_target == Some(DeadTarget::NoHost) { 99 } else { self.other };
        (address(host, self.ipv6), port).into()
    }
}

fn draw_conversations(
    rng: &mut Rng,
    hosts: &[HostPlan],
    simultaneous: bool,
) -> Vec<ConversationPlan> {
    // Two hosts with one port each can have one connection per address family.
    let count = if simultaneous { 1 + rng.below(2) } else { 1 + rng.below(20) };
    let bytes_max = 1 << (4 + rng.below(13));
    let mut conversations = Vec::new();
    for number in 0..count {
        let opener = if simultaneous { 0 } else { rng.below(hosts.len() as u64) as usize };
        let step = 1 + rng.below(hosts.len() as u64 - 1) as usize;
        let kind = Kind::ALL[rng.below(Kind::ALL.len() as u64) as usize];
        let at = if simultaneous { 0 } else { rng.below(3_000_000) };
        let dead_target = match rng.unit() {
            _ if simultaneous => None,
            x if x < 0.02 => Some(DeadTarget::ClosedPort),
            x if x < 0.03 => Some(DeadTarget::NoHost),
            _ => None,
        };
        conversations.push(ConversationPlan {
            kind,
            at: Duration::from_micros(at),
            opener: (opener, rng.below(hosts[opener].workers as u64) as usize),
            other: (opener + step) % hosts.len(),
            ipv6: if simultaneous { number == 1 } else { rng.happens(0.5) },
            dead_target,
            scripts: kind.draw(rng, bytes_max),
        });
        if simultaneous {
            conversations.iter_mut().for_each(|conversation| conversation.opener.1 = 0);
        }
    }
    conversations
}

impl HostPlan {
    fn draw(rng: &mut Rng) -> Self {
        let low_limits = rng.happens(0.15);
        let connections = if low_limits { 4 + rng.below(12) } else { 64 } as usize;
        let limits = Limits {
            connections,
            embryos: if rng.happens(0.2) { 1 + rng.below(3) as usize } else { 32 },
            time_waits: if low_limits { 1 + rng.below(8) as usize } else { 64 },
            orphans: if low_limits { 1 + rng.below(8) as usize } else { 64 },
            buffer_bytes: if low_limits { 128 << 10 } else { 64 << 20 },
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

    /// Returns true if its limits may make it reject connections.
    pub(super) const fn has_low_limits(&self) -> bool {
        self.limits.connections < 64 || self.may_send_cookies()
    }

    /// Returns true if its active opens may reuse ports of connections in TIME-WAIT, whose peers
    /// may still consider them open.
    pub(super) const fn has_few_ports(&self) -> bool {
        self.last_port < 50_000
    }

    /// Returns true if it may answer with SYN cookies, which are not retransmitted.
    pub(super) const fn may_send_cookies(&self) -> bool {
        self.limits.embryos < 32 || self.backlog < 1024
    }

    /// Returns the first source port of its active opens.
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
        // TIME-WAIT must outlast the storm.
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
    let no_storm = rng.happens(0.15);
    for host in 0..hosts {
        let mut at = 0;
        while !no_storm && at < storm {
            // A frame crosses two cables. Two flipped bits can escape a 16-bit checksum, so only
            // one cable flips bits.
            let to = Impairment { corrupt: 0.0, ..draw_impairment(rng) };
            let change = Change::Impair(host, Box::new([to, draw_impairment(rng)]));
            changes.push((Duration::from_micros(at), change));
            at += 1 + rng.below(storm);
        }
        let none = Impairment::default();
        let heals_at = Duration::from_micros(storm);
        changes.push((heals_at, Change::Impair(host, Box::new([none, none]))));
    }
    if let Some(host) = crash {
        let at = Duration::from_micros(rng.below(storm.min(6_000_000)));
        changes.push((at, Change::Crash(host)));
    }
    changes.sort_by_key(|(at, _)| *at);
    changes
}

/// Draws the impairment of one direction of a cable.
fn draw_impairment(rng: &mut Rng) -> Impairment {
    let squared = |rng: &mut Rng, max: f64| max * rng.unit() * rng.unit();
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
    fn every_storm_ends_without_impairments() {
        for seed in 0..200 {
            let scenario = Scenario::draw(seed);
            let heals = |(_, change): &&(Duration, Change)| matches!(change, Change::Impair(_, both) if both[0] == Impairment::default());
            let healed = scenario.changes.iter().rev().take(scenario.hosts.len()).filter(heals);
            assert_eq!(healed.count(), scenario.hosts.len(), "seed {seed}");
            assert!(scenario.heals_at() <= STORM_MAX);
        }
    }
}
