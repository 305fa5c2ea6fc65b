//! Streams: bytes there and back, and the ends of the two directions.

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;

use super::support::{Log, SERVER, millis, pair, pair_with};
use crate::net::{TcpListener, TcpStream, copy, sleep, spawn};
use crate::sim::Record;

pub(super) async fn echo() {
    let listener = TcpListener::bind(SERVER).await.expect("a free port");
    while let Ok((mut stream, _)) = listener.accept().await {
        spawn(async move {
            let (mut read, mut write) = stream.split();
            copy(&mut read, &mut write).await
        });
    }
}

/// Accepts one connection.
pub(super) async fn accept_one() -> TcpStream {
    let listener = TcpListener::bind(SERVER).await.expect("a free port");
    listener.accept().await.expect("a client").0
}

pub(super) async fn connect() -> TcpStream {
    TcpStream::connect(SERVER).await.expect("a server")
}

pub(super) fn content(n: usize) -> Vec<u8> {
    (0..n).map(|at| (at * 7 + (at >> 8)) as u8).collect()
}

#[test]
fn a_megabyte_comes_back_from_an_echo_by_copy() {
    let mut pair = pair(echo, async || {
        let (mut read, mut write) = connect().await.into_split();
        let writer = spawn(async move { write.write_all(&content(1 << 20)).await });
        let mut received = Vec::new();
        let n = read.read_to_end(&mut received).await.expect("an echo");
        assert!(n == 1 << 20 && received == content(1 << 20));
        writer.await.expect("no panic").expect("a reader");
    });
    pair.run();
    pair.run_for(millis(1));
    assert_eq!((pair.census()[0].streams, pair.server().connections()), (0, 0));
}

#[test]
fn filled_data_is_shown_in_two_parts_where_the_ring_wraps() {
    let wrapped = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&wrapped);
    let server = async move || {
        let (mut stream, mut all) = (accept_one().await, Vec::new());
        loop {
            let filled = stream.fill_buf().await.expect("data");
            if filled.is_empty() {
                break;
            }
            let taken = filled.with(|first, second| {
                *seen.borrow_mut() += usize::from(!second.is_empty());
                first.iter().chain(second).take(700).copied().collect::<Vec<u8>>()
            });
            stream.consume(taken.len());
            all.extend(taken);
            sleep(millis(1)).await;
        }
        assert!(all == content(100_000), "{} bytes", all.len());
    };
    let small = |config: &mut crate::shard::Config| config.settings.receive_buffer = 4096;
    let mut pair = pair_with(small, server, async || {
        let mut stream = connect().await;
        stream.write_all(&content(100_000)).await.expect("a reader");
        stream.shutdown(Shutdown::Write).expect("an open connection");
        assert_eq!(stream.read(&mut [0; 1]).await.expect("an end"), 0);
    });
    pair.run();
    assert!(*wrapped.borrow() > 0);
}

#[test]
fn an_owned_buffer_is_filled_behind_what_it_holds_and_comes_back() {
    let mut pair = pair(echo, async || {
        let mut stream = connect().await;
        let (written, buffer) = stream.write_buf(b"hello".to_vec()).await;
        written.expect("a reader");
        assert_eq!(buffer, b"hello");
        let mut buffer = Vec::with_capacity(64);
        buffer.push(b'>');
        while buffer.len() < 6 {
            let (read, filled) = stream.read_buf(buffer).await;
            assert!(read.expect("an echo") > 0);
            buffer = filled;
        }
        assert_eq!(buffer, b">hello");
        let full = Vec::new();
        let (read, full) = stream.read_buf(full).await;
        assert_eq!((read.expect("no room"), full.capacity()), (0, 0));
    });
    pair.run();
}

/// Returns the payload lengths of the TCP segments from the client that carry data.
fn payloads(record: &Record) -> Vec<usize> {
    let payload = |frame: &Vec<u8>| {
        let is_from_client = frame[12..14] == [8, 0] && frame[26..30] == [10, 0, 0, 2];
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        is_from_client.then(|| total - 20 - usize::from(frame[46] >> 4) * 4)
    };
    record.borrow().iter().filter_map(payload).filter(|n| *n > 0).collect()
}

#[test]
fn slices_written_together_leave_in_one_segment() {
    let mut pair = pair(echo, async || {
        let mut stream = connect().await;
        stream.set_nodelay(true).expect("a worker");
        let slices = [&b"a head"[..], b"", b", and a body", b"."].map(IoSlice::new);
        assert_eq!(stream.write_vectored(&slices).await.expect("room"), 19);
        let mut answer = [0; 19];
        stream.read_exact(&mut answer).await.expect("an echo");
        assert_eq!(&answer, b"a head, and a body.");
    });
    let record = pair.world.record();
    pair.run();
    assert_eq!(payloads(&record), [19]);
}

