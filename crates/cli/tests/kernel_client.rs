//! Kernel clients against our server, over a veth pair: handshakes, data, half-closes and
//! teardowns.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use support::{LEFT_OWN, Net, Server, both, cidr, connect, eventually, pattern, sh, try_sh, v6};

const SERVICES: &str = "--service echo:7 --service discard:9 --service chargen:19 \
    --service daytime:13 --service http:80 --service close:10000";

fn serve(net: &Net, more: &str) -> Server {
    let addresses =
        format!("--address {} --address {}", cidr(LEFT_OWN.into()), cidr(v6(LEFT_OWN).into()));
    net.serve(&format!("{addresses} {SERVICES} {more}"))
}

fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// Sends `sent`, closes its side, and returns everything received to the end. Reads on a second
/// thread while sending.
fn echo(address: SocketAddr, sent: Vec<u8>) -> Vec<u8> {
    let mut stream = connect(address);
    let mut reader = stream.try_clone().expect("the socket is cloned");
    let expected = sent.len();
    let read = std::thread::spawn(move || {
        let mut back = Vec::with_capacity(expected);
        reader.read_to_end(&mut back).expect("the echo ends with a FIN");
        back
    });
    stream.write_all(&sent).expect("the echo service reads");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    read.join().expect("the reader does not panic")
}

fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the stream ends with a FIN, not a reset");
    bytes
}

#[test]
fn echo_of_small_sizes_is_intact_over_ipv4_and_ipv6() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        for address in both(LEFT_OWN) {
            for size in [0, 1, 536, 1460, 1461, 100_000] {
                let sent = pattern(size as u64, size);
                assert!(echo(at(address, 7), sent.clone()) == sent, "{size} bytes via {address}");
            }
        }
    });
}

#[test]
fn echo_of_a_hundred_megabytes_is_intact() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        for (seed, address) in both(LEFT_OWN).into_iter().enumerate() {
            let sent = pattern(seed as u64, 100_000_000);
            assert!(echo(at(address, 7), sent.clone()) == sent, "via {address}");
        }
    });
}

#[test]
fn server_keeps_sending_after_the_client_closes_its_side() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        // The client sends and closes before it reads, so the server sends most of the echo in
        // CLOSE-WAIT.
        let mut stream = connect(at(LEFT_OWN.into(), 7));
        let sent = pattern(3, 150_000);
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(read_to_end(&mut stream) == sent);
    });
}

#[test]
fn client_keeps_sending_after_the_server_closes_its_side() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        // `daytime` sends one line and closes first. It must accept data after that, not reset.
        let mut stream = connect(at(LEFT_OWN.into(), 13));
        let line = read_to_end(&mut stream);
        assert!(line.ends_with(b"\n") && line.len() > 10, "{line:?}");
        for _ in 0..50 {
            stream.write_all(&[7; 1000]).expect("a half-closed server accepts data");
        }
        std::thread::sleep(Duration::from_millis(100));
        stream.shutdown(Shutdown::Write).expect("no reset arrived");
        assert!(stream.take_error().unwrap().is_none());
    });
}

#[test]
fn the_active_closer_ends_in_time_wait() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        let mut passive = connect(at(LEFT_OWN.into(), 13));
        let local = passive.local_addr().unwrap().port();
        read_to_end(&mut passive);
        drop(passive);
        let state = |port: u16| sh(&format!("ss -Htan 'sport = :{port}'"));
        eventually("the kernel's passive close ends in CLOSED", || state(local).is_empty());

        let mut active = connect(at(LEFT_OWN.into(), 10000));
        let local = active.local_addr().unwrap().port();
        active.shutdown(Shutdown::Write).unwrap();
        assert!(read_to_end(&mut active).is_empty());
        drop(active);
        eventually("the kernel's active close ends in TIME-WAIT", || {
            state(local).contains("TIME-WAIT")
        });
    });
}

