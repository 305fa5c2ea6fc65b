//! The executor as a [`Service`]: callbacks of the shard wake tasks, and the tasks run at the end
//! of the turn.

use core::future::Future;
use core::task::Waker;
use std::rc::Rc;
use std::sync::Arc;

use super::accepts::Accepted;
use super::core::Core;
use super::current;
use super::queue::{LocalFuture, Shared};
use super::spawn::{collect_shared, end_all, run_ready, spawn_on};
use crate::shard::{CloseReason, ConnId, Io, ListenerId, Service};
use crate::time::{Duration, Instant};

/// Makes the program's first future, on the worker.
type Main = Box<dyn FnOnce() -> LocalFuture>;

/// Runs async tasks on a worker.
///
/// It is the [`Service`] of its worker: give one per worker to
/// [`Stack::start`](crate::runtime::Stack::start), or to a simulated host
/// ([`World::add_host`](crate::sim::World::add_host)). Tasks of different workers share nothing but
/// what the program shares between threads itself.
///
/// Tasks that are ready are polled at the end of a turn, after everything that arrived in the turn,
/// and what they write leaves in the same turn.
///
/// The worker's service stops when the program's first future ends; the tasks that are left are
/// dropped then, and their connections closed.
///
/// # Examples
///
/// An echo server in a simulated world, which needs no privileges:
///
/// ```
/// use linerate::net::{Executor, TcpListener, TcpStream, spawn};
/// use linerate::sim::{World, WorldConfig};
/// use linerate::Duration;
///
/// let mut world = World::new(WorldConfig::default());
/// let mut host = |address: [u8; 4], executor: Executor| {
///     let (mac, secret) = (world.next_mac(), world.draw_secret());
///     let config = linerate::shard::Config::new(mac, vec![(address.into(), 24)], secret);
///     world.add_host(&config, vec![Box::new(executor)])
/// };
/// host([10, 0, 0, 1], Executor::new(async || {
///     let listener = TcpListener::bind("0.0.0.0:7").await.expect("a free port");
///     while let Ok((mut stream, _)) = listener.accept().await {
///         spawn(async move {
///             let mut buffer = [0; 1024];
///             while let Ok(n @ 1..) = stream.read(&mut buffer).await {
///                 stream.write_all(&buffer[..n]).await.expect("the peer reads");
///             }
///         });
///     }
/// }));
/// let client = host([10, 0, 0, 2], Executor::new(async || {
///     let mut stream = TcpStream::connect("10.0.0.1:7").await.expect("a server");
///     stream.write_all(b"hello").await.expect("the server reads");
///     let mut answer = [0; 5];
///     stream.read_exact(&mut answer).await.expect("an echo");
///     assert_eq!(&answer, b"hello");
/// }));
/// assert!(world.run(Duration::from_secs(1), |world| world.host(client).has_stopped(0)));
/// ```
pub struct Executor {
    core: Rc<Core>,
    main: Option<Main>,
    is_over: bool,
}

impl Executor {
    /// Creates an executor that runs the future that `main` makes.
    pub fn new<F>(main: impl FnOnce() -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::with_shared(Shared::new(), main)
    }

    /// Creates an executor that other threads reach by `shared`.
    pub(in crate::net) fn with_shared<F>(
        shared: Arc<Shared>,
        main: impl FnOnce() -> F + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let main: Main = Box::new(|| Box::pin(main()));
        Self { core: Rc::new(Core::new(shared)), main: Some(main), is_over: false }
    }

    /// Returns the state, which outlives the executor.
    pub(in crate::net) fn core(&self) -> Rc<Core> {
        Rc::clone(&self.core)
    }

    /// Runs `call` as this executor, with the door open.
    fn enter(&self, io: &mut dyn Io, call: impl FnOnce(&Rc<Core>)) {
        current::scope(&self.core, || self.core.enter(io, || call(&self.core)));
    }

    fn wake(&self, wakers: impl IntoIterator<Item = Option<Waker>>) {
        current::scope(&self.core, || {
            wakers.into_iter().flatten().for_each(Waker::wake);
        });
    }

    /// Takes what wakes the tasks of a connection.
    fn wakers(&self, conn: ConnId, side: Side) -> [Option<Waker>; 2] {
        let mut slots = self.core.slots.borrow_mut();
        let Some(slot) = slots.at(conn) else { return [None, None] };
        match side {
            Side::Reader => [slot.reader.take(), None],
            Side::Writer => [None, slot.writer.take()],
            Side::Both => [slot.reader.take(), slot.writer.take()],
        }
    }

    /// Makes the next turn come at once if tasks are ready that this turn does not run any more.
    fn request_turn(&self, io: &mut dyn Io) {
        if !self.core.ready.borrow().is_empty() {
            io.set_alarm(io.now());
        }
    }

    /// Ends all tasks, and with them the service.
    fn finish(&mut self, io: &mut dyn Io) {
        self.is_over = true;
        self.enter(io, end_all);
        io.stop();
    }
}

/// The tasks of a connection to wake.
#[derive(Clone, Copy)]
enum Side {
    Reader,
    Writer,
    Both,
}

impl Service for Executor {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.core.worker.set(io.worker());
        self.core.shared.set_waker(io.waker());
        let Some(main) = self.main.take() else { return };
        self.enter(io, |core| {
            let finished = Rc::clone(core);
            let main = async move {
                let _end = Finish(finished);
                main().await;
            };
            spawn_on(core, main).detach();
        });
        self.request_turn(io);
    }

    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        let accepted = self.core.accepts.borrow_mut().push(listener, conn);
        match accepted {
            Accepted::Queued(waker) => self.wake([waker]),
            Accepted::Refused => io.abort(conn),
        }
    }

    fn on_connected(&mut self, _: &mut dyn Io, conn: ConnId, _: Duration) {
        self.wake(self.wakers(conn, Side::Both));
    }

    fn on_readable(&mut self, _: &mut dyn Io, conn: ConnId) {
        self.wake(self.wakers(conn, Side::Reader));
    }

    fn on_writable(&mut self, _: &mut dyn Io, conn: ConnId) {
        self.wake(self.wakers(conn, Side::Writer));
    }

    fn on_peer_closed(&mut self, _: &mut dyn Io, conn: ConnId) {
        self.wake(self.wakers(conn, Side::Reader));
    }

    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, _: u64, reason: CloseReason) {
        let wakers = self.core.slots.borrow_mut().on_closed(conn, reason);
        self.wake(wakers);
        // The end of a connection may be reported after the end of the turn.
        self.request_turn(io);
    }

    fn on_wake(&mut self, io: &mut dyn Io) {
        if !self.is_over {
            self.enter(io, collect_shared);
        }
    }

    fn on_drain(&mut self, io: &mut dyn Io, deadline: Instant) {
        self.core.drains_at.set(Some(deadline));
        let acceptors = self.core.accepts.borrow_mut().take_wakers();
        let waiting = self.core.drain_waiters.borrow_mut().take();
        self.wake(acceptors.into_iter().chain(waiting).map(Some));
        self.request_turn(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.enter(io, |core| core.expire_timers());
    }

    fn on_turn_end(&mut self, io: &mut dyn Io) {
        if self.core.ready.borrow().is_empty() {
            return;
        }
        self.enter(io, |core| run_ready(core));
        if self.core.is_finished.get() && !self.is_over {
            return self.finish(io);
        }
        self.request_turn(io);
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        current::scope(&self.core, || end_all(&self.core));
    }
}

/// Marks the program as ended on drop, by a panic too.
struct Finish(Rc<Core>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.is_finished.set(true);
    }
}
