//! A worker's mailbox: everything that other threads exchange with it.
//!
//! All queues are bounded and lock-free; the worker takes no lock. Whoever puts something in for
//! the worker wakes it; what the worker puts in for the housekeeping thread wakes that one.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam::queue::ArrayQueue;

use super::command::Command;
use super::publish::Published;
use super::waker::Waker;
use crate::limits::{CONTROL_QUEUE, LOCAL_ADDRESSES_MAX};
use crate::shard::{ConnInfo, Cursor};
use crate::wire::MacAddr;

/// One page of a worker's connections: travels to the worker empty and comes back filled.
#[derive(Debug)]
pub(super) struct ConnectionPage {
    /// Where the page begins.
    pub(super) from: Cursor,
    /// The connections. The worker fills up the capacity and never grows it.
    pub(super) rows: Vec<ConnInfo>,
    /// Where the next page begins; `None` on the last one.
    pub(super) next: Option<Cursor>,
}

/// Everything that a worker shares with other threads.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) commands: ArrayQueue<Command>,
    pub(super) waker: Arc<Waker>,
    /// Wakes the housekeeping thread.
    housekeeping: Arc<Waker>,
    pub(super) published: Published,
    /// Held by the thread that requests a page; the worker never takes it.
    pub(super) page_turn: Mutex<()>,
    /// A page of connections to fill.
    pub(super) page_requests: ArrayQueue<Box<ConnectionPage>>,
    /// The filled page.
    pub(super) page_replies: ArrayQueue<Box<ConnectionPage>>,
    /// Configured addresses that another host holds, with its MAC.
    pub(super) refused_addresses: ArrayQueue<(IpAddr, MacAddr)>,
    /// Addresses of autoconfiguration, for the XDP program to redirect.
    pub(super) added_addresses: ArrayQueue<IpAddr>,
    /// Hosts that use an address of the stack.
    pub(super) conflicts: ArrayQueue<(IpAddr, MacAddr)>,
    /// Ports that services listen on (`true`) or not any more, of listeners opened at run time.
    pub(super) ports: ArrayQueue<(u16, bool)>,
    /// Messages of panics that the program survived.
    pub(super) panics: ArrayQueue<String>,
    /// Set once duplicate address detection is complete and the service has started.
    pub(super) started: AtomicBool,
    /// Set when the worker has ended, whatever the reason.
    pub(super) ended: AtomicBool,
    /// Set when it ended by a panic.
    panicked: AtomicBool,
}

impl Mailbox {
    /// Creates the mailbox of the worker that `waker` wakes.
    pub(super) fn new(waker: Arc<Waker>, housekeeping: Arc<Waker>) -> Self {
        Self {
            commands: ArrayQueue::new(CONTROL_QUEUE),
            waker,
            housekeeping,
            published: Published::new(),
            page_turn: Mutex::new(()),
            page_requests: ArrayQueue::new(1),
            page_replies: ArrayQueue::new(1),
            refused_addresses: ArrayQueue::new(LOCAL_ADDRESSES_MAX),
            added_addresses: ArrayQueue::new(LOCAL_ADDRESSES_MAX),
            conflicts: ArrayQueue::new(CONTROL_QUEUE),
            ports: ArrayQueue::new(CONTROL_QUEUE),
            panics: ArrayQueue::new(CONTROL_QUEUE),
            started: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        }
    }

    /// Queues a command and wakes the worker. A full queue drops it; the mirror repeats its
    /// changes.
    pub(super) fn send(&self, command: Command) {
        if self.commands.push(command).is_ok() {
            self.waker.wake();
        }
    }

    /// Reports an address that autoconfiguration added.
    pub(super) fn report_added(&self, address: IpAddr) {
        // The queue has room for every address. One that found none would be reachable only by its
        // group.
        let _ = self.added_addresses.push(address);
        self.housekeeping.wake();
    }

    /// Reports a host that uses an address of the stack.
    pub(super) fn report_conflict(&self, address: IpAddr, mac: MacAddr) {
        // When the queue is full, as many reports of the same conflict are waiting.
        let _ = self.conflicts.push((address, mac));
        self.housekeeping.wake();
    }

    /// Reports a listener that a service opened or closed. Returns false, and reports nothing,
    /// while the queue is full.
    #[must_use = "a report that finds no room is repeated"]
    pub(super) fn report_port(&self, port: u16, is_open: bool) -> bool {
        let is_reported = self.ports.push((port, is_open)).is_ok();
        self.housekeeping.wake();
        is_reported
    }

    /// Reports a panic that the program has survived.
    pub(super) fn report_panic(&self, message: String) {
        // When the queue is full, as many reports are waiting; all are counted.
        let _ = self.panics.push(message);
        self.housekeeping.wake();
    }

    /// Reports that the worker's thread has ended.
    pub(super) fn report_end(&self, panicked: bool) {
        self.panicked.store(panicked, Ordering::SeqCst);
        self.ended.store(true, Ordering::SeqCst);
        self.housekeeping.wake();
    }

    /// Returns true if the worker's thread ended by a panic.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::SeqCst)
    }

    /// Returns true if the housekeeping thread has nothing to collect here, panics aside.
    pub(super) fn has_no_reports(&self) -> bool {
        self.added_addresses.is_empty()
            && self.conflicts.is_empty()
            && self.panics.is_empty()
            && self.ports.is_empty()
    }
}
