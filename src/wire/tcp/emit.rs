//! TCP headers to send. Options have Linux's layout; data is copied and summed in one pass.

use super::layout::{CHECKSUM_AT, HEADER_LEN, OPTIONS_LEN_MAX};
use super::options::{ALIGNED_TIMESTAMPS, Timestamps};
use super::{AccEcn, FastOpen, flag, kind};
use crate::wire::checksum::{self, PseudoHeader, Sum};
use crate::wire::error::NoRoom;
use crate::wire::protocol::Protocol;

/// Options of a header to send. Every combination has a length of whole words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionsOut<'a> {
    /// Maximum segment size in bytes; on a SYN.
    pub mss: Option<u16>,
    /// Window scale; on a SYN.
    pub window_shift: Option<u8>,
    /// SACK-permitted; on a SYN.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks, the most recent first. As many are sent as fit: four, or three with timestamps
    /// (RFC 2018 §3).
    pub sack: &'a [(u32, u32)],
    /// The user timeout (RFC 5482 §3.3), granularity bit included.
    pub user_timeout: Option<u16>,
    /// Byte counters of Accurate ECN (RFC 9768 §3.2.3). With Fast Open, as many as fit.
    pub accecn: Option<AccEcn>,
    /// Fast Open (RFC 7413 §4.1.1), omitted if it does not fit; on a SYN.
    pub fast_open: Option<FastOpen<'a>>,
}

/// A header to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderOut<'a> {
    /// Local port.
    pub src_port: u16,
    /// Remote port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// SEG.WND, already scaled.
    pub window: u16,
    /// SEG.UP.
    pub urgent: u16,
    /// The control bits.
    pub flags: u16,
    /// The options.
    pub options: OptionsOut<'a>,
}

impl HeaderOut<'_> {
    /// Returns the length of the header with its options, in bytes.
    #[inline]
    pub fn byte_len(&self) -> usize {
        HEADER_LEN + self.options.byte_len()
    }

    /// Writes a whole segment to the start of `bytes` (header, options, data in two slices,
    /// checksum) and returns its length.
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
        let mut sum = pseudo.with(Protocol::TCP, len).plus(self.emit_header(header)?);
        if !data.is_empty() {
            let (first, second) = data.split_at_mut_checked(payload.0.len()).ok_or(NoRoom)?;
            sum = sum.plus(checksum::copy_and_sum(payload.0, first));
            if !second.is_empty() {
                sum = sum.then(payload.0.len(), checksum::copy_and_sum(payload.1, second));
            }
        }
        header[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&sum.checksum().to_be_bytes());
        Ok(len)
    }

    /// Writes the header with a checksum of zero into a slice of exactly its length. Returns its
    /// sum.
    #[inline(always)]
    fn emit_header(&self, header: &mut [u8]) -> Result<Sum, NoRoom> {
        let words = (header.len() / 4) as u8;
        let (fixed, area) = header.split_first_chunk_mut::<HEADER_LEN>().ok_or(NoRoom)?;
        let [s0, s1] = self.src_port.to_be_bytes();
        let [d0, d1] = self.dst_port.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urgent.to_be_bytes();
        let first = [s0, s1, d0, d1, q0, q1, q2, q3];
        let [f0, f1] = (self.flags & flag::ALL).to_be_bytes();
        let second = [a0, a1, a2, a3, words << 4 | f0, f1, w0, w1];
        let third = [0, 0, u0, u1];
        fixed[..8].copy_from_slice(&first);
        fixed[8..16].copy_from_slice(&second);
        fixed[16..].copy_from_slice(&third);
        let sum = Sum::ZERO.plus_eight(first).plus_eight(second).plus_four(third);
        if area.is_empty() { Ok(sum) } else { Ok(sum.plus(self.options.emit(area)?)) }
    }
}

/// Writes words in sequence and sums them.
struct WordWriter<'a> {
    rest: &'a mut [u8],
    sum: Sum,
}

impl WordWriter<'_> {
    #[inline(always)]
    fn put(&mut self, word: [u8; 4]) -> Result<(), NoRoom> {
        let (here, rest) = core::mem::take(&mut self.rest).split_first_chunk_mut().ok_or(NoRoom)?;
        *here = word;
        self.rest = rest;
        self.sum = self.sum.plus_four(word);
        Ok(())
    }
}

