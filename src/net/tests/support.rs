//! A world of two hosts, each with an async program.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::cell::RefCell;
use std::rc::Rc;

use crate::metrics::Event;
use crate::net::Executor;
use crate::net::executor::census::Census;
use crate::net::executor::core::Core;
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
    cores: [Rc<Core>; 2],
}

/// A log that several programs of one world write.
pub(super) type Log<T = &'static str> = Rc<RefCell<Vec<T>>>;

/// Returns the configuration of a host.
pub(super) fn config(world: &mut World, host: u8) -> Config {
    let (mac, secret) = (world.next_mac(), world.draw_secret());
    Config::new(mac, vec![([10, 0, 0, host].into(), 24)], secret)
}

/// Adds a host that runs an executor.
pub(super) fn add(world: &mut World, host: u8, executor: Executor) -> HostId {
    let config = config(world, host);
    world.add_host(&config, vec![Box::new(executor)])
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
    pair_with(|_| {}, server, client)
}

/// Creates a pair whose configurations are changed first.
pub(super) fn pair_with<S, C>(
    change: impl Fn(&mut Config),
    server: impl FnOnce() -> S + 'static,
    client: impl FnOnce() -> C + 'static,
) -> Pair
where
    S: Future<Output = ()> + 'static,
    C: Future<Output = ()> + 'static,
{
    let mut world = World::new(WorldConfig::default());
    let executors = [Executor::new(server), Executor::new(client)];
    let cores = executors.each_ref().map(Executor::core);
    let hosts: Vec<HostId> = (1..)
        .zip(executors)
        .map(|(host, executor)| {
            let mut config = config(&mut world, host);
            change(&mut config);
            world.add_host(&config, vec![Box::new(executor)])
        })
        .collect();
    let (server, client) = (hosts[0], hosts[1]);
    Pair { world, server, client, cores }
}

impl Pair {
    /// Runs until the client's program has ended, without a panic.
    #[track_caller]
    pub(super) fn run(&mut self) {
        let client = self.client;
        let is_over = self.world.run(Duration::from_secs(600), |w| w.host(client).has_stopped(0));
        assert!(is_over, "the client's program does not end");
        assert_eq!(self.panics(), [0, 0], "a program panicked");
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        self.world.run_for(span);
    }

    pub(super) fn server(&self) -> &Shard {
        self.world.host(self.server).shard(0)
    }

    pub(super) fn client(&self) -> &Shard {
        self.world.host(self.client).shard(0)
    }

    /// Returns the number of panics of server and client.
    pub(super) fn panics(&self) -> [u64; 2] {
        [self.server(), self.client()].map(|shard| shard.counters().counted(Event::ProgramPanic))
    }

    /// Returns what the executors of server and client hold.
    pub(super) fn census(&self) -> [Census; 2] {
        self.cores.each_ref().map(|core| core.census())
    }
}

/// Polls a future once and drops it. Returns its output if it was ready.
pub(super) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

pub(super) const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
