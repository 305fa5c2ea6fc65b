//! What a shard lives with: bad networks, ports used again and again, and the end.

use core::net::SocketAddr;

use super::stage::{Stage, echo, target};
use crate::link::impair::{Burst, Impaired, Impairment, Impairments};
use crate::metrics::Event;
use crate::rng::Rng;
use crate::shard::{CloseReason, Config, ConnId, ConnectOptions, Io, Service};
use crate::sim::{Client, Close, Plan, SharedTally};
use crate::time::Duration;

use super::stage::{addresses, small};

/// Opens connections one after the other, and waits a while when no port is to be had.
struct Patient {
    target: SocketAddr,
    left: usize,
    tally: SharedTally,
}

impl Patient {
    fn open(&mut self, io: &mut dyn Io) {
        if self.left == 0 {
            return;
        }
        match io.connect(&ConnectOptions { remote: self.target, local: None, user: 0 }) {
            Ok(_) => self.left -= 1,
            Err(error) => {
                self.tally.borrow_mut().refused_locally.push(error);
                let at = io.now() + Duration::from_millis(200);
                io.set_alarm(at);
            }
        }
    }
}

impl Service for Patient {
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
fn three_times_as_many_opens_as_ports_follow_what_is_in_time_wait() {
    const PORTS: u16 = 64;
    let mut stage = Stage::new(20, echo);
    let tally = SharedTally::default();
    let mac = stage.world.next_mac();
    let mut config = Config::new(mac, addresses(2)[..1].to_vec(), stage.world.draw_secret());
    config.limits = small();
    config.ports = 40_000..=40_000 + PORTS - 1;
    let opens = 3 * usize::from(PORTS);
    let service = Patient { target: target(false), left: opens, tally: SharedTally::clone(&tally) };
    let client = stage.world.add_host(&config, vec![Box::new(service)]);
    // Far less than 2MSL.
    stage.finish(&tally, opens, Duration::from_secs(10));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), opens);
    assert_eq!(stage.counted(client, Event::TimeWaitReused), 2 * u64::from(PORTS));
    assert_eq!(stage.world.host(client).shard(0).time_waits(), usize::from(PORTS));
    assert!(!tally.borrow().refused_locally.is_empty());

    // And when 2MSL are over, nothing is left of them.
    stage.world.run_for(Duration::from_secs(70));
    assert_eq!(stage.world.host(client).shard(0).time_waits(), 0);
}

#[test]
fn a_server_in_time_wait_takes_the_clients_next_connection_from_the_same_port() {
    let mut stage = Stage::new(21, |tally| Box::new(crate::sim::Daytime::new(tally)));
    let plan = Plan { close: Close::AfterPeer, ..Plan::echo(target(false), 1, 0) };
    let mut reused = 0;
    for n in 0..5 {
        // A client with one port, made anew each time: its clock of timestamps goes on.
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

/// A network that is drawn from a seed.
fn weather(rng: &mut Rng) -> Impairment {
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

/// Bulk and short connections through a bad network; every byte arrives, in order, and nothing is left.
fn survives(seed: u64) -> u64 {
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
    let (tx, rx) = (weather(&mut rng), weather(&mut rng));
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
        survives(seed);
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    assert_eq!(survives(7), survives(7));
}

#[test]
fn a_stack_that_is_closed_ends_its_connections_politely() {
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
fn a_stack_that_is_aborted_resets_its_connections_in_one_turn() {
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
