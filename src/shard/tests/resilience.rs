//! Impaired networks, reuse of ports in TIME-WAIT, and shutdown.

use core::net::SocketAddr;

use super::stage::{Stage, echo, target};
use crate::link::impair::{Burst, Impaired, Impairment, Impairments};
use crate::metrics::Event;
use crate::rng::Rng;
use crate::shard::{CloseReason, Config, ConnId, ConnectOptions, Io, Service};
use crate::sim::{Client, Close, Plan, SharedTally};
use crate::time::Duration;

use super::stage::{addresses, small};

/// A client that opens connections one after another, and retries later when no port is free.
struct RetryingClient {
    target: SocketAddr,
    remaining: usize,
    tally: SharedTally,
}

impl RetryingClient {
    fn open(&mut self, io: &mut dyn Io) {
        if self.remaining == 0 {
            return;
        }
        match io.connect(&ConnectOptions { remote: self.target, local: None, user: 0 }) {
            Ok(_) => self.remaining -= 1,
            Err(error) => {
                self.tally.borrow_mut().refused_locally.push(error);
                let at = io.now() + Duration::from_millis(200);
                io.set_alarm(at);
            }
        }
    }
}

impl Service for RetryingClient {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.open(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.open(io);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        self.tally.borrow_mut().connected += 1;
        io.close(conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        *self.tally.borrow_mut().ended.entry(ending).or_default() += 1;
        self.open(io);
    }
}

#[test]
fn connections_beyond_the_port_count_reuse_ports_in_time_wait() {
    const PORTS: u16 = 64;
    let mut stage = Stage::new(20, echo);
    let tally = SharedTally::default();
    let mac = stage.world.next_mac();
    let mut config = Config::new(mac, addresses(2)[..1].to_vec(), stage.world.draw_secret());
    config.limits = small();
    config.ports = 40_000..=40_000 + PORTS - 1;
    let opens = 3 * usize::from(PORTS);
    let service = RetryingClient {
        target: target(false),
        remaining: opens,
        tally: SharedTally::clone(&tally),
    };
    let client = stage.world.add_host(&config, vec![Box::new(service)]);
    // Far less than 2MSL: the connections succeed only by reusing ports.
    stage.finish(&tally, opens, Duration::from_secs(10));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), opens);
    assert_eq!(stage.counted(client, Event::TimeWaitReused), 2 * u64::from(PORTS));
    assert_eq!(stage.world.host(client).shard(0).time_waits(), usize::from(PORTS));
    assert!(!tally.borrow().refused_locally.is_empty());

    // After 2MSL no entry remains.
    stage.world.run_for(Duration::from_secs(70));
    assert_eq!(stage.world.host(client).shard(0).time_waits(), 0);
}

#[test]
fn a_server_in_time_wait_accepts_the_next_connection_from_the_same_port() {
    let mut stage = Stage::new(21, |tally| Box::new(crate::sim::Daytime::new(tally)));
    let plan = Plan { close: Close::AfterPeer, ..Plan::echo(target(false), 1, 0) };
    let mut reused = 0;
    for n in 0..5 {
        // A new client with the same single port and secret; its timestamp clock continues.
        let (client, tally) = stage.client_with(plan.clone(), |config| {
            config.ports = 50_000..=50_000;
            config.secret = [9; 32];
            config.addresses = addresses(200)[..1].to_vec();
        });
        stage.finish(&tally, 1, Duration::from_secs(5));
        assert_eq!(tally.borrow().ended(CloseReason::Finished), 1, "connection {n}");
        stage.world.run_for(Duration::from_secs(1));
        assert_eq!(stage.world.host(stage.server).shard(0).time_waits(), 1);
        reused = stage.counted(stage.server, Event::TimeWaitReused);
        let _ = client;
    }
    assert_eq!(reused, 4);
}

/// Draws the impairment of one direction from the seed.
fn random_impairment(rng: &mut Rng) -> Impairment {
    Impairment {
        loss: rng.unit() * 0.06,
        burst: rng.happens(0.3).then_some(Burst {
            enter: 0.005,
            leave: 0.3,
            loss_bad: 0.7,
            loss_good: 0.0,
        }),
        delay: Duration::from_micros(rng.below(5_000)),
        jitter: Duration::from_micros(rng.below(500)),
        reorder: rng.unit() * 0.1,
        gap: Duration::from_micros(200 + rng.below(2_000)),
        duplicate: rng.unit() * 0.05,
        corrupt: rng.unit() * 0.03,
        ..Impairment::default()
    }
}

