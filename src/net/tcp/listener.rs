//! Listeners of a worker, and the connections that wait to be accepted.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::stream::TcpStream;
use crate::net::address::ToAddress;
use crate::net::error;
use crate::net::executor::core::{Core, Departure};
use crate::net::executor::current::current;
use crate::net::executor::waiters::Ticket;
use crate::shard::{ListenerConfig, ListenerId};

/// Connections that may wait to be accepted, unless [`TcpListener::set_backlog`] says otherwise.
/// Beyond it new connections are reset: more would only hide that the program is too slow.
const WAITING_MAX: usize = 4096;

/// A listener of this worker.
///
/// Each worker of a stack opens its own on the same port: a connection belongs to the worker where
/// its segments arrive. Dropping a listener closes it, and resets the connections that no task has
/// accepted; those that were accepted live on.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use linerate::net::{TcpListener, spawn};
///
/// let listener = TcpListener::bind("0.0.0.0:7").await?;
/// loop {
///     let (mut stream, peer) = listener.accept().await?;
///     spawn(async move { stream.write_all(format!("hello {peer}\n").as_bytes()).await });
/// }
/// # }
/// ```
pub struct TcpListener {
    core: Rc<Core>,
    listener: ListenerId,
    port: u16,
}

impl TcpListener {
    /// Listens on an address of the stack. The unspecified address (`0.0.0.0` or `[::]`) listens on
    /// all of them, of both families.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another listener of this worker uses the address
    /// and port, [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the stack does not own
    /// the address, [`NotConnected`](io::ErrorKind::NotConnected) outside the tasks of a worker.
    pub async fn bind(address: impl ToAddress) -> io::Result<Self> {
        let address = address.to_address()?;
        let specified = Some(address.ip()).filter(|ip| !ip.is_unspecified());
        let config =
            ListenerConfig { address: specified, ..ListenerConfig::on_port(address.port()) };
        Self::with_config(&config)
    }

    /// Listens as `config` says.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn with_config(config: &ListenerConfig) -> io::Result<Self> {
        let core = current().ok_or_else(error::no_stack)?;
        let opened = core.with_io(|io| io.listen(config)).ok_or_else(error::no_stack)?;
        let listener = opened.map_err(error::of_listen)?;
        core.accepts.borrow_mut().open(listener, WAITING_MAX);
        Ok(Self { core, listener, port: config.port })
    }

    /// Takes over a listener that the stack opened at its start
    /// ([`StackConfig::listeners`](crate::runtime::StackConfig::listeners)).
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) outside the tasks of a worker.
    pub fn configured(listener: ListenerId, port: u16) -> io::Result<Self> {
        let core = current().ok_or_else(error::no_stack)?;
        core.accepts.borrow_mut().open(listener, WAITING_MAX);
        Ok(Self { core, listener, port })
    }

    /// Sets how many connections may wait to be accepted; those waiting already stay.
    pub fn set_backlog(&self, connections: usize) {
        self.core.accepts.borrow_mut().set_limit(self.listener, connections);
    }

    /// Accepts a connection. Waits until there is one.
    ///
    /// Several tasks may accept from one listener, which they share by `Rc`. Cancel safe: an accept
    /// that is dropped has taken no connection, and another task takes the one that it was woken
    /// for.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the stack drains, and outside the
    /// tasks of the worker.
    pub fn accept(&self) -> Accept<'_> {
        Accept { listener: self, ticket: None }
    }

    /// Polls for a connection, as [`accept`](Self::accept) does. A task that was woken must poll:
    /// unlike a dropped [`Accept`], a task that ends instead wakes no other.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.take();
        if accepted.is_pending() {
            self.core.accepts.borrow_mut().wait_polled(self.listener, cx.waker());
        }
        accepted
    }

    /// Takes the oldest connection that waits.
    fn take(&self) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        if self.core.with_io(|_| ()).is_none() {
            return Poll::Ready(Err(error::no_stack()));
        }
        while let Some(conn) = self.pop() {
            // A connection that ended meanwhile is of no use to anyone, and another may have its
            // slot by now.
            if let Some((_, peer)) = self.core.with_io(|io| io.endpoints(conn)).flatten() {
                return Poll::Ready(Ok((TcpStream::adopt(&self.core, conn), peer)));
            }
        }
        match self.core.drains_at.get() {
            Some(_) => Poll::Ready(Err(error::draining())),
            None => Poll::Pending,
        }
    }

    fn pop(&self) -> Option<crate::shard::ConnId> {
        self.core.accepts.borrow_mut().pop(self.listener)
    }

    /// Returns the port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the shard's handle of the listener.
    pub const fn id(&self) -> ListenerId {
        self.listener
    }

    /// Returns the number of connections that wait to be accepted.
    pub fn waiting(&self) -> usize {
        self.core.accepts.borrow().waiting(self.listener)
    }

    /// Returns the number of connections reset because too many waited to be accepted.
    pub fn refused(&self) -> u64 {
        self.core.accepts.borrow().refused(self.listener)
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let waiting = self.core.accepts.borrow_mut().close(self.listener);
        self.core.close_listener(self.listener);
        for conn in waiting {
            self.core.leave(conn, Departure::Abort);
        }
    }
}

impl core::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TcpListener").field("port", &self.port).finish_non_exhaustive()
    }
}

/// The future of [`TcpListener::accept`].
#[must_use = "a future does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Accept<'a> {
    listener: &'a TcpListener,
    /// Set while it waits.
    ticket: Option<Ticket>,
}

impl Future for Accept<'_> {
    type Output = io::Result<(TcpStream, SocketAddr)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let accepted = self.listener.take();
        let TcpListener { core, listener, .. } = self.listener;
        match accepted.is_pending() {
            true => {
                let ticket = core.accepts.borrow_mut().wait(*listener, self.ticket, cx.waker());
                self.ticket = ticket;
            }
            // Its task may have been woken for another reason: then it leaves its place.
            false => self.stop_waiting(),
        }
        accepted
    }
}

impl Accept<'_> {
    /// Leaves the queue of acceptors. Woken for a connection and dropped before it took it: another
    /// task takes it.
    fn stop_waiting(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let TcpListener { core, listener, .. } = self.listener;
            let next = core.accepts.borrow_mut().stop_waiting(*listener, ticket);
            next.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Accept<'_> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}
