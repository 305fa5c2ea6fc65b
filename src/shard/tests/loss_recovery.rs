//! Loss recovery of whole stacks that send in both directions: the cost of reordering alone, and a
//! bulk transfer under every impairment at once (RFC 8985 §1, RFC 3522, RFC 3708).

use super::stage::{Stage, addresses, echo, small, target};
use crate::link::impair::{Impaired, Impairment, Impairments};
use crate::metrics::Event;
use crate::shard::{Algorithm, CloseReason, ConnInfo};
use crate::sim::{Client, Close, HostId, Plan, SharedTally};
use crate::time::Duration;

const ALGORITHMS: [Algorithm; 4] = Algorithm::ALL;

/// A transfer of `bytes` to an echo server and back, over a path that impairs each direction.
struct Transfer {
    stage: Stage,
    client: HostId,
    tally: SharedTally,
    bytes: usize,
}

impl Transfer {
    fn new(seed: u64, algorithm: Algorithm, ipv6: bool, bytes: usize, path: Impairment) -> Self {
        let mut stage = Stage::with(seed, echo, |config| config.settings.congestion = algorithm);
        let plan = Plan { close: Close::Never, ..Plan::echo(target(ipv6), 1, bytes) };
        let tally = SharedTally::default();
        let mac = stage.world.next_mac();
        let mut config = crate::shard::Config::new(mac, addresses(2), stage.world.draw_secret());
        config.limits = small();
        config.settings.congestion = algorithm;
        let client = Box::new(Client::new(plan, SharedTally::clone(&tally)));
        let client = stage.world.add_host_with(&config, vec![client], &mut |link, seed| {
            Box::new(Impaired::new(link, &Impairments { tx: path, rx: path, seed }))
        });
        Self { stage, client, tally, bytes }
    }

    /// Runs until everything has been echoed intact.
    fn run(&mut self) {
        let (tally, bytes) = (SharedTally::clone(&self.tally), self.bytes);
        let back = self.stage.world.run(Duration::from_secs(36_000), |_| {
            tally.borrow().received == bytes || tally.borrow().ended_in_all() > 0
        });
        let tally = self.tally.borrow();
        assert!(back && tally.wrong == 0 && tally.received == bytes, "{tally:?}");
    }

    /// Returns the connection of one host.
    fn info(&self, host: HostId) -> ConnInfo {
        self.stage.world.host(host).shard(0).list().next().expect("it is open")
    }
}

/// A path with a round trip of 20 ms.
fn path() -> Impairment {
    Impairment { delay: Duration::from_millis(10), hold: 4000, ..Impairment::default() }
}

#[test]
fn reordering_alone_retransmits_under_one_percent_and_every_reduction_is_undone() {
    // RFC 8985 §6.2 step 4, §3.3.2: the reordering window adapts. RFC 3522, RFC 3708: spurious
    // reductions are undone.
    for algorithm in ALGORITHMS {
        for (seed, gap_ms) in [(1, 1), (2, 3), (3, 6)] {
            let gap = Duration::from_millis(gap_ms);
            let impairment = Impairment { reorder: 0.03, gap, ..path() };
            let mut transfer = Transfer::new(seed, algorithm, seed == 2, 4_000_000, impairment);
            transfer.run();
            for host in [transfer.client, transfer.stage.server] {
                let info = transfer.info(host);
                let repairs = info.repairs;
                let segments = info.bytes_acked / u64::from(info.mss);
                assert!(repairs.reordering_seen, "{algorithm:?} {gap_ms} ms: {info:?}");
                assert!(
                    u64::from(info.retransmissions) * 100 < segments,
                    "{algorithm:?} {gap_ms} ms: {} of {segments}",
                    info.retransmissions
                );
                assert_eq!(
                    repairs.reductions, repairs.undone,
                    "{algorithm:?} {gap_ms} ms: {info:?}"
                );
                let timeouts = transfer.stage.counted(host, Event::Timeout);
                assert_eq!(timeouts, 0, "{algorithm:?} {gap_ms} ms");
            }
        }
    }
}

/// Every impairment at once.
fn storm() -> Impairment {
    Impairment {
        loss: 0.02,
        reorder: 0.03,
        gap: Duration::from_micros(700),
        duplicate: 0.01,
        corrupt: 0.005,
        delay: Duration::from_millis(1),
        jitter: Duration::from_micros(100),
        hold: 4000,
        ..Impairment::default()
    }
}

fn echo_through_the_storm(bytes: usize) {
    for algorithm in ALGORITHMS {
        for ipv6 in [false, true] {
            let mut transfer = Transfer::new(7, algorithm, ipv6, bytes, storm());
            transfer.run();
            let repairs = transfer.info(transfer.client).repairs;
            assert!(repairs.lost > 0 && repairs.duplicates > 0, "{repairs:?}");
            assert_eq!(transfer.tally.borrow().ended(CloseReason::Reset), 0);
        }
    }
}

#[test]
fn loss_reordering_duplication_and_corruption_at_once_leave_the_content_intact() {
    echo_through_the_storm(4_000_000);
}

#[test]
#[ignore = "takes a minute in a release build: `scripts/soak storm` runs it"]
fn a_hundred_megabytes_come_back_intact_through_all_impairments() {
    echo_through_the_storm(100_000_000);
}
