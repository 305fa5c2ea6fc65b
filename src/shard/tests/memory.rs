//! Memory pressure: windows shrink, and no acknowledged data is lost.

use std::collections::HashMap;

use super::stage::{Stage, addresses, echo, small, target};
use crate::limits::Limits;
use crate::metrics::{DropReason, Event};
use crate::shard::{CloseReason, Config, ConnId, ConnectOptions, Io, ListenerId, Service};
use crate::sim::{HostId, Plan, SharedTally};
use crate::time::Duration;

/// Runs for `span` and checks the memory accounting every millisecond.
fn run_within_limits(stage: &mut Stage, hosts: &[HostId], span: Duration) {
    for _ in 0..span.as_millis() {
        stage.world.run_for(Duration::from_millis(1));
        for host in hosts {
            let memory = stage.world.host(*host).shard(0).memory();
            assert!(memory.promised + memory.send_buffers <= memory.limit, "{memory:?}");
            assert!(memory.in_use <= memory.promised + memory.send_buffers, "{memory:?}");
        }
    }
}

/// Opens connections in waves. Once all are open, has data echoed on each.
struct ManyClients {
    many: usize,
    opened: usize,
    connected: Vec<ConnId>,
    tally: SharedTally,
    to_write: HashMap<ConnId, usize>,
    to_read: HashMap<ConnId, usize>,
}

impl ManyClients {
    const BYTES: usize = 2000;
    /// Connections per wave: fewer SYNs than a link holds.
    const WAVE: usize = 250;

    fn write(&mut self, io: &mut dyn Io, conn: ConnId) {
        if let Some(left) = self.to_write.get_mut(&conn) {
            *left -= io.write(conn, &[7; Self::BYTES][..*left]);
        }
    }
}

impl Service for ManyClients {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.on_alarm(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        let wave = Self::WAVE.min(self.many - self.opened);
        for _ in 0..wave {
            let open = ConnectOptions { remote: target(false), local: None, user: 0 };
            io.connect(&open).expect("room for all");
        }
        self.opened += wave;
        if wave > 0 {
            io.set_alarm(io.now() + Duration::from_millis(5));
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        self.connected.push(conn);
        if self.connected.len() == self.many {
            for conn in std::mem::take(&mut self.connected) {
                self.to_write.insert(conn, Self::BYTES);
                self.to_read.insert(conn, Self::BYTES);
                self.write(io, conn);
            }
        }
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.write(io, conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 4096];
        let read = io.read(conn, &mut buffer);
        self.tally.borrow_mut().received += read;
        self.tally.borrow_mut().wrong += buffer[..read].iter().filter(|byte| **byte != 7).count();
        let left = self.to_read.entry(conn).or_default();
        *left -= read;
        if *left == 0 {
            io.close(conn);
        }
    }

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        *self.tally.borrow_mut().ended.entry(ending).or_default() += 1;
    }
}

#[test]
fn ten_thousand_connections_share_a_small_pool_and_lose_nothing() {
    const MANY: usize = 10_000;
    // A fortieth of what a minimum buffer for each connection would need.
    let limits =
        Limits { connections: 1 << 14, embryos: 1 << 14, buffer_bytes: 512 << 10, ..small() };
    let mut stage = Stage::with(31, echo, |config| config.limits = limits);
    let mut config = Config::new(stage.world.next_mac(), addresses(2), stage.world.draw_secret());
    config.limits = limits;
    let tally = SharedTally::default();
    let clients = ManyClients {
        many: MANY,
        opened: 0,
        connected: Vec::new(),
        tally: SharedTally::clone(&tally),
        to_write: HashMap::new(),
        to_read: HashMap::new(),
    };
    let client = stage.world.add_host(&config, vec![Box::new(clients)]);
    let hosts = [client, stage.server];
    for _ in 0..600 {
        run_within_limits(&mut stage, &hosts, Duration::from_millis(100));
        if tally.borrow().ended_in_all() == MANY {
            break;
        }
    }
    let tally = tally.borrow();
    assert_eq!((tally.ended(CloseReason::Finished), tally.wrong), (MANY, 0), "{:?}", tally.ended);
    assert_eq!(tally.received, MANY * ManyClients::BYTES);
    assert!(stage.counted(client, Event::MemoryRefused) > 0);
    stage.world.run_for(Duration::from_secs(2));
    stage.assert_nothing_left(client);
    stage.assert_nothing_left(stage.server);
}

