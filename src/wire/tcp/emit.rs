//! A TCP header to be sent: options laid out as Linux lays them out, data copied and summed at once.

use super::options::{ALIGNED_TIMESTAMPS, Timestamps, kind};
use super::{HEADER_LEN, OPTIONS_LEN_MAX};
use crate::wire::checksum::{self, PseudoHeader};
use crate::wire::error::NoRoom;
use crate::wire::protocol::Protocol;

/// The options of a header to be sent. All sums of lengths are whole words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionsOut<'a> {
    /// Maximum segment size, bytes; on a SYN.
    pub mss: Option<u16>,
    /// Window scale; on a SYN.
    pub window_shift: Option<u8>,
    /// SACK-permitted; on a SYN.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks, the most recent first. As many are sent as there is room for: four, or three beside
    /// timestamps (RFC 2018 §3).
    pub sack: &'a [(u32, u32)],
    /// A Fast Open cookie of 4 to 16 bytes, or an empty one to ask for it; left out when there is no
    /// room for it; on a SYN.
    pub fast_open: Option<&'a [u8]>,
}

/// A header to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderOut<'a> {
    /// Our port.
    pub src_port: u16,
    /// The peer's port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// SEG.WND, scaled already.
    pub window: u16,
    /// SEG.UP.
    pub urgent: u16,
    /// The control bits.
    pub flags: u8,
    /// The options.
    pub options: OptionsOut<'a>,
}

impl HeaderOut<'_> {
    /// Bytes of the header with its options.
    #[inline]
    pub fn byte_len(&self) -> usize {
        HEADER_LEN + self.options.byte_len()
    }

    /// Writes a whole segment to the start of `bytes`: header, options, the data in its two runs, and the
    /// sum. Gives its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the segment.
    #[inline]
    pub fn emit(
        &self,
        pseudo: PseudoHeader,
        payload: (&[u8], &[u8]),
        bytes: &mut [u8],
    ) -> Result<usize, NoRoom> {
        let header_len = self.byte_len();
        let len = header_len + payload.0.len() + payload.1.len();
        let segment = bytes.get_mut(..len).ok_or(NoRoom)?;
        let (header, data) = segment.split_at_mut_checked(header_len).ok_or(NoRoom)?;
        self.emit_header(header)?;
        let mut sum = pseudo.with(Protocol::TCP, len).plus(checksum::sum(header));
        if !data.is_empty() {
            let (first, second) = data.split_at_mut_checked(payload.0.len()).ok_or(NoRoom)?;
            let first_sum = checksum::copy_and_sum(payload.0, first);
            let second_sum = checksum::copy_and_sum(payload.1, second);
            sum = sum.plus(first_sum).then(payload.0.len(), second_sum);
        }
        header[16..18].copy_from_slice(&sum.checksum().to_be_bytes());
        Ok(len)
    }

    /// The header with a sum of zero, into exactly its own length.
    #[inline(always)]
    fn emit_header(&self, header: &mut [u8]) -> Result<(), NoRoom> {
        let words = (header.len() / 4) as u8;
        let (fixed, area) = header.split_first_chunk_mut::<HEADER_LEN>().ok_or(NoRoom)?;
        fixed[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.seq.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ack.to_be_bytes());
        fixed[12] = words << 4;
        fixed[13] = self.flags;
        fixed[14..16].copy_from_slice(&self.window.to_be_bytes());
        fixed[16..18].fill(0);
        fixed[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        if area.is_empty() { Ok(()) } else { self.options.emit(area) }
    }
}

/// Writes pieces one after the other.
struct Pen<'a> {
    rest: &'a mut [u8],
}

