//! A flood of SYNs with forged sources (RFC 4987): legitimate handshakes still succeed, keep their
//! options, and memory does not grow.

use core::net::Ipv4Addr;

use super::raw::{FRAME_HEADERS, frame_to_local};
use super::stage::{PORT, Stage, echo, target};
use crate::limits::Limits;
use crate::metrics::{DropReason, Event};
use crate::rng::Rng;
use crate::shard::{CloseReason, ListenerConfig};
use crate::sim::{Close, Plan};
use crate::time::Duration;
use crate::wire::Protocol;
use crate::wire::checksum::PseudoHeader;
use crate::wire::tcp::{HeaderOut, OptionsOut, flag};

/// Number of handshakes that the server can hold.
const EMBRYOS: usize = 64;

/// Forged SYNs per step of the simulation.
const SYNS_PER_STEP: usize = 50;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Creates a server with a small SYN table that the flood fills.
fn stage(seed: u64) -> Stage {
    Stage::with(seed, echo, |config| {
        config.limits = Limits { embryos: EMBRYOS, ..config.limits };
    })
}

/// Builds a SYN from a forged address in the server's network.
fn forged(rng: &mut Rng, port: u16) -> Vec<u8> {
    let src = Ipv4Addr::new(192, 0, 2, 100 + rng.below(100) as u8);
    let header = HeaderOut {
        src_port: rng.next_u32() as u16 | 1,
        dst_port: port,
        seq: rng.next_u32(),
        flags: flag::SYN,
        window: 64_240,
        options: OptionsOut { mss: Some(1460), ..OptionsOut::default() },
        ..HeaderOut::default()
    };
    let mut bytes = vec![0; 128];
    let segment = &mut bytes[FRAME_HEADERS..];
    let len = header.emit(PseudoHeader::v4(src, SERVER), (&[], &[]), segment).expect("room");
    let len = frame_to_local(&mut bytes, src, Protocol::TCP, len);
    bytes.truncate(len);
    bytes
}

/// Runs until `done` while the server is flooded. Returns the number of forged SYNs.
fn run_under_flood(stage: &mut Stage, rng: &mut Rng, done: impl Fn(&Stage) -> bool) -> u64 {
    let (end, mut sent) = (stage.world.now() + Duration::from_secs(60), 0);
    while !done(stage) {
        assert!(stage.world.now() < end, "not done within a minute");
        for _ in 0..SYNS_PER_STEP {
            let server = stage.server;
            stage.world.inject(server, &forged(rng, PORT));
            sent += 1;
        }
        stage.world.step();
        let shard = stage.world.host(stage.server).shard(0);
        assert!(shard.connections() <= EMBRYOS + 300, "{}", shard.connections());
    }
    sent
}

#[test]
fn legitimate_clients_connect_during_a_syn_flood() {
    // RFC 4987 §3.6
    let mut stage = stage(40);
    let mut rng = Rng::new(40);
    let server = stage.server;
    run_under_flood(&mut stage, &mut rng, |stage| stage.counted(server, Event::CookieSent) > 0);
    let before = stage.counted(server, Event::CookieAccepted);
    let (client, tally) = stage.client(Plan { at_once: 4, ..Plan::echo(target(false), 200, 300) });
    let sent = run_under_flood(&mut stage, &mut rng, |_| tally.borrow().ended_in_all() == 200);
    {
        let tally = tally.borrow();
        assert_eq!((tally.ended(CloseReason::Finished), tally.wrong), (200, 0), "{tally:?}");
        assert_eq!(tally.received, 200 * 300);
    }
    assert!(sent > 10_000, "only {sent} forged SYNs");
    // Every client connected by a cookie, and none had to retransmit.
    assert_eq!(stage.counted(server, Event::CookieAccepted) - before, 200);
    assert_eq!(stage.counted(client, Event::Retransmitted), 0);
    stage.world.run_for(Duration::from_millis(100));
    let shard = stage.world.host(server).shard(0);
    assert_eq!((shard.connections(), shard.buffer_bytes()), (EMBRYOS, 0), "the forged ones");
}

#[test]
fn a_connection_from_a_cookie_keeps_its_options() {
    // RFC 4987 §3.6: a cookie has no room for options, but the echoed timestamp carries them.
    let mut stage = stage(41);
    let mut rng = Rng::new(41);
    let server = stage.server;
    run_under_flood(&mut stage, &mut rng, |stage| stage.counted(server, Event::CookieSent) > 0);
    let plan = Plan { close: Close::Never, ..Plan::echo(target(false), 1, 100_000) };
    let (client, tally) = stage.client(plan);
    run_under_flood(&mut stage, &mut rng, |_| tally.borrow().received == 100_000);
    let list = |host| stage.world.host(host).shard(0).list().next().expect("it lives");
    for (host, peer) in [(server, client), (client, server)] {
        let (local, remote) = (list(host), list(peer));
        assert_eq!(local.mss, 1448, "an MSS of 1460, and timestamps");
        assert!(local.receive_window > 65_535, "{local:?}");
        assert!(remote.send_window > 65_535, "both know the window shift: {remote:?}");
    }
}

#[test]
fn without_cookies_a_syn_flood_is_counted_and_uses_no_memory() {
    // RFC 4987 §3.2: a larger backlog alone does not help.
    let mut stage = stage(42);
    let mut rng = Rng::new(42);
    let server = stage.server;
    let without_cookies = ListenerConfig { cookies: false, ..ListenerConfig::on_port(PORT + 1) };
    stage.world.host_mut(server).shard_mut(0).listen(without_cookies).expect("a free port");
    for _ in 0..100 {
        for _ in 0..SYNS_PER_STEP {
            stage.world.inject(server, &forged(&mut rng, PORT + 1));
        }
        stage.world.step();
    }
    let shard = stage.world.host(server).shard(0);
    assert_eq!((shard.connections(), shard.buffer_bytes()), (EMBRYOS, 0));
    let refused = stage.dropped(server, DropReason::BacklogFull);
    assert_eq!(refused, (100 * SYNS_PER_STEP - EMBRYOS) as u64);
    assert_eq!(stage.counted(server, Event::CookieSent), 0);
}