/// Runs bulk transfers or short connections through an impaired network. Every byte must arrive in
/// order, and both shards must release everything. Returns a digest of the run.
fn assert_survives(seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let mut stage = Stage::new(seed, echo);
    let (many, bytes) = if seed.is_multiple_of(2) { (3, 300_000) } else { (60, 3_000) };
    let close = if rng.happens(0.5) { Close::WhenWritten } else { Close::WhenAnswered };
    let plan = Plan { close, ..Plan::echo(target(rng.happens(0.5)), many, bytes) };
    let tally = SharedTally::default();
    let mac = stage.world.next_mac();
    let mut config = Config::new(mac, addresses(2), stage.world.draw_secret());
    config.limits = small();
    let client = Box::new(Client::new(plan, SharedTally::clone(&tally)));
    let (tx, rx) = (random_impairment(&mut rng), random_impairment(&mut rng));
    let client = stage.world.add_host_with(&config, vec![client], &mut |link, seed| {
        Box::new(Impaired::new(link, &Impairments { tx, rx, seed }))
    });
    let done = |tally: &SharedTally| tally.borrow().ended_in_all() == many;
    let finished = stage.world.run(Duration::from_secs(600), |_| done(&tally));
    assert!(finished, "seed {seed}: {:?}", tally.borrow());
    assert_eq!(
        tally.borrow().ended(CloseReason::Finished),
        many,
        "seed {seed}: {:?}",
        tally.borrow()
    );
    assert_eq!((tally.borrow().wrong, tally.borrow().received), (0, many * bytes), "seed {seed}");
    stage.world.run_for(Duration::from_secs(300));
    stage.assert_nothing_left(stage.server);
    assert_eq!(stage.world.host(client).shard(0).connections(), 0);
    assert_eq!(stage.world.host(client).shard(0).buffer_bytes(), 0);
    stage.counted(client, Event::SegmentOut) << 32 | stage.counted(client, Event::SegmentIn)
}

#[test]
fn content_survives_loss_reordering_duplication_and_corruption() {
    for seed in 100..112 {
        assert_survives(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(assert_survives(7), assert_survives(7));
}

#[test]
fn close_all_closes_every_connection_cleanly() {
    let mut stage = Stage::new(22, echo);
    let plan = Plan { close: Close::AfterPeer, ..Plan::echo(target(false), 100, 50) };
    let (client, tally) = stage.client(plan);
    let open = stage.world.run(Duration::from_secs(5), |_| tally.borrow().received == 100 * 50);
    assert!(open);
    let (now, server) = (stage.world.now(), stage.server);
    stage.world.host_mut(server).shard_mut(0).close_all(now);
    stage.finish(&tally, 100, Duration::from_secs(5));
    stage.world.run_for(Duration::from_secs(1));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), 100);
    assert_eq!(stage.served.borrow().ended(CloseReason::Finished), 100);
    stage.assert_nothing_left(server);
    stage.assert_nothing_left(client);

    let (_, late) = stage.client(Plan::echo(target(false), 1, 0));
    stage.finish(&late, 1, Duration::from_secs(5));
    assert_eq!(late.borrow().ended(CloseReason::Refused), 1);
}

#[test]
fn abort_all_resets_every_connection_in_one_turn() {
    let mut stage = Stage::new(23, echo);
    let plan = Plan { close: Close::AfterPeer, ..Plan::echo(target(true), 100, 50) };
    let (_, tally) = stage.client(plan);
    let open = stage.world.run(Duration::from_secs(5), |_| tally.borrow().received == 100 * 50);
    assert!(open);
    let (now, server) = (stage.world.now(), stage.server);
    stage.world.host_mut(server).shard_mut(0).abort_all(now);
    stage.world.step();
    stage.assert_nothing_left(server);
    stage.finish(&tally, 100, Duration::from_secs(5));
    assert_eq!(tally.borrow().ended(CloseReason::Reset), 100);
    assert_eq!(stage.served.borrow().ended(CloseReason::Aborted), 100);
}
