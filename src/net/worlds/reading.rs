//! Reads a side's stream, by a way drawn at random for each portion. Every way takes bytes in the
//! poll that returns them, so that a reader can be dropped at any time.

use std::io::{self, ErrorKind};

use super::halves::Reads;
use super::part::Part;
use super::races::poll_once;
use crate::net::{now, sleep_until, timeout};
use crate::sim::ReadPace;
use crate::time::Duration;

/// Timeouts of one read before it waits without.
const TIMEOUTS_MAX: u32 = 20;

/// The result of a read.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Portion {
    Read(usize),
    End,
}

impl Part {
    /// Reads to the end of the stream.
    pub(super) async fn read_all(&self, half: &mut impl Reads) -> io::Result<()> {
        if self.reads_as_a_whole() && self.below(4) == 0 {
            let mut all = Vec::new();
            let result = half.read_to_end(&mut all).await.map(|_| ());
            self.take(&all);
            self.reading_ended(&result);
            return result;
        }
        loop {
            if self.read_portion(half).await? == Portion::End {
                return Ok(());
            }
        }
    }

    /// Reads a portion as the pace allows.
    pub(super) async fn read_portion(&self, half: &mut impl Reads) -> io::Result<Portion> {
        let most = match self.script.read_pace {
            ReadPace::Eager => 1 + self.below(8000) as usize,
            ReadPace::Paced(bytes, _) => {
                sleep_until(self.read_at()).await;
                bytes as usize
            }
        };
        let read = self.draw_portion(half, most).await;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                let failed = Err(error);
                self.reading_ended(&failed);
                return failed.map(|()| Portion::End);
            }
        };
        if bytes.is_empty() {
            self.reading_ended(&Ok(()));
            return Ok(Portion::End);
        }
        self.take(&bytes);
        if let ReadPace::Paced(_, every) = self.script.read_pace {
            self.set_read_at(now() + every);
        }
        Ok(Portion::Read(bytes.len()))
    }

    /// Reads at most `most` bytes; empty at the end of the stream.
    async fn draw_portion(&self, half: &mut impl Reads, most: usize) -> io::Result<Vec<u8>> {
        match self.below(7) {
            0 => self.read_with_timeouts(half, most).await,
            1 => {
                let (n, buffer) = half.read_buf(Vec::with_capacity(most)).await;
                n.map(|_| buffer)
            }
            2 => half.take_filled(most).await,
            3 => self.peek_and_read(half, most).await,
            4 => {
                half.readable().await?;
                let mut buffer = vec![0; most];
                let n = half.try_read(&mut buffer).inspect_err(|error| {
                    if error.kind() == ErrorKind::WouldBlock {
                        self.violated("a readable stream would block");
                    }
                })?;
                buffer.truncate(n);
                Ok(buffer)
            }
            5 => {
                let mut buffer = vec![0; most];
                let first = poll_once(half.read(&mut buffer)).await;
                match first {
                    Some(n) => buffer.truncate(n?),
                    None => return read(half, most).await,
                }
                Ok(buffer)
            }
            _ => read(half, most).await,
        }
    }

    async fn read_with_timeouts(&self, half: &mut impl Reads, most: usize) -> io::Result<Vec<u8>> {
        for _ in 0..TIMEOUTS_MAX {
            let span = Duration::from_micros(self.below(3000));
            if let Ok(bytes) = timeout(span, read(half, most)).await {
                return bytes;
            }
        }
        read(half, most).await
    }

    async fn peek_and_read(&self, half: &mut impl Reads, most: usize) -> io::Result<Vec<u8>> {
        let mut peeked = vec![0; most];
        let n = half.peek(&mut peeked).await?;
        peeked.truncate(n);
        let mut bytes = vec![0; n];
        match poll_once(half.read_exact(&mut bytes)).await {
            Some(read) => read?,
            None => self.violated("a read of peeked bytes waits"),
        }
        if bytes != peeked {
            self.violated("a read returns other bytes than the peek before it");
        }
        Ok(bytes)
    }
}

async fn read(half: &mut impl Reads, most: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; most];
    let n = half.read(&mut buffer).await?;
    buffer.truncate(n);
    Ok(buffer)
}
