//! The end of a server: idle connections close at once, responses under way are finished.

use linerate::net::{Executor, TcpStream, now, sleep};
use linerate::shard::{CloseReason, ConnId, Io, ListenerId, Service};
use linerate::time::Instant;
use linerate::{Duration, net};

use super::support::{rest, run, server, site, statuses, until};

/// A server that begins to drain at this time.
const DRAINS_AT: Instant = Instant::from_millis(5000);

/// Drains the executor inside, as the runtime does.
struct Draining {
    server: Executor,
    has_begun: bool,
}

impl Draining {
    fn new(server: Executor) -> Self {
        Self { server, has_begun: false }
    }
}

impl Service for Draining {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.server.on_start(io);
        io.set_alarm(DRAINS_AT);
    }
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        self.server.on_accept(io, conn, listener);
    }
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.server.on_readable(io, conn);
    }
    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.server.on_writable(io, conn);
    }
    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.server.on_peer_closed(io, conn);
    }
    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, reason: CloseReason) {
        self.server.on_closed(io, conn, user, reason);
    }
    fn on_alarm(&mut self, io: &mut dyn Io) {
        if io.now() >= DRAINS_AT && !self.has_begun {
            self.has_begun = true;
            self.server.on_drain(io, DRAINS_AT + Duration::from_secs(100));
        }
        self.server.on_alarm(io);
        if !self.has_begun {
            io.set_alarm(DRAINS_AT);
        }
    }
    fn on_turn_end(&mut self, io: &mut dyn Io) {
        self.server.on_turn_end(io);
    }
}

fn is_soon(at: Instant) -> bool {
    at >= DRAINS_AT && at <= DRAINS_AT + Duration::from_millis(100)
}

#[test]
fn idle_and_unused_connections_close_when_the_stack_drains() {
    let ends = run(Draining::new(server(site(4))), async |mut used: TcpStream| {
        let mut unused = TcpStream::connect(used.peer_addr().expect("open")).await.expect("open");
        used.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("the server reads");
        until(&mut used, "\r\n\r\nline").await;
        let idle = net::spawn(async move { (rest(&mut used).await, now()) });
        let unused = (rest(&mut unused).await, now());
        [idle.await.expect("no panic"), unused]
    });
    for (text, at) in ends {
        assert_eq!(text, "");
        assert!(is_soon(at), "{at:?}");
    }
}

#[test]
fn a_response_under_way_is_finished_before_the_connection_closes() {
    let text = run(Draining::new(server(site(20_000_000))), async |mut stream: TcpStream| {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).await.expect("the server reads");
        sleep(Duration::from_secs(10)).await;
        rest(&mut stream).await
    });
    assert_eq!(statuses(&text), [200]);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    assert_eq!(text.len() - head.len() - 4, 20_000_000);
}

#[test]
fn a_request_under_way_is_answered_with_close() {
    let text = run(Draining::new(server(site(4))), async |mut stream: TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("the server reads");
        sleep(Duration::from_secs(7)).await;
        stream.write_all(b"Host: a\r\n\r\n").await.expect("the server reads");
        rest(&mut stream).await
    });
    assert_eq!(statuses(&text), [200]);
    assert!(text.contains("connection: close\r\n") && text.ends_with("\r\n\r\nline"), "{text}");
}