#[test]
fn chargen_streams_to_a_slow_reader_without_losing_a_byte() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        let mut stream = connect(at(LEFT_OWN.into(), 19));
        // Long enough to fill the receive window and arm the persist timer.
        std::thread::sleep(Duration::from_millis(700));
        let mut bytes = vec![0; 8_000_000];
        stream.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()));
        // The pattern repeats: lost or duplicated data breaks the period.
        let period =
            (1..100_000).find(|p| bytes[..200_000 - p] == bytes[*p..200_000]).expect("a period");
        assert!(bytes[period..] == bytes[..bytes.len() - period]);
    });
}

#[test]
fn two_thousand_concurrent_connections_complete() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        sh("ulimit -n");
        let mut streams: Vec<_> = (0..2000).map(|_| connect(at(LEFT_OWN.into(), 7))).collect();
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&(n as u32).to_be_bytes()).unwrap();
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            let mut back = [0; 4];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(u32::from_be_bytes(back), n as u32);
        }
        for stream in &mut streams {
            stream.shutdown(Shutdown::Write).unwrap();
            assert!(read_to_end(stream).is_empty());
        }
    });
}

#[test]
fn closed_port_refuses_and_aborts_do_not_affect_other_connections() {
    let net = Net::new();
    let _server = serve(&net, "");
    net.on_right(|| {
        let refused = TcpStream::connect_timeout(&at(LEFT_OWN.into(), 4), Duration::from_secs(5));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        for _ in 0..50 {
            let stream = connect(at(LEFT_OWN.into(), 19));
            // With SO_LINGER of zero, the kernel resets the connection mid-stream.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            drop(stream);
        }
        let sent = pattern(1, 10_000);
        assert!(echo(at(LEFT_OWN.into(), 7), sent.clone()) == sent);
    });
}

#[test]
fn ping_works_over_ipv4_and_ipv6() {
    let net = Net::new();
    let _server = serve(&net, "");
    let right = net.right();
    for address in both(LEFT_OWN) {
        let reply = try_sh(&format!("ip netns exec {right} ping -c 3 -i 0.2 -W 2 {address}"));
        let text = String::from_utf8_lossy(&reply.stdout).into_owned();
        assert!(text.contains("3 received"), "{text}");
    }
}

