//! The byte rings of a seat's streams: two for each, found by the number of the stream.

use super::bytes::{self, Reader, Writer};
use super::region::{Region, RegionError, RingMemory};

/// The byte rings of the streams of one seat. Clones name the same memory.
///
/// A stream's rings are used from when the client prepares them until both sides have dropped their
/// ends; then the number may be used again.
#[derive(Clone, Debug)]
pub struct StreamRings {
    region: Region,
    streams: u32,
    /// Bytes that one ring holds.
    len: usize,
}

impl StreamRings {
    /// Makes the rings of `streams` streams, `len` bytes in each direction. The memory is touched
    /// only as far as it is used.
    ///
    /// # Errors
    ///
    /// [`RegionError::Length`] if `len` is not a power of two from 32 to 2^31, and
    /// [`RegionError::Memory`].
    pub fn new(streams: u32, len: usize) -> Result<Self, RegionError> {
        let each = RingMemory::bytes(len).ok_or(RegionError::Length { len })?;
        let total = each.saturating_mul(2).saturating_mul(streams as usize);
        Ok(Self { region: Region::zeroed(total)?, streams, len })
    }

    /// Returns the number of streams.
    pub const fn streams(&self) -> u32 {
        self.streams
    }

    /// Prepares the rings of a stream and returns the client's ends: it writes what the connection
    /// sends, and reads what it receives. The other side's ends come from
    /// [`worker`](Self::worker), after the client has announced the stream by an entry.
    ///
    /// # Errors
    ///
    /// [`RegionError::Outside`] if there is no such stream.
    pub fn client(&self, stream: u32) -> Result<(Writer, Reader), RegionError> {
        let (to_worker, to_client) = self.offsets(stream)?;
        self.region.ring(to_worker, self.len)?.reset();
        self.region.ring(to_client, self.len)?.reset();
        let (writer, _) = bytes::ends(&self.region, to_worker, self.len)?;
        let (_, reader) = bytes::ends(&self.region, to_client, self.len)?;
        Ok((writer, reader))
    }

    /// Returns the worker's ends of a stream's rings, which the client has prepared.
    ///
    /// # Errors
    ///
    /// [`RegionError::Outside`] if there is no such stream.
    pub fn worker(&self, stream: u32) -> Result<(Writer, Reader), RegionError> {
        let (to_worker, to_client) = self.offsets(stream)?;
        let (writer, _) = bytes::ends(&self.region, to_client, self.len)?;
        let (_, reader) = bytes::ends(&self.region, to_worker, self.len)?;
        Ok((writer, reader))
    }

    /// Returns the offsets of a stream's rings: to the worker, to the client.
    fn offsets(&self, stream: u32) -> Result<(usize, usize), RegionError> {
        let each = RingMemory::bytes(self.len).ok_or(RegionError::Length { len: self.len })?;
        // A number past the last stream gives an offset past the end, which `Region` refuses.
        let at = (stream as usize).saturating_mul(2 * each);
        Ok((at, at.saturating_add(each)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_stream_are_connected_and_those_of_others_are_not() {
        let rings = StreamRings::new(4, 64).expect("memory");
        let (mut client_tx, mut client_rx) = rings.client(2).expect("a stream");
        let (mut worker_tx, mut worker_rx) = rings.worker(2).expect("a stream");
        let (_, mut other) = rings.worker(1).expect("a stream");
        assert_eq!(client_tx.write(b"there"), Ok(5));
        assert_eq!(worker_tx.write(b"back"), Ok(4));
        let mut buffer = [0; 8];
        assert_eq!(worker_rx.read(&mut buffer), Ok(5));
        assert_eq!(&buffer[..5], b"there");
        assert_eq!(client_rx.read(&mut buffer), Ok(4));
        assert_eq!(&buffer[..4], b"back");
        assert_eq!(other.readable(), Ok(0));
    }

    #[test]
    fn a_stream_that_is_used_again_starts_empty() {
        let rings = StreamRings::new(1, 64).expect("memory");
        for round in 0..3_u8 {
            let (mut client, _) = rings.client(0).expect("a stream");
            let (_, mut worker) = rings.worker(0).expect("a stream");
            assert_eq!(worker.readable(), Ok(0));
            assert_eq!(client.write(&[round; 40]), Ok(40));
            assert_eq!(worker.readable(), Ok(40));
        }
    }

    #[test]
    fn a_number_past_the_last_stream_is_refused() {
        let rings = StreamRings::new(2, 64).expect("memory");
        for stream in [2, 3, u32::MAX] {
            assert!(matches!(rings.worker(stream), Err(RegionError::Outside { .. })));
        }
    }
}
