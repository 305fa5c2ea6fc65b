//! Drains: no more accepts, what is under way finishes, the deadline.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::rc::Rc;

use super::streams::{accept_one, connect, content};
use super::support::{Log, SERVER, millis, pair};
use crate::net::{TcpListener, draining, is_draining, now, sleep, spawn, timeout};
use crate::time::Duration;

#[test]
fn a_drain_ends_accepts_and_finishes_what_is_under_way() {
    let log = Log::default();
    let writer = Rc::clone(&log);
    let server = async move || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        let (mut stream, _) = listener.accept().await.expect("a client");
        let under_way = spawn(async move {
            let at = draining().await;
            assert!(is_draining() && at >= now() + millis(999));
            stream.write_all(&content(500_000)).await.expect("a reader");
        });
        assert!(!is_draining());
        let error = listener.accept().await.expect_err("the stack drains");
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        listener.accept().await.expect_err("the stack drains");
        under_way.await.expect("no panic");
        writer.borrow_mut().push("finished");
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("an answer");
        assert!(all == content(500_000));
        let refused = crate::net::TcpStream::connect(SERVER).await;
        assert_eq!(refused.expect_err("it drains").kind(), ErrorKind::ConnectionRefused);
    });
    pair.run_for(millis(10));
    pair.world.drain(pair.server, millis(1000));
    pair.run();
    pair.run_for(millis(10));
    assert_eq!(*log.borrow(), ["finished"]);
    assert!(pair.world.host(pair.server).has_stopped(0) && pair.server().connections() == 0);
}

#[test]
fn at_the_deadline_of_a_drain_what_is_left_is_reset() {
    let server = async || {
        let mut stream = accept_one().await;
        let error = stream.read(&mut [0; 8]).await.expect_err("the deadline");
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    };
    let mut pair = pair(server, async || {
        let (mut stream, before) = (connect().await, now());
        let error = stream.read(&mut [0; 8]).await.expect_err("the deadline");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(now() >= before + millis(500));
    });
    pair.run_for(millis(10));
    pair.world.drain(pair.server, millis(500));
    pair.run();
}

#[test]
fn a_task_that_no_longer_waits_for_a_drain_is_forgotten() {
    let mut pair = pair(
        async || {},
        async || {
            for _ in 0..10 {
                spawn(async {
                    assert!(timeout(millis(1), draining()).await.is_err());
                });
            }
            sleep(Duration::from_secs(1000)).await;
        },
    );
    pair.run_for(crate::time::Duration::from_micros(900));
    assert_eq!(pair.census()[1].drain_waiters, 10);
    pair.run_for(millis(10));
    assert_eq!(pair.census()[1].drain_waiters, 0);
}

#[test]
fn a_drain_wakes_every_acceptor() {
    let server = async || {
        let listener = Rc::new(TcpListener::bind(SERVER).await.expect("a free port"));
        let acceptors = [(), (), ()].map(|()| {
            let listener = Rc::clone(&listener);
            spawn(async move { listener.accept().await.map(|_| ()) })
        });
        for acceptor in acceptors {
            acceptor.await.expect("no panic").expect_err("the stack drains");
        }
    };
    let mut pair = pair(server, async || sleep(millis(50)).await);
    pair.run_for(millis(10));
    pair.world.drain(pair.server, millis(10));
    pair.run();
    assert!(pair.world.host(pair.server).has_stopped(0));
}

#[test]
fn data_that_the_deadline_of_a_drain_discards_is_no_clean_end() {
    let server = async || {
        let mut stream = accept_one().await;
        stream.shutdown(Shutdown::Write).expect("an open connection");
        sleep(millis(1000)).await;
        let error = stream.read(&mut [0; 8]).await.expect_err("the data is lost");
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        stream.write_all(b"unread").await.expect("room");
        stream.shutdown(Shutdown::Write).expect("an open connection");
        sleep(millis(2000)).await;
    });
    pair.run_for(millis(10));
    pair.world.drain(pair.server, millis(500));
    pair.run();
}
