//! TCP Fast Open (RFC 7413) through whole shards: cookies, limits, floods, the client's cache of
//! servers, and networks that lose, reorder and duplicate.

use super::raw::{Callback, IRS, LOCAL, PEER, PEER_PORT, Raw, SentSegment, ack, segment_of};
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

/// The listener of the server under test.
const LISTENER: ListenerId = ListenerId(0);

fn raw(fast_open: FastOpenListener) -> Raw {
    let mut raw = Raw::new(|_| {});
    raw.shard.set_fast_open(LISTENER, Some(fast_open));
    raw
}

fn option(cookie: &[u8]) -> FastOpen<'_> {
    FastOpen { cookie, ..FastOpen::default() }
}

/// Builds a SYN of the peer from `port`.
fn syn_from(port: u16, fast_open: Option<FastOpen<'_>>) -> HeaderOut<'_> {
    let options = OptionsOut { mss: Some(1000), fast_open, ..OptionsOut::default() };
    HeaderOut { src_port: port, options, ..segment_of(flag::SYN, IRS, 0) }
}

/// Delivers a SYN with this option and payload. Returns the SYN-ACK.
fn syn_ack(raw: &mut Raw, port: u16, fast_open: Option<FastOpen<'_>>, data: &[u8]) -> SentSegment {
    raw.receives(&syn_from(port, fast_open), data);
    let mut got = raw.sent();
    assert_eq!((got.len(), got[0].flags), (1, SYN_ACK), "{got:?}");
    got.remove(0)
}

/// Requests the peer's cookie and resets the connection.
fn cookie(raw: &mut Raw) -> Vec<u8> {
    let reply = syn_ack(raw, 4000, Some(option(&[])), &[]);
    assert_eq!(reply.ack, IRS + 1);
    raw.receives(&HeaderOut { src_port: 4000, ..segment_of(flag::RST, IRS + 1, 0) }, &[]);
    reply.fast_open.filter(|cookie| cookie.len() == 8).expect("a cookie")
}

fn counted(raw: &Raw, event: Event) -> u64 {
    raw.shard.counters().counted(event)
}

#[test]
fn a_requested_cookie_allows_data_in_later_syns() {
    // RFC 7413 §4.2.1, §4.2.2
    let mut raw = raw(FastOpenListener::default());
    let cookie = cookie(&mut raw);
    assert!(raw.callbacks().is_empty());
    let reply = syn_ack(&mut raw, 5000, Some(option(&cookie)), b"request");
    assert_eq!((reply.ack, reply.fast_open.clone()), (IRS + 1 + 7, None));
    assert_eq!(raw.callbacks(), [Callback::Accepted, Callback::Readable]);
    // The program replies before the handshake completes.
    let conn = raw.conn();
    raw.with_io(move |io| {
        let mut buffer = [0; 100];
        assert_eq!(io.read(conn, &mut buffer), 7);
        assert_eq!(&buffer[..7], b"request");
        assert_eq!(io.info(conn).map(|info| info.syn_data), Some(SynData::Received));
        assert_eq!(io.write(conn, b"answer"), 6);
    });
    let sent = raw.sent();
    assert_eq!((sent[0].seq, sent[0].len, sent[0].ack), (reply.seq + 1, 6, IRS + 8));
    raw.receives(&ack(IRS + 8, reply.seq + 7), &[]);
    assert!(raw.sent().is_empty() && raw.callbacks().is_empty());
    assert_eq!(counted(&raw, Event::FastOpenAccepted), 1);
    assert_eq!(counted(&raw, Event::FastOpenCookieSent), 1);
}

#[test]
fn a_listener_without_fast_open_ignores_every_cookie() {
    // RFC 7413 §4.2: "When this flag is off, the server does not perform any TFO-related operations
    // and MUST ignore all cookie options."
    let mut raw = Raw::new(|_| {});
    for cookie in [&[][..], &[1; 8]] {
        let reply = syn_ack(&mut raw, 5000 + cookie.len() as u16, Some(option(cookie)), b"data");
        assert_eq!((reply.ack, reply.fast_open), (IRS + 1, None));
    }
    assert!(raw.callbacks().is_empty());
}

#[test]
fn a_syn_with_data_and_without_the_option_gets_an_ordinary_handshake() {
    let mut raw = raw(FastOpenListener::default());
    let reply = syn_ack(&mut raw, 5000, None, b"data");
    assert_eq!((reply.ack, reply.fast_open), (IRS + 1, None));
    assert!(raw.callbacks().is_empty());
}

#[test]
fn forged_cookies_get_an_ordinary_handshake_and_are_counted() {
    // RFC 7413 §4.2.2 (3), §5.1
    const FORGED: u16 = 2000;
    let mut raw = raw(FastOpenListener::default());
    let cookie = cookie(&mut raw);
    let mut rng = Rng::new(7);
    for n in 0..FORGED {
        let forged = rng.next_u64().to_le_bytes();
        let len = [4, 6, 8][usize::from(n % 3)];
        let reply = syn_ack(&mut raw, 10_000 + n, Some(option(&forged[..len])), &[1; 500]);
        assert_eq!(reply.ack, IRS + 1);
        // Past the backlog the reply is a SYN cookie (RFC 4987 §3.6), without the option.
        let offered = Some(cookie.clone()).filter(|_| n < 1024);
        assert_eq!(reply.fast_open, offered, "{n}");
    }
    assert_eq!(counted(&raw, Event::FastOpenBadCookie), u64::from(FORGED));
    assert_eq!(counted(&raw, Event::FastOpenAccepted), 0);
    assert_eq!(raw.shard.buffer_bytes(), 0, "no data is kept");
    assert!(raw.callbacks().is_empty());
    // A client with a valid cookie is served even though the backlog is full.
    let reply = syn_ack(&mut raw, 5000, Some(option(&cookie)), b"request");
    assert_eq!(reply.ack, IRS + 8);
    assert_eq!(raw.callbacks(), [Callback::Accepted, Callback::Readable]);
}

#[test]
fn past_the_limit_of_pending_requests_handshakes_are_ordinary() {
    // RFC 7413 §4.2: "the server MUST disable TFO for all new connection requests until
    // PendingFastOpenRequests drops below the system limit".
    let mut raw = raw(FastOpenListener { pending: 2, without_cookie: false });
    let cookie = cookie(&mut raw);
    let open = |raw: &mut Raw, port| syn_ack(raw, port, Some(option(&cookie)), b"request");
    let first = open(&mut raw, 6000);
    assert_eq!((first.ack, open(&mut raw, 6001).ack), (IRS + 8, IRS + 8));
    let third = open(&mut raw, 6002);
    assert_eq!((third.ack, third.fast_open), (IRS + 1, None));
    assert_eq!(counted(&raw, Event::FastOpenLimited), 1);
    // One handshake completes and frees its place.
    let last = HeaderOut { src_port: 6000, ..ack(IRS + 8, first.seq + 1) };
    raw.receives(&last, &[]);
    assert_eq!(open(&mut raw, 6003).ack, IRS + 8);
    // One handshake is reset, but still counts (§5.1).
    raw.receives(&HeaderOut { src_port: 6001, ..segment_of(flag::RST, IRS + 8, 0) }, &[]);
    assert_eq!(open(&mut raw, 6004).ack, IRS + 1);
    let last = HeaderOut { src_port: 6003, ..segment_of(flag::RST, IRS + 8, 0) };
    raw.receives(&last, &[]);
    raw.after_ms(59_000);
    raw.sent();
    assert_eq!(open(&mut raw, 6005).ack, IRS + 1);
    raw.after_ms(1_100);
    raw.sent();
    assert_eq!(open(&mut raw, 6006).ack, IRS + 8);
}

#[test]
fn a_listener_may_accept_data_without_a_cookie() {
    // RFC 7413 §7.3
    let mut raw = raw(FastOpenListener { without_cookie: true, ..FastOpenListener::default() });
    let options = [None, Some(option(&[])), Some(option(&[9; 8]))];
    for (port, option) in (7000..).zip(options) {
        let reply = syn_ack(&mut raw, port, option, b"request");
        assert_eq!((reply.ack, reply.fast_open), (IRS + 8, None));
        assert_eq!(raw.callbacks(), [Callback::Accepted, Callback::Readable]);
    }
    assert_eq!(syn_ack(&mut raw, 7010, None, &[]).ack, IRS + 1);
    assert!(raw.callbacks().is_empty(), "an ordinary SYN");
}

#[test]
fn an_aging_cookie_still_opens_and_is_renewed_and_then_expires() {
    // RFC 7413 §4.1.2 (4), (5)
    const HALF_A_DAY: Duration = Duration::from_secs(12 * 3600);
    let mut raw = raw(FastOpenListener::default());
    let old = cookie(&mut raw);
    raw.now += HALF_A_DAY;
    raw.run_turns();
    let reply = syn_ack(&mut raw, 5000, Some(option(&old)), b"request");
    let new = reply.fast_open.expect("a new cookie");
    assert_eq!((reply.ack, new == old), (IRS + 8, false));
    raw.now += HALF_A_DAY;
    raw.run_turns();
    raw.sent();
    assert_eq!(syn_ack(&mut raw, 5001, Some(option(&old)), b"request").ack, IRS + 1);
    assert_eq!(syn_ack(&mut raw, 5002, Some(option(&new)), b"request").ack, IRS + 8);
}

#[test]
fn a_fast_open_syn_with_fin_is_accepted() {
    let mut raw = raw(FastOpenListener::default());
    let cookie = cookie(&mut raw);
    let syn = |option| HeaderOut { flags: flag::SYN | flag::FIN, ..syn_from(5000, option) };
    raw.receives(&syn(None), &[]);
    assert!(raw.sent().is_empty());
    raw.receives(&syn(Some(option(&cookie))), b"all");
    let got = raw.sent();
    assert_eq!((got.len(), got[0].ack), (1, IRS + 4));
    raw.receives(&ack(IRS + 5, got[0].seq + 1), &[]);
    assert_eq!(raw.callbacks(), [Callback::Accepted, Callback::Readable, Callback::PeerClosed]);
}

/// Connects with `data`. Returns the SYN.
fn connect_with(raw: &mut Raw, data: &'static [u8], without_cookie: bool) -> SentSegment {
    raw.with_io(move |io| {
        let open = ConnectOptions { remote: (PEER, PEER_PORT).into(), local: None, user: 0 };
        let early = Early { data, without_cookie };
        let (_, accepted) = io.connect_with(&open, &early).expect("an open");
        assert_eq!(accepted, data.len());
    });
    raw.sent().remove(0)
}

/// Delivers the peer's SYN-ACK to `syn`, which acknowledges `accepted` bytes of its data.
fn accept_syn(raw: &mut Raw, syn: &SentSegment, accepted: u32, fast_open: Option<FastOpen<'_>>) {
    let options = OptionsOut { mss: Some(1200), fast_open, ..OptionsOut::default() };
    let header = HeaderOut {
        src_port: PEER_PORT,
        dst_port: syn.port,
        options,
        ..segment_of(SYN_ACK, IRS, syn.seq + 1 + accepted)
    };
    raw.receives(&header, &[]);
}

#[test]
fn a_client_requests_a_cookie_uses_it_and_backs_off_after_refusal() {
    // RFC 7413 §4.1.3, §4.1.3.1, §4.2
    let mut raw = Raw::new(|_| {});
    assert_eq!(LOCAL.octets()[3], 1);
    let first = connect_with(&mut raw, b"request", false);
    assert_eq!((first.len, first.fast_open.as_deref()), (0, Some(&[][..])));
    accept_syn(&mut raw, &first, 0, Some(option(&[5; 8])));
    assert_eq!(raw.callbacks(), [Callback::Connected]);
    assert_eq!(raw.sent()[0].len, 7, "the data follows");

    let second = connect_with(&mut raw, &[7; 3560], false);
    assert_eq!((second.len, second.fast_open.as_deref()), (1160, Some(&[5; 8][..])));
    accept_syn(&mut raw, &second, 1160, None);
    let rest: usize = raw.sent().iter().map(|got| got.len).sum();
    assert_eq!(rest, 3560 - 1160);
    assert_eq!(counted(&raw, Event::FastOpenTaken), 1);

    let third = connect_with(&mut raw, b"request", false);
    assert_eq!(third.len, 7);
    accept_syn(&mut raw, &third, 0, None);
    assert_eq!(raw.sent()[0].len, 7);
    assert_eq!(counted(&raw, Event::FastOpenRefused), 1);

    let fourth = connect_with(&mut raw, b"request", false);
    assert_eq!((fourth.len, fourth.fast_open), (0, None));
    raw.after_ms(60_000);
    raw.sent();
    assert_eq!(connect_with(&mut raw, b"request", false).len, 7);
}

#[test]
fn a_program_may_send_syn_data_without_a_cookie() {
    // RFC 7413 §7.3; §4.1.3 limits the amount.
    let mut raw = Raw::new(|_| {});
    let syn = connect_with(&mut raw, &[7; 3000], true);
    assert_eq!((syn.len, syn.fast_open), (536 - 40, None));
}

/// Returns the plan of a client that sends data in its SYNs, one connection after another.
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

/// Runs transfers with data in SYNs, with impairments and kinds of close drawn from the seed.
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
    // So that the client tries again after every negative response.
    config.settings.fast_open_pause = Duration::from_millis(1);
    let service = Box::new(Client::new(plan, SharedTally::clone(&tally)));
    stage.world.add_host_with(&config, vec![service], &mut |link, seed| {
        Box::new(Impaired::new(link, &Impairments { tx: impairment, rx: impairment, seed }))
    });
    stage.finish(&tally, many, Duration::from_secs(3600));
    let tally = tally.borrow();
    assert_eq!((tally.wrong, tally.ended(CloseReason::Finished)), (0, many), "seed {seed}");
    assert_eq!(tally.received, many * bytes, "seed {seed}: every byte exactly once");
}

#[test]
fn syn_data_is_delivered_exactly_once_on_any_network() {
    for seed in 0..60 {
        storm(seed);
    }
}
