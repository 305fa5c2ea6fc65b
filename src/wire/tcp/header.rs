//! A TCP header that arrived.

use super::options::{self, ALIGNED_TIMESTAMPS, Options, Timestamps};
use super::{HEADER_LEN, flag};
use crate::wire::checksum::{PseudoHeader, Verdict};
use crate::wire::error::Error;
use crate::wire::protocol::Protocol;

/// Where the checksum stands in the header.
pub(super) const CHECKSUM_AT: usize = 16;

/// The fields of a header. One cache line: a batch of them is read again right after it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK; meaningful only with ACK.
    pub ack: u32,
    /// SEG.WND, not scaled.
    pub window: u16,
    /// SEG.UP; meaningful only with URG.
    pub urgent: u16,
    /// The control bits, see [`flag`].
    pub flags: u16,
    /// Bytes of the header, options included: 20 to 60.
    pub header_len: u8,
    /// The options.
    pub options: Options<'a>,
}

const _: () = assert!(size_of::<Header<'_>>() <= 64);

/// Reads the header and gives the data behind it. The sum is [`verify`]'s matter.
///
/// # Errors
/// - [`Error::Truncated`]: fewer bytes than the data offset says.
/// - [`Error::Malformed`]: a data offset below five words.
#[inline(always)]
pub fn parse(segment: &[u8]) -> Result<(Header<'_>, &[u8]), Error> {
    let fixed = segment.first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
    let header_len = usize::from(fixed[12] >> 4) * 4;
    if header_len < HEADER_LEN {
        return Err(Error::Malformed);
    }
    let (header, payload) = segment.split_at_checked(header_len).ok_or(Error::Truncated)?;
    let flags = control_bits(fixed[12], fixed[13]);
    let options = options::parse(&header[HEADER_LEN..], flags & flag::SYN != 0);
    let header = Header {
        src_port: u16::from_be_bytes([fixed[0], fixed[1]]),
        dst_port: u16::from_be_bytes([fixed[2], fixed[3]]),
        seq: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ack: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        window: u16::from_be_bytes([fixed[14], fixed[15]]),
        urgent: u16::from_be_bytes([fixed[18], fixed[19]]),
        flags,
        header_len: header_len as u8,
        options,
    };
    Ok((header, payload))
}

/// The control bits: RFC 9293 §3.1 has the data offset and the reserved bits before them.
#[inline(always)]
const fn control_bits(upper: u8, lower: u8) -> u16 {
    u16::from_be_bytes([upper, lower]) & flag::ALL
}

/// The header of nearly every segment after the handshake: timestamps are all of its options, laid out as
/// Linux lays them out. Reads it and gives the data behind it, as [`parse`] does, in half the steps; `None`
/// for any other header.
#[inline(always)]
pub fn parse_stamped(segment: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (header, payload) = segment.split_first_chunk::<STAMPED_LEN>()?;
    let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let number = |at: usize| u32::from_be_bytes(word(at));
    let stamped = header[12] >> 4 == STAMPED_LEN as u8 / 4 && word(20) == ALIGNED_TIMESTAMPS;
    stamped.then(|| {
        let header = Header {
            src_port: u16::from_be_bytes([header[0], header[1]]),
            dst_port: u16::from_be_bytes([header[2], header[3]]),
            seq: number(4),
            ack: number(8),
            window: u16::from_be_bytes([header[14], header[15]]),
            urgent: u16::from_be_bytes([header[18], header[19]]),
            flags: control_bits(header[12], header[13]),
            header_len: STAMPED_LEN as u8,
            options: Options::stamped(Timestamps { value: number(24), echo: number(28) }),
        };
        (header, payload)
    })
}

/// The fixed header and twelve bytes of timestamps.
const STAMPED_LEN: usize = HEADER_LEN + 12;

/// Judges the sum of a segment, header and data.
///
/// RFC 9293 §3.1:
/// > The checksum is never optional. The sender MUST generate it (MUST-2) and the receiver MUST check
/// > it (MUST-3).
#[inline]
pub fn verify(pseudo: PseudoHeader, segment: &[u8]) -> Verdict {
    pseudo.verify(Protocol::TCP, segment, CHECKSUM_AT)
}
