//! The cost of the executor: the same echo as callbacks and as a task per connection, through two
//! shards in memory. The figure is the time of the server's turns per request.
//!
//! ```text
//! cargo bench -p linerate --no-default-features --bench net [-- REQUESTS [callbacks|executor]]
//! ```
//!
//! With the name of a server, it runs once, for a profiler. Only turns of the server count:
//!
//! ```text
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*server_turn*' \
//!     target/release/deps/net-… 100000 executor
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration as Span, Instant as Clock};

use linerate::link::memory::{self, MemoryLink};
use linerate::net::{Executor, TcpListener, TcpStream, spawn};
use linerate::shard::{
    Config, ConnId, ConnectOptions, Io, ListenerConfig, Service, Shard, SingleWorker, TurnEnv,
};
use linerate::time::{Duration, Instant};
use linerate::wire::MacAddr;

const PORT: u16 = 7;
const REQUEST: [u8; 64] = [7; 64];
const REQUESTS: u64 = 400_000;
const ROUNDS: usize = 9;

/// The echo as callbacks.
struct Callbacks([u8; 4096]);

impl Service for Callbacks {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        loop {
            let read = io.read(conn, &mut self.0);
            if read == 0 {
                break;
            }
            io.write(conn, &self.0[..read]);
        }
    }
}

/// The echo as a task per connection.
fn executor() -> Executor {
    Executor::new(async || {
        let listener = TcpListener::bind(format!("0.0.0.0:{PORT}")).await.expect("a free port");
        while let Ok((stream, _)) = listener.accept().await {
            spawn(echo(stream));
        }
    })
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Sends a request on each connection, waits for the same bytes, and sends the next one.
struct Client {
    connections: usize,
    answered: Rc<Cell<u64>>,
}

impl Service for Client {
    fn on_start(&mut self, io: &mut dyn Io) {
        for _ in 0..self.connections {
            let remote = format!("192.0.2.1:{PORT}").parse().expect("an address");
            io.connect(&ConnectOptions { remote, local: None, user: 0 }).expect("a free port");
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        io.write(conn, &REQUEST);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut response = [0; REQUEST.len()];
        if io.readable(conn) < response.len() {
            return;
        }
        io.read(conn, &mut response);
        assert_eq!(response, REQUEST);
        self.answered.set(self.answered.get() + 1);
        io.write(conn, &REQUEST);
    }
}

/// Both ends, turned by hand; a turn of each takes 10 microseconds.
struct World {
    server: (Shard, MemoryLink, Box<dyn Service>),
    client: (Shard, MemoryLink, Client),
    now: Instant,
    answered: Rc<Cell<u64>>,
}

impl World {
    fn new(connections: usize, name: &str) -> Self {
        let (a, b) = memory::pair(memory::Config { frames: 8192, frame_max: 2048, ring: 2048 });
        let shard = |n: u8| {
            let address = format!("192.0.2.{n}").parse().expect("an address");
            Shard::new(Config::new(MacAddr([2, 0, 0, 0, 0, n]), vec![(address, 24)], [n; 32]))
        };
        let mut server = shard(1);
        let service: Box<dyn Service> = if name == "callbacks" {
            server.listen(ListenerConfig::on_port(PORT)).expect("a free port");
            Box::new(Callbacks([0; 4096]))
        } else {
            Box::new(executor())
        };
        let answered = Rc::new(Cell::new(0));
        let client = Client { connections, answered: Rc::clone(&answered) };
        let mut world = Self {
            server: (server, a, service),
            client: (shard(2), b, client),
            now: Instant::from_millis(1000),
            answered,
        };
        let (shard, link, service) = &mut world.server;
        let service = &mut **service;
        shard.start(world.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
        // The executor opens its listener in its first turn.
        server_turn(&mut world);
        let (shard, link, service) = &mut world.client;
        shard.start(world.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
        world
    }

    /// Runs turns until `requests` more are answered. Returns the time of the server's turns.
    fn exchange(&mut self, requests: u64) -> Span {
        let until = self.answered.get() + requests;
        let (mut took, mut turns) = (Span::ZERO, 0);
        while self.answered.get() < until {
            self.now += Duration::from_micros(10);
            let (shard, link, service) = &mut self.client;
            shard.turn(self.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
            let begin = Clock::now();
            server_turn(self);
            took += begin.elapsed();
            turns += 1;
            assert!(turns < 1000 + 4 * requests, "nothing moves any more");
        }
        took
    }
}

/// The measured function, which profilers find by its name.
#[inline(never)]
fn server_turn(world: &mut World) {
    let (shard, link, service) = &mut world.server;
    let service = &mut **service;
    shard.turn(world.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
}

/// Measures both servers in turn, and prints the medians.
fn compare(connections: usize, requests: u64) {
    let mut worlds = ["callbacks", "executor"].map(|name| World::new(connections, name));
    let mut nanos = [Vec::new(), Vec::new()];
    for world in &mut worlds {
        world.exchange(requests / 4);
    }
    for _ in 0..ROUNDS {
        for (world, nanos) in worlds.iter_mut().zip(&mut nanos) {
            nanos.push(world.exchange(requests).as_nanos() as f64 / requests as f64);
        }
    }
    for nanos in &mut nanos {
        nanos.sort_by(f64::total_cmp);
    }
    // Other work on the machine only adds: the fastest round repeats best.
    for (name, round) in [("fastest round", 0), ("median round", ROUNDS / 2)] {
        let [callbacks, executor] = [nanos[0][round], nanos[1][round]];
        println!(
            "echo of 64 bytes, {connections:>2} connections, {name:>13}: callbacks \
             {callbacks:.0} ns per request, executor {executor:.0} ns, difference {:.0} ns",
            executor - callbacks
        );
    }
}

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let requests = words.next().map_or(REQUESTS, |word| word.parse().expect("REQUESTS"));
    match words.next() {
        Some(name) => {
            let took = World::new(16, &name).exchange(requests);
            println!("{name}: {:.1} ns per request", took.as_nanos() as f64 / requests as f64);
        }
        None => [1, 16, 64].map(|connections| compare(connections, requests)).into_iter().collect(),
    }
}