impl OptionsOut<'_> {
    /// Returns the length of the options in bytes, padding included.
    #[inline]
    pub fn byte_len(&self) -> usize {
        let fixed = self.fixed_len();
        let sack = self.sack_blocks_that_fit();
        let sack_len = if sack == 0 { 0 } else { 4 + 8 * sack };
        let cookie = self.fast_open_that_fits().map_or(0, |option| option.byte_len());
        fixed + sack_len + cookie
    }

    /// Returns the length of all options except SACK and Fast Open.
    #[inline]
    fn fixed_len(&self) -> usize {
        self.plain_len() + 4 * self.accecn_that_fits().map_or(0, AccEcn::words)
    }

    /// Returns the length of all options except SACK, Fast Open and Accurate ECN.
    #[inline]
    fn plain_len(&self) -> usize {
        // SACK-permitted replaces the padding before the timestamps.
        let alone = self.sack_permitted && self.timestamps.is_none();
        4 * (usize::from(self.mss.is_some())
            + usize::from(self.window_shift.is_some())
            + usize::from(alone)
            + usize::from(self.user_timeout.is_some())
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
    fn fast_open_that_fits(&self) -> Option<FastOpen<'_>> {
        let option = self.fast_open?;
        let blocks = self.sack_blocks_that_fit();
        let used = self.plain_len() + if blocks == 0 { 0 } else { 4 + 8 * blocks };
        Some(option).filter(|option| used + option.byte_len() <= OPTIONS_LEN_MAX)
    }

    /// RFC 9768 §3.2.3.3: counters at the tail are omitted if other options need the room. A cookie
    /// cannot be shortened, and appears only on SYNs, when nothing has been counted yet.
    #[inline]
    fn accecn_that_fits(&self) -> Option<AccEcn> {
        match self.fast_open {
            None => self.accecn,
            Some(option) => {
                let used = self.plain_len() + option.byte_len();
                self.accecn?.within(OPTIONS_LEN_MAX.saturating_sub(used))
            }
        }
    }

    /// Fills an area of exactly `byte_len` bytes and returns its sum.
    #[inline]
    fn emit(&self, area: &mut [u8]) -> Result<Sum, NoRoom> {
        let mut out = WordWriter { rest: area, sum: Sum::ZERO };
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            out.put([kind::MSS, 4, high, low])?;
        }
        match (self.timestamps, self.sack_permitted) {
            (Some(Timestamps { value, echo }), permitted) => {
                let [.., kind, len] = ALIGNED_TIMESTAMPS;
                let before = if permitted {
                    [kind::SACK_PERMITTED, 2, kind, len]
                } else {
                    ALIGNED_TIMESTAMPS
                };
                out.put(before)?;
                out.put(value.to_be_bytes())?;
                out.put(echo.to_be_bytes())?;
            }
            (None, true) => out.put([kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2])?,
            (None, false) => {}
        }
        if let Some(shift) = self.window_shift {
            out.put([kind::NOP, kind::WINDOW_SCALE, 3, shift])?;
        }
        if out.rest.is_empty() { Ok(out.sum) } else { self.emit_rare(out) }
    }

    #[cold]
    fn emit_rare(&self, mut out: WordWriter<'_>) -> Result<Sum, NoRoom> {
        if let Some(value) = self.user_timeout {
            let [high, low] = value.to_be_bytes();
            out.put([kind::USER_TIMEOUT, 4, high, low])?;
        }
        if let Some(counters) = self.accecn_that_fits() {
            let (bytes, words) = counters.to_words();
            for word in bytes.iter().take(words) {
                out.put(*word)?;
            }
        }
        let blocks = &self.sack[..self.sack_blocks_that_fit()];
        if !blocks.is_empty() {
            out.put([kind::NOP, kind::NOP, kind::SACK, 2 + 8 * blocks.len() as u8])?;
        }
        for (left, right) in blocks {
            out.put(left.to_be_bytes())?;
            out.put(right.to_be_bytes())?;
        }
        if let Some(option) = self.fast_open_that_fits() {
            let (head, head_len) = option.head();
            let (first, rest) = out.rest.split_at_mut_checked(head_len).ok_or(NoRoom)?;
            let (cookie, padding) = rest.split_at_mut_checked(option.cookie.len()).ok_or(NoRoom)?;
            first.copy_from_slice(&head[..head_len]);
            cookie.copy_from_slice(option.cookie);
            padding.fill(kind::NOP);
        }
        Ok(out.sum.plus(checksum::sum(out.rest)))
    }
}
