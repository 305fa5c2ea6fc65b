//! Reads that do not copy twice: peek, consume, and reads into memory that is not initialized.

use core::mem::MaybeUninit;

use super::raw::{IRS, Raw, SentSegment, ack, segment_of};
use crate::shard::ConnId;
use crate::wire::tcp::flag;

/// Returns byte `at` of what the peer sends.
const fn content(at: usize) -> u8 {
    (at % 251) as u8
}

/// The peer's stream into an accepted connection.
struct Stream {
    t: Raw,
    conn: ConnId,
    iss: u32,
    sent: usize,
}

impl Stream {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adjust: impl FnOnce(&mut crate::shard::Config)) -> Self {
        let mut t = Raw::new(adjust);
        let iss = t.accept();
        let conn = t.conn();
        Self { t, conn, iss, sent: 0 }
    }

    /// Delivers the next `bytes` bytes in segments of at most 1000.
    fn delivers(&mut self, bytes: usize) {
        let end = self.sent + bytes;
        while self.sent < end {
            let len = (end - self.sent).min(1000);
            let text: Vec<u8> = (self.sent..self.sent + len).map(content).collect();
            let seq = IRS + 1 + self.sent as u32;
            self.t.receives(&segment_of(flag::ACK | flag::PSH, seq, self.iss + 1), &text);
            self.sent += len;
        }
        self.t.sent();
    }

    fn consume(&mut self, bytes: usize) -> Vec<SentSegment> {
        let conn = self.conn;
        self.t.with_io(move |io| io.consume(conn, bytes));
        self.t.sent()
    }

    fn peek(&mut self) -> [Vec<u8>; 2] {
        let conn = self.conn;
        self.t.ask(move |io| io.peek(conn).map(<[u8]>::to_vec))
    }
}

fn contents(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(content).collect()
}

#[test]
fn a_peek_shows_both_parts_of_a_wrapped_ring_in_order() {
    let mut stream = Stream::new();
    stream.delivers(3000);
    assert_eq!(stream.peek(), [contents(0, 3000), vec![]]);
    stream.consume(2500);
    // The ring keeps its 4,096 bytes as long as it is not empty.
    stream.delivers(3000);
    let [first, second] = stream.peek();
    assert!(!first.is_empty() && !second.is_empty(), "{} {}", first.len(), second.len());
    assert_eq!([first, second].concat(), contents(2500, 6000));
}

#[test]
fn a_peek_takes_nothing_and_consume_takes_at_most_what_is_there() {
    let mut stream = Stream::new();
    stream.delivers(100);
    assert_eq!(stream.peek(), stream.peek());
    stream.consume(40);
    assert_eq!(stream.peek(), [contents(40, 100), vec![]]);
    stream.consume(usize::MAX);
    assert_eq!(stream.peek(), [Vec::<u8>::new(), Vec::new()]);
    stream.delivers(10);
    assert_eq!(stream.peek(), [contents(100, 110), vec![]]);
}

#[test]
fn consuming_reopens_the_window_exactly_as_reading_does() {
    let full = || {
        let mut stream = Stream::with(|config| {
            config.settings.receive_buffer = 4096;
            config.settings.receive_buffer_initial = 4096;
        });
        stream.delivers(4096);
        stream
    };
    let windows = |segments: Vec<SentSegment>| {
        segments.into_iter().map(|got| (got.ack, got.window)).collect::<Vec<_>>()
    };
    let (mut reads, mut consumes) = (full(), full());
    for bytes in [100, 1000, 2996] {
        let conn = reads.conn;
        let read = reads.t.ask(move |io| io.read(conn, &mut vec![0; bytes]));
        assert_eq!(read, bytes);
        let by_reading = windows(reads.t.sent());
        assert_eq!(by_reading, windows(consumes.consume(bytes)), "after {bytes} bytes");
        assert_eq!(by_reading.len(), usize::from(bytes > 100), "{by_reading:?}");
    }
    assert_eq!(reads.t.shard.memory(), consumes.t.shard.memory());
    assert_eq!(reads.t.shard.memory().in_use, 0);
}

#[test]
fn a_read_into_uninitialized_memory_writes_only_what_it_returns() {
    let mut stream = Stream::new();
    stream.delivers(3000);
    stream.consume(2500);
    stream.delivers(3000); // the ring wraps
    let conn = stream.conn;
    let mut at = 2500;
    for room in [10, 3000, 1000, 5] {
        let (n, bytes) = stream.t.ask(move |io| {
            let mut buffer = vec![MaybeUninit::new(0xEE); room];
            let n = io.read_into(conn, &mut buffer);
            // SAFETY: every byte is initialized, by `new` above.
            let byte = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() };
            (n, buffer.iter().map(byte).collect::<Vec<u8>>())
        });
        assert_eq!(n, room.min(6000 - at));
        assert_eq!(bytes[..n], contents(at, at + n));
        assert!(bytes[n..].iter().all(|byte| *byte == 0xEE));
        at += n;
    }
    assert_eq!(at, 6000);
}

#[test]
fn consuming_the_rest_of_a_finished_stream_reports_its_end() {
    use super::raw::Callback;
    use crate::shard::CloseReason;
    let mut stream = Stream::new();
    let (conn, iss) = (stream.conn, stream.iss);
    stream.delivers(100);
    stream.t.with_io(move |io| io.close(conn));
    let end = IRS + 1 + 100;
    stream.t.receives(&segment_of(flag::ACK | flag::FIN, end, iss + 2), &[]);
    stream.t.receives(&ack(end + 1, iss + 2), &[]);
    let before = stream.t.callbacks();
    assert!(!before.contains(&Callback::Closed(CloseReason::Finished)), "{before:?}");
    stream.consume(100);
    assert_eq!(stream.t.callbacks(), [Callback::Closed(CloseReason::Finished)]);
}
