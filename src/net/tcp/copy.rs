//! From one stream to another.

use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io;

use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::stream::{TcpStream, copy_parts};

/// Bytes moved at once, in a buffer on the stack of the worker: waiting tasks hold none.
const CHUNK: usize = 16 * 1024;

/// Chunks moved before other tasks run.
const CHUNKS_MAX: usize = 16;

/// Something with a receiving direction: a stream or a half of one.
pub trait Receive: sealed::Receive {}

/// Something with a sending direction: a stream or a half of one.
pub trait Transmit: sealed::Transmit {}

/// Moves everything from `from` to `to` until `from` ends. Returns the number of bytes. Closes
/// nothing.
///
/// It holds no buffer: what `to` does not take stays in the receive window of `from`.
///
/// # Errors
/// As [`TcpStream::read`] and [`TcpStream::write`].
///
/// # Examples
///
/// An echo:
///
/// ```no_run
/// # async fn run(mut stream: linerate::net::TcpStream) -> std::io::Result<()> {
/// let (mut read, mut write) = stream.split();
/// linerate::net::copy(&mut read, &mut write).await?;
/// # Ok(())
/// # }
/// ```
pub async fn copy(from: &mut impl Receive, to: &mut impl Transmit) -> io::Result<u64> {
    let (from, to) = (from.receiving(), to.transmitting());
    let mut total = 0;
    poll_fn(|cx| poll_copy(from, to, &mut total, cx)).await?;
    Ok(total)
}

/// Moves chunks until one side has nothing or no room.
fn poll_copy(
    from: &TcpStream,
    to: &TcpStream,
    total: &mut u64,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut chunk = [0; CHUNK];
    for _ in 0..CHUNKS_MAX {
        let room = to.with_io(|io, conn| io.write_room(conn)).unwrap_or(0);
        // Without room a byte is enough to wait for some.
        let wanted = room.clamp(1, CHUNK);
        let copied = from.poll_received(cx, |parts| (0, copy_parts(parts, &mut chunk[..wanted])));
        let Some(copied) = ready!(copied)? else { return Poll::Ready(Ok(())) };
        let written = ready!(to.poll_write(cx, &chunk[..copied]))?;
        from.with_io(|io, conn| io.consume(conn, written));
        *total += written as u64;
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

mod sealed {
    use super::TcpStream;

    #[expect(unnameable_types, reason = "seals the trait")]
    pub trait Receive {
        fn receiving(&self) -> &TcpStream;
    }

    #[expect(unnameable_types, reason = "seals the trait")]
    pub trait Transmit {
        fn transmitting(&self) -> &TcpStream;
    }
}

macro_rules! direction {
    ($direction:ident, $method:ident: $($half:ty),*) => {
        $(
            impl sealed::$direction for $half {
                fn $method(&self) -> &TcpStream {
                    self.stream()
                }
            }
            impl $direction for $half {}
        )*
    };
}

direction!(Receive, receiving: TcpStream, ReadHalf<'_>, OwnedReadHalf);
direction!(Transmit, transmitting: TcpStream, WriteHalf<'_>, OwnedWriteHalf);
