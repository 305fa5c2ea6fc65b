//! Our stack as the client of the kernel's TCP, over a real veth pair.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use linerate::shard::CloseReason;
use support::client::{Client, Closing, Outcome, own_stack};
use support::{LEFT, Net, RIGHT_OWN, both, pattern, v6};

/// Serves on the left with kernel sockets until the namespace goes: each connection on its own thread.
fn kernel_service(net: &Net, port: u16, serve: fn(TcpStream)) {
    for address in both(LEFT) {
        let listener =
            net.on_left(move || TcpListener::bind((address, port)).expect("a free port"));
        // With the 128 of the standard library the kernel forgets most of two thousand handshakes that end
        // at once, and resets those whose SYN cookies have grown old when they get their turn.
        socket2::SockRef::from(&listener).listen(4096).expect("a longer queue");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
    }
}

fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(n) = stream.read(&mut buffer) {
        if n == 0 || stream.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
}

/// Reads everything first, then answers: the whole answer flows through the half-closed connection.
fn echo_after_the_end(mut stream: TcpStream) {
    let mut all = Vec::new();
    if stream.read_to_end(&mut all).is_ok() {
        // The test sees what is missing.
        let _ = stream.write_all(&all);
    }
}

/// Closes first, then takes what comes and says nothing.
fn close_first(mut stream: TcpStream) {
    let _ = stream.write_all(b"bye\n");
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

fn run(net: &Net, client: Client, limit: u64) -> Vec<Outcome> {
    net.on_right(move || {
        let own = [RIGHT_OWN.into(), v6(RIGHT_OWN).into()];
        client.run(&own_stack(&own), Duration::from_secs(limit))
    })
}

#[test]
fn what_is_sent_comes_back_intact_from_one_byte_to_a_hundred_megabytes() {
    let net = Net::new();
    kernel_service(&net, 7, echo);
    for address in both(LEFT) {
        for bytes in [0, 1, 1460, 100_000_000] {
            let closing = Closing::AfterWriting;
            let client = Client { target: at(address, 7), connections: 1, bytes, closing };
            let outcomes = run(&net, client, 120);
            assert_eq!(outcomes[0].ending, CloseReason::Finished);
            assert!(outcomes[0].received == pattern(0, bytes), "{bytes} bytes via {address}");
        }
    }
}

#[test]
fn the_whole_answer_arrives_through_a_half_closed_connection() {
    let net = Net::new();
    kernel_service(&net, 7, echo_after_the_end);
    let closing = Closing::AfterWriting;
    let client = Client { target: at(LEFT.into(), 7), connections: 3, bytes: 3_000_000, closing };
    for (n, outcome) in run(&net, client, 60).into_iter().enumerate() {
        assert_eq!(outcome.ending, CloseReason::Finished);
        assert!(outcome.received == pattern(n as u64, 3_000_000));
    }
}

#[test]
fn we_go_on_sending_after_the_server_has_closed() {
    let net = Net::new();
    kernel_service(&net, 13, close_first);
    let closing = Closing::AfterWriting;
    let client = Client { target: at(LEFT.into(), 13), connections: 1, bytes: 1_000_000, closing };
    let outcomes = run(&net, client, 60);
    assert_eq!(outcomes[0].ending, CloseReason::Finished);
    assert_eq!(outcomes[0].received, b"bye\n");
    let closing = Closing::AfterPeer;
    let client = Client { target: at(LEFT.into(), 13), connections: 1, bytes: 10, closing };
    assert_eq!(run(&net, client, 60)[0].ending, CloseReason::Finished);
}

#[test]
fn two_thousand_connections_at_once() {
    let net = Net::new();
    kernel_service(&net, 7, echo);
    let closing = Closing::AfterWriting;
    let client = Client { target: at(LEFT.into(), 7), connections: 2000, bytes: 2000, closing };
    for (n, outcome) in run(&net, client, 240).into_iter().enumerate() {
        assert_eq!(outcome.ending, CloseReason::Finished, "connection {n}");
        assert!(outcome.received == pattern(n as u64, 2000), "connection {n}");
    }
}

#[test]
fn a_closed_port_of_the_kernel_refuses() {
    let net = Net::new();
    for address in both(LEFT) {
        let closing = Closing::AfterWriting;
        let client = Client { target: at(address, 4), connections: 1, bytes: 1, closing };
        assert_eq!(run(&net, client, 20)[0].ending, CloseReason::Refused, "{address}");
    }
}

#[test]
fn from_the_kernels_own_address_in_shared_mode() {
    let net = Net::new();
    kernel_service(&net, 7, echo);
    let outcomes = net.on_right(|| {
        let mut config = own_stack(&both(support::RIGHT));
        config.role = linerate::runtime::Role::Shared;
        let closing = Closing::AfterWriting;
        let client =
            Client { target: at(LEFT.into(), 7), connections: 20, bytes: 100_000, closing };
        client.run(&config, Duration::from_secs(60))
    });
    for (n, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.ending, CloseReason::Finished);
        assert!(outcome.received == pattern(n as u64, 100_000));
    }
}
