//! Errors have the kinds that kernel sockets give.

use std::io::{self, ErrorKind};
use std::rc::Rc;

use super::streams::{accept_one, connect, content};
use super::support::{Log, Pair, SERVER, millis, pair};
use crate::link::impair::Impairment;
use crate::net::{TcpListener, TcpSocket, TcpStream, sleep};
use crate::shard::SocketOption;
use crate::time::Duration;

fn cut(pair: &mut Pair) {
    let lost = Impairment { loss: 1.0, ..Impairment::default() };
    pair.world.impair(pair.server, lost, lost);
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn opens_that_fail_say_why() {
    let mut pair = pair(
        async || drop(accept_one().await),
        async || {
            let refused = TcpStream::connect("10.0.0.1:9").await;
            assert_eq!(kind(refused), Some(ErrorKind::ConnectionRefused));
            let no_host = TcpStream::connect("10.0.0.99:7").await;
            assert_eq!(kind(no_host), Some(ErrorKind::HostUnreachable));
            let no_route = TcpStream::connect("192.0.2.1:7").await;
            assert_eq!(kind(no_route), Some(ErrorKind::NetworkUnreachable));
            let foreign = TcpSocket::new().bind([10, 0, 0, 77]).connect(SERVER).await;
            assert_eq!(kind(foreign), Some(ErrorKind::AddrNotAvailable));
            let name = TcpStream::connect("server:7").await;
            assert_eq!(kind(name), Some(ErrorKind::InvalidInput));
        },
    );
    pair.run();
}

#[test]
fn binds_that_fail_say_why() {
    let mut pair = pair(
        async || {},
        async || {
            let first = TcpListener::bind("0.0.0.0:80").await.expect("a free port");
            let used = TcpListener::bind("0.0.0.0:80").await;
            assert_eq!(kind(used), Some(ErrorKind::AddrInUse));
            let foreign = TcpListener::bind("10.0.0.77:81").await;
            assert_eq!(kind(foreign), Some(ErrorKind::AddrNotAvailable));
            assert_eq!(kind(TcpListener::bind("0.0.0.0:0").await), Some(ErrorKind::InvalidInput));
            assert_eq!(kind(TcpListener::bind("port 80").await), Some(ErrorKind::InvalidInput));
            drop(first);
            TcpListener::bind("0.0.0.0:80").await.expect("a free port");
        },
    );
    pair.run();
}

#[test]
fn a_reset_ends_reads_and_writes() {
    let server = async || accept_one().await.abort();
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        assert_eq!(kind(stream.read(&mut [0; 8]).await), Some(ErrorKind::ConnectionReset));
        assert_eq!(kind(stream.write(b"x").await), Some(ErrorKind::ConnectionReset));
        assert_eq!(kind(stream.peer_addr()), Some(ErrorKind::NotConnected));
        assert!(stream.tcp_info().is_none());
    });
    pair.run();
}

#[test]
fn a_lost_peer_is_a_timeout() {
    let server = async || {
        let _stream = accept_one().await;
        sleep(Duration::from_secs(1000)).await;
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        stream.set_option(SocketOption::UserTimeout(Some(millis(5000)))).expect("a worker");
        sleep(millis(2000)).await;
        stream.write_all(b"x").await.expect("room");
        assert_eq!(kind(stream.read(&mut [0; 8]).await), Some(ErrorKind::TimedOut));
        let open = TcpSocket::new().option(SocketOption::SynRetries(1)).connect(SERVER).await;
        assert_eq!(kind(open), Some(ErrorKind::TimedOut));
    });
    pair.run_for(millis(1000));
    cut(&mut pair);
    pair.run();
}

#[test]
fn a_writer_learns_of_a_lost_peer_although_data_is_unread() {
    let server = async || {
        let mut stream = accept_one().await;
        stream.write_all(b"unread").await.expect("room");
        sleep(Duration::from_secs(1000)).await;
    };
    let mut pair = pair(server, async || {
        let mut stream = connect().await;
        stream.set_option(SocketOption::UserTimeout(Some(millis(5000)))).expect("a worker");
        sleep(millis(2000)).await;
        let written = stream.write_all(&content(10_000_000)).await;
        assert_eq!(kind(written), Some(ErrorKind::TimedOut));
    });
    pair.run_for(millis(1000));
    cut(&mut pair);
    pair.run();
}

#[test]
fn nothing_works_outside_the_tasks_of_a_worker() {
    assert_eq!(
        kind(TcpListener::with_config(&crate::shard::ListenerConfig::on_port(7))),
        Some(ErrorKind::NotConnected)
    );
    let kept = Log::default();
    let keeper = Rc::clone(&kept);
    let mut pair = pair(
        async || drop(accept_one().await),
        async move || {
            let kept = connect().await;
            keeper.borrow_mut().push(kept);
            sleep(Duration::from_secs(1000)).await;
        },
    );
    pair.run_for(millis(10));
    let stream = kept.borrow_mut().pop().expect("a connection");
    assert_eq!(kind(stream.try_read(&mut [0; 8])), Some(ErrorKind::NotConnected));
    assert_eq!(kind(stream.local_addr()), Some(ErrorKind::NotConnected));
}
