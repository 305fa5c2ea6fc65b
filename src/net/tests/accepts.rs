//! Accepts: several tasks at one listener, cancelled ones, and a full queue.

use core::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;

use super::streams::connect;
use super::support::{Log, SERVER, millis, pair, poll_once};
use crate::net::{TcpListener, sleep, spawn, timeout};

#[test]
fn a_cancelled_accept_loses_no_connection() {
    let server = async || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        assert!(timeout(millis(10), listener.accept()).await.is_err());
        assert!(poll_once(listener.accept()).await.is_none());
        sleep(millis(40)).await;
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.write_all(b"x").await.expect("room");
        }
    };
    let mut pair = pair(server, async || {
        sleep(millis(20)).await;
        for mut stream in [connect().await, connect().await] {
            stream.read_exact(&mut [0; 1]).await.expect("a byte");
        }
    });
    pair.run();
}

#[test]
fn two_tasks_accept_from_one_listener() {
    let accepted = Log::default();
    let log = Rc::clone(&accepted);
    let server = async move || {
        let listener = Rc::new(TcpListener::bind(SERVER).await.expect("a free port"));
        let tasks = ["first", "second"].map(|name| {
            let (listener, log) = (Rc::clone(&listener), Rc::clone(&log));
            spawn(async move {
                let (_stream, _) = listener.accept().await.expect("a client");
                log.borrow_mut().push(name);
                sleep(millis(1000)).await;
            })
        });
        for task in tasks {
            task.await.expect("no panic");
        }
    };
    let mut pair = pair(server, async || {
        let _both = (connect().await, connect().await);
        sleep(millis(100)).await;
    });
    pair.run();
    assert_eq!(*accepted.borrow(), ["first", "second"]);
}

#[test]
fn another_task_takes_the_connection_of_an_acceptor_that_is_aborted_after_its_wake() {
    let server = async || {
        let listener = Rc::new(TcpListener::bind(SERVER).await.expect("a free port"));
        let tasks = [(), ()].map(|()| {
            let listener = Rc::clone(&listener);
            spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a client");
                stream.write_all(b"x").await.expect("room");
            })
        });
        // The first acceptor is woken in the turn in which this task aborts it.
        poll_fn(|cx| {
            if listener.waiting() > 0 {
                tasks[0].abort();
                return core::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            core::task::Poll::Pending
        })
        .await;
        let [_, second] = tasks;
        second.await.expect("no panic");
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        let read = timeout(millis(100), stream.read_exact(&mut [0; 1])).await;
        read.expect("an acceptor").expect("a byte");
    });
    pair.run();
}

#[test]
fn connections_beyond_the_backlog_are_reset_and_counted() {
    let server = async || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        listener.set_backlog(2);
        sleep(millis(100)).await;
        assert_eq!(listener.refused(), 1);
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.write_all(b"x").await.expect("room");
        }
        assert!(timeout(millis(100), listener.accept()).await.is_err());
    };
    let mut pair = pair(server, async || {
        let mut streams = [connect().await, connect().await, connect().await];
        let error = streams[2].read(&mut [0; 1]).await.expect_err("the queue is full");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        for stream in &mut streams[..2] {
            stream.read_exact(&mut [0; 1]).await.expect("a byte");
        }
    });
    pair.run();
}

#[test]
fn a_polled_accept_is_woken() {
    let server = async || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await;
        let (mut stream, peer) = accepted.expect("a client");
        assert_eq!(peer, stream.peer_addr().expect("an open connection"));
        stream.write_all(b"x").await.expect("room");
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        stream.read_exact(&mut [0; 1]).await.expect("a byte");
    });
    pair.run();
}

#[test]
fn a_connection_that_was_reset_while_it_waited_is_not_accepted() {
    let server = async || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        sleep(millis(100)).await;
        let (mut stream, _) = listener.accept().await.expect("the second client");
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).await.expect("a byte");
        assert_eq!(&byte, b"2");
    };
    let mut pair = pair(server, async || {
        connect().await.abort();
        let mut second = connect().await;
        second.write_all(b"2").await.expect("room");
        assert_eq!(second.read(&mut [0; 1]).await.expect("the end"), 0);
    });
    pair.run();
}
