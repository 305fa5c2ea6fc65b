//! The test bed of whole shards: a simulated network with a server and clients.

use core::net::{IpAddr, SocketAddr};

use crate::limits::Limits;
use crate::metrics::{DropReason, Event};
use crate::shard::{Config, ListenerConfig, Service};
use crate::sim::{Client, Echo, HostId, Plan, SharedTally, World, WorldConfig};
use crate::time::Duration;

/// The server's port.
pub(super) const PORT: u16 = 7;

/// Returns the addresses of host `n` in the test network.
pub(super) fn addresses(n: u8) -> Vec<(IpAddr, u8)> {
    let v4 = format!("192.0.2.{n}").parse().expect("an address");
    let v6 = format!("2001:db8::{n}").parse().expect("an address");
    vec![(v4, 24), (v6, 64)]
}

/// Returns the server's address and port.
pub(super) fn target(ipv6: bool) -> SocketAddr {
    SocketAddr::new(addresses(1)[usize::from(ipv6)].0, PORT)
}

/// Returns small limits, so that tests start quickly.
pub(super) fn small() -> Limits {
    Limits {
        connections: 1 << 13,
        embryos: 1 << 12,
        time_waits: 1 << 14,
        buffer_bytes: 64 << 20,
        neighbours: 64,
        ..Limits::default()
    }
}

/// A simulated network with a server (host 1), to which tests add clients.
pub(super) struct Stage {
    pub world: World,
    pub server: HostId,
    pub served: SharedTally,
}

impl Stage {
    pub(super) fn new(seed: u64, make: impl FnOnce(SharedTally) -> Box<dyn Service>) -> Self {
        Self::with(seed, make, |_| {})
    }

    pub(super) fn with(
        seed: u64,
        make: impl FnOnce(SharedTally) -> Box<dyn Service>,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let mut world = World::new(WorldConfig { seed, ..WorldConfig::default() });
        let served = SharedTally::default();
        let mut config = Config::new(world.next_mac(), addresses(1), world.draw_secret());
        config.limits = small();
        adjust(&mut config);
        let server = world.add_host(&config, vec![make(SharedTally::clone(&served))]);
        let listener = ListenerConfig { backlog: 4096, ..ListenerConfig::on_port(PORT) };
        world.host_mut(server).shard_mut(0).listen(listener).expect("a free port");
        Self { world, server, served }
    }

    pub(super) fn client(&mut self, plan: Plan) -> (HostId, SharedTally) {
        self.client_with(plan, |_| {})
    }

    pub(super) fn client_with(
        &mut self,
        plan: Plan,
        adjust: impl FnOnce(&mut Config),
    ) -> (HostId, SharedTally) {
        let tally = SharedTally::default();
        let mac = self.world.next_mac();
        let mut config = Config::new(mac, addresses(mac.0[5]), self.world.draw_secret());
        config.limits = small();
        adjust(&mut config);
        let client = Box::new(Client::new(plan, SharedTally::clone(&tally)));
        (self.world.add_host(&config, vec![client]), tally)
    }

    /// Runs until all connections of the client have ended. Fails after `span`.
    pub(super) fn finish(&mut self, tally: &SharedTally, connections: usize, span: Duration) {
        let done = self.world.run(span, |_| tally.borrow().ended_in_all() == connections);
        assert!(done, "not done in {span:?}: {:?}, server {:?}", tally.borrow(), self.served);
    }

    pub(super) fn counted(&self, host: HostId, event: Event) -> u64 {
        self.world.host(host).shard(0).counters().counted(event)
    }

    pub(super) fn dropped(&self, host: HostId, reason: DropReason) -> u64 {
        self.world.host(host).shard(0).counters().dropped(reason)
    }

    /// Asserts that the host holds no connections, no buffer memory and no frames.
    pub(super) fn assert_nothing_left(&self, host: HostId) {
        let host = self.world.host(host);
        assert_eq!(host.shard(0).connections(), 0);
        let memory = host.shard(0).memory();
        assert_eq!((memory.promised, memory.send_buffers, memory.in_use), (0, 0, 0));
        assert_eq!(host.link(0).accounting().held, 0, "{:?}", host.link(0).accounting());
    }
}

/// Creates an echo server.
pub(super) fn echo(tally: SharedTally) -> Box<dyn Service> {
    Box::new(Echo::new(tally))
}
