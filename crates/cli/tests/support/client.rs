//! A client on linerate's stack that opens connections and collects what it receives.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use linerate::runtime::{Shutdown, Stack, StackConfig};
use linerate::shard::{CloseReason, ConnId, ConnectOptions, Io, Service};
use linerate::time::Duration as Span;

use super::pattern;

/// The result of one connection.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub ending: CloseReason,
    pub received: Vec<u8>,
}

/// The time at which a client closes its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Once everything is written: the echo arrives on a half-closed connection.
    AfterWriting,
    /// Once the peer has closed.
    AfterPeer,
}

/// Opens `connections` connections at once, writes a pattern to each and reads until the end.
pub(crate) struct Client {
    pub target: SocketAddr,
    pub connections: usize,
    pub bytes: usize,
    pub closing: Closing,
}

struct Conversation {
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
}

struct Running {
    client: Client,
    conversations: Vec<Conversation>,
    ended: usize,
    outcomes: mpsc::Sender<(usize, Outcome)>,
}

impl Client {
    /// Runs on a new stack on `veth0` of this thread's namespace. Returns the outcome of each
    /// connection.
    pub(crate) fn run(self, config: &StackConfig, limit: Duration) -> Vec<Outcome> {
        let (sender, receiver) = mpsc::channel();
        let expected = self.connections;
        let running = Mutex::new(Some(Running {
            client: self,
            conversations: Vec::new(),
            ended: 0,
            outcomes: sender,
        }));
        let stack = Stack::start(config, move |_| {
            let running = running.lock().expect("no panic").take();
            Box::new(running.expect("one worker"))
        })
        .unwrap_or_else(|e| panic!("the client's stack did not start: {e}"));
        let until = std::time::Instant::now() + limit;
        let mut outcomes: Vec<Option<Outcome>> = (0..expected).map(|_| None).collect();
        for n in 0..expected {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let (number, outcome) = receiver.recv_timeout(left).unwrap_or_else(|_| {
                panic!("{} of {expected} connections ended in time: {:?}", n, stack.report())
            });
            outcomes[number] = Some(outcome);
        }
        stack.stop(Shutdown::Close { grace: Span::from_secs(2) });
        outcomes.into_iter().map(|o| o.expect("each ended once")).collect()
    }
}

impl Running {
    fn pump(&mut self, io: &mut dyn Io, conn: ConnId) {
        let conversation = &mut self.conversations[io.user_data(conn) as usize];
        let left = &conversation.to_send[conversation.sent..];
        if left.is_empty() {
            return;
        }
        conversation.sent += io.write(conn, left);
        let done = conversation.sent == conversation.to_send.len();
        if done && self.client.closing == Closing::AfterWriting {
            io.close(conn);
        }
    }
}

impl Service for Running {
    fn on_start(&mut self, io: &mut dyn Io) {
        for n in 0..self.client.connections {
            let to_send = pattern(n as u64, self.client.bytes);
            self.conversations.push(Conversation { to_send, sent: 0, received: Vec::new() });
            let open = ConnectOptions { remote: self.client.target, local: None, user: n as u64 };
            io.connect(&open).expect("the active open starts");
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Span) {
        if self.client.bytes == 0 && self.client.closing == Closing::AfterWriting {
            io.close(conn);
        }
        self.pump(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.pump(io, conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 65536];
        loop {
            let n = io.read(conn, &mut buffer);
            if n == 0 {
                break;
            }
            self.conversations[io.user_data(conn) as usize]
                .received
                .extend_from_slice(&buffer[..n]);
        }
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.on_readable(io, conn);
        if self.client.closing == Closing::AfterPeer {
            io.close(conn);
        }
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, ending: CloseReason) {
        let received = std::mem::take(&mut self.conversations[user as usize].received);
        // Fails if the test has already given up.
        let _ = self.outcomes.send((user as usize, Outcome { ending, received }));
        self.ended += 1;
        let _ = io;
    }
}

/// Returns the configuration of a stack on `veth0` with these addresses.
pub(crate) fn own_stack(addresses: &[IpAddr]) -> StackConfig {
    let with_prefix = addresses.iter().map(|a| (*a, if a.is_ipv4() { 24 } else { 64 })).collect();
    let mut config = StackConfig::new("veth0", with_prefix);
    config.opens = true;
    config
}
