//! Data in one direction: a task for each stream, and what the control of the test sees of it.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::rc::Rc;

use linerate::net::TcpStream;

/// Bytes of a stream, counted by its task.
#[derive(Debug, Default)]
pub(super) struct Tally {
    bytes: Cell<u64>,
    omitted: Cell<u64>,
    retransmits: Cell<u32>,
}

impl Tally {
    /// Returns the bytes that count.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get() - self.omitted.get()
    }

    /// Returns the number of retransmitted segments.
    pub(super) fn retransmits(&self) -> u32 {
        self.retransmits.get()
    }

    /// Leaves out the bytes so far.
    pub(super) fn omit(&self) {
        self.omitted.set(self.bytes.get());
    }

    fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }
}

/// Bytes that all streams of a test may still send together.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    /// Creates a budget; `None` has no limit.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        Self(Cell::new(bytes.unwrap_or(u64::MAX)))
    }

    /// Takes at most `bytes`.
    fn take(&self, bytes: usize) -> usize {
        let taken = self.0.get().min(bytes as u64);
        self.0.set(self.0.get() - taken);
        taken as usize
    }
}

/// Counts what arrives, in place, and drops it.
///
/// # Errors
/// When the connection fails.
pub(super) async fn receive(mut stream: TcpStream, tally: Rc<Tally>) -> io::Result<()> {
    loop {
        let n = stream.fill_buf().await?.len();
        if n == 0 {
            return Ok(());
        }
        stream.consume(n);
        tally.add(n);
    }
}

/// Sends blocks of zeros while the budget lasts, then keeps the stream open until it is dropped.
///
/// # Errors
/// When the connection fails.
pub(super) async fn send(
    mut stream: TcpStream,
    block: usize,
    budget: Rc<Budget>,
    tally: Rc<Tally>,
) -> io::Result<()> {
    let zeros = vec![0; block];
    loop {
        let mut left = &zeros[..budget.take(block)];
        if left.is_empty() {
            return pending().await;
        }
        while !left.is_empty() {
            let n = stream.write(left).await?;
            tally.add(n);
            left = &left[n..];
        }
        tally.retransmits.set(stream.tcp_info().map_or(0, |info| info.retransmissions));
    }
}
