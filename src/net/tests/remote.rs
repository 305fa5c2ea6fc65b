//! Streams, listeners and tasks from other threads: a world on a thread of its own, and the test's
//! thread as the client.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration as StdDuration;

use super::streams::echo;
use super::support::SERVER;
use crate::net::{Executor, Handle, JoinError, TcpStream, block_on, draining, spawn, worker};
use crate::shard::Config;
use crate::sim::{World, WorldConfig};

/// A world that runs on a thread of its own until it is dropped.
struct Running {
    /// The handle of the host 10.0.0.2.
    handle: Handle,
    /// The handle of the server.
    server: Handle,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a world of an echo server at [`SERVER`] and a host that runs nothing by itself.
fn start() -> Running {
    let (sender, receiver) = channel();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || {
        let mut world = World::new(WorldConfig::default());
        let mut add = |host: u8, executor: Executor| {
            let (mac, secret) = (world.next_mac(), world.draw_secret());
            let config = Config::new(mac, vec![([10, 0, 0, host].into(), 24)], secret);
            world.add_host(&config, vec![Box::new(executor)])
        };
        let (executor, server) = Executor::with_handle(echo);
        add(1, executor);
        let (executor, handle) = Executor::with_handle(async || {
            draining().await;
        });
        add(2, executor);
        sender.send((handle, server)).expect("the test waits");
        while !stopped.load(Ordering::SeqCst) {
            if !world.step() {
                thread::yield_now();
            }
        }
    });
    let (handle, server) = receiver.recv().expect("the world starts");
    Running { handle, server, stop, thread: Some(thread) }
}

