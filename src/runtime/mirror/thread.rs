//! The thread of the mirror: receives changes, and asks the kernel to resolve the neighbours that
//! workers want.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::queue::ArrayQueue;

use super::change::Change;
use super::netlink::Netlink;
use crate::limits::CONTROL_QUEUE;
use crate::runtime::waker::Waker;
use crate::time::Duration;

/// The longest sleep of the thread, so that a lost wake-up delays little.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// The running mirror; dropping it stops and joins its thread.
pub(in crate::runtime) struct Mirror {
    resolver: Arc<Resolver>,
    thread: Option<JoinHandle<()>>,
}

/// The workers' way to the mirror: the neighbours that the kernel is to resolve.
pub(in crate::runtime) struct Resolver {
    wanted: ArrayQueue<IpAddr>,
    waker: Waker,
    stop: AtomicBool,
}

impl Resolver {
    /// Asks the kernel to resolve a neighbour. When the queue is full the request is dropped, and
    /// the retransmission timer of the neighbour cache repeats it.
    pub(in crate::runtime) fn resolve(&self, address: IpAddr) {
        if self.wanted.push(address).is_ok() {
            self.waker.wake();
        }
    }
}

impl Mirror {
    /// Subscribes and starts the thread, which calls `on_change` for each entry of the kernel's
    /// tables and then for each change.
    ///
    /// # Errors
    /// When netlink cannot be opened.
    pub(in crate::runtime) fn start(
        interface: u32,
        on_change: impl Fn(Change) + Send + 'static,
    ) -> io::Result<Self> {
        let netlink = Netlink::open(interface)?;
        let resolver = Arc::new(Resolver {
            wanted: ArrayQueue::new(CONTROL_QUEUE),
            waker: Waker::new()?,
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&resolver);
        let thread = std::thread::Builder::new()
            .name("linerate-mirror".into())
            .spawn(move || run(netlink, &shared, on_change))?;
        Ok(Self { resolver, thread: Some(thread) })
    }

    /// Returns the workers' way to the mirror.
    pub(in crate::runtime) fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.resolver.stop.store(true, Ordering::SeqCst);
        self.resolver.waker.wake();
        if let Some(thread) = self.thread.take() {
            // The panic hook has printed a panic of the thread, and stopping does not need the
            // mirror.
            let _ = thread.join();
        }
    }
}

fn run(mut netlink: Netlink, resolver: &Resolver, on_change: impl Fn(Change)) {
    while !resolver.stop.load(Ordering::SeqCst) {
        netlink.poll(&on_change);
        while let Some(address) = resolver.wanted.pop() {
            netlink.resolve(address);
        }
        let nothing_waits = || resolver.wanted.is_empty() && !resolver.stop.load(Ordering::SeqCst);
        resolver.waker.sleep(Some(netlink.as_fd()), SLEEP_MAX, nothing_waits);
    }
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("wanted", &self.resolver.wanted.len()).finish()
    }
}
