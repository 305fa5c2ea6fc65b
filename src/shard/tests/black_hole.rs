//! Path MTU black holes: paths that silently drop large packets, through whole shards (RFC 4821).

use super::stage::{Stage, addresses, echo, small, target};
use crate::link::impair::{Impaired, Impairment, Impairments};
use crate::metrics::Event;
use crate::shard::{CloseReason, Config};
use crate::sim::{Client, HostId, Plan, SharedTally};
use crate::tcp::MtuProbing;
use crate::time::Duration;

/// A rate at which the window is a few packets, so that a search takes seconds.
const SLOW: Option<u64> = Some(10_000_000);
/// Bytes per transfer: enough for a search at the [`SLOW`] rate.
const BYTES: usize = 12_000_000;

/// Adds a client behind a link that carries packets of up to `mtu` bytes.
fn client(
    stage: &mut Stage,
    (mtu, rate): (usize, Option<u64>),
    plan: Plan,
    probing: MtuProbing,
) -> (HostId, SharedTally) {
    let tally = SharedTally::default();
    let mac = stage.world.next_mac();
    let mut config = Config::new(mac, addresses(mac.0[5]), stage.world.draw_secret());
    config.limits = small();
    config.settings.mtu_probing = probing;
    let service = Box::new(Client::new(plan, SharedTally::clone(&tally)));
    let delay = Duration::from_millis(5);
    let hold = 1 << 14;
    let each = Impairment { mtu: Some(mtu), delay, rate, queue: 20, hold, ..Impairment::default() };
    let client = stage.world.add_host_with(&config, vec![service], &mut |near, seed| {
        Box::new(Impaired::new(near, &Impairments::both(each, seed)))
    });
    (client, tally)
}

/// Returns the packet size of full-sized segments, for every connection of `hosts`.
fn packets(stage: &Stage, hosts: [HostId; 2], headers: u32) -> Vec<u32> {
    let of = |host: &HostId| {
        let shard = stage.world.host(*host).shard(0);
        shard.list().map(|info| info.mss + headers).collect::<Vec<_>>()
    };
    hosts.iter().flat_map(of).collect()
}

#[test]
fn a_transfer_through_a_black_hole_finds_nearly_the_path_mtu() {
    // RFC 4821 §7.7, §7.3
    for (seed, ipv6, mtu) in
        [(70, false, 1357), (71, true, 1357), (72, false, 1201), (73, true, 1499)]
    {
        let mut stage =
            Stage::with(seed, echo, |config| config.settings.mtu_probing = MtuProbing::BlackHole);
        let plan = Plan::echo(target(ipv6), 1, BYTES);
        let (client, tally) = client(&mut stage, (mtu, SLOW), plan, MtuProbing::BlackHole);
        let limit = Duration::from_secs(60);
        assert!(stage.world.run(limit, |_| tally.borrow().received > BYTES / 2), "{seed}");
        // IP and TCP headers with timestamps.
        let headers = if ipv6 { 72 } else { 52 };
        for size in packets(&stage, [client, stage.server], headers) {
            assert!(size as usize <= mtu && mtu - (size as usize) < 16, "{size} of {mtu}");
        }
        stage.finish(&tally, 1, limit);
        assert_eq!((tally.borrow().ended(CloseReason::Finished), tally.borrow().wrong), (1, 0));
        for host in [client, stage.server] {
            assert_eq!(stage.counted(host, Event::PathBlackHole), 1, "{seed}");
            assert!((1..=9).contains(&stage.counted(host, Event::PathProbeLost)), "{seed}");
        }
    }
}

#[test]
fn the_next_connection_starts_with_the_discovered_path_mtu() {
    // RFC 4821 §5.2
    let mut stage = Stage::new(74, echo);
    let plan = Plan { at_once: 1, ..Plan::echo(target(false), 4, BYTES) };
    let (client, tally) = client(&mut stage, (1400, SLOW), plan, MtuProbing::BlackHole);
    stage.finish(&tally, 4, Duration::from_secs(120));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), 4);
    for host in [client, stage.server] {
        assert_eq!(stage.counted(host, Event::PathBlackHole), 1, "found once for all of them");
    }
}

#[test]
fn probing_every_path_avoids_timeouts() {
    // RFC 4821 §7.2: > using a small initial eff_pmtu will avoid the costly timeouts
    let on = |config: &mut Config| config.settings.mtu_probing = MtuProbing::On;
    for (seed, mtu) in [(75, 1357), (76, 1500)] {
        let mut stage = Stage::with(seed, echo, on);
        let plan = Plan::echo(target(true), 1, BYTES);
        let (client, tally) = client(&mut stage, (mtu, None), plan, MtuProbing::On);
        stage.finish(&tally, 1, Duration::from_secs(30));
        assert_eq!(tally.borrow().ended(CloseReason::Finished), 1);
        for host in [client, stage.server] {
            assert_eq!(stage.counted(host, Event::Timeout), 0, "{seed}");
            assert_eq!(stage.counted(host, Event::PathBlackHole), 0);
            let fits = mtu == 1500;
            assert_eq!(stage.counted(host, Event::PathProbeArrived) > 0, fits, "{seed}");
            assert_eq!(stage.counted(host, Event::PathProbeLost) > 0, !fits, "{seed}");
        }
    }
}

#[test]
fn a_black_hole_stalls_the_transfer_without_mtu_probing() {
    let mut stage = Stage::new(77, echo);
    let plan = Plan::echo(target(false), 1, BYTES);
    let (_, tally) = client(&mut stage, (1357, SLOW), plan, MtuProbing::Off);
    stage.world.run_for(Duration::from_secs(30));
    assert_eq!((tally.borrow().connected, tally.borrow().received), (1, 0));
}
