//! The measured side: a stack that listens on one port and closes when the peer does.

use linerate::limits::Limits;
use linerate::shard::{
    Config, ConnId, Io, ListenerConfig, Prefix, Role, Route, Service, Shard, SingleWorker, TurnEnv,
};
use linerate::time::Instant;
use linerate::wire::MacAddr;

use super::clients;
use super::link::PreparedLink;

/// The server's MAC address.
pub(crate) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// A stack under load.
pub(crate) trait Server {
    /// Receives one batch from the link and answers it.
    fn turn(&mut self, nanos: u64, link: &mut PreparedLink);
}

/// Accepts connections, and closes each when its peer does.
struct Closer;

impl Service for Closer {
    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.close(conn);
    }
}

/// One shard of linerate.
pub(crate) struct Linerate(Shard);

impl Linerate {
    /// Creates a shard with room for `connections` that receives batches of up to `batch` frames.
    pub(crate) fn new(connections: usize, batch: usize) -> Self {
        let mut config = Config::new(MAC, vec![(clients::SERVER.into(), 24)], [7; 32]);
        config.role = Role::Shared;
        config.limits = Limits {
            connections,
            embryos: connections,
            time_waits: 1024,
            batch,
            ..Limits::default()
        };
        let mut shard = Shard::new(config);
        let gateway = clients::GATEWAY.into();
        shard.add_route(Route::through(Prefix::ALL_IPV4, gateway));
        shard.mirror_neighbour(Instant::from_millis(1000), gateway, Some(clients::GATEWAY_MAC.0));
        let backlog = u32::MAX;
        let listener = ListenerConfig { backlog, ..ListenerConfig::on_port(clients::PORT) };
        shard.listen(listener).expect("the only listener");
        let link = &mut PreparedLink::new(batch);
        let mut around = TurnEnv { link, service: &mut Closer, handover: &mut SingleWorker };
        shard.start(Instant::from_millis(1000), &mut around);
        Self(shard)
    }
}

impl Server for Linerate {
    fn turn(&mut self, nanos: u64, link: &mut PreparedLink) {
        let mut around = TurnEnv { link, service: &mut Closer, handover: &mut SingleWorker };
        self.0.turn(Instant::from_nanos(nanos), &mut around);
    }
}
