//! Received TCP headers.

use super::flag;
use super::layout::{CHECKSUM_AT, HEADER_LEN, STAMPED_LEN};
use super::options::{self, ALIGNED_TIMESTAMPS, Options, Timestamps};
use crate::wire::checksum::{PseudoHeader, Verdict};
use crate::wire::error::Error;
use crate::wire::protocol::Protocol;

/// Fields of a header. One cache line: a batch of headers is read again right after it is written.
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
    /// Control bits, see [`flag`].
    pub flags: u16,
    /// Length of the header in bytes, options included: 20 to 60.
    pub header_len: u8,
    /// The options.
    pub options: Options<'a>,
}

const _: () = assert!(size_of::<Header<'_>>() <= 64);

/// Parses the header. Returns it and the data. Does not check the checksum; see [`verify`].
///
/// # Errors
/// - [`Error::Truncated`]: fewer bytes than the data offset.
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

/// Returns the control bits. The data offset and the reserved bits precede them (RFC 9293 §3.1).
#[inline(always)]
const fn control_bits(upper: u8, lower: u8) -> u16 {
    u16::from_be_bytes([upper, lower]) & flag::ALL
}

/// A header whose only option is timestamps. Its fields are read where they are needed.
#[derive(Clone, Copy, Debug)]
pub struct Stamped<'a>(&'a [u8; STAMPED_LEN]);

impl Stamped<'_> {
    /// Returns the sender's port.
    #[inline(always)]
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Returns the receiver's port.
    #[inline(always)]
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Returns SEG.SEQ.
    #[inline(always)]
    pub const fn seq(&self) -> u32 {
        self.number_at::<4>()
    }

    /// Returns SEG.ACK; meaningful only with ACK.
    #[inline(always)]
    pub const fn ack(&self) -> u32 {
        self.number_at::<8>()
    }

    /// Returns the control bits, see [`flag`].
    #[inline(always)]
    pub const fn flags(&self) -> u16 {
        control_bits(self.0[12], self.0[13])
    }

    /// Returns SEG.WND, not scaled.
    #[inline(always)]
    pub const fn window(&self) -> u16 {
        u16::from_be_bytes([self.0[14], self.0[15]])
    }

    /// Returns SEG.UP; meaningful only with URG.
    #[inline(always)]
    pub const fn urgent(&self) -> u16 {
        u16::from_be_bytes([self.0[18], self.0[19]])
    }

    /// Returns the timestamps.
    #[inline(always)]
    pub const fn timestamps(&self) -> Timestamps {
        Timestamps { value: self.number_at::<24>(), echo: self.number_at::<28>() }
    }

    #[inline(always)]
    const fn number_at<const AT: usize>(&self) -> u32 {
        u32::from_be_bytes([self.0[AT], self.0[AT + 1], self.0[AT + 2], self.0[AT + 3]])
    }
}

/// Parses the header of nearly every segment after the handshake, whose only option is timestamps
/// in Linux's layout. Returns it and the data, like [`parse`], or `None` for any other header.
#[inline(always)]
pub fn parse_stamped(segment: &[u8]) -> Option<(Stamped<'_>, &[u8])> {
    let (header, payload) = segment.split_first_chunk::<STAMPED_LEN>()?;
    let stamped = header[12] >> 4 == STAMPED_LEN as u8 / 4
        && [header[20], header[21], header[22], header[23]] == ALIGNED_TIMESTAMPS;
    stamped.then_some((Stamped(header), payload))
}

/// Verifies the checksum of a segment, header and data.
///
/// RFC 9293 §3.1:
/// > The checksum is never optional. The sender MUST generate it (MUST-2) and the receiver MUST
/// > check it (MUST-3).
#[inline]
pub fn verify(pseudo: PseudoHeader, segment: &[u8]) -> Verdict {
    pseudo.verify(Protocol::TCP, segment, CHECKSUM_AT)
}