impl Pen<'_> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, piece: [u8; N]) -> Result<(), NoRoom> {
        let (here, rest) = core::mem::take(&mut self.rest).split_first_chunk_mut().ok_or(NoRoom)?;
        *here = piece;
        self.rest = rest;
        Ok(())
    }

    fn put_slice(&mut self, piece: &[u8]) -> Result<(), NoRoom> {
        let rest = core::mem::take(&mut self.rest);
        let (here, rest) = rest.split_at_mut_checked(piece.len()).ok_or(NoRoom)?;
        here.copy_from_slice(piece);
        self.rest = rest;
        Ok(())
    }
}

impl OptionsOut<'_> {
    /// Bytes that the options take, padding included.
    #[inline]
    pub fn byte_len(&self) -> usize {
        let fixed = self.fixed_len();
        let sack = self.sack_blocks_that_fit();
        let sack_len = if sack == 0 { 0 } else { 4 + 8 * sack };
        let cookie = self.cookie_that_fits().map_or(0, |cookie| cookie_len(cookie));
        fixed + sack_len + cookie
    }

    /// All but SACK and Fast Open.
    #[inline]
    fn fixed_len(&self) -> usize {
        // SACK-permitted takes the place of the padding before the timestamps.
        let alone = self.sack_permitted && self.timestamps.is_none();
        4 * (usize::from(self.mss.is_some())
            + usize::from(self.window_shift.is_some())
            + usize::from(alone)
            + 3 * usize::from(self.timestamps.is_some()))
    }

    #[inline]
    fn sack_blocks_that_fit(&self) -> usize {
        if self.sack.is_empty() {
            return 0;
        }
        let room = OPTIONS_LEN_MAX.saturating_sub(self.fixed_len() + 4);
        self.sack.len().min(room / 8)
    }

    #[inline]
    fn cookie_that_fits(&self) -> Option<&[u8]> {
        let cookie = self.fast_open?;
        let blocks = self.sack_blocks_that_fit();
        let taken = self.fixed_len() + if blocks == 0 { 0 } else { 4 + 8 * blocks };
        Some(cookie).filter(|cookie| taken + cookie_len(cookie) <= OPTIONS_LEN_MAX)
    }

    /// Fills an area of exactly `byte_len` bytes.
    #[inline]
    fn emit(&self, area: &mut [u8]) -> Result<(), NoRoom> {
        let mut pen = Pen { rest: area };
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            pen.put([kind::MSS, 4, high, low])?;
        }
        match (self.timestamps, self.sack_permitted) {
            (Some(Timestamps { value, echo }), permitted) => {
                let [.., kind, len] = ALIGNED_TIMESTAMPS;
                let before = if permitted {
                    [kind::SACK_PERMITTED, 2, kind, len]
                } else {
                    ALIGNED_TIMESTAMPS
                };
                pen.put(before)?;
                pen.put(value.to_be_bytes())?;
                pen.put(echo.to_be_bytes())?;
            }
            (None, true) => pen.put([kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2])?,
            (None, false) => {}
        }
        if let Some(shift) = self.window_shift {
            pen.put([kind::NOP, kind::WINDOW_SCALE, 3, shift])?;
        }
        if pen.rest.is_empty() { Ok(()) } else { self.emit_rare(&mut pen) }
    }

    #[cold]
    fn emit_rare(&self, pen: &mut Pen<'_>) -> Result<(), NoRoom> {
        let blocks = &self.sack[..self.sack_blocks_that_fit()];
        if !blocks.is_empty() {
            pen.put([kind::NOP, kind::NOP, kind::SACK, 2 + 8 * blocks.len() as u8])?;
        }
        for (left, right) in blocks {
            pen.put(left.to_be_bytes())?;
            pen.put(right.to_be_bytes())?;
        }
        if let Some(cookie) = self.cookie_that_fits() {
            pen.put([kind::FAST_OPEN, 2 + cookie.len() as u8])?;
            pen.put_slice(cookie)?;
        }
        pen.rest.fill(kind::NOP);
        Ok(())
    }
}

/// Bytes of a Fast Open option, padded to words.
fn cookie_len(cookie: &[u8]) -> usize {
    (2 + cookie.len()).next_multiple_of(4)
}
