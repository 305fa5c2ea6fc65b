//! Bounds of a connection, from the program and from its listener.

use super::raw::{Callback, IRS, Raw, SentSegment, ack, segment_of, syn};
use super::stage::PORT;
use crate::shard::{Config, ConnId, ListenerConfig, ListenerOptions, SocketOption};
use crate::wire::tcp::{HeaderOut, OptionsOut, flag};

const OTHER: u16 = 4000;

const BOUNDED: ListenerOptions = ListenerOptions {
    send_buffer: Some(3000),
    receive_buffer: Some(8000),
    mss: Some(700),
    hop_limit: Some(5),
};

fn set(t: &mut Raw, option: SocketOption) {
    let conn = t.conn();
    t.with_io(move |io| io.set_option(conn, option));
}

fn write(t: &mut Raw, conn: ConnId, bytes: usize) -> usize {
    t.ask(move |io| io.write(conn, &vec![0; bytes]))
}

/// A shard with a bounded listener on [`OTHER`].
fn bounded(options: ListenerOptions, backlog: u32) -> Raw {
    let mut t = Raw::new(|config: &mut Config| config.settings.receive_buffer = 1 << 20);
    let config = ListenerConfig { backlog, options, ..ListenerConfig::on_port(OTHER) };
    t.with_io(move |io| {
        io.listen(&config).expect("a free port");
    });
    t
}

/// Sends a SYN with all options of a common host to [`OTHER`]. Returns the SYN-ACK.
fn knock(t: &mut Raw) -> SentSegment {
    let options = OptionsOut {
        mss: Some(1460),
        window_shift: Some(7),
        timestamps: Some(crate::wire::tcp::Timestamps { value: 1, echo: 0 }),
        ..OptionsOut::default()
    };
    t.receives(&HeaderOut { options, dst_port: OTHER, ..syn() }, &[]);
    t.sent().remove(0)
}

/// Answers a SYN-ACK.
fn answer(t: &mut Raw, syn_ack: &SentSegment) -> ConnId {
    let echo = syn_ack.stamp.map_or(0, |(value, _)| value);
    let timestamps = Some(crate::wire::tcp::Timestamps { value: 2, echo });
    let options = OptionsOut { timestamps, ..OptionsOut::default() };
    let last = ack(IRS + 1, syn_ack.seq + 1);
    t.receives(&HeaderOut { options, dst_port: OTHER, ..last }, &[]);
    assert_eq!(t.callbacks(), [Callback::Accepted]);
    t.conn()
}

#[test]
fn a_program_sets_the_hop_limit_of_a_connection() {
    // RFC 9293 §3.9.2, MUST-49: "The TTL value used to send TCP segments MUST be configurable."
    let mut t = Raw::new(|config: &mut Config| config.hop_limit = 61);
    t.accept();
    let conn = t.conn();
    for (option, ttl) in [(Some(17), 17), (Some(0), 1), (None, 61)] {
        set(&mut t, SocketOption::HopLimit(option));
        write(&mut t, conn, 1000);
        assert_eq!(t.sent()[0].ttl, ttl);
    }
}

#[test]
fn options_set_in_the_turn_of_the_connect_shape_its_syn() {
    use super::raw::{PEER, PEER_PORT};
    use crate::shard::ConnectOptions;
    let mut t = Raw::new(|config: &mut Config| config.settings.receive_buffer = 1 << 20);
    t.with_io(|io| {
        let remote = (PEER, PEER_PORT).into();
        let open = ConnectOptions { remote, local: None, user: 0 };
        let conn = io.connect(&open).expect("a route");
        io.set_option(conn, SocketOption::Mss(900));
        io.set_option(conn, SocketOption::ReceiveBuffer(Some(8000)));
        io.set_option(conn, SocketOption::HopLimit(Some(9)));
    });
    let syn_out = t.sent().remove(0);
    let shape = (syn_out.mss, syn_out.shift, syn_out.window, syn_out.ttl);
    assert_eq!(shape, (Some(900), Some(0), 8000, 9));
}

#[test]
fn the_connections_of_a_bounded_listener_begin_with_its_options() {
    // Linux, net/ipv4/tcp_minisocks.c, tcp_create_openreq_child: a child inherits from its
    // listener.
    let mut t = bounded(BOUNDED, 10);
    let syn_ack = knock(&mut t);
    assert_eq!((syn_ack.mss, syn_ack.shift), (Some(700), Some(0)));
    assert!((4000..=8000).contains(&syn_ack.window), "{}", syn_ack.window);
    let conn = answer(&mut t, &syn_ack);
    assert_eq!(write(&mut t, conn, 10_000), 3000);
    let sent = t.sent();
    assert_eq!(sent.iter().map(|got| got.len).sum::<usize>(), 3000 / 688 * 688);
    assert!(sent.iter().all(|got| got.len == 688 && got.ttl == 5), "{sent:?}");
    assert!(sent.iter().all(|got| got.window <= 8000), "{sent:?}");
    let receive_buffer = t.ask(move |io| io.info(conn).map(|info| info.receive_buffer));
    assert_eq!(receive_buffer, Some(8000));
}