#[test]
fn what_a_task_writes_in_one_turn_leaves_in_one_segment() {
    let mut pair = pair(echo, async || {
        let mut stream = connect().await;
        for byte in b"hello" {
            stream.write_all(&[*byte]).await.expect("room");
        }
        stream.read_exact(&mut [0; 5]).await.expect("an echo");
    });
    let record = pair.world.record();
    pair.run();
    assert_eq!(payloads(&record), [5]);
}

#[test]
fn a_peek_takes_nothing() {
    let mut pair = pair(echo, async || {
        let mut stream = connect().await;
        stream.write_all(b"hello").await.expect("a reader");
        let mut seen = [0; 3];
        assert_eq!(stream.peek(&mut seen).await.expect("an echo"), 3);
        let mut all = [0; 5];
        stream.read_exact(&mut all).await.expect("an echo");
        assert_eq!((&seen, &all), (b"hel", b"hello"));
    });
    pair.run();
}

#[test]
fn try_read_and_try_write_do_not_wait() {
    let mut pair = pair(
        async || drop(sleepy().await),
        async || {
            let mut stream = connect().await;
            let nothing = stream.try_read(&mut [0; 8]).expect_err("nothing was sent");
            assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
            let full = loop {
                if let Err(error) = stream.try_write(&[0; 100_000]) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::WouldBlock);
            stream.readable().await.expect("a byte");
            assert_eq!(stream.try_read(&mut [0; 8]).expect("a byte"), 1);
            assert_eq!(stream.read(&mut []).await.expect("an empty read"), 0);
        },
    );
    pair.run();
}

/// Accepts a connection, reads nothing, and sends a byte after a second.
async fn sleepy() -> TcpStream {
    let mut stream = accept_one().await;
    sleep(millis(1000)).await;
    stream.write_all(b"x").await.expect("room");
    sleep(millis(1000)).await;
    stream
}

#[test]
fn each_side_may_send_after_the_other_has_closed_its_direction() {
    let server = async || {
        let mut stream = accept_one().await;
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.expect("a request");
        assert_eq!(received, b"request");
        stream.write_all(&content(300_000)).await.expect("a reader");
        stream.shutdown(Shutdown::Write).expect("an open connection");
        let error = stream.write(b"x").await.expect_err("the direction is closed");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        stream.write_all(b"request").await.expect("room");
        stream.shutdown(Shutdown::Write).expect("an open connection");
        let error = stream.write(b"x").await.expect_err("the direction is closed");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.expect("an answer");
        assert!(received == content(300_000));
        for _ in 0..3 {
            assert_eq!(stream.read(&mut [0; 8]).await.expect("the end"), 0);
        }
    });
    pair.run();
}

#[test]
fn a_read_that_waits_ends_when_its_direction_is_closed() {
    let mut pair = pair(echo, async || {
        let mut stream = connect().await;
        stream.shutdown(Shutdown::Read).expect("an open connection");
        assert_eq!(stream.read(&mut [0; 8]).await.expect("the end"), 0);
    });
    pair.run();
}

#[test]
fn halves_of_one_stream_are_reunited_and_others_are_not() {
    let mut pair = pair(echo, async || {
        let ((read, write), (other_read, other_write)) =
            (connect().await.into_split(), connect().await.into_split());
        let (read, other_write) = read.reunite(other_write).expect_err("two streams");
        let mut stream = read.reunite(write).expect("one stream");
        let _other = other_read.reunite(other_write).expect("one stream");
        stream.write_all(b"hello").await.expect("both directions are open");
        stream.read_exact(&mut [0; 5]).await.expect("an echo");
    });
    pair.run();
}

#[test]
fn a_filled_buffer_shows_nothing_while_another_call_is_inside() {
    let log = Log::default();
    let seen = Rc::clone(&log);
    let mut pair = pair(echo, async move || {
        let mut stream = connect().await;
        stream.write_all(b"hello").await.expect("room");
        let filled = stream.fill_buf().await.expect("an echo");
        let inside = filled.with(|_, _| filled.len());
        seen.borrow_mut().push((inside, filled.len()));
    });
    pair.run();
    assert_eq!(*log.borrow(), [(0, 5)]);
}
