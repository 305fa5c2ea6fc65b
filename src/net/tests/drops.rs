//! The effect of dropping a stream, a half, a listener or an open on the connection.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::rc::Rc;

use super::streams::{accept_one, connect, content};
use super::support::{Log, SERVER, millis, pair, poll_once};
use crate::net::{TcpListener, TcpStream, now, sleep, spawn};
use crate::time::Duration;

/// Reads to the end. Returns the number of bytes, or the kind of the error.
async fn end_of(mut stream: TcpStream) -> Result<usize, ErrorKind> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.map_err(|error| error.kind())
}

#[test]
fn a_dropped_stream_with_unread_data_is_reset() {
    let server = async || {
        let stream = accept_one().await;
        stream.readable().await.expect("data");
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        stream.write_all(b"unread").await.expect("room");
        assert_eq!(end_of(stream).await, Err(ErrorKind::ConnectionReset));
    });
    pair.run();
}

#[test]
fn a_dropped_stream_sends_what_was_written_and_closes() {
    let server = async || {
        let mut stream = accept_one().await;
        stream.write_all(&content(100_000)).await.expect("room");
    };
    let mut pair = pair(server, async || {
        assert_eq!(end_of(connect().await).await, Ok(100_000));
    });
    pair.run();
}

#[test]
fn a_linger_of_zero_resets() {
    let server = async || {
        let mut stream = accept_one().await;
        stream.write_all(b"lost").await.expect("room");
        stream.set_linger(Some(Duration::ZERO));
    };
    let mut pair = pair(server, async || {
        assert_eq!(end_of(connect().await).await, Err(ErrorKind::ConnectionReset));
    });
    pair.run();
}

#[test]
fn a_linger_that_was_taken_back_closes() {
    let server = async || {
        let stream = accept_one().await;
        stream.set_linger(Some(Duration::ZERO));
        stream.set_linger(None::<Duration>);
    };
    let mut pair = pair(server, async || {
        assert_eq!(end_of(connect().await).await, Ok(0));
    });
    pair.run();
    assert_eq!(pair.census()[0].lingers, 0);
}

#[test]
fn a_linger_ends_in_a_reset_if_the_peer_does_not_read() {
    let client = async || {
        let mut stream = connect().await;
        while poll_once(stream.write(&content(100_000))).await.is_some() {}
        stream.set_linger(Some(millis(500)));
        drop(stream);
        sleep(Duration::from_secs(100)).await;
    };
    let server = async || {
        let _stream = accept_one().await;
        sleep(Duration::from_secs(100)).await;
    };
    let mut pair = pair(server, client);
    pair.run_for(millis(400));
    assert_eq!(pair.client().connections(), 1);
    pair.run_for(millis(200));
    assert_eq!(pair.client().connections(), 0);
}

#[test]
fn a_dropped_half_closes_its_direction_and_both_close_the_connection() {
    let server = async || {
        let (mut read, mut write) = accept_one().await.into_split();
        assert_eq!(read.read(&mut [0; 8]).await.expect("the end"), 0);
        write.write_all(b"late").await.expect("a reader");
    };
    let mut pair = pair(server, async || {
        let (mut read, write) = connect().await.into_split();
        drop(write);
        let mut all = Vec::new();
        read.read_to_end(&mut all).await.expect("the rest");
        assert_eq!(all, b"late");
    });
    pair.run();
    pair.run_for(millis(1));
    assert_eq!((pair.client().connections(), pair.server().connections()), (0, 0));
}

#[test]
fn a_dropped_listener_resets_what_waits_and_frees_the_port() {
    let server = async || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        let (kept, _) = listener.accept().await.expect("the first client");
        sleep(millis(100)).await;
        drop(listener);
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        let (_third, _) = listener.accept().await.expect("the third client");
        drop(kept);
    };
    let mut pair = pair(server, async || {
        let (first, second) = (connect().await, connect().await);
        assert_eq!(end_of(second).await, Err(ErrorKind::ConnectionReset));
        let third = connect().await;
        assert_eq!((end_of(first).await, end_of(third).await), (Ok(0), Ok(0)));
    });
    pair.run();
}

