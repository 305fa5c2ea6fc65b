//! The mirror of what the kernel knows about one interface: its neighbours, routes and link state, by
//! netlink. In shared mode the kernel resolves neighbours for us; in both modes the link's end is seen here.
//!
//! One thread, asleep unless something changes. Owns the order of things: it subscribes before it dumps,
//! so that no change falls between.

mod netlink;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::queue::ArrayQueue;

use super::control::Waker;
use crate::limits::CONTROL_QUEUE;
use crate::time::Duration;
use netlink::Netlink;

/// One thing that is so now, in the kernel's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A neighbour's hardware address, or that it has none any more.
    Neighbour {
        /// The neighbour.
        address: IpAddr,
        /// Its Ethernet address.
        mac: Option<[u8; 6]>,
    },
    /// A route through the interface appeared or went.
    Route {
        /// The network.
        destination: IpAddr,
        /// Bits of the network's prefix.
        prefix: u8,
        /// The next hop; `None` for a network on the link.
        gateway: Option<IpAddr>,
        /// The preferred source address, where the route names one.
        source: Option<IpAddr>,
        /// The smallest wins.
        metric: u32,
        /// Whether it is there.
        exists: bool,
    },
    /// The interface went up or down (administratively or by its carrier).
    Carrier(bool),
    /// The interface is gone.
    Gone,
}

/// How often the thread looks whether it should end, when nothing else wakes it.
const NAP: Duration = Duration::from_millis(500);

/// The running mirror; stops when dropped.
pub(super) struct Mirror {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the mirror shares with the workers: the neighbours they want resolved.
pub(super) struct Shared {
    wanted: ArrayQueue<IpAddr>,
    waker: Waker,
    stop: AtomicBool,
}

impl Shared {
    /// Asks the kernel to resolve a neighbour. When too many are asked for at once some are lost: the
    /// asker's timer asks again.
    pub(super) fn want(&self, address: IpAddr) {
        if self.wanted.push(address).is_ok() {
            self.waker.wake();
        }
    }
}

impl Mirror {
    /// Subscribes and starts the thread; `tell` is called on it for each change, the present state first.
    ///
    /// # Errors
    /// When netlink can't be opened.
    pub(super) fn start(
        interface: u32,
        tell: impl Fn(Change) + Send + 'static,
    ) -> io::Result<Self> {
        let netlink = Netlink::open(interface)?;
        let shared = Arc::new(Shared {
            wanted: ArrayQueue::new(CONTROL_QUEUE),
            waker: Waker::new()?,
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("linerate-mirror".into())
            .spawn(move || run(netlink, &theirs, tell))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The door for workers.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed already, and the mirror is not needed to stop.
            let _ = thread.join();
        }
    }
}

fn run(mut netlink: Netlink, shared: &Shared, tell: impl Fn(Change)) {
    while !shared.stop.load(Ordering::SeqCst) {
        netlink.poll(&tell);
        while let Some(address) = shared.wanted.pop() {
            netlink.resolve(address);
        }
        let quiet = || shared.wanted.is_empty() && !shared.stop.load(Ordering::SeqCst);
        shared.waker.sleep(Some(netlink.fd()), NAP, quiet);
    }
}

impl Netlink {
    fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(self)
    }
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("wanted", &self.shared.wanted.len()).finish()
    }
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").field("fd", &self.as_raw_fd()).finish()
    }
}
