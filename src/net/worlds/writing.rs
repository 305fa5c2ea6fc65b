//! Executes the steps of a script. Each write takes a way drawn at random.

use std::io::{self, ErrorKind, IoSlice};

use super::departure::Departure;
use super::halves::{Reads, Writes};
use super::part::{Part, Shape};
use super::races::poll_once;
use super::reading::Portion;
use crate::net::{copy, now, sleep_until, timeout};
use crate::sim::{ReadPace, Step};
use crate::time::{Duration, Instant};

/// Timeouts of one write before it waits without.
const TIMEOUTS_MAX: u32 = 20;

/// The present step of a script. It outlives the future that executes the step.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    index: usize,
    /// Bytes of this step that are written.
    written: u32,
    waits_until: Option<Instant>,
}

/// The result of a step.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// Call again.
    Next,
    /// The script is over: both directions close.
    Over,
    /// The side leaves the connection now.
    Leaves(Departure),
}

/// Records on drop what an echo may have moved.
struct Echoing<'a> {
    part: &'a Part,
    total: Option<u64>,
}

impl Drop for Echoing<'_> {
    fn drop(&mut self) {
        self.part.count_echoed(self.total);
    }
}

impl Part {
    /// Executes all steps. Returns the departure of a side that leaves.
    pub(super) async fn write_steps(
        &self,
        half: &mut impl Writes,
    ) -> io::Result<Option<Departure>> {
        let mut cursor = Cursor::default();
        loop {
            match self.step(&mut cursor, half).await? {
                Stepped::Next => {}
                Stepped::Over => return Ok(None),
                Stepped::Leaves(departure) => return Ok(Some(departure)),
            }
        }
    }

    /// Executes the present step or a part of it.
    pub(super) async fn step(
        &self,
        cursor: &mut Cursor,
        half: &mut impl Writes,
    ) -> io::Result<Stepped> {
        let Some(step) = self.script.steps.get(cursor.index).copied() else {
            return Ok(Stepped::Over);
        };
        match step {
            Step::Write(all) | Step::WriteUrgent(all) => {
                if cursor.written < all {
                    let n = self.write_some(half, u64::from(all - cursor.written)).await?;
                    cursor.written += n as u32;
                    return Ok(Stepped::Next);
                }
            }
            Step::SetOption(option) => half.stream().set_option(option)?,
            Step::Read(n) => self.until_read(Some(n)).await?,
            Step::ReadToEnd => self.until_read(None).await?,
            Step::Wait(span) => {
                sleep_until(*cursor.waits_until.get_or_insert(now() + span)).await;
            }
            Step::Close => half.finish()?,
            Step::Echo => self.violated("an echo has a reader of its own"),
            Step::CloseBoth => return Ok(Stepped::Leaves(Departure::Close)),
            Step::CloseWithin(span) => return Ok(Stepped::Leaves(Departure::Within(span))),
            Step::Abort => return Ok(Stepped::Leaves(Departure::Abort)),
        }
        *cursor = Cursor { index: cursor.index + 1, ..Cursor::default() };
        Ok(Stepped::Next)
    }

    /// Executes the script of a side that echoes: it reads in its step only.
    pub(super) async fn echo_steps(
        &self,
        reader: &mut impl Reads,
        writer: &mut impl Writes,
    ) -> io::Result<()> {
        let mut cursor = Cursor::default();
        loop {
            if self.script.steps.get(cursor.index) == Some(&Step::Echo) {
                self.echo(reader, writer).await?;
                cursor.index += 1;
            } else if self.step(&mut cursor, writer).await? == Stepped::Over {
                return Ok(());
            }
        }
    }

    async fn echo(&self, reader: &mut impl Reads, writer: &mut impl Writes) -> io::Result<()> {
        if self.script.read_pace == ReadPace::Eager && self.below(2) == 0 {
            let mut echoing = Echoing { part: self, total: None };
            echoing.total = Some(copy(reader, writer).await?);
            return Ok(());
        }
        while let Portion::Read(mut left) = self.read_portion(reader).await? {
            while left > 0 {
                left -= self.write_some(writer, left as u64).await?;
            }
        }
        Ok(())
    }

    /// Writes some of the next `left` bytes. Returns their number.
    async fn write_some(&self, half: &mut impl Writes, left: u64) -> io::Result<usize> {
        let bytes = self.next_bytes(left.min(1 + self.below(6000)));
        let ways = if self.shape == Shape::Raced { 5 } else { 7 };
        let n = match self.below(ways) {
            0 => self.write_with_timeouts(half, &bytes).await?,
            1 => {
                let (first, rest) = bytes.split_at(self.below(bytes.len() as u64) as usize);
                let (second, third) = rest.split_at(rest.len() / 2);
                let slices = [first, second, third].map(IoSlice::new);
                half.write_vectored(&slices).await?
            }
            2 => match half.try_write(&bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => half.write(&bytes).await?,
                written => written?,
            },
            3 => match poll_once(half.write(&bytes)).await {
                Some(written) => written?,
                None => half.write(&bytes).await?,
            },
            4 => half.write(&bytes).await?,
            way => return self.write_whole(half, bytes, way == 5).await,
        };
        self.count_written(n);
        Ok(n)
    }

    /// Writes all bytes. They count from the beginning: if this is dropped half-way, the peer may
    /// have read some.
    async fn write_whole(
        &self,
        half: &mut impl Writes,
        bytes: Vec<u8>,
        owned: bool,
    ) -> io::Result<usize> {
        let n = bytes.len();
        self.count_written(n);
        if owned {
            let (written, buffer) = half.write_buf(bytes).await;
            if buffer.len() != n {
                self.violated("a written buffer came back with another length");
            }
            written?;
        } else {
            half.write_all(&bytes).await?;
        }
        Ok(n)
    }

    async fn write_with_timeouts(&self, half: &mut impl Writes, bytes: &[u8]) -> io::Result<usize> {
        for _ in 0..TIMEOUTS_MAX {
            let span = Duration::from_micros(self.below(3000));
            if let Ok(written) = timeout(span, half.write(bytes)).await {
                return written;
            }
        }
        half.write(bytes).await
    }
}
