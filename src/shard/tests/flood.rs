//! A flood of SYNs from senders that do not exist (RFC 4987): legitimate handshakes succeed all the same, with
//! their options, and memory stays what it is.

use core::net::Ipv4Addr;

use super::raw::{FRAME_HEADERS, frame_to_us};
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

/// Handshakes that the server has room for.
const EMBRYOS: usize = 64;

/// SYNs of each step of the world.
const A_STEP: usize = 50;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A server with little room, whose clock of cookies and table are the flood's to fill.
fn stage(seed: u64) -> Stage {
    Stage::with(seed, echo, |config| {
        config.limits = Limits { embryos: EMBRYOS, ..config.limits };
    })
}

/// A SYN of nobody, from the server's own network: its answer goes to the station that sent it.
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
    let len = frame_to_us(&mut bytes, src, Protocol::TCP, len);
    bytes.truncate(len);
    bytes
}

/// Steps until `done`, the server under the flood all the time; gives how many SYNs that were.
fn under_flood(stage: &mut Stage, rng: &mut Rng, done: impl Fn(&Stage) -> bool) -> u64 {
    let (end, mut sent) = (stage.world.now() + Duration::from_secs(60), 0);
    while !done(stage) {
        assert!(stage.world.now() < end, "not done in a minute");
        for _ in 0..A_STEP {
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
fn a_flood_of_syns_keeps_no_legitimate_client_out() {
    // RFC 4987 §3.6
    let mut stage = stage(40);
    let mut rng = Rng::new(40);
    let server = stage.server;
    under_flood(&mut stage, &mut rng, |stage| stage.counted(server, Event::CookieSent) > 0);
    let before = stage.counted(server, Event::CookieAccepted);
    let (client, tally) = stage.client(Plan { at_once: 4, ..Plan::echo(target(false), 200, 300) });
    let sent = under_flood(&mut stage, &mut rng, |_| tally.borrow().ended_in_all() == 200);
    {
        let tally = tally.borrow();
        assert_eq!((tally.ended(CloseReason::Finished), tally.wrong), (200, 0), "{tally:?}");
        assert_eq!(tally.received, 200 * 300);
    }
    assert!(sent > 10_000, "{sent} SYNs are no flood");
    // All of them came in by a cookie, none had to try twice.
    assert_eq!(stage.counted(server, Event::CookieAccepted) - before, 200);
    assert_eq!(stage.counted(client, Event::Retransmitted), 0);
    stage.world.run_for(Duration::from_millis(100));
    let shard = stage.world.host(server).shard(0);
    assert_eq!((shard.connections(), shard.buffer_bytes()), (EMBRYOS, 0), "the forged ones");
}

#[test]
fn a_connection_by_cookie_has_its_options() {
    // RFC 4987 §3.6: a cookie has no room for options, but the timestamp that comes back with it has.
    let mut stage = stage(41);
    let mut rng = Rng::new(41);
    let server = stage.server;
    under_flood(&mut stage, &mut rng, |stage| stage.counted(server, Event::CookieSent) > 0);
    let plan = Plan { close: Close::Never, ..Plan::echo(target(false), 1, 100_000) };
    let (client, tally) = stage.client(plan);
    under_flood(&mut stage, &mut rng, |_| tally.borrow().received == 100_000);
    let list = |host| stage.world.host(host).shard(0).list().next().expect("it lives");
    for (host, peer) in [(server, client), (client, server)] {
        let (mine, theirs) = (list(host), list(peer));
        assert_eq!(mine.mss, 1448, "an MSS of 1460, and timestamps");
        assert!(mine.receive_window > 65_535, "{mine:?}");
        assert!(theirs.send_window > 65_535, "the shift is known to both: {theirs:?}");
    }
}

#[test]
fn without_cookies_the_flood_is_counted_and_costs_no_memory() {
    // RFC 4987 §3.2: a larger backlog alone does not help.
    let mut stage = stage(42);
    let mut rng = Rng::new(42);
    let server = stage.server;
    let bare = ListenerConfig { cookies: false, ..ListenerConfig::on_port(PORT + 1) };
    stage.world.host_mut(server).shard_mut(0).listen(bare).expect("a free port");
    for _ in 0..100 {
        for _ in 0..A_STEP {
            stage.world.inject(server, &forged(&mut rng, PORT + 1));
        }
        stage.world.step();
    }
    let shard = stage.world.host(server).shard(0);
    assert_eq!((shard.connections(), shard.buffer_bytes()), (EMBRYOS, 0));
    let refused = stage.dropped(server, DropReason::BacklogFull);
    assert_eq!(refused, (100 * A_STEP - EMBRYOS) as u64);
    assert_eq!(stage.counted(server, Event::CookieSent), 0);
}
