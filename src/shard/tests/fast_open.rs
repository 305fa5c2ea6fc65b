//! TCP Fast Open (RFC 7413) through whole shards: cookies, limits, floods, what is learned of servers, and
//! networks that lose, reorder and duplicate.

use super::raw::{Got, IRS, PEER, PEER_PORT, Raw, Told, US, ack, segment_of};
use super::stage::{Stage, addresses, echo, small, target};
use crate::link::impair::{Impaired, Impairment, Impairments};
use crate::metrics::Event;
use crate::rng::Rng;
use crate::shard::{
    CloseReason, Config, ConnectOptions, Early, FastOpenListener, ListenerId, SynData,
};
use crate::sim::{Client, Close, Plan, SharedTally};
use crate::time::Duration;
use crate::wire::tcp::{FastOpen, HeaderOut, OptionsOut, flag};

const SYN_ACK: u16 = flag::SYN | flag::ACK;

/// The listener of the test's server.
const LISTENER: ListenerId = ListenerId(0);

fn raw(fast_open: FastOpenListener) -> Raw {
    let mut raw = Raw::new(|_| {});
    raw.shard.set_fast_open(LISTENER, Some(fast_open));
    raw
}

fn option(cookie: &[u8]) -> FastOpen<'_> {
    FastOpen { cookie, ..FastOpen::default() }
}

