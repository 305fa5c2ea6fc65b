//! The AF_XDP link over a real veth pair. Needs root: each test creates a network namespace for its
//! thread, and the kernel removes it with the thread. Fails loudly without root.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use linerate::link::xsk::{Bound, Config, Mode, OpenError, XskLink};
use linerate::link::{Frame, Link, State};
use linerate::time::{Duration, Instant};
use linerate::xdp::{Policy, Program, Role, XdpMode};
use nix::sched::{CloneFlags, unshare};

const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 7);
const PACKETS: u32 = 100_000;
const HEADERS: usize = 14 + 20 + 20;

/// A veth pair `linka`, `linkb` in a namespace of this thread.
fn veth() {
    unshare(CloneFlags::CLONE_NEWNET).expect(
        "this test creates a network namespace: run it as root (scripts/test does); it is never skipped",
    );
    let queues = "numrxqueues 1 numtxqueues 1";
    ip(&format!("link add linka {queues} type veth peer name linkb {queues}"));
    for name in ["linka", "linkb"] {
        let no_ipv6 = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        std::fs::write(no_ipv6, "1").expect("IPv6 can be disabled");
        ip(&format!("link set {name} up"));
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("`ip` is installed");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the number of packets that the device dropped because the peer's ring was full.
fn device_drops(interface: &str) -> u64 {
    let shown: serde_json::Value =
        serde_json::from_str(&ip(&format!("-s -j link show {interface}"))).expect("ip writes JSON");
    shown[0]["stats64"]["tx"]["dropped"].as_u64().expect("a counter")
}

fn config(interface: &str) -> Config {
    Config::new(interface, 0)
}

/// A link that receives what is sent to [`LOCAL`]. The program drops, and so detaches, first.
struct End {
    program: Program,
    link: XskLink,
    now: Instant,
}

impl End {
    fn open(config: &Config) -> Self {
        let link = XskLink::open(config).expect("the link opens");
        let mut program =
            Program::load_and_attach(&config.interface, XdpMode::Native).expect("attaches");
        program.set_policy(Policy { role: Role::Exclusive, ..Policy::default() }).expect("policy");
        program.claim_address(IpAddr::V4(LOCAL)).expect("claim");
        program.insert_socket(0, link.fd()).expect("socket map");
        Self { program, link, now: Instant::ZERO }
    }

    /// Sends one packet. Returns false if no frame was free.
    fn try_send(&mut self, number: u32) -> bool {
        let Some(mut frame) = self.link.reserve() else { return false };
        write_packet(&mut frame, number);
        self.link.transmit(self.now, frame);
        true
    }

    fn send(&mut self, number: u32) {
        assert!(self.try_send(number), "a free frame: {:?}", self.link);
    }

    fn flush(&mut self) {
        self.now += Duration::from_micros(100);
        self.link.flush(self.now);
    }

    fn receive(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while self.link.receive(self.now, 64, &mut frames) > 0 {}
        frames
    }

    fn total(&self) -> usize {
        self.link.accounting().total()
    }
}

/// Returns the length of a packet: any length from the shortest to the longest, in no regular
/// order.
fn length_of(number: u32) -> usize {
    60 + (number.wrapping_mul(2_654_435_761) >> 8) as usize % (1514 - 60 + 1)
}

/// Builds the Ethernet, IPv4 and TCP headers that the XDP program reads, for a frame of `len`
/// bytes.
fn headers(len: usize) -> [u8; HEADERS] {
    let mut headers = [0; HEADERS];
    headers[..6].fill(0xff);
    headers[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    headers[14] = 0x45;
    headers[16..18].copy_from_slice(&(len as u16 - 14).to_be_bytes());
    headers[22..24].copy_from_slice(&[64, 6]);
    headers[26..30].copy_from_slice(&[10, 9, 8, 6]);
    headers[30..34].copy_from_slice(&LOCAL.octets());
    headers[46] = 0x50;
    headers
}

/// Writes the headers, the number and a pattern.
fn write_packet(frame: &mut Frame, number: u32) {
    let len = length_of(number);
    frame.set_len(len);
    frame[..HEADERS].copy_from_slice(&headers(len));
    frame[HEADERS..HEADERS + 4].copy_from_slice(&number.to_be_bytes());
    frame[HEADERS + 4..].fill(number as u8);
}

fn number_of(frame: &Frame) -> u32 {
    let number = u32::from_be_bytes(frame[HEADERS..HEADERS + 4].try_into().expect("four bytes"));
    assert_eq!(frame.len(), length_of(number), "packet {number}");
    assert!(frame[HEADERS + 4..].iter().all(|byte| *byte == number as u8), "packet {number}");
    number
}

#[test]
fn a_hundred_thousand_frames_cross_the_pair_and_none_is_lost() {
    veth();
    let (mut a, mut b) = (End::open(&config("linka")), End::open(&config("linkb")));
    assert_eq!((a.link.bound(), a.link.state()), (Bound::Copy, State::Up));
    let totals = (a.total(), b.total());
    let (mut sent, mut expected) = (0, 0);
    while sent < PACKETS {
        let until = PACKETS.min(sent + 1 + sent % 64);
        (sent..until).for_each(|number| a.send(number));
        sent = until;
        a.flush();
        for frame in b.receive() {
            assert_eq!(number_of(&frame), expected);
            expected += 1;
            b.link.release(frame);
        }
        b.flush();
    }
    let (tx, rx) = (a.link.statistics(), b.link.statistics());
    assert_eq!((tx.tx_frames, rx.rx_frames), (PACKETS.into(), PACKETS.into()), "{tx:?} {rx:?}");
    assert_eq!((tx.tx_bytes, tx.tx_dropped, rx.rx_dropped), (rx.rx_bytes, 0, 0));
    assert_eq!((a.total(), b.total()), totals);
    assert_eq!(a.link.accounting().tx_posted + a.link.accounting().held, 0);
    assert_eq!(a.link.deadline(), None);
    assert!(b.program.counters().expect("counters").redirected() >= PACKETS.into());
}

#[test]
fn frames_without_a_receiver_are_counted_as_dropped() {
    veth();
    let (mut a, mut b) = (End::open(&config("linka")), End::open(&config("linkb")));
    let sent = 20_000;
    for number in 0..sent {
        while !a.try_send(number) {
            a.flush();
        }
        if number % 64 == 0 {
            a.flush();
        }
    }
    a.flush();
    let received = b.receive();
    received.iter().for_each(|frame| _ = number_of(frame));
    let dropped = b.link.statistics().rx_dropped + device_drops("linka");
    assert!(dropped > 0);
    assert_eq!(received.len() as u64 + dropped, u64::from(sent));
    received.into_iter().for_each(|frame| b.link.release(frame));
    b.flush();
    b.send(1);
    b.flush();
    assert_eq!(a.receive().len(), 1, "sending goes on after the flood");
    a.send(2);
    a.flush();
    assert_eq!(b.receive().len(), 1, "receiving goes on after the flood");
}

#[test]
fn a_received_frame_is_sent_back_in_place() {
    veth();
    let (mut a, mut b) = (End::open(&config("linka")), End::open(&config("linkb")));
    for round in 0..5_000 {
        a.send(round);
        a.flush();
        for frame in b.receive() {
            b.link.transmit(b.now, frame);
        }
        b.flush();
        let back = a.receive();
        assert_eq!(back.iter().map(number_of).collect::<Vec<_>>(), [round]);
        back.into_iter().for_each(|frame| a.link.release(frame));
        a.flush();
    }
    let frames = b.link.accounting();
    assert_eq!((frames.held, frames.tx_posted), (0, 0));
}

#[test]
fn every_frame_leaves_with_the_smallest_budget() {
    veth();
    let small = Config { tx_budget: 32, watermark: 1000, ..config("linka") };
    let (mut a, mut b) = (End::open(&small), End::open(&config("linkb")));
    (0..250).for_each(|number| a.send(number));
    a.flush();
    assert_eq!(b.receive().len(), 250);
    let counted = a.link.statistics();
    assert!(counted.kicks_again >= 7 && counted.kicks <= 9, "{counted:?}");
}

#[test]
fn an_interface_that_goes_down_and_up_again_loses_nothing_queued() {
    veth();
    let (mut a, mut b) = (End::open(&config("linka")), End::open(&config("linkb")));
    ip("link set linka down");
    (0..10).for_each(|number| a.send(number));
    a.flush();
    assert_eq!(a.link.state(), State::Down);
    assert_eq!(a.link.accounting().tx_posted, 10);
    ip("link set linka up");
    a.now = a.link.deadline().expect("the tail is tried again");
    a.link.flush(a.now);
    assert_eq!(a.link.state(), State::Up);
    assert_eq!(b.receive().iter().map(number_of).collect::<Vec<_>>(), Vec::from_iter(0..10));
}

#[test]
fn frames_of_invalid_length_are_refused_and_counted() {
    veth();
    let mut link = XskLink::open(&config("linka")).expect("opens");
    assert_eq!(link.frame_max(), 1518);
    for len in [0, 13, 1519, 1792] {
        let mut frame = link.reserve().expect("a free frame");
        frame.set_len(len);
        link.transmit(Instant::ZERO, frame);
    }
    link.flush(Instant::ZERO);
    assert_eq!((link.statistics().tx_dropped, link.statistics().tx_frames), (4, 0));
    assert_eq!(link.accounting().held, 0);
}

#[test]
fn transmitting_every_frame_never_starves_receive() {
    veth();
    let (mut a, mut b) = (End::open(&config("linka")), End::open(&config("linkb")));
    let mut reserved: Vec<_> = std::iter::from_fn(|| a.link.reserve()).collect();
    assert!(reserved.len() >= 2048 + 1024);
    a.flush();
    let posted = a.link.accounting().rx_posted;
    (0..1000).for_each(|number| b.send(number));
    b.flush();
    let received = a.receive();
    assert_eq!(received.len(), 1000);
    reserved.extend(received);
    a.flush();
    assert_eq!(a.link.accounting().rx_posted, posted - 1000);
    assert!(a.link.reserve().is_none());
    reserved.drain(..1000).for_each(|frame| a.link.release(frame));
    a.flush();
    assert_eq!(a.link.accounting().rx_posted, posted);
    reserved.into_iter().for_each(|frame| a.link.release(frame));
}

#[test]
fn every_open_error_names_its_cause() {
    veth();
    let failure = |config: Config| XskLink::open(&config).expect_err("must not open");
    assert!(matches!(failure(config("linkz")), OpenError::NoInterface { .. }));
    let no_queue = failure(Config::new("linka", 1));
    assert!(matches!(no_queue, OpenError::NoQueue { queue: 1, .. }), "{no_queue}");
    let forced = failure(Config { mode: Mode::ZeroCopy, ..config("linka") });
    assert!(matches!(forced, OpenError::NoZeroCopy { .. }), "{forced}");
    let first = XskLink::open(&config("linka")).expect("opens");
    let second = failure(config("linka"));
    assert!(matches!(second, OpenError::QueueBusy { queue: 0, .. }), "{second}");
    drop(first);
    XskLink::open(&config("linka")).expect("the queue is free again");
}

/// linux/if_xdp.h: a frame longer than a chunk has several descriptors, with XDP_PKT_CONTD in all
/// but the last.
#[test]
fn frames_longer_than_a_chunk_use_several_descriptors() {
    veth();
    for name in ["linka", "linkb"] {
        ip(&format!("link set {name} mtu 9000"));
    }
    for frame_size in [2048, 4096] {
        let jumbo = |name| Config { frame_size, ..config(name) };
        let (mut a, mut b) = (End::open(&jumbo("linka")), End::open(&jumbo("linkb")));
        assert_eq!((a.link.frame_max(), b.link.frame_max()), (9018, 9018));
        let totals = (a.total(), b.total());
        for round in 0..2000u32 {
            let len = 60 + (round as usize * 997) % (9014 - 60 + 1);
            let mut frame = a.link.reserve().expect("a free frame");
            frame.set_len(len);
            frame[..HEADERS].copy_from_slice(&headers(len));
            for (at, byte) in frame[HEADERS..].iter_mut().enumerate() {
                *byte = (at / 7) as u8 ^ round as u8;
            }
            a.link.transmit(a.now, frame);
            a.flush();
            // Receives one frame at a time, so that a turn may end between the descriptors of a
            // frame.
            let mut frames = Vec::new();
            while b.link.receive(b.now, 1, &mut frames) > 0 || frames.is_empty() {
                b.flush();
            }
            assert_eq!(frames.len(), 1, "round {round}");
            let back = frames.pop().expect("one frame");
            let intact = |frame: &Frame| {
                let bytes = frame[HEADERS..].iter().enumerate();
                frame.len() == len
                    && bytes.into_iter().all(|(at, b)| *b == (at / 7) as u8 ^ round as u8)
            };
            assert!(intact(&back), "round {round}, {len} bytes");
            b.link.transmit(b.now, back);
            b.flush();
            let back = a.receive();
            assert!(back.len() == 1 && intact(&back[0]), "round {round}, {len} bytes");
            back.into_iter().for_each(|frame| a.link.release(frame));
            a.flush();
        }
        assert_eq!((a.total(), b.total()), totals);
        assert_eq!((a.link.accounting().held, b.link.accounting().held), (0, 0));
        assert_eq!(a.link.statistics().tx_frames, 2000);
    }
}

#[test]
fn a_link_moves_to_the_thread_of_its_worker() {
    veth();
    let (mut a, mut b) = (End::open(&config("linka")), End::open(&config("linkb")));
    let worker = std::thread::spawn(move || {
        (0..64).for_each(|number| a.send(number));
        a.flush();
        a
    });
    let a = worker.join().expect("the worker does not panic");
    assert_eq!((b.receive().len(), a.link.accounting().tx_posted), (64, 0));
}

#[test]
fn a_ticket_outlives_its_link_and_does_not_hold_the_queue() {
    veth();
    let mut link = XskLink::open(&config("linka")).expect("opens");
    let mut frame = link.reserve().expect("a free frame");
    frame.fill(b"still here");
    drop(link);
    frame[0] = b'S';
    assert_eq!(&frame[..], b"Still here");
    XskLink::open(&config("linka")).expect("the queue is free again");
}

#[test]
fn a_child_process_does_not_hold_the_queue() {
    veth();
    let link = XskLink::open(&config("linka")).expect("the link opens");
    let mut child = Command::new("sleep").arg("30").spawn().expect("`sleep` is installed");
    drop(link);
    let reopened = XskLink::open(&config("linka")).map(|_| ());
    child.kill().expect("the child is running");
    child.wait().expect("the child was killed");
    reopened.expect("the queue is free although the child still runs");
}
