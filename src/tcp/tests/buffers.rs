//! Buffers that grow with the flow and shrink under memory pressure (RFC 9293 §3.8.6).

use super::flights::{RTT_MS, opened, segments};
use super::script::plain;
use super::{Script, ack, bare, data, syn};
use crate::tcp::congestion::Algorithm;
use crate::tcp::{BufferPool, Disposition, Embryo, Events, Flags, SeqNum, Settings};

/// Returns a connection whose receive buffer starts at `first` bytes and may grow to `most`.
fn receiver(first: u32, most: u32) -> Script {
    let settings = Settings {
        receive_buffer: most,
        receive_buffer_initial: first,
        window_scaling: true,
        ..plain()
    };
    let mut t = Script::open(settings);
    t.sends_syn();
    t.gets(syn().mss(1000).shift(7).ack(1)).sent();
    t.events();
    t
}

/// Delivers a full window of data, read at once; a round trip passes.
fn deliver_window(t: &mut Script, from: u32) -> u32 {
    let end = from + t.c.rcv.wnd() / 1000 * 1000;
    let mut at = from;
    while at < end {
        t.gets(data(at..at + 1000));
        t.reads(1000);
        t.sent();
        at += 1000;
    }
    t.after_ms(100);
    t.sent();
    at
}

fn grown(first: u32, most: u32) -> (Script, u32) {
    let mut t = receiver(first, most);
    let mut at = 1;
    for _ in 0..10 {
        at = deliver_window(&mut t, at);
    }
    assert_eq!(t.c.receive_buffer(&t.settings), most);
    (t, at)
}

#[test]
fn the_window_grows_with_the_bytes_read_per_round_trip() {
    let mut t = receiver(16 << 10, 1 << 20);
    let (mut at, mut sizes) = (1, Vec::new());
    for _ in 0..8 {
        at = deliver_window(&mut t, at);
        sizes.push(t.c.receive_buffer(&t.settings) >> 10);
    }
    assert!(sizes.is_sorted() && sizes[0] == 16 && sizes[7] == 1024, "{sizes:?}");
    assert!(sizes.windows(2).all(|two| two[1] <= 8 * two[0]), "{sizes:?}");
    assert_eq!(t.pool.accounts().promised(), 1 << 20);
    // RFC 7323 §2.3: the largest window can be advertised, since the SYN's shift was chosen for it.
    at = deliver_window(&mut t, at);
    let advertised = deliver_window(&mut t, at) - at;
    assert!(advertised >= (1 << 20) - 2000, "{advertised}");
}

#[test]
fn the_window_of_a_slow_reader_does_not_grow() {
    let mut t = receiver(16 << 10, 1 << 20);
    let mut at = 1;
    for _ in 0..200 {
        if t.c.rcv.wnd() >= 1000 {
            t.gets(data(at..at + 1000));
            at += 1000;
        }
        t.reads(500);
        t.after_ms(100);
        t.sent();
    }
    assert!(at > 100_000);
    assert_eq!(t.c.receive_buffer(&t.settings), 16 << 10);
}

#[test]
fn a_window_of_twice_the_read_rate_does_not_grow() {
    let mut t = Script::established_with(|s| {
        (s.receive_buffer, s.receive_buffer_initial) = (1 << 20, 64 << 10);
        s.timestamps = true;
    });
    for round in 0..50 {
        for segment in 0..10 {
            let at = 1 + round * 10_000 + segment * 1000;
            // The TSecr was sent a round trip before, by a clock that started at 5.
            let echo = (t.now.as_millis() as u32 + 5) - 100;
            t.gets(data(at..at + 1000).stamp(100 + round, echo));
            t.reads(1000);
            t.sent();
        }
        t.after_ms(100);
    }
    assert_eq!(t.c.reading(&t.pool).1.as_millis(), 100);
    assert_eq!(t.c.receive_buffer(&t.settings), 64 << 10);
}