/// A SYN of the peer's from `port`.
fn syn_from(port: u16, fast_open: Option<FastOpen<'_>>) -> HeaderOut<'_> {
    let options = OptionsOut { mss: Some(1000), fast_open, ..OptionsOut::default() };
    HeaderOut { src_port: port, options, ..segment_of(flag::SYN, IRS, 0) }
}

/// What answers a SYN with this option and data.
fn answer(raw: &mut Raw, port: u16, fast_open: Option<FastOpen<'_>>, data: &[u8]) -> Got {
    raw.hears(&syn_from(port, fast_open), data);
    let mut got = raw.got();
    assert_eq!((got.len(), got[0].flags), (1, SYN_ACK), "{got:?}");
    got.remove(0)
}

/// The cookie of the peer.
fn cookie(raw: &mut Raw) -> Vec<u8> {
    let got = answer(raw, 4000, Some(option(&[])), &[]);
    assert_eq!(got.ack, IRS + 1);
    raw.hears(&HeaderOut { src_port: 4000, ..segment_of(flag::RST, IRS + 1, 0) }, &[]);
    got.fast_open.filter(|cookie| cookie.len() == 8).expect("a cookie")
}

fn counted(raw: &Raw, event: Event) -> u64 {
    raw.shard.counters().counted(event)
}

#[test]
fn a_cookie_is_given_on_request_and_opens_with_data_from_then_on() {
    // RFC 7413 §4.2.1, §4.2.2
    let mut raw = raw(FastOpenListener::default());
    let cookie = cookie(&mut raw);
    assert!(raw.told().is_empty());
    let got = answer(&mut raw, 5000, Some(option(&cookie)), b"request");
    assert_eq!((got.ack, got.fast_open.clone()), (IRS + 1 + 7, None));
    assert_eq!(raw.told(), [Told::Accepted, Told::Readable]);
    // The program answers before the handshake is done.
    let conn = raw.conn();
    raw.orders(move |io| {
        let mut buffer = [0; 100];
        assert_eq!(io.read(conn, &mut buffer), 7);
        assert_eq!(&buffer[..7], b"request");
        assert_eq!(io.info(conn).map(|info| info.syn_data), Some(SynData::Received));
        assert_eq!(io.write(conn, b"answer"), 6);
    });
    let sent = raw.got();
    assert_eq!((sent[0].seq, sent[0].len, sent[0].ack), (got.seq + 1, 6, IRS + 8));
    raw.hears(&ack(IRS + 8, got.seq + 7), &[]);
    assert!(raw.got().is_empty() && raw.told().is_empty());
    assert_eq!(counted(&raw, Event::FastOpenAccepted), 1);
    assert_eq!(counted(&raw, Event::FastOpenCookieSent), 1);
}

#[test]
fn a_listener_that_did_not_turn_it_on_ignores_every_cookie() {
    // RFC 7413 §4.2: "When this flag is off, the server does not perform any TFO-related operations and MUST
    // ignore all cookie options."
    let mut raw = Raw::new(|_| {});
    for cookie in [&[][..], &[1; 8]] {
        let got = answer(&mut raw, 5000 + cookie.len() as u16, Some(option(cookie)), b"data");
        assert_eq!((got.ack, got.fast_open), (IRS + 1, None));
    }
    assert!(raw.told().is_empty());
}

#[test]
fn a_syn_with_data_and_without_the_option_gets_an_ordinary_handshake() {
    let mut raw = raw(FastOpenListener::default());
    let got = answer(&mut raw, 5000, None, b"data");
    assert_eq!((got.ack, got.fast_open), (IRS + 1, None));
    assert!(raw.told().is_empty());
}

#[test]
fn forged_cookies_cost_nothing_but_an_ordinary_handshake_and_a_count() {
    // RFC 7413 §4.2.2 (3), §5.1
    const FORGED: u16 = 2000;
    let mut raw = raw(FastOpenListener::default());
    let cookie = cookie(&mut raw);
    let mut rng = Rng::new(7);
    for n in 0..FORGED {
        let forged = rng.next_u64().to_le_bytes();
        let len = [4, 6, 8][usize::from(n % 3)];
        let got = answer(&mut raw, 10_000 + n, Some(option(&forged[..len])), &[1; 500]);
        assert_eq!(got.ack, IRS + 1);
        // Past the backlog the SYN-ACK is itself a cookie (RFC 4987 §3.6), and has no option.
        let given = Some(cookie.clone()).filter(|_| n < 1024);
        assert_eq!(got.fast_open, given, "{n}");
    }
    assert_eq!(counted(&raw, Event::FastOpenBadCookie), FORGED.into());
    assert_eq!(counted(&raw, Event::FastOpenAccepted), 0);
    assert_eq!(raw.shard.buffer_bytes(), 0, "no data is kept");
    assert!(raw.told().is_empty());
    // Who has a cookie is served all the same, though the backlog is full.
    let got = answer(&mut raw, 5000, Some(option(&cookie)), b"request");
    assert_eq!(got.ack, IRS + 8);
    assert_eq!(raw.told(), [Told::Accepted, Told::Readable]);
}

#[test]
fn past_the_limit_of_pending_requests_handshakes_are_ordinary() {
    // RFC 7413 §4.2: "the server MUST disable TFO for all new connection requests until
    // PendingFastOpenRequests drops below the system limit".
    let mut raw = raw(FastOpenListener { pending: 2, without_cookie: false });
    let cookie = cookie(&mut raw);
    let open = |raw: &mut Raw, port| answer(raw, port, Some(option(&cookie)), b"request");
    let first = open(&mut raw, 6000);
    assert_eq!((first.ack, open(&mut raw, 6001).ack), (IRS + 8, IRS + 8));
    let third = open(&mut raw, 6002);
    assert_eq!((third.ack, third.fast_open), (IRS + 1, None));
    assert_eq!(counted(&raw, Event::FastOpenLimited), 1);
    // One is done, so there is a place again.
    let last = HeaderOut { src_port: 6000, ..ack(IRS + 8, first.seq + 1) };
    raw.hears(&last, &[]);
    assert_eq!(open(&mut raw, 6003).ack, IRS + 8);
    // One is reset: it counts on (§5.1).
    raw.hears(&HeaderOut { src_port: 6001, ..segment_of(flag::RST, IRS + 8, 0) }, &[]);
    assert_eq!(open(&mut raw, 6004).ack, IRS + 1);
    let last = HeaderOut { src_port: 6003, ..segment_of(flag::RST, IRS + 8, 0) };
    raw.hears(&last, &[]);
    raw.after_ms(59_000);
    raw.got();
    assert_eq!(open(&mut raw, 6005).ack, IRS + 1);
    raw.after_ms(1_100);
    raw.got();
    assert_eq!(open(&mut raw, 6006).ack, IRS + 8);
}

#[test]
fn a_listener_may_want_no_cookie() {
    // RFC 7413 §7.3
    let mut raw = raw(FastOpenListener { without_cookie: true, ..FastOpenListener::default() });
    let options = [None, Some(option(&[])), Some(option(&[9; 8]))];
    for (port, option) in (7000..).zip(options) {
        let got = answer(&mut raw, port, option, b"request");
        assert_eq!((got.ack, got.fast_open), (IRS + 8, None));
        assert_eq!(raw.told(), [Told::Accepted, Told::Readable]);
    }
    assert_eq!(answer(&mut raw, 7010, None, &[]).ack, IRS + 1);
    assert!(raw.told().is_empty(), "an ordinary SYN");
}

#[test]
fn an_aging_cookie_still_opens_and_is_renewed_and_then_expires() {
    // RFC 7413 §4.1.2 (4), (5)
    const HALF_A_DAY: Duration = Duration::from_secs(12 * 3600);
    let mut raw = raw(FastOpenListener::default());
    let old = cookie(&mut raw);
    raw.now += HALF_A_DAY;
    raw.turns();
    let got = answer(&mut raw, 5000, Some(option(&old)), b"request");
    let new = got.fast_open.expect("a new one");
    assert_eq!((got.ack, new == old), (IRS + 8, false));
    raw.now += HALF_A_DAY;
    raw.turns();
    raw.got();
    assert_eq!(answer(&mut raw, 5001, Some(option(&old)), b"request").ack, IRS + 1);
    assert_eq!(answer(&mut raw, 5002, Some(option(&new)), b"request").ack, IRS + 8);
}

#[test]
fn a_cookie_request_with_a_fin_is_no_scan() {
    let mut raw = raw(FastOpenListener::default());
    let cookie = cookie(&mut raw);
    let syn = |option| HeaderOut { flags: flag::SYN | flag::FIN, ..syn_from(5000, option) };
    raw.hears(&syn(None), &[]);
    assert!(raw.got().is_empty());
    raw.hears(&syn(Some(option(&cookie))), b"all");
    let got = raw.got();
    assert_eq!((got.len(), got[0].ack), (1, IRS + 4));
    raw.hears(&ack(IRS + 5, got[0].seq + 1), &[]);
    assert_eq!(raw.told(), [Told::Accepted, Told::Readable, Told::PeerClosed]);
}

/// The program opens with `data`; what goes out.
fn opens_with(raw: &mut Raw, data: &'static [u8], without_cookie: bool) -> Got {
    raw.orders(move |io| {
        let open = ConnectOptions { remote: (PEER, PEER_PORT).into(), local: None, user: 0 };
        let early = Early { data, without_cookie };
        let (_, taken) = io.connect_with(&open, &early).expect("an open");
        assert_eq!(taken, data.len());
    });
    raw.got().remove(0)
}

/// The peer answers an open of ours, whose port is not known to it: by the SYN's source address.
fn answers(raw: &mut Raw, syn: &Got, taken: u32, fast_open: Option<FastOpen<'_>>) {
    let options = OptionsOut { mss: Some(1200), fast_open, ..OptionsOut::default() };
    let header = HeaderOut {
        src_port: PEER_PORT,
        dst_port: syn.port,
        options,
        ..segment_of(SYN_ACK, IRS, syn.seq + 1 + taken)
    };
    raw.hears(&header, &[]);
}

#[test]
fn a_client_asks_then_sends_and_leaves_a_server_alone_that_takes_nothing() {
    // RFC 7413 §4.1.3, §4.1.3.1, §4.2
    let mut raw = Raw::new(|_| {});
    assert_eq!(US.octets()[3], 1);
    let first = opens_with(&mut raw, b"request", false);
    assert_eq!((first.len, first.fast_open.as_deref()), (0, Some(&[][..])));
    answers(&mut raw, &first, 0, Some(option(&[5; 8])));
    assert_eq!(raw.told(), [Told::Connected]);
    assert_eq!(raw.got()[0].len, 7, "the data follows");

    let second = opens_with(&mut raw, &[7; 3560], false);
    assert_eq!((second.len, second.fast_open.as_deref()), (1160, Some(&[5; 8][..])));
    answers(&mut raw, &second, 1160, None);
    let rest: usize = raw.got().iter().map(|got| got.len).sum();
    assert_eq!(rest, 3560 - 1160);
    assert_eq!(counted(&raw, Event::FastOpenTaken), 1);

    let third = opens_with(&mut raw, b"request", false);
    assert_eq!(third.len, 7);
    answers(&mut raw, &third, 0, None);
    assert_eq!(raw.got()[0].len, 7);
    assert_eq!(counted(&raw, Event::FastOpenRefused), 1);

    let fourth = opens_with(&mut raw, b"request", false);
    assert_eq!((fourth.len, fourth.fast_open), (0, None));
    raw.after_ms(60_000);
    raw.got();
    assert_eq!(opens_with(&mut raw, b"request", false).len, 7);
}

#[test]
fn without_a_cookie_data_goes_at_once_where_the_program_says_so() {
    // RFC 7413 §7.3, and §4.1.3 for how much.
    let mut raw = Raw::new(|_| {});
    let syn = opens_with(&mut raw, &[7; 3000], true);
    assert_eq!((syn.len, syn.fast_open), (536 - 40, None));
}

/// A client that opens with data, one connection after the other.
fn early(connections: usize, bytes: usize) -> Plan {
    Plan { early: true, at_once: 1, ..Plan::echo(target(false), connections, bytes) }
}

#[test]
fn all_but_the_first_connection_send_data_in_the_syn() {
    for ipv6 in [false, true] {
        let mut stage = Stage::new(3, echo);
        let shard = stage.world.host_mut(stage.server).shard_mut(0);
        shard.set_fast_open(LISTENER, Some(FastOpenListener::default()));
        let plan = Plan { targets: vec![target(ipv6)], ..early(20, 3000) };
        let (client, tally) = stage.client(plan);
        stage.finish(&tally, 20, Duration::from_secs(5));
        assert_eq!((tally.borrow().ended(CloseReason::Finished), tally.borrow().wrong), (20, 0));
        assert_eq!(stage.counted(client, Event::FastOpenTaken), 19);
        assert_eq!(stage.counted(stage.server, Event::FastOpenAccepted), 19);
        assert_eq!(stage.counted(client, Event::Retransmitted), 0);
        stage.world.run_for(Duration::from_secs(61));
        stage.assert_nothing_left(client);
        stage.assert_nothing_left(stage.server);
    }
}

/// A world by its seed: impairments of both ways, data in SYNs, closes of every kind.
fn storm(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut stage = Stage::with(seed, echo, |_| {});
    let shard = stage.world.host_mut(stage.server).shard_mut(0);
    let fast_open = FastOpenListener { pending: 1 + rng.below(8) as u32, without_cookie: false };
    shard.set_fast_open(LISTENER, Some(fast_open));
    let impairment = Impairment {
        loss: 0.15 * rng.unit(),
        duplicate: 0.2 * rng.unit(),
        reorder: 0.2 * rng.unit(),
        delay: Duration::from_millis(rng.below(5)),
        gap: Duration::from_millis(rng.below(1500)),
        ..Impairment::default()
    };
    let close = [Close::WhenWritten, Close::WhenAnswered][rng.below(2) as usize];
    let (many, bytes) = (5 + rng.below(20) as usize, 1 + rng.below(6000) as usize);
    let plan = Plan { close, at_once: 1 + rng.below(5) as usize, ..early(many, bytes) };
    let tally = SharedTally::default();
    let mac = stage.world.next_mac();
    let mut config = Config::new(mac, addresses(2), stage.world.draw_secret());
    config.limits = small();
    // So that an attempt follows every negative response.
    config.settings.fast_open_pause = Duration::from_millis(1);
    let service = Box::new(Client::new(plan, SharedTally::clone(&tally)));
    stage.world.add_host_with(&config, vec![service], &mut |link, seed| {
        Box::new(Impaired::new(link, &Impairments { tx: impairment, rx: impairment, seed }))
    });
    stage.finish(&tally, many, Duration::from_secs(3600));
    let tally = tally.borrow();
    assert_eq!((tally.wrong, tally.ended(CloseReason::Finished)), (0, many), "seed {seed}");
    assert_eq!(tally.received, many * bytes, "seed {seed}: neither lost nor twice");
}

#[test]
fn no_network_makes_data_in_a_syn_come_twice_or_not_at_all() {
    for seed in 0..60 {
        storm(seed);
    }
}