#[test]
fn a_dropped_open_is_given_up() {
    let accepted = Log::default();
    let log = Rc::clone(&accepted);
    let server = async move || {
        drop(accept_one().await);
        log.borrow_mut().push("accepted");
    };
    let mut pair = pair(server, async || {
        assert!(poll_once(TcpStream::connect(SERVER)).await.is_none());
    });
    pair.run();
    pair.run_for(millis(1000));
    assert_eq!((pair.client().connections(), pair.server().connections()), (0, 0));
    assert!(accepted.borrow().is_empty());
    assert_eq!(pair.census()[1].streams, 0);
}

#[test]
fn a_stream_dropped_outside_its_worker_closes_in_the_next_turn() {
    let kept = Log::default();
    let keeper = Rc::clone(&kept);
    let server = async move || {
        let kept = accept_one().await;
        keeper.borrow_mut().push(kept);
        sleep(Duration::from_secs(1000)).await;
    };
    let mut pair = pair(server, async || {
        let before = now();
        assert_eq!(end_of(connect().await).await, Ok(0));
        assert!(now() < before + millis(100));
    });
    pair.run_for(millis(10));
    kept.borrow_mut().clear();
    pair.run();
    assert_eq!(pair.census()[0].streams, 0);
}

#[test]
fn a_listener_dropped_outside_its_worker_frees_its_port() {
    let kept = Log::default();
    let keeper = Rc::clone(&kept);
    let server = async move || {
        let kept = TcpListener::bind(SERVER).await.expect("a free port");
        keeper.borrow_mut().push(kept);
        sleep(millis(100)).await;
        TcpListener::bind(SERVER).await.expect("a free port");
    };
    let mut pair = pair(server, async || sleep(millis(200)).await);
    pair.run_for(millis(10));
    kept.borrow_mut().clear();
    pair.run();
}

#[test]
fn a_stream_may_outlive_its_executor_and_its_world() {
    let kept = Log::default();
    let keeper = Rc::clone(&kept);
    let mut pair = pair(
        async || drop(accept_one().await),
        async move || {
            let stream = connect().await;
            keeper.borrow_mut().push(stream);
        },
    );
    pair.run();
    let stream = kept.borrow_mut().pop().expect("a connection");
    assert!(stream.try_write(b"x").is_err());
    drop(pair);
    drop(stream);
}

#[test]
fn a_stream_knows_its_end_after_another_connection_took_its_place() {
    let server = async || {
        let listener = TcpListener::bind(SERVER).await.expect("a free port");
        listener.accept().await.expect("the first client").0.abort();
        let mut second = listener.accept().await.expect("the second client").0;
        second.write_all(b"second").await.expect("room");
        second.shutdown(Shutdown::Both).expect("an open connection");
        sleep(millis(100)).await;
    };
    let mut pair = pair(server, async || {
        let mut first = connect().await;
        sleep(millis(10)).await;
        let second = connect().await;
        assert_eq!(first.id().index, second.id().index, "the second takes the place of the first");
        let error = first.read(&mut [0; 8]).await.expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        drop(first);
        assert_eq!(end_of(second).await, Ok(6));
    });
    pair.run();
}

#[test]
fn a_future_dropped_half_way_takes_and_writes_nothing() {
    let server = async || {
        let mut stream = accept_one().await;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("the end");
        assert_eq!(all, b"once");
        stream.write_all(b"answer").await.expect("room");
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        assert!(poll_once(stream.read(&mut [0; 8])).await.is_none());
        stream.write_all(b"once").await.expect("room");
        stream.shutdown(Shutdown::Write).expect("an open connection");
        while poll_once(stream.readable()).await.is_none() {
            sleep(millis(1)).await;
        }
        let mut answer = [0; 6];
        spawn(async move {
            stream.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"answer");
        })
        .await
        .expect("no panic");
    });
    pair.run();
}

#[test]
fn a_stream_aborted_in_the_turn_of_the_last_fin_leaves_nothing() {
    let server = async || {
        let mut stream = accept_one().await;
        assert_eq!(stream.read(&mut [0; 8]).await.expect("the end"), 0);
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        stream.shutdown(Shutdown::Write).expect("an open connection");
        assert_eq!(stream.read(&mut [0; 8]).await.expect("the end"), 0);
        stream.abort();
    });
    pair.run();
    pair.run_for(Duration::from_secs(300));
    assert_eq!((pair.client().connections(), pair.client().time_waits()), (0, 0));
}