#[test]
fn http_serves_curl_and_wrk() {
    let net = Net::new();
    let _server = serve(&net, "");
    let right = net.right();
    for url in [format!("http://{LEFT_OWN}/"), format!("http://[{}]/", v6(LEFT_OWN))] {
        let body = sh(&format!("ip netns exec {right} curl -sS -m 10 '{url}' '{url}'"));
        assert!(!body.is_empty());
        let head = sh(&format!("ip netns exec {right} curl -sS -m 10 -I '{url}'"));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    // A proxy gets the absolute form of the target.
    let proxied = format!("-x http://{LEFT_OWN}:80/ http://any.example/");
    for (arguments, status) in [
        (proxied.as_str(), "200"),
        (&format!("{proxied}x"), "404"),
        (&format!("-X PUT -d body http://{LEFT_OWN}/"), "405"),
        (&format!("-H Transfer-Encoding:chunked -d body http://{LEFT_OWN}/"), "405"),
        (&format!("-X BREW http://{LEFT_OWN}/"), "501"),
        (&format!("http://{LEFT_OWN}/%00"), "400"),
        (&format!("-H Host: http://{LEFT_OWN}/"), "400"),
    ] {
        let curl = format!("curl -sS -m 10 -o /dev/null -w %{{http_code}} {arguments}");
        assert_eq!(sh(&format!("ip netns exec {right} {curl}")), status, "{arguments}");
    }
    let report = sh(&format!("ip netns exec {right} wrk -t1 -c20 -d2s http://{LEFT_OWN}/"));
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let rate = report.lines().find(|l| l.starts_with("Requests/sec")).expect("wrk reports a rate");
    let rate: f64 = rate.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(rate > 100.0, "{report}");
}

#[test]
fn http_finishes_the_responses_under_way_when_the_server_stops() {
    let net = Net::new();
    let mut server = serve(&net, "--body-bytes 20M");
    net.on_right(move || {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let [mut idle, mut busy] = [(); 2].map(|()| connect(at(LEFT_OWN.into(), 80)));
        idle.write_all(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").expect("the server reads");
        idle.read_exact(&mut [0; 12]).expect("an answer");
        busy.write_all(request).expect("the server reads");
        busy.read_exact(&mut [0; 1000]).expect("a part of the answer");
        let reading = std::thread::spawn(move || {
            read_to_end(&mut idle);
            read_to_end(&mut busy).len()
        });
        assert_eq!(server.stop(), Some(0), "a clean stop");
        let bytes = reading.join().expect("both connections end with a FIN");
        assert!(bytes > (20 << 20) - 1000, "{bytes}");
    });
}

#[test]
fn kernel_traffic_flows_after_the_server_stops_or_is_killed() {
    let net = Net::new();
    let left = net.left();
    let attached = || {
        let text = sh(&format!("ip -n {left} link show veth0"));
        text.contains("xdp")
    };
    let kernel_serves = |net: &Net| {
        let right = net.right();
        let pinged = try_sh(&format!("ip netns exec {right} ping -c 1 -W 2 {}", support::LEFT));
        assert!(pinged.status.success(), "the kernel's own traffic flows");
    };
    let mut server = serve(&net, "");
    assert!(attached());
    kernel_serves(&net);
    assert_eq!(server.stop(), Some(0), "a clean stop");
    assert!(!attached(), "a stopped server detaches its XDP program");
    kernel_serves(&net);

    let mut server = serve(&net, "");
    assert!(attached());
    server.kill();
    eventually("the XDP program of a killed server is detached", || !attached());
    kernel_serves(&net);
    let mut restarted = serve(&net, "");
    net.on_right(|| {
        let sent = pattern(1, 1000);
        assert!(echo(at(LEFT_OWN.into(), 7), sent.clone()) == sent);
    });
    assert_eq!(restarted.stop(), Some(0));
}

#[test]
fn stopping_the_server_ends_open_connections() {
    let net = Net::new();
    let mut server = serve(&net, "");
    let mut stream = net.on_right(|| connect(at(LEFT_OWN.into(), 7)));
    let exit = std::thread::spawn(move || server.stop());
    let began = Instant::now();
    let mut rest = Vec::new();
    // A FIN or a reset, but within the grace period.
    let _ = stream.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(15));
    drop(stream);
    assert_eq!(exit.join().unwrap(), Some(0));
}

#[test]
fn kernel_services_work_on_the_shared_address() {
    let net = Net::new();
    let address: IpAddr = support::LEFT.into();
    let _server = net.serve(&format!("--mode shared --address {} --service echo:7", cidr(address)));
    let listener = net.on_left(move || std::net::TcpListener::bind((address, 22)).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                while let Ok(n) = stream.read(&mut buffer) {
                    if n == 0 || stream.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let right = net.right();
    for round in 0..20 {
        net.on_right(move || {
            for port in [22, 7] {
                let sent = pattern(round, 50_000);
                assert!(echo(at(address, port), sent.clone()) == sent, "port {port}");
            }
        });
        let pinged = try_sh(&format!("ip netns exec {right} ping -c 1 -W 2 {address}"));
        assert!(pinged.status.success());
    }
    net.on_right(move || {
        let refused = TcpStream::connect_timeout(&at(address, 4), Duration::from_secs(5));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn two_queues_on_two_workers_serve_every_connection() {
    let net = Net::with_queues(2);
    let _server = serve(&net, "--queues 0-1 --cores 0,1");
    net.on_right(|| {
        let threads: Vec<_> = (0..4)
            .map(|thread: u64| {
                std::thread::spawn(move || {
                    for n in 0..50 {
                        let sent = pattern(thread * 1000 + n, 20_000);
                        // A namespace belongs to a thread; threads spawned by this one inherit it.
                        for address in both(LEFT_OWN) {
                            assert!(echo(at(address, 7), sent.clone()) == sent);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