#[test]
fn a_listener_without_options_leaves_its_connections_alone() {
    let mut t = bounded(ListenerOptions::NONE, 10);
    let syn_ack = knock(&mut t);
    assert_eq!((syn_ack.mss, syn_ack.shift, syn_ack.window), (Some(1460), Some(4), 65_535));
    let conn = answer(&mut t, &syn_ack);
    assert_eq!(write(&mut t, conn, 10_000), 10_000);
    assert_eq!(t.sent()[0].ttl, 64);
}

#[test]
fn a_retransmitted_syn_ack_and_a_cookie_are_bounded_too() {
    let mut t = bounded(BOUNDED, 10);
    let first = knock(&mut t);
    t.after_ms(1_100);
    let again = t.sent().remove(0);
    assert_eq!((again.seq, again.mss, again.window), (first.seq, first.mss, first.window));
    let mut t = bounded(BOUNDED, 0);
    let cookie = knock(&mut t);
    assert_eq!((cookie.mss, cookie.shift), (Some(700), Some(0)));
    assert!(cookie.window <= 8000);
    let conn = answer(&mut t, &cookie);
    assert_eq!(write(&mut t, conn, 10_000), 3000);
    // The MSS table of cookies has 536 below 700.
    assert!(t.sent().iter().all(|got| got.len <= 688 && got.ttl == 5));
}

#[test]
fn a_low_water_mark_holds_back_the_call_and_not_the_data() {
    let mut t = Raw::new(|_| {});
    let iss = t.accept();
    let conn = t.conn();
    set(&mut t, SocketOption::ReceiveLowWater(5));
    let text = |seq| HeaderOut { dst_port: PORT, ..segment_of(flag::ACK, seq, iss + 1) };
    t.receives(&text(IRS + 1), b"four");
    assert_eq!(t.callbacks(), []);
    assert_eq!(t.ask(move |io| io.readable(conn)), 4);
    t.receives(&text(IRS + 5), b"!");
    assert_eq!(t.callbacks(), [Callback::Readable]);
}

#[test]
fn a_mark_of_unsent_bytes_bounds_what_a_program_may_write() {
    let mut t = Raw::new(|_| {});
    t.record_all();
    t.receives(&syn(), &[]);
    let iss = t.sent().remove(0).seq;
    t.receives(&ack(IRS + 1, iss + 1), &[]);
    let conn = t.conn();
    set(&mut t, SocketOption::NotSentLowWater(Some(4000)));
    let first = write(&mut t, conn, 100_000);
    let sent: usize = t.sent().iter().map(|got| got.len).sum();
    assert_eq!(first - sent, 4000);
    assert_eq!(t.ask(move |io| io.write_room(conn)), 0);
    t.callbacks();
    t.receives(&ack(IRS + 1, iss + 1 + sent as u32), &[]);
    assert!(t.callbacks().contains(&Callback::Writable));
    assert!(t.ask(move |io| io.write_room(conn)) > 0);
}

#[test]
fn a_bounded_connection_echoes_everything() {
    use super::stage::{Stage, target};
    use crate::shard::{Io, ListenerId, Service};
    use crate::sim::{Echo, Plan};
    use crate::time::Duration;

    /// An echo whose connections are bounded in every way.
    struct Bounded(Echo);
    impl Service for Bounded {
        fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
            for option in [
                SocketOption::SendBuffer(Some(5000)),
                SocketOption::ReceiveBuffer(Some(6000)),
                SocketOption::Mss(900),
                SocketOption::NotSentLowWater(Some(1)),
                SocketOption::ReceiveLowWater(100_000),
            ] {
                io.set_option(conn, option);
            }
            self.0.on_accept(io, conn, listener);
        }
        fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
            self.0.on_readable(io, conn);
        }
        fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
            self.0.on_writable(io, conn);
        }
        fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
            self.0.on_peer_closed(io, conn);
        }
    }
    let mut stage = Stage::new(50, |tally| Box::new(Bounded(Echo::new(tally))));
    let mut plan = Plan::echo(target(false), 5, 300_000);
    plan.close = crate::sim::Close::WhenWritten;
    let (_, tally) = stage.client(plan);
    stage.finish(&tally, 5, Duration::from_secs(60));
    assert_eq!((tally.borrow().received, tally.borrow().wrong), (1_500_000, 0));
}
