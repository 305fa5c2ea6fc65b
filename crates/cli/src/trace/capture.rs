//! Reads the TCP segments of a capture file, grouped by connection.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use linerate::link::pcap::Reader;
use linerate::wire::{EtherType, Protocol, ethernet, ipv4, ipv6, tcp};

use crate::failure::Failure;

/// One captured segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Captured {
    /// Capture time, since the Unix epoch.
    pub at: Duration,
    /// Source.
    pub src: SocketAddr,
    /// Destination.
    pub dst: SocketAddr,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// Control bits, see [`tcp::flag`].
    pub flags: u16,
    /// SEG.WND, unscaled.
    pub window: u16,
    /// Payload length in bytes.
    pub length: u32,
    /// Maximum segment size option.
    pub mss: Option<u16>,
    /// Window scale option.
    pub window_shift: Option<u8>,
    /// True if the SACK-permitted option is present.
    pub sack_permitted: bool,
    /// TSval and TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// False if the checksum is wrong. True also if a checksum offload had yet to fill it in.
    pub is_intact: bool,
}

impl Captured {
    /// Returns true if a control bit is set.
    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Returns true for a SYN without ACK: the first segment of a connection.
    pub(super) fn opens(&self) -> bool {
        self.has(tcp::flag::SYN) && !self.has(tcp::flag::ACK)
    }

    /// Returns the sequence number after this segment: SYN and FIN occupy one each.
    pub(super) fn end(&self) -> u32 {
        let control = u32::from(self.has(tcp::flag::SYN)) + u32::from(self.has(tcp::flag::FIN));
        self.seq.wrapping_add(self.length).wrapping_add(control)
    }

    fn is_between(&self, one: SocketAddr, other: SocketAddr) -> bool {
        (self.src, self.dst) == (one, other) || (self.src, self.dst) == (other, one)
    }
}

/// Returns the segments of each connection in a capture, ordered by first segment. A SYN with a new
/// sequence number between the same sockets starts another connection.
///
/// # Errors
/// Fails if the file cannot be read or contains no TCP.
pub(super) fn connections(path: &Path) -> Result<Vec<Vec<Captured>>, Failure> {
    let action = format!("cannot draw the ladder of {}", path.display());
    let failed = |error| {
        Failure::new(&action, error, "give a pcap or pcapng file of Ethernet frames with --read")
    };
    let mut reader = Reader::open(path).map_err(failed)?;
    let mut connections: Vec<Vec<Captured>> = Vec::new();
    while let Some(record) = reader.poll_record().map_err(failed)? {
        if let Some(segment) = segment(record.at, &record.bytes) {
            assign(&mut connections, segment);
        }
    }
    if connections.is_empty() {
        let remedy = "capture TCP traffic on an Ethernet interface";
        return Err(Failure::new(action, "it contains no TCP segments", remedy));
    }
    Ok(connections)
}

/// Adds a segment to its connection, or starts a new one.
fn assign(connections: &mut Vec<Vec<Captured>>, segment: Captured) {
    // Only the latest connection between two sockets is still open.
    let known = connections.iter_mut().rev().find(|it| it[0].is_between(segment.src, segment.dst));
    match known {
        Some(known) if !(segment.opens() && known.iter().all(|it| it.seq != segment.seq)) => {
            known.push(segment);
        }
        // Both SYNs of a simultaneous open belong to one connection.
        Some(known) if known.iter().all(|it| it.opens() && it.src != segment.src) => {
            known.push(segment);
        }
        _ => connections.push(vec![segment]),
    }
}

/// Parses the TCP segment of a frame. Returns `None` for other protocols and fragments.
fn segment(at: Duration, frame: &[u8]) -> Option<Captured> {
    let (link, packet) = ethernet::parse(frame).ok()?;
    let (src, dst, bytes): (IpAddr, IpAddr, &[u8]) = match link.ethertype {
        EtherType::IPV4 => {
            let (header, payload) = ipv4::parse(packet).ok()?;
            let is_tcp = header.protocol == Protocol::TCP && !header.fragment.is_fragment();
            is_tcp.then_some((header.src.into(), header.dst.into(), payload))?
        }
        EtherType::IPV6 => {
            let (header, payload) = ipv6::parse(packet).ok()?;
            let is_tcp = header.protocol == Protocol::TCP && header.fragment.is_none();
            is_tcp.then_some((header.src.into(), header.dst.into(), payload))?
        }
        _ => return None,
    };
    let (header, data) = tcp::parse(bytes).ok()?;
    let pseudo = linerate::wire::checksum::PseudoHeader::new(src, dst)?;
    Some(Captured {
        at,
        src: SocketAddr::new(src, header.src_port),
        dst: SocketAddr::new(dst, header.dst_port),
        seq: header.seq,
        ack: header.ack,
        flags: header.flags,
        window: header.window,
        length: data.len() as u32,
        mss: header.options.mss,
        window_shift: header.options.window_shift,
        sack_permitted: header.options.sack_permitted,
        timestamps: header.options.timestamps.map(|it| (it.value, it.echo)),
        is_intact: tcp::verify(pseudo, bytes) != linerate::wire::checksum::Verdict::Bad,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Builds a segment from port `from`: 1 is the client, 2 the server.
    pub(crate) fn seg(from: u16, flags: u16, seq: u32, ack: u32, length: u32) -> Captured {
        let socket = |port| SocketAddr::from(([10, 0, 0, port as u8], port));
        Captured {
            at: Duration::ZERO,
            src: socket(from),
            dst: socket(3 - from),
            seq,
            ack,
            flags,
            window: 100,
            length,
            mss: None,
            window_shift: None,
            sack_permitted: false,
            timestamps: None,
            is_intact: true,
        }
    }

    #[test]
    fn a_second_syn_between_the_same_sockets_is_another_connection() {
        let mut all = Vec::new();
        assign(&mut all, seg(1, tcp::flag::SYN, 5, 0, 0));
        assign(&mut all, seg(1, tcp::flag::SYN, 5, 0, 0));
        assign(&mut all, seg(2, tcp::flag::SYN | tcp::flag::ACK, 9, 6, 0));
        assign(&mut all, seg(1, tcp::flag::SYN, 70, 0, 0));
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn the_syns_of_a_simultaneous_open_are_one_connection() {
        let mut all = Vec::new();
        assign(&mut all, seg(1, tcp::flag::SYN, 5, 0, 0));
        assign(&mut all, seg(2, tcp::flag::SYN, 9, 0, 0));
        assert_eq!(all.len(), 1);
    }
}
