//! The clients: the state of each connection, and the frames of its four steps.

use std::net::Ipv4Addr;

use linerate::link::Frame;
use linerate::wire::checksum::PseudoHeader;
use linerate::wire::tcp::{HeaderOut, OptionsOut, Timestamps, flag};
use linerate::wire::{EtherType, MacAddr, Protocol, TrafficClass, arp, ethernet, ipv4, tcp, vlan};

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
pub(crate) const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 254]);
pub(crate) const PORT: u16 = 80;

/// The segment that a client sends next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Syn,
    Ack,
    Fin,
    LastAck,
}

/// One client's connection.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// SND.NXT.
    snd_nxt: u32,
    /// RCV.NXT.
    rcv_nxt: u32,
    /// The server's last TSval.
    ts_recent: u32,
    port: u16,
    /// The flags that the next answer must have.
    expected: u16,
}

pub(crate) struct Clients {
    slots: Vec<Slot>,
    server_mac: MacAddr,
    clock: u32,
    complaints: usize,
}

impl Clients {
    pub(crate) fn new(clients: usize, server_mac: MacAddr) -> Self {
        let slots = vec![Slot { port: 1024, ..Slot::default() }; clients];
        Self { slots, server_mac, clock: 1, complaints: 0 }
    }

    /// Answers that were missing or not the expected ones.
    pub(crate) const fn complaints(&self) -> usize {
        self.complaints
    }

    /// Writes the frame of a client's step.
    pub(crate) fn write(&mut self, slot: u32, step: Step, frame: &mut Frame) {
        self.clock = self.clock.wrapping_add(1);
        let client = &mut self.slots[slot as usize];
        // The server did not answer the previous step.
        self.complaints += usize::from(client.expected != 0);
        if step == Step::Syn {
            client.port = if client.port == u16::MAX { 1024 } else { client.port + 1 };
            client.snd_nxt = self.clock.wrapping_mul(0x9e37_79b1);
            client.rcv_nxt = 0;
            client.ts_recent = 0;
        }
        let value = self.clock >> 10;
        let mut options = OptionsOut {
            timestamps: Some(Timestamps { value, echo: client.ts_recent }),
            ..OptionsOut::default()
        };
        let (flags, expected) = match step {
            Step::Syn => {
                options.mss = Some(1460);
                options.sack_permitted = true;
                options.window_shift = Some(7);
                (flag::SYN, flag::SYN | flag::ACK)
            }
            Step::Ack | Step::LastAck => (flag::ACK, 0),
            Step::Fin => (flag::FIN | flag::ACK, flag::FIN | flag::ACK),
        };
        let header = HeaderOut {
            src_port: client.port,
            dst_port: PORT,
            seq: client.snd_nxt,
            ack: client.rcv_nxt,
            window: 512,
            urgent: 0,
            flags,
            options,
        };
        client.expected = expected;
        client.snd_nxt =
            client.snd_nxt.wrapping_add(u32::from(flags & (flag::SYN | flag::FIN) != 0));
        write_frame(frame, self.server_mac, address(slot), &header);
    }

    /// Checks an answer and updates the client's state.
    pub(crate) fn read(&mut self, frame: &[u8]) {
        if self.note(frame).is_none() {
            self.complaints += 1;
        }
    }

    fn note(&mut self, frame: &[u8]) -> Option<()> {
        let (_, packet) = ethernet::parse(frame).ok()?;
        let (ip, segment) = ipv4::parse(packet).ok()?;
        let (header, payload) = tcp::parse(segment).ok()?;
        let slot = u32::from(ip.dst).wrapping_sub(u32::from(FIRST));
        let client = self.slots.get_mut(slot as usize)?;
        let right = header.flags == client.expected
            && header.dst_port == client.port
            && header.ack == client.snd_nxt
            && payload.is_empty();
        client.expected = 0;
        client.rcv_nxt = header.seq.wrapping_add(1);
        client.ts_recent = header.options.timestamps?.value;
        right.then_some(())
    }
}

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Returns the address of a client; each has its own.
fn address(slot: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST) + slot)
}

/// The gateway's ARP request for the server's address.
pub(crate) fn ask_for_server(frame: &mut Frame) {
    let bytes = frame.buffer();
    let (ethertype, vlan) = (EtherType::ARP, vlan::Tags::NONE);
    ethernet::Header { dst: MacAddr::BROADCAST, src: GATEWAY_MAC, ethertype, vlan }
        .emit(bytes)
        .expect("room");
    let request = arp::Packet {
        operation: arp::Operation::Request,
        sender_mac: GATEWAY_MAC,
        sender_ip: GATEWAY,
        target_mac: MacAddr([0; 6]),
        target_ip: SERVER,
    };
    let len = request.emit(&mut bytes[ethernet::HEADER_LEN..]).expect("room");
    frame.set_len(ethernet::HEADER_LEN + len);
}

fn write_frame(frame: &mut Frame, server_mac: MacAddr, src: Ipv4Addr, header: &HeaderOut<'_>) {
    const TCP_AT: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
    let bytes = frame.buffer();
    let ethertype = EtherType::IPV4;
    let (from, to, vlan) = (GATEWAY_MAC, server_mac, vlan::Tags::NONE);
    let outer = ethernet::Header { dst: to, src: from, ethertype, vlan };
    outer.emit(bytes).expect("room");
    let pseudo = PseudoHeader::v4(src, SERVER);
    let len = header.emit(pseudo, (&[], &[]), &mut bytes[TCP_AT..]).expect("room");
    let ip = ipv4::HeaderOut {
        src,
        dst: SERVER,
        protocol: Protocol::TCP,
        ttl: 63,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    ip.emit(len, &mut bytes[ethernet::HEADER_LEN..]).expect("room");
    frame.set_len(TCP_AT + len);
}
