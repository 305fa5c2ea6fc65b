//! Hosts with several workers: frames arrive at any worker and are handed over to the worker of
//! their flow.

use super::stage::{PORT, addresses, small, target};
use crate::metrics::Event;
use crate::shard::{CloseReason, Config, ListenerConfig, Service, Steering, Toeplitz};
use crate::sim::{Client, Echo, HostId, Plan, SharedTally, World, WorldConfig};
use crate::time::Duration;

const WORKERS: usize = 3;

/// A server and a client, each with several workers.
struct Pair {
    world: World,
    hosts: [HostId; 2],
    served: Vec<SharedTally>,
    clients: Vec<SharedTally>,
}

fn pair(steering: &Steering, plan: &Plan) -> Pair {
    let mut world = World::new(WorldConfig { seed: 30, ..WorldConfig::default() });
    let tallies = || (0..WORKERS).map(|_| SharedTally::default()).collect::<Vec<_>>();
    let (served, clients) = (tallies(), tallies());
    let mut add = |n: u8, make: &dyn Fn(usize) -> Box<dyn Service>| {
        let mut config = Config::new(world.next_mac(), addresses(n), world.draw_secret());
        config.limits = small();
        config.steering = steering.clone();
        let listen = |shard: &mut crate::shard::Shard| {
            shard.listen(ListenerConfig::on_port(PORT)).expect("a free port");
        };
        let host = world.add_host(&config, (0..WORKERS).map(make).collect());
        for worker in 0..WORKERS {
            listen(world.host_mut(host).shard_mut(worker));
        }
        host
    };
    let server = add(1, &|worker| Box::new(Echo::new(SharedTally::clone(&served[worker]))));
    let client =
        add(2, &|worker| Box::new(Client::new(plan.clone(), SharedTally::clone(&clients[worker]))));
    Pair { world, hosts: [server, client], served, clients }
}

impl Pair {
    fn finish(&mut self, each: usize) {
        let clients = &self.clients;
        let done = |tally: &SharedTally| tally.borrow().ended_in_all() == each;
        let finished = self.world.run(Duration::from_secs(30), |_| clients.iter().all(done));
        assert!(finished, "{clients:?}");
        for tally in clients {
            assert_eq!(tally.borrow().ended(CloseReason::Finished), each);
            assert_eq!(tally.borrow().wrong, 0);
        }
    }

    fn sum(&self, host: HostId, event: Event) -> u64 {
        let of = |worker| self.world.host(host).shard(worker).counters().counted(event);
        (0..WORKERS).map(of).sum()
    }
}

#[test]
fn frames_on_the_wrong_worker_are_handed_over_until_their_flow_is_found() {
    for ipv6 in [false, true] {
        let mut pair = pair(&Steering::Single, &Plan::echo(target(ipv6), 50, 500));
        pair.finish(50);
        let [server, client] = pair.hosts;
        // The client cannot choose ports whose replies arrive at the worker that connected.
        assert!(pair.sum(client, Event::HandedOver) > 100);
        assert_eq!(pair.sum(client, Event::ResetOut) + pair.sum(server, Event::ResetOut), 0);
        assert_eq!(pair.sum(server, Event::PassiveOpen), 150);
        assert!(pair.served.iter().all(|tally| tally.borrow().accepted > 20));
    }
}

/// Covers NICs whose real RSS table differs from the reported one: virtio-net loses its RSS with
/// `ethtool -X` before XDP is attached.
#[test]
fn unexpected_rss_steering_costs_no_connection() {
    let table = (0..128).map(|entry| entry % WORKERS as u16).collect();
    let steering = Steering::Rss { toeplitz: Toeplitz::new([0x6d; 40]), table };
    for ipv6 in [false, true] {
        let mut pair = pair(&steering, &Plan::echo(target(ipv6), 50, 500));
        pair.finish(50);
        let [server, client] = pair.hosts;
        assert!(pair.sum(client, Event::Strayed) > 50, "strayed frames are counted");
        assert!(pair.sum(client, Event::Strayed) <= pair.sum(client, Event::HandedOver));
        assert_eq!(pair.sum(client, Event::ResetOut) + pair.sum(server, Event::ResetOut), 0);
        assert_eq!(pair.sum(server, Event::PassiveOpen), 150);
    }
}

#[test]
fn hash_steering_hands_each_flow_to_its_worker() {
    let steering = Steering::Hash { workers: WORKERS as u16 };
    let mut pair = pair(&steering, &Plan::echo(target(false), 50, 500));
    pair.finish(50);
    let [server, client] = pair.hosts;
    assert!(pair.sum(server, Event::HandedOver) > 100);
    assert_eq!(pair.sum(client, Event::ResetOut) + pair.sum(server, Event::ResetOut), 0);
    assert_eq!(pair.sum(server, Event::PassiveOpen), 150);
}

/// RFC 8200 §4.5, RFC 791 §3.2: the fragments of a datagram are reassembled whatever queues they
/// arrive on.
#[test]
fn fragments_are_reassembled_on_the_worker_of_their_hash() {
    let steering = Steering::Hash { workers: WORKERS as u16 };
    let mut pair = pair(&steering, &Plan::echo(target(false), 0, 0));
    let [server, _] = pair.hosts;
    for ident in 0..60 {
        for fragment in super::fragments::ping_fragments(ident) {
            pair.world.inject(server, &fragment);
        }
    }
    pair.world.run_for(Duration::from_millis(10));
    assert_eq!(pair.sum(server, Event::EchoAnswered), 60);
    for worker in 0..WORKERS {
        let counters = pair.world.host(server).shard(worker).counters();
        let reassembled = counters.counted(Event::Reassembled);
        assert!(reassembled > 8, "worker {worker}: {reassembled}");
        assert_eq!(counters.counted(Event::FragmentIn), 2 * reassembled);
    }
}

#[test]
fn a_segment_without_a_flow_is_reset_once_by_the_last_worker() {
    let mut pair = pair(&Steering::Single, &Plan::echo(target(false), 0, 0));
    pair.world.run_for(Duration::from_millis(10));
    let closed = core::net::SocketAddr::new(target(false).ip(), 81);
    let mut config = Config::new(pair.world.next_mac(), addresses(3), pair.world.draw_secret());
    config.limits = small();
    let tally = SharedTally::default();
    let client = Client::new(Plan::echo(closed, 4, 0), SharedTally::clone(&tally));
    pair.world.add_host(&config, vec![Box::new(client)]);
    let done = pair.world.run(Duration::from_secs(5), |_| tally.borrow().ended_in_all() == 4);
    assert!(done);
    assert_eq!(tally.borrow().ended(CloseReason::Refused), 4);
    assert_eq!(pair.sum(pair.hosts[0], Event::ResetOut), 4);
}
