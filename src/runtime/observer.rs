//! Reads counters and connections of a running stack from any thread.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use super::census::{self, Silent};
use super::mailbox::Mailbox;
use super::report::{Report, WorkerReport};
use crate::shard::ConnInfo;

/// Watches a running stack ([`Stack::observer`](super::Stack::observer)): its counters and its
/// connections, from any thread. A clone watches the same stack.
///
/// It outlives the stack: it then returns the last counters, and [`connections`](Self::connections)
/// fails.
#[derive(Clone, Debug)]
pub struct Observer {
    watched: Arc<Watched>,
}

#[derive(Debug)]
struct Watched {
    interface: String,
    started: StdInstant,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    queue: u32,
    mailbox: Arc<Mailbox>,
}

impl Observer {
    /// Watches the workers with these queues and mailboxes, which start now.
    pub(super) fn new(interface: &str, queues: &[u32], mailboxes: &[Arc<Mailbox>]) -> Self {
        let worker = |(queue, mailbox): (&u32, &Arc<Mailbox>)| Worker {
            queue: *queue,
            mailbox: Arc::clone(mailbox),
        };
        let workers = queues.iter().zip(mailboxes).map(worker).collect();
        let (interface, started) = (interface.to_owned(), StdInstant::now());
        Self { watched: Arc::new(Watched { interface, started, workers }) }
    }

    /// Returns the name of the stack's interface.
    pub fn interface(&self) -> &str {
        &self.watched.interface
    }

    /// Returns the time since the stack started.
    pub fn uptime(&self) -> StdDuration {
        self.watched.started.elapsed()
    }

    /// Returns the counters of all workers, at most 50 ms old.
    pub fn report(&self) -> Report {
        let of = |worker: &Worker| WorkerReport::of(worker.queue, &worker.mailbox);
        Report { workers: self.watched.workers.iter().map(of).collect() }
    }

    /// Calls `each` for every connection, with the number of its worker, until `each` breaks.
    /// Includes connections in SYN-RECEIVED and TIME-WAIT. Connections that open or close meanwhile
    /// may appear twice or not at all.
    ///
    /// Waits for the workers, so a callback of a [`Service`](crate::Service) must not call it: its
    /// worker cannot answer before the callback returns.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn connections(
        &self,
        mut each: impl FnMut(usize, &ConnInfo) -> ControlFlow<()>,
    ) -> Result<(), Silent> {
        for (number, worker) in self.watched.workers.iter().enumerate() {
            if census::list(number, &worker.mailbox, &mut each)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;

    use super::super::mailbox::ConnectionPage;
    use super::super::waker::Waker;
    use super::*;
    use crate::shard::{Cursor, Repairs, SynData};

    /// Answers requests for pages as a worker with so many connections does.
    pub(in crate::runtime) struct FakeWorker {
        mailbox: Arc<Mailbox>,
        stop: Arc<AtomicBool>,
        thread: Option<JoinHandle<()>>,
    }

    impl FakeWorker {
        pub(in crate::runtime) fn with_connections(count: u32) -> (Self, Observer) {
            let waker = || Arc::new(Waker::new().expect("an eventfd"));
            let mailbox = Arc::new(Mailbox::new(waker(), waker()));
            let observer = Observer::new("eth0", &[5], std::slice::from_ref(&mailbox));
            let (served, stop) = (Arc::clone(&mailbox), Arc::new(AtomicBool::new(false)));
            let stopped = Arc::clone(&stop);
            let thread = std::thread::spawn(move || {
                while !stopped.load(Ordering::SeqCst) {
                    match served.page_requests.pop() {
                        Some(mut page) => {
                            fill(&mut page, count);
                            served.page_replies.force_push(page);
                        }
                        None => std::thread::yield_now(),
                    }
                }
                served.report_end(false);
            });
            (Self { mailbox, stop, thread: Some(thread) }, observer)
        }
    }

    impl Drop for FakeWorker {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::SeqCst);
            self.thread.take().map(JoinHandle::join);
        }
    }

    fn fill(page: &mut ConnectionPage, count: u32) {
        let from = page.from.index();
        let to = count.min(from + page.rows.capacity() as u32);
        page.rows.extend((from..to).map(connection));
        page.next = (to < count).then_some(Cursor::at(to));
    }

    /// Returns a connection; the remote port is its number.
    fn connection(number: u32) -> ConnInfo {
        ConnInfo {
            local: ([192, 0, 2, 1], 7).into(),
            remote: ([192, 0, 2, 2], number as u16).into(),
            state: "ESTABLISHED",
            cwnd: 14_480,
            congestion: None,
            ssthresh: u32::MAX,
            srtt_ns: 52_000,
            rttvar_ns: 4_000,
            rtt_min_ns: 50_000,
            rto_ns: 200_000_000,
            retransmissions: 1,
            timeouts: 0,
            mss: 1448,
            send_window: 65_535,
            receive_window: 65_535,
            send_buffer: 65_536,
            receive_buffer: 65_536,
            receive_space: 0,
            bytes_acked: 1,
            bytes_received: 2,
            repairs: Repairs::default(),
            delivery_rate: None,
            pacing_rate: None,
            in_flight: 0,
            send_queued: 0,
            receive_queued: 0,
            syn_data: SynData::None,
        }
    }

    fn ports(observer: &Observer) -> Vec<u32> {
        let mut ports = Vec::new();
        let ended = observer.connections(|_, info| {
            ports.push(info.remote.port().into());
            ControlFlow::Continue(())
        });
        assert_eq!(ended, Ok(()));
        ports
    }

    #[test]
    fn threads_that_list_at_the_same_time_see_every_connection_once() {
        let (_worker, observer) = FakeWorker::with_connections(3000);
        let all: Vec<u32> = (0..3000).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| assert_eq!(ports(&observer), all)));
            }
        });
    }

    #[test]
    fn the_late_reply_to_another_request_is_discarded() {
        let (worker, observer) = FakeWorker::with_connections(3);
        let rows = vec![connection(99)];
        let late = Box::new(ConnectionPage { from: Cursor::at(1), rows, next: None });
        worker.mailbox.page_replies.force_push(late);
        assert_eq!(ports(&observer), [0, 1, 2]);
    }

    #[test]
    fn a_listing_ends_where_its_caller_breaks() {
        let (_worker, observer) = FakeWorker::with_connections(1000);
        let mut seen = 0;
        let ended = observer.connections(|_, _| {
            seen += 1;
            if seen == 300 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((ended, seen), (Ok(()), 300));
    }

    #[test]
    fn an_observer_outlives_the_workers() {
        let (worker, observer) = FakeWorker::with_connections(3);
        drop(worker);
        assert_eq!(observer.connections(|_, _| ControlFlow::Continue(())), Err(Silent(0)));
        assert_eq!(observer.report().workers[0].queue, 5);
    }
}
