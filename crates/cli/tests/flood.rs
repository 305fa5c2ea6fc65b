//! SYNs from senders that do not exist, as fast as an AF_XDP socket sends them, against a server that the
//! kernel's clients want to reach over the same link (RFC 4987). Every handshake must succeed.

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use linerate::link::Link;
use linerate::link::xsk::{Config, Mode, XskLink};
use linerate::rng::Rng;
use linerate::time::Instant as Moment;
use linerate::wire::checksum::PseudoHeader;
use linerate::wire::tcp::{HeaderOut, OptionsOut, flag};
use linerate::wire::{EtherType, MacAddr, Protocol, TrafficClass, ethernet, ipv4, vlan};
use support::{LEFT_OWN, Net, cidr, inside};

const PORT: u16 = 9000;

/// Connections that the kernel's clients open during the flood.
const CONNECTIONS: usize = 240;

/// So many at once.
const CLIENTS: usize = 24;

/// As long as the kernel tries to connect with five retransmissions: none may need more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends SYNs until it is told to stop; gives how many and for how long.
fn flood(server: MacAddr, stop: &AtomicBool, sent: &AtomicU64) {
    let config = Config { mode: Mode::Copy, ..Config::new("veth0", 0) };
    let mut link = XskLink::open(&config).expect("a socket on the clients' interface");
    let mut rng = Rng::new(7);
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Moment::from_nanos(begun.elapsed().as_nanos() as u64);
        for _ in 0..64 {
            let Some(mut frame) = link.reserve() else { break };
            let len = forge(frame.buffer(), server, &mut rng);
            frame.set_len(len);
            link.transmit(now, frame);
            sent.fetch_add(1, Ordering::Relaxed);
        }
        link.flush(now);
    }
}

/// A SYN of nobody.
fn forge(bytes: &mut [u8], server: MacAddr, rng: &mut Rng) -> usize {
    let src = Ipv4Addr::new(198, 18 + (rng.next_u32() as u8 & 1), rng.next_u32() as u8, 7);
    let vlan = vlan::Tags::NONE;
    let src_mac = MacAddr([2, 0, 0, 0, 0, 99]);
    let header = ethernet::Header { dst: server, src: src_mac, ethertype: EtherType::IPV4, vlan };
    let at = header.emit(bytes).expect("room");
    let tcp = HeaderOut {
        src_port: rng.next_u32() as u16 | 1,
        dst_port: PORT,
        seq: rng.next_u32(),
        flags: flag::SYN,
        window: 64_240,
        options: OptionsOut { mss: Some(1460), ..OptionsOut::default() },
        ..HeaderOut::default()
    };
    let packet = &mut bytes[at..];
    let pseudo = PseudoHeader::v4(src, LEFT_OWN);
    let len = tcp.emit(pseudo, (&[], &[]), &mut packet[ipv4::HEADER_LEN..]).expect("room");
    let ip = ipv4::HeaderOut {
        src,
        dst: LEFT_OWN,
        protocol: Protocol::TCP,
        ttl: 64,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    ip.emit(len, packet).expect("room");
    at + ipv4::HEADER_LEN + len
}

/// Opens a connection; gives how long the handshake took.
fn open() -> Result<(TcpStream, Duration), std::io::Error> {
    let begun = Instant::now();
    let target = SocketAddr::from((LEFT_OWN, PORT));
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    Ok((stream, begun.elapsed()))
}

/// Closes a connection, both ends. The last ACK of its handshake may have been lost in the flood: then the FIN
/// brings the cookie back.
fn close(mut stream: TcpStream) -> Result<(), std::io::Error> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.shutdown(Shutdown::Write)?;
    let end = stream.read(&mut [0; 1])?;
    assert_eq!(end, 0, "the service says nothing");
    Ok(())
}

/// The value below which this share of the sorted ones is.
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

#[test]
fn every_handshake_of_the_kernel_succeeds_during_a_flood_of_syns() {
    // RFC 4987 §3.6
    let net = Net::new();
    let mut server =
        net.serve(&format!("--address {} --service close:{PORT}", cidr(LEFT_OWN.into())));
    let mac = support::hardware_address(&net.left());
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let flooder = {
        let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
        inside(&net.right(), move || flood(mac, &stop, &sent))
    };
    let begun = Instant::now();
    // The table of handshakes must be full before anyone knocks.
    while sent.load(Ordering::Relaxed) < 60_000 {
        assert!(begun.elapsed() < PATIENCE, "the flood does not get under way");
        std::thread::sleep(Duration::from_millis(10));
    }
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            inside(&net.right(), || {
                (0..CONNECTIONS / CLIENTS).map(|_| open()).collect::<Result<Vec<_>, _>>()
            })
        })
        .collect();
    let opened: Vec<_> =
        clients.into_iter().map(|client| client.join().expect("a client's thread")).collect();
    let (syns, seconds) = (sent.load(Ordering::Relaxed), begun.elapsed().as_secs_f64());
    stop.store(true, Ordering::Relaxed);
    flooder.join().expect("the flooder's thread");

    let (streams, mut took): (Vec<_>, Vec<_>) =
        opened.into_iter().flat_map(|opened| opened.expect("every handshake succeeds")).unzip();
    took.sort();
    assert_eq!(took.len(), CONNECTIONS);
    // What the flood crowds out of the ring is sent again; after it nothing is in the way.
    for stream in streams {
        close(stream).expect("every connection is closed by both ends");
    }
    let counters = server.counters();
    let counted = |name: &str| counters.get(name).copied().unwrap_or_default();
    eprintln!(
        "{:.0} SYNs a second for {seconds:.1} s; handshakes: {CONNECTIONS} of {CONNECTIONS}, p50 {:?}, \
         p99 {:?}; {} segments reached the server, {} cookies sent, {} accepted",
        syns as f64 / seconds,
        percentile(&took, 0.5),
        percentile(&took, 0.99),
        counted("segments-in"),
        counted("cookies-sent"),
        counted("cookies-accepted"),
    );
    assert!(counted("cookies-sent") > 10_000, "{counters:?}");
    assert!(counted("cookies-accepted") >= CONNECTIONS as u64 * 9 / 10, "{counters:?}");
    assert_eq!(counted("finished"), CONNECTIONS as u64, "{counters:?}");
}