#[test]
fn an_idle_connection_reserves_no_memory() {
    let mut t = receiver(64 << 10, 1 << 20);
    assert_eq!((t.c.rcv.wnd(), t.pool.accounts().promised()), (65_535, 0));
    t.gets(data(1..1001));
    assert_eq!((t.pool.accounts().promised(), t.pool.in_use()), (64 << 10, 2048));
    t.reads(1000);
    assert_eq!((t.pool.accounts().promised(), t.pool.in_use()), (0, 0));
}

#[test]
fn all_memory_is_released_at_the_end() {
    let (mut t, _) = grown(16 << 10, 1 << 20);
    t.writes(10_000);
    t.aborts();
    let accounts = t.pool.accounts();
    assert_eq!((accounts.promised(), accounts.allocated(), t.pool.in_use()), (0, 0, 0));
    assert_eq!(accounts.largest_promise(u8::MAX), None);
}

#[test]
fn the_peers_fin_releases_the_receive_reservation() {
    let (mut t, at) = grown(16 << 10, 1 << 20);
    assert!(t.pool.accounts().promised() > 0);
    t.gets(super::fin(at));
    assert_eq!(t.pool.accounts().promised(), 0);
}

#[test]
fn the_right_edge_never_moves_left_under_memory_pressure() {
    // RFC 9293 §3.8.6, SHLD-14: "A TCP receiver SHOULD NOT shrink the window, i.e., move the right
    // window edge to the left".
    let (mut t, mut at) = grown(16 << 10, 1 << 20);
    let mut edge = t.c.rcv.edge;
    for _ in 0..3 {
        t.calls(|c, env| assert!(c.give_back(env)));
    }
    assert_eq!(t.c.receive_buffer(&t.settings), 128 << 10);
    assert_eq!(t.c.rcv.edge, edge, "the offer is not withdrawn");
    t.pool.set_limit(140 << 10);
    // The window closes as data arrives, down to the available memory, and continues from there.
    let end = at + (2 << 20);
    while at < end {
        t.gets(data(at..at + 1000));
        t.reads(1000);
        t.sent();
        assert!(t.c.rcv.edge.at_or_after(edge));
        (at, edge) = (at + 1000, t.c.rcv.edge);
    }
    assert!(t.c.rcv.wnd() <= 128 << 10, "{}", t.c.rcv.wnd());
    assert!(t.c.rcv.wnd() >= 64 << 10, "{}", t.c.rcv.wnd());
}

#[test]
fn the_window_grows_again_after_memory_pressure() {
    let (mut t, mut at) = grown(16 << 10, 1 << 20);
    while t.c.receive_buffer(&t.settings) > 16 << 10 {
        t.calls(|c, env| assert!(c.give_back(env)));
    }
    assert_eq!(t.pool.accounts().promised(), 0);
    for _ in 0..10 {
        at = deliver_window(&mut t, at);
    }
    assert_eq!(t.c.receive_buffer(&t.settings), 1 << 20);
}

#[test]
fn received_data_is_never_discarded() {
    // RFC 9293 §3.8.6, RFC 2018 §8: neither acknowledged data nor SACKed data is discarded.
    let mut t = receiver(64 << 10, 1 << 20);
    t.gets(data(1..1001)).gets(data(1001..2001)).gets(data(5001..6001));
    for _ in 0..20 {
        t.calls(|c, env| {
            c.give_back(env);
        });
    }
    assert_eq!(t.pool.accounts().promised(), 8192);
    t.pool.set_limit(0);
    t.gets(data(2001..3001)).gets(data(3001..4001)).gets(data(4001..5001));
    assert_eq!(t.reads(9000), 6000);
}

#[test]
fn without_memory_arriving_data_counts_as_lost() {
    let mut t = receiver(64 << 10, 1 << 20);
    t.sent();
    t.pool.set_limit(0);
    t.refuses(data(1..1001), Disposition::NoBuffer).quiet();
    t.pool.set_limit(1 << 20);
    t.gets(data(1..1001));
    assert_eq!(t.reads(1000), 1000);
}

