//! A world of two hosts, each with an async program.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use crate::net::Executor;
use crate::shard::{Config, Shard};
use crate::sim::{HostId, World, WorldConfig};
use crate::time::Duration;

/// The address and port of the server.
pub(super) const SERVER: &str = "10.0.0.1:7";

/// A server and a client.
pub(super) struct Pair {
    pub(super) world: World,
    pub(super) server: HostId,
    pub(super) client: HostId,
}

/// A log that several programs of one world write.
pub(super) type Log = Rc<RefCell<Vec<String>>>;

/// Adds a host that runs a program.
pub(super) fn add<F>(world: &mut World, host: u8, program: impl FnOnce() -> F + 'static) -> HostId
where
    F: Future<Output = ()> + 'static,
{
    let (mac, secret) = (world.next_mac(), world.draw_secret());
    let config = Config::new(mac, vec![([10, 0, 0, host].into(), 24)], secret);
    world.add_host(&config, vec![Box::new(Executor::new(program))])
}

/// Creates a world of a server at [`SERVER`] and a client.
pub(super) fn pair<S, C>(
    server: impl FnOnce() -> S + 'static,
    client: impl FnOnce() -> C + 'static,
) -> Pair
where
    S: Future<Output = ()> + 'static,
    C: Future<Output = ()> + 'static,
{
    let mut world = World::new(WorldConfig::default());
    let server = add(&mut world, 1, server);
    let client = add(&mut world, 2, client);
    Pair { world, server, client }
}

impl Pair {
    /// Runs until the client's program has ended.
    #[track_caller]
    pub(super) fn run(&mut self) {
        let client = self.client;
        let is_over = self.world.run(Duration::from_secs(300), |w| w.host(client).has_stopped(0));
        assert!(is_over, "the client's program does not end");
    }

    pub(super) fn server(&self) -> &Shard {
        self.world.host(self.server).shard(0)
    }

    pub(super) fn client(&self) -> &Shard {
        self.world.host(self.client).shard(0)
    }
}
