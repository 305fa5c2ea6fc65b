//! The measured side: a stack that listens on one port and closes when the peer does.

use linerate::limits::Limits;
use linerate::net::{Executor, TcpListener, TcpStream, spawn};
use linerate::shard::{
    Config, ConnId, Io, ListenerConfig, Prefix, Role, Route, Service, Shard, SingleWorker, TurnEnv,
};
use linerate::time::Instant;
use linerate::wire::MacAddr;

use super::clients;
use super::link::PreparedLink;

/// The server's MAC address.
pub(crate) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// The time at which a stack starts.
const STARTED: Instant = Instant::from_millis(1000);

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
        let mut shard = shard(connections, batch);
        let backlog = u32::MAX;
        let listener = ListenerConfig { backlog, ..ListenerConfig::on_port(clients::PORT) };
        shard.listen(listener).expect("the only listener");
        let link = &mut PreparedLink::small();
        let mut around = TurnEnv { link, service: &mut Closer, handover: &mut SingleWorker };
        shard.start(STARTED, &mut around);
        Self(shard)
    }
}

/// Returns a shard with room for `connections`, which knows the way to all clients.
fn shard(connections: usize, batch: usize) -> Shard {
    let mut config = Config::new(MAC, vec![(clients::SERVER.into(), 24)], [7; 32]);
    config.role = Role::Shared;
    config.limits =
        Limits { connections, embryos: connections, time_waits: 1024, batch, ..Limits::default() };
    let mut shard = Shard::new(config);
    let gateway = clients::GATEWAY.into();
    shard.add_route(Route::through(Prefix::ALL_IPV4, gateway));
    shard.mirror_neighbour(STARTED, gateway, Some(clients::GATEWAY_MAC.0));
    shard
}

impl Server for Linerate {
    fn turn(&mut self, nanos: u64, link: &mut PreparedLink) {
        let mut around = TurnEnv { link, service: &mut Closer, handover: &mut SingleWorker };
        self.0.turn(Instant::from_nanos(nanos), &mut around);
    }
}

/// Waits for data and drops it, until the peer's FIN.
async fn drain(mut stream: TcpStream) {
    while let Ok(1..) = stream.fill_buf().await.map(|data| data.len()) {
        stream.consume(usize::MAX);
    }
}

/// Returns the size of the future that the program spawns for each connection, bytes.
pub(crate) fn future_bytes() -> usize {
    const fn output_size<F>(_: &impl Fn(TcpStream) -> F) -> usize {
        size_of::<F>()
    }
    output_size(&drain)
}

/// One shard that runs an async program.
pub(crate) struct Program {
    shard: Shard,
    executor: Executor,
}

impl Program {
    /// Creates a shard as [`Linerate::new`] does, whose program spawns a task per connection. The
    /// task waits for data, and ends with the peer's FIN.
    pub(crate) fn with_tasks(connections: usize, batch: usize) -> Self {
        let program = Executor::new(async || {
            let listener = TcpListener::bind(("0.0.0.0", clients::PORT)).await.expect("free");
            while let Ok((stream, _)) = listener.accept().await {
                spawn(drain(stream));
            }
        });
        Self::start(connections, batch, program)
    }

    /// Creates a shard whose program accepts connections and keeps their streams, without tasks.
    pub(crate) fn with_streams(connections: usize, batch: usize) -> Self {
        let program = Executor::new(async move || {
            let listener = TcpListener::bind(("0.0.0.0", clients::PORT)).await.expect("free");
            let mut streams = Vec::with_capacity(connections);
            while let Ok((stream, _)) = listener.accept().await {
                streams.push(stream);
            }
        });
        Self::start(connections, batch, program)
    }

    fn start(connections: usize, batch: usize, mut executor: Executor) -> Self {
        let mut shard = shard(connections, batch);
        let link = &mut PreparedLink::small();
        let mut around = TurnEnv { link, service: &mut executor, handover: &mut SingleWorker };
        shard.start(STARTED, &mut around);
        shard.turn(STARTED, &mut around);
        Self { shard, executor }
    }
}

impl Server for Program {
    fn turn(&mut self, nanos: u64, link: &mut PreparedLink) {
        let service = &mut self.executor;
        let mut around = TurnEnv { link, service, handover: &mut SingleWorker };
        self.shard.turn(Instant::from_nanos(nanos), &mut around);
    }
}