/// Opens connections and keeps their send buffers full.
struct BulkSender {
    connections: usize,
}

impl BulkSender {
    fn fill(io: &mut dyn Io, conn: ConnId) {
        while io.write(conn, &[7; 16 * 1024]) > 0 {}
    }
}

impl Service for BulkSender {
    fn on_start(&mut self, io: &mut dyn Io) {
        for _ in 0..self.connections {
            let open = ConnectOptions { remote: target(false), local: None, user: 0 };
            io.connect(&open).expect("room for all");
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        Self::fill(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        Self::fill(io, conn);
    }
}

/// Reads all available data.
struct Sink(SharedTally);

impl Service for Sink {
    fn on_accept(&mut self, _: &mut dyn Io, _: ConnId, _: ListenerId) {
        self.0.borrow_mut().accepted += 1;
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = io.read(conn, &mut buffer);
            if read == 0 {
                return;
            }
            self.0.borrow_mut().received += read;
            self.0.borrow_mut().wrong += buffer[..read].iter().filter(|byte| **byte != 7).count();
        }
    }
}

/// Creates a server that reads and a client that writes over a path with a long delay.
fn bulk(connections: usize) -> (Stage, HostId) {
    let mut stage = Stage::new(32, |tally| Box::new(Sink(tally)));
    let mut config = Config::new(stage.world.next_mac(), addresses(2), stage.world.draw_secret());
    config.limits = small();
    let path = "delay=20ms,rate=300mbit,queue=4000,hold=20000".parse().expect("an impairment");
    let client = stage.world.add_host_with(
        &config,
        vec![Box::new(BulkSender { connections })],
        &mut |near, _| Box::new(crate::link::impair::Impaired::new(near, &path)),
    );
    (stage, client)
}

#[test]
fn windows_grow_in_bulk_transfers_and_shrink_under_memory_pressure() {
    let (mut stage, client) = bulk(4);
    stage.world.run_for(Duration::from_millis(1500));
    let buffers = |stage: &Stage| -> Vec<u32> {
        let server = stage.world.host(stage.server);
        server.shard(0).list().map(|info| info.receive_buffer).collect()
    };
    let grown = buffers(&stage);
    assert!(grown.iter().all(|bytes| *bytes >= 512 << 10), "{grown:?}");
    assert!(stage.counted(stage.server, Event::WindowRaised) >= 12);
    assert_eq!(stage.counted(stage.server, Event::MemoryShort), 0);

    let limit = 1 << 20;
    let server = stage.server;
    stage.world.host_mut(server).shard_mut(0).set_memory_limit(limit);
    stage.world.run_for(Duration::from_millis(300));
    let lowered = buffers(&stage);
    assert!(lowered.iter().all(|bytes| *bytes <= 256 << 10), "{lowered:?}");
    assert!(stage.counted(server, Event::WindowLowered) >= 4);
    assert_eq!(stage.counted(server, Event::MemoryShort), 1);

    let before = stage.served.borrow().received;
    run_within_limits(&mut stage, &[server, client], Duration::from_millis(500));
    let served = stage.served.borrow();
    assert!(served.received > before + 4 * 500_000, "{}", served.received - before);
    assert_eq!((served.accepted, served.wrong), (4, 0));
}

#[test]
fn windows_stay_closed_without_memory_and_open_once_memory_is_free() {
    // RFC 9293 §3.8.6.1: the window may be closed; §3.8.6.2.2: the update is sent when it opens.
    let mut stage = Stage::with(33, echo, |config| config.limits.buffer_bytes = 0);
    let (_, tally) = stage.client(Plan::echo(target(false), 20, 3000));
    stage.world.run_for(Duration::from_secs(3));
    assert_eq!((tally.borrow().connected, tally.borrow().received), (20, 0));
    let server = stage.server;
    assert_eq!(stage.dropped(server, DropReason::NoBuffer), 0, "no peer ignored the closed window");
    stage.world.host_mut(server).shard_mut(0).set_memory_limit(8 << 20);
    // Far shorter than the wait for the next window probe.
    stage.world.run_for(Duration::from_millis(50));
    assert_eq!((tally.borrow().received, tally.borrow().wrong), (20 * 3000, 0));
}