impl Running {
    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the world does not panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn a_blocking_thread_gets_back_what_it_writes_to_an_echo() {
    let world = start();
    let mut stream = block_on(world.handle.connect(SERVER)).expect("a server");
    assert_eq!(stream.peer_addr(), SERVER.parse().expect("an address"));
    assert_eq!(stream.local_addr().ip().to_string(), "10.0.0.2");
    let mut answer = [0; 5];
    for _ in 0..100 {
        stream.write_all(b"hello").expect("room");
        stream.read_exact(&mut answer).expect("an echo");
        assert_eq!(&answer, b"hello");
    }
}

#[test]
fn a_megabyte_passes_both_ways_at_once_and_ends_with_a_fin() {
    const BYTES: usize = 1 << 20;
    let byte = |at: usize| (at % 251) as u8;
    let world = start();
    let stream = block_on(world.handle.connect(SERVER)).expect("a server");
    thread::scope(|scope| {
        scope.spawn(|| {
            let sent: Vec<u8> = (0..BYTES).map(byte).collect();
            (&stream).write_all(&sent).expect("room");
            stream.shutdown(Shutdown::Write);
        });
        let mut received = Vec::new();
        (&stream).read_to_end(&mut received).expect("an echo");
        assert_eq!(received.len(), BYTES);
        assert!(received.iter().enumerate().all(|(at, got)| *got == byte(at)));
    });
    let error = (&stream).write(b"late").expect_err("the direction is closed");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn more_connections_than_a_seat_has_streams_are_open_at_once() {
    let world = start();
    let mut streams: Vec<_> =
        (0..600).map(|_| block_on(world.handle.connect(SERVER)).expect("a server")).collect();
    for (n, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&(n as u32).to_be_bytes()).expect("room");
    }
    for (n, stream) in streams.iter_mut().enumerate() {
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("an echo");
        assert_eq!(u32::from_be_bytes(answer), n as u32);
    }
}

#[test]
fn numbers_of_streams_are_used_again() {
    let world = start();
    for round in 0..2000_u32 {
        let mut stream = block_on(world.handle.connect(SERVER)).expect("a server");
        stream.write_all(&round.to_be_bytes()).expect("room");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("an echo");
        assert_eq!(u32::from_be_bytes(answer), round);
    }
}

#[test]
fn a_remote_listener_accepts_and_the_peer_sees_the_close() {
    let world = start();
    let listener = block_on(world.handle.listen("0.0.0.0:9")).expect("a free port");
    let taken = block_on(world.handle.listen("0.0.0.0:9")).expect_err("the port is in use");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let clients = world.server.spawn_on(0, || async {
        let mut sum = 0;
        for n in 0..200_u32 {
            let mut stream = TcpStream::connect("10.0.0.2:9").await.expect("a listener");
            stream.write_all(&n.to_be_bytes()).await.expect("room");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("an answer");
            sum += u32::from_be_bytes(answer.try_into().expect("four bytes"));
        }
        sum
    });
    for _ in 0..200 {
        let (mut stream, peer) = block_on(listener.accept()).expect("a connection");
        assert_eq!(peer, stream.peer_addr());
        let mut request = [0; 4];
        stream.read_exact(&mut request).expect("a request");
        stream.write_all(&(u32::from_be_bytes(request) + 1).to_be_bytes()).expect("room");
    }
    let sum = block_on(clients.expect("a worker")).expect("the task ends");
    assert_eq!(sum, (1..=200).sum::<u32>());
}

#[test]
fn tasks_of_other_threads_run_on_the_worker_and_report() {
    let world = start();
    let value = world.handle.spawn_on(0, || async { spawn(async { worker() }).await });
    let value = block_on(value.expect("a worker")).expect("no panic");
    assert_eq!(value.expect("no panic"), (0, 1));
    let panicked = world.handle.spawn_on(0, || async { panic!("as the test wants it") });
    let panicked: Result<(), JoinError> = block_on(panicked.expect("a worker"));
    assert!(matches!(panicked, Err(JoinError::Panicked(_))));
    let none = world.handle.spawn_on(1, || async {}).expect_err("one worker");
    assert_eq!(none.kind(), ErrorKind::InvalidInput);
}

#[test]
fn errors_have_the_kinds_of_kernel_sockets() {
    let world = start();
    let refused = block_on(world.handle.connect("10.0.0.1:99")).expect_err("nothing listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let no_route = block_on(world.handle.connect("192.168.7.7:99")).expect_err("no route");
    assert_eq!(no_route.kind(), ErrorKind::NetworkUnreachable);
    let name = block_on(world.handle.connect("server:7")).expect_err("a name");
    assert_eq!(name.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_blocking_read_ends_at_its_timeout_and_the_stream_lives_on() {
    let world = start();
    let mut stream = block_on(world.handle.connect(SERVER)).expect("a server");
    stream.set_read_timeout(Some(StdDuration::from_millis(20)));
    let mut answer = [0; 5];
    let error = stream.read(&mut answer).expect_err("nothing arrives");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    stream.set_read_timeout(None);
    stream.write_all(b"hello").expect("room");
    stream.read_exact(&mut answer).expect("an echo");
}

#[test]
fn a_stack_that_stops_ends_streams_listeners_and_tasks() {
    let mut world = start();
    let mut stream = block_on(world.handle.connect(SERVER)).expect("a server");
    let listener = block_on(world.handle.listen("0.0.0.0:9")).expect("a free port");
    let task = world.handle.spawn_on(0, core::future::pending::<()>).expect("a worker");
    let reader = thread::spawn(move || stream.read(&mut [0; 8]));
    let acceptor = thread::spawn(move || block_on(listener.accept()).map(drop));
    thread::sleep(StdDuration::from_millis(20));
    world.end();
    let error = reader.join().expect("no panic").expect_err("the stack has stopped");
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    let error = acceptor.join().expect("no panic").expect_err("the stack has stopped");
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(matches!(block_on(task), Err(JoinError::Cancelled)));
    let late = world.handle.spawn_on(0, || async {}).expect_err("the stack has stopped");
    assert_eq!(late.kind(), ErrorKind::NotConnected);
    let late = block_on(world.handle.connect(SERVER)).expect_err("the stack has stopped");
    assert_eq!(late.kind(), ErrorKind::NotConnected);
}

#[test]
fn threads_that_share_a_handle_have_their_own_streams() {
    let world = start();
    thread::scope(|scope| {
        for id in 0..8_u8 {
            let handle = world.handle.clone();
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut stream = block_on(handle.connect(SERVER)).expect("a server");
                    stream.write_all(&[id; 3000]).expect("room");
                    let mut answer = [0; 3000];
                    stream.read_exact(&mut answer).expect("an echo");
                    assert_eq!(answer, [id; 3000]);
                }
            });
        }
    });
}

#[test]
fn a_remote_server_answers_in_small_pieces_until_the_peer_has_closed() {
    const BYTES: usize = 5000;
    let world = start();
    let listener = block_on(world.handle.listen("0.0.0.0:9")).expect("a free port");
    let clients = world.server.spawn_on(0, || async {
        for _ in 0..20 {
            let mut stream = TcpStream::connect("10.0.0.2:9").await.expect("a listener");
            stream.write_all(&[7; BYTES]).await.expect("room");
            stream.shutdown(Shutdown::Write).expect("an open stream");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("the rest");
            assert_eq!(answer, [8; BYTES]);
        }
    });
    for _ in 0..20 {
        let (mut stream, _) = block_on(listener.accept()).expect("a connection");
        stream.set_read_timeout(Some(StdDuration::from_secs(5)));
        let mut byte = [0; 10];
        loop {
            let n = stream.read(&mut byte).expect("bytes or the end");
            if n == 0 {
                break;
            }
            stream.write_all(&[8; 10][..n]).expect("room");
        }
    }
    block_on(clients.expect("a worker")).expect("the clients end");
}

/// A submission ring holds 256 entries. What finds no room waits for the worker to take some.
#[test]
fn news_that_find_the_ring_full_are_sent_once_it_has_room() {
    const STREAMS: usize = 250;
    let world = start();
    let streams: Vec<_> =
        (0..STREAMS).map(|_| block_on(world.handle.connect(SERVER)).expect("a server")).collect();
    // Holds the worker, so that nothing is taken from the ring meanwhile.
    let (held, release) = channel::<()>();
    let hold = world.handle.spawn_on(0, move || async move { release.recv().is_err() });
    thread::sleep(StdDuration::from_millis(20));
    for stream in &streams {
        for _ in 0..8 {
            (&*stream).write_all(b"x").expect("room");
        }
    }
    streams.iter().for_each(|stream| stream.shutdown(Shutdown::Write));
    drop(held);
    assert!(block_on(hold.expect("a worker")).expect("no panic"));
    for mut stream in streams {
        stream.set_read_timeout(Some(StdDuration::from_secs(10)));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an echo and its end");
        assert_eq!(answer, b"xxxxxxxx");
    }
}

#[test]
fn what_was_written_arrives_after_stream_and_handle_are_dropped() {
    const BYTES: usize = 60_000;
    let mut world = start();
    let listener = block_on(world.server.listen("0.0.0.0:9")).expect("a free port");
    let mut stream = block_on(world.handle.connect("10.0.0.1:9")).expect("a listener");
    stream.write_all(&[9; BYTES]).expect("room in the ring");
    drop(stream);
    let (_, other) = Executor::with_handle(async || {});
    // The last handle of the host: its seats go with it.
    drop(std::mem::replace(&mut world.handle, other));
    let (mut accepted, _) = block_on(listener.accept()).expect("a connection");
    accepted.set_read_timeout(Some(StdDuration::from_secs(10)));
    let mut received = Vec::new();
    accepted.read_to_end(&mut received).expect("all of it, and the end");
    assert_eq!(received.len(), BYTES);
}