#[test]
fn a_window_closed_by_memory_pressure_is_probed_and_reopens() {
    // RFC 9293 §3.8.6.1 and §3.8.6.2.2
    let mut t = Script::established_with(|s| s.receive_buffer = 4000);
    for at in [1, 1001, 2001, 3001] {
        t.gets(data(at..at + 1000));
    }
    t.sends([bare(4001).window(0)]);
    t.pool.set_limit(0);
    assert_eq!(t.reads(4000), 4000);
    t.quiet();
    t.refuses(data(4001..4002), Disposition::OutOfWindow).sends([bare(4001).window(0)]);
    assert!(!t.pool.accounts().can_reopen());
    t.pool.set_limit(1 << 20);
    assert!(t.pool.accounts().can_reopen());
    t.calls(|c, env| c.on_memory(env)).sends([bare(4001).window(4000)]);
    t.calls(|c, env| c.on_memory(env)).quiet();
}

#[test]
fn under_memory_pressure_new_connections_get_small_windows_and_then_none() {
    // RFC 9293 §3.8.6.1, MAY-8
    let settings = Settings { receive_buffer_initial: 64 << 10, ..plain() };
    let offered = |limit: usize| {
        let t = Script::open(settings.clone());
        let opening = crate::tcp::Segment {
            seq: SeqNum(1),
            flags: Flags::SYN,
            window: 1000,
            ..Default::default()
        };
        let mut embryo = Embryo::from_syn(&opening, 0, SeqNum(7), t.now, &settings, false);
        embryo.offer_at_most(BufferPool::new(limit).credit(), &settings);
        embryo.syn_ack(t.now, 0, &settings, false).window
    };
    assert_eq!((offered(1 << 30), offered(8 << 20)), (60_000, 60_000));
    assert_eq!((offered(4 << 20), offered(1 << 20)), (30_000, 7_500));
    assert_eq!((offered(64 << 10), offered(2 << 10)), (1_875, 0));
}

#[test]
fn the_send_buffer_follows_the_congestion_window() {
    let settings = Settings { send_buffer: 1 << 20, send_buffer_initial: 20_000, ..plain() };
    let mut t = Script::open(settings).shake_hands(syn().mss(1000));
    assert_eq!(t.writes(100_000), 20_000);
    t.sent();
    t.gets(ack(10_001));
    let room = 2 * t.c.recovery.controller.cwnd() - 10_000;
    assert!(room > 20_000, "slow start: {room}");
    assert_eq!(t.events(), Events::WRITABLE);
    assert_eq!(t.writes(100_000), room);
}

#[test]
fn sacked_data_does_not_count_against_the_window() {
    // RFC 2018 §8 keeps SACKed data until it is acknowledged; the window no longer counts it
    // (RFC 6675 §4).
    let settings = Settings {
        congestion: Algorithm::Bbr,
        send_buffer: 1 << 20,
        send_buffer_initial: 10_000,
        ..plain()
    };
    let mut t = opened(settings);
    assert_eq!(t.writes(100_000), 20_000);
    let mut sent = t.sent().len() as u32;
    while sent < 10 {
        t.after_ms(10);
        sent += t.sent().len() as u32;
    }
    t.events();
    t.after_ms(RTT_MS).gets(ack(1).sack(segments(2, 10)));
    assert_eq!(t.events(), Events::WRITABLE);
    let room = 2 * t.c.recovery.controller.cwnd() + 9_000 - 20_000;
    assert_eq!(t.writes(100_000), room);
}

#[test]
fn a_write_accepts_what_fits_into_memory() {
    let mut t = Script::established();
    t.pool.set_limit(16 << 10);
    assert_eq!(t.writes(50_000), 2048);
    assert_eq!(t.pool.accounts().allocated(), 2048);
    t.sent();
    t.gets(ack(2049));
    assert_eq!((t.events(), t.pool.accounts().allocated()), (Events::WRITABLE, 0));
}

#[test]
fn neither_direction_takes_all_the_memory() {
    let mut t = receiver(1 << 20, 1 << 20);
    t.pool.set_limit(64 << 10);
    let mut at = 1;
    while t.receives(data(at..at + 1000)) == Disposition::Accepted {
        at += 1000;
    }
    assert!(at > 30_000 && t.pool.accounts().promised() <= 48 << 10, "{at}");
    assert_eq!(t.writes(2000), 2000, "a request can be answered");
}
