//! CE marking as a queue with explicit congestion notification does it (RFC 3168 §5).
//!
//! The only code of the link layer that looks into a frame: at the two bits that a router may
//! change.

/// Offset of the IP header.
const IP: usize = 14;

/// ECN field: 0b11 is CE, 0b00 is Not-ECT.
const CE: u8 = 0b11;

/// Result of marking a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Marked {
    /// The frame carries CE.
    Yes,
    /// The transport is not ECN-capable, or the frame is not IP.
    NotCapable,
}

/// Sets CE (RFC 3168 §5):
/// > Routers [...] set the CE codepoint [...] in the IP header of packets from ECN-capable
/// > transports
pub(super) fn mark(frame: &mut [u8]) -> Marked {
    match frame.get(IP - 2..IP) {
        Some([0x08, 0x00]) if frame.len() >= IP + 20 => mark_v4(&mut frame[IP..IP + 20]),
        Some([0x86, 0xdd]) if frame.len() >= IP + 40 => mark_v6(&mut frame[IP + 1]),
        _ => Marked::NotCapable,
    }
}

fn mark_v4(header: &mut [u8]) -> Marked {
    let before = header[1];
    if before & CE == 0 {
        return Marked::NotCapable;
    }
    header[1] |= CE;
    // RFC 1624 §3, equation (3): HC' = ~(~HC + ~m + m'). Only the low byte of the word has changed,
    // upwards.
    let sum = u16::from_be_bytes([header[10], header[11]]);
    let raised = u32::from(!sum) + u32::from(header[1] - before);
    let folded = !((raised & 0xffff) + (raised >> 16)) as u16;
    header[10..12].copy_from_slice(&folded.to_be_bytes());
    Marked::Yes
}

/// The ECN field lies in the second byte, whose upper half ends the traffic class.
fn mark_v6(byte: &mut u8) -> Marked {
    if *byte >> 4 & CE == 0 {
        return Marked::NotCapable;
    }
    *byte |= CE << 4;
    Marked::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the one's complement sum of an IPv4 header: all ones if its checksum is correct.
    fn sum(header: &[u8]) -> u16 {
        let words = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        ((sum & 0xffff) + (sum >> 16)) as u16
    }

    fn v4(tos: u8, id: u16) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame[14..26].copy_from_slice(&[0x45, tos, 0, 46, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame[18..20].copy_from_slice(&id.to_be_bytes());
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let check = !sum(&frame[14..34]);
        frame[24..26].copy_from_slice(&check.to_be_bytes());
        frame
    }

    #[test]
    fn a_capable_ipv4_packet_is_marked_and_its_checksum_stays_valid() {
        for id in 0..=u16::MAX {
            for tos in [0b01, 0b10, 0b1011_1010] {
                let mut frame = v4(tos, id);
                assert_eq!(mark(&mut frame), Marked::Yes);
                assert_eq!((frame[15], sum(&frame[14..34])), (tos | CE, 0xffff));
            }
        }
    }

    #[test]
    fn a_packet_that_is_not_capable_is_unchanged() {
        let arp = [&[0xff; 12][..], &[0x08, 0x06], &[0; 28]].concat();
        for before in [v4(0b1011_1000, 7), arp, vec![0; 5]] {
            let mut frame = before.clone();
            assert_eq!(mark(&mut frame), Marked::NotCapable);
            assert_eq!(frame, before);
        }
    }

    #[test]
    fn an_ipv6_packet_is_marked_in_its_traffic_class() {
        let mut frame = vec![0; 60];
        frame[12..16].copy_from_slice(&[0x86, 0xdd, 0x60, 0x2f]);
        assert_eq!((mark(&mut frame), frame[15]), (Marked::Yes, 0x3f));
        frame[15] = 0x0f;
        assert_eq!((mark(&mut frame), frame[15]), (Marked::NotCapable, 0x0f));
    }
}
