//! Two hosts over an in-memory link: connections from the first SYN to the last ACK.

use core::net::SocketAddr;

use super::stage::{Stage, addresses, echo, small, target};
use crate::link::{Link, memory};
use crate::metrics::{DropReason, Event};
use crate::shard::{
    CloseReason, Config, ConnectError, ConnectOptions, Role, Shard, SingleWorker, TurnEnv,
};
use crate::sim::{Close, Daytime, Echo, Plan, SharedTally};
use crate::tcp::Phase;
use crate::time::{Duration, Instant};
use crate::wire::MacAddr;

#[test]
fn a_connection_opens_echoes_and_closes_over_ipv4_and_ipv6() {
    for ipv6 in [false, true] {
        let mut stage = Stage::new(1, echo);
        let (client, tally) = stage.client(Plan::echo(target(ipv6), 1, 1000));
        stage.finish(&tally, 1, Duration::from_secs(5));
        stage.world.run_for(Duration::from_millis(500));
        let tally = tally.borrow();
        assert_eq!((tally.connected, tally.received, tally.wrong), (1, 1000, 0));
        assert_eq!(tally.ended(CloseReason::Finished), 1);
        // The clock advances in steps of the switch's delay; ARP or NDP precede the SYN-ACK.
        assert!(tally.handshakes[0] >= Duration::from_micros(40), "{:?}", tally.handshakes);
        assert_eq!(stage.served.borrow().ended(CloseReason::Finished), 1);
        stage.assert_nothing_left(client);
        stage.assert_nothing_left(stage.server);
        // The side that closes first enters TIME-WAIT.
        assert_eq!(stage.world.host(client).shard(0).time_waits(), 1);
        assert_eq!(stage.world.host(stage.server).shard(0).time_waits(), 0);
        for host in [client, stage.server] {
            let shard = stage.world.host(host).shard(0);
            assert_eq!(shard.counters().dropped_total(), 0, "{:?}", shard.counters());
            assert_eq!(stage.counted(host, Event::Retransmitted), 0);
        }
    }
}

#[test]
fn a_half_closed_connection_still_carries_the_other_direction() {
    let mut stage = Stage::new(2, echo);
    let plan = Plan { close: Close::WhenWritten, ..Plan::echo(target(false), 1, 200_000) };
    let (_, tally) = stage.client(plan);
    stage.finish(&tally, 1, Duration::from_secs(20));
    let tally = tally.borrow();
    assert_eq!((tally.received, tally.wrong), (200_000, 0));
    assert_eq!(tally.ended(CloseReason::Finished), 1);
}

#[test]
fn a_server_that_closes_first_enters_time_wait() {
    let mut stage = Stage::new(3, |tally| Box::new(Daytime::new(tally)));
    let plan = Plan { close: Close::AfterPeer, ..Plan::echo(target(false), 3, 0) };
    let (client, tally) = stage.client(plan);
    stage.finish(&tally, 3, Duration::from_secs(5));
    stage.world.run_for(Duration::from_millis(500));
    assert_eq!(tally.borrow().received, 3 * 7);
    assert_eq!(tally.borrow().peer_closed_first, 3);
    assert_eq!(stage.world.host(client).shard(0).time_waits(), 0);
    assert_eq!(stage.world.host(stage.server).shard(0).time_waits(), 3);
    assert_eq!(stage.served.borrow().ended(CloseReason::Finished), 3);
}

#[test]
fn two_thousand_connections_at_once_all_finish() {
    let mut stage = Stage::new(4, echo);
    let (client, tally) = stage.client(Plan::echo(target(false), 2000, 100));
    let open = stage.world.run(Duration::from_secs(10), |_| tally.borrow().connected == 2000);
    assert!(open);
    stage.finish(&tally, 2000, Duration::from_secs(30));
    stage.world.run_for(Duration::from_secs(1));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), 2000);
    assert_eq!((tally.borrow().wrong, tally.borrow().received), (0, 200_000));
    stage.assert_nothing_left(client);
    stage.assert_nothing_left(stage.server);
    assert_eq!(stage.counted(stage.server, Event::PassiveOpen), 2000);
}

#[test]
fn one_neighbour_request_serves_all_waiting_packets() {
    let mut stage = Stage::new(5, echo);
    let (client, tally) = stage.client(Plan::echo(target(false), 20, 10));
    stage.finish(&tally, 20, Duration::from_secs(5));
    assert_eq!(stage.counted(client, Event::Retransmitted), 0);
    assert_eq!(stage.counted(stage.server, Event::NeighbourAnswered), 1);
    assert_eq!(stage.dropped(client, DropReason::NoNeighbour), 0);
}

#[test]
fn a_closed_port_refuses_connections() {
    let mut stage = Stage::new(6, echo);
    let closed = SocketAddr::new(target(false).ip(), 81);
    let (_, refused) = stage.client(Plan::echo(closed, 1, 0));
    stage.finish(&refused, 1, Duration::from_secs(5));
    assert_eq!(refused.borrow().ended(CloseReason::Refused), 1);
    assert_eq!(stage.counted(stage.server, Event::ResetOut), 1);
    assert_eq!(stage.dropped(stage.server, DropReason::NoConnection), 1);
}

#[test]
fn an_absent_host_is_unreachable_and_a_foreign_network_has_no_route() {
    let mut stage = Stage::new(7, echo);
    let absent = "192.0.2.99:7".parse().expect("an address");
    let (client, unreachable) = stage.client(Plan::echo(absent, 1, 0));
    stage.finish(&unreachable, 1, Duration::from_secs(10));
    assert_eq!(unreachable.borrow().ended(CloseReason::Unreachable), 1);
    stage.assert_nothing_left(client);

    let off_link = "203.0.113.1:7".parse().expect("an address");
    let (_, tally) = stage.client(Plan::echo(off_link, 1, 0));
    assert_eq!(tally.borrow().refused_locally, [ConnectError::NoRoute]);
}

#[test]
fn a_call_through_with_io_transmits_immediately() {
    let (mut near, mut far) = memory::pair(memory::Config::default());
    let config = Config::new(MacAddr([2, 0, 0, 0, 0, 1]), addresses(1), [7; 32]);
    let mut shard = Shard::new(Config { limits: small(), role: Role::Shared, ..config });
    let peer: SocketAddr = "192.0.2.9:7".parse().expect("an address");
    let now = Instant::from_millis(5);
    shard.mirror_neighbour(now, peer.ip(), Some([2, 0, 0, 0, 0, 9]));
    let mut service = Echo::new(SharedTally::default());
    let env = &mut TurnEnv { link: &mut near, service: &mut service, handover: &mut SingleWorker };
    shard.start(now, env);
    let open = ConnectOptions { remote: peer, local: None, user: 3 };
    let conn = shard.with_io(now, env, |io| io.connect(&open)).expect("a free port");
    assert_eq!(far.receive(now, 8, &mut Vec::new()), 1, "the SYN, without a turn");
    assert_eq!(shard.tcp_info(conn).map(|info| info.phase), Some(Phase::SynSent));
    shard.with_io(now, env, |io| io.abort(conn));
    assert_eq!(shard.tcp_info(conn), None);
}
