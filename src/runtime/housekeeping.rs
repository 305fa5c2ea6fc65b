//! The housekeeping thread of a stack, `linerate-watch`: does what workers cannot do on their hot
//! path, so that a program that starts a stack has no duty.
//!
//! It has the XDP program redirect the addresses of autoconfiguration, probes the interface once a
//! second and passes changes of its MTU, queues and RSS table on to the workers, and reports all of
//! that, address conflicts and worker panics as [`StackEvent`]s. It sleeps unless a worker wakes
//! it. [`Stack`](super::Stack) joins it before anything else is torn down.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::claim::{ApplyClaim, Claim};
use super::clock::Clock;
use super::events::{EventSender, StackEvent};
use super::mailbox::Mailbox;
use super::waker::Waker;
use super::watch::{Changes, Watch};
use crate::metrics::Counters;
use crate::time::{Duration, Instant};
use crate::xdp::Probe;

/// Interval between two probes of the interface. A probe queries the driver under locks of the
/// kernel, so that a shorter interval would delay other users of them. A longer one would lose
/// large packets for longer after the MTU has shrunk.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Probes the interface; `None` while it does not answer.
pub(super) type ProbeInterface = Box<dyn FnMut() -> Option<Probe> + Send>;

/// The work of the housekeeping thread.
pub(super) struct Housekeeping {
    pub(super) interface: String,
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    pub(super) watch: Watch,
    pub(super) probe: ProbeInterface,
    pub(super) claim: ApplyClaim,
    /// Set by the mirror when the interface is removed.
    pub(super) interface_removed: Arc<AtomicBool>,
    pub(super) events: EventSender,
    /// Time between two probes of the interface.
    pub(super) probe_every: Duration,
}

/// The conditions that were reported; they are reported once.
struct Reported {
    interface_removed: bool,
    /// Number of workers that listen on each port, of listeners opened at run time.
    ports: HashMap<u16, usize>,
    /// By worker.
    panicked: Vec<bool>,
}

/// The running thread; dropping it stops and joins it.
#[derive(Debug)]
pub(super) struct HousekeepingThread {
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HousekeepingThread {
    /// Starts the thread; `waker` wakes it.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn start(work: Housekeeping, waker: Arc<Waker>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (thread_waker, thread_stop) = (Arc::clone(&waker), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("linerate-watch".into())
            .spawn(move || work.run(&thread_waker, &thread_stop))?;
        Ok(Self { waker, stop, thread: Some(thread) })
    }
}

impl Drop for HousekeepingThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // The thread catches its panics and reports them.
            let _ = thread.join();
        }
    }
}

impl Housekeeping {
    fn run(mut self, waker: &Waker, stop: &AtomicBool) {
        let panic = catch_unwind(AssertUnwindSafe(|| self.run_until(waker, stop))).err();
        if let Some(panic) = panic {
            let message = panic_message(&*panic);
            self.events.send(StackEvent::HousekeepingPanicked { message });
        }
    }

    fn run_until(&mut self, waker: &Waker, stop: &AtomicBool) {
        let clock = Clock::new();
        let mut reported = Reported {
            interface_removed: false,
            ports: HashMap::new(),
            panicked: vec![false; self.mailboxes.len()],
        };
        let mut probe_at: Instant = clock.now() + self.probe_every;
        while !stop.load(Ordering::SeqCst) {
            self.collect_reports();
            self.collect_ports(&mut reported.ports);
            self.report_panics(&mut reported);
            self.report_removal(&mut reported);
            let now = clock.now();
            if now >= probe_at {
                self.probe_interface();
                probe_at = now + self.probe_every;
            }
            let nothing_waits = || {
                !stop.load(Ordering::SeqCst)
                    && self.mailboxes.iter().all(|mailbox| mailbox.has_no_reports())
                    && self.new_panics(&reported).next().is_none()
                    && !self.is_removal_new(&reported)
            };
            waker.sleep(None, probe_at.since(now), nothing_waits);
        }
    }

    /// Claims the addresses of autoconfiguration, and reports address conflicts and panics of the
    /// program. All workers see the same addresses; only the first one reports.
    fn collect_reports(&mut self) {
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            while let Some(message) = mailbox.panics.pop() {
                self.events.send(StackEvent::ProgramPanicked { worker, message });
            }
            while let Some(address) = mailbox.added_addresses.pop() {
                self.events.send(match (self.claim)(Claim::Address(address)) {
                    Ok(()) => StackEvent::AddressAdded { address },
                    Err(cause) => StackEvent::AddressNotClaimed { address, cause },
                });
            }
            while let Some((address, mac)) = mailbox.conflicts.pop() {
                self.events.send(StackEvent::AddressConflict { address, mac: mac.0 });
            }
        }
    }

    /// Claims the ports that a first worker listens on, and releases those that the last one has
    /// closed.
    fn collect_ports(&mut self, ports: &mut HashMap<u16, usize>) {
        for mailbox in &self.mailboxes {
            while let Some((port, is_open)) = mailbox.ports.pop() {
                let workers = ports.entry(port).or_default();
                let claim = match (is_open, *workers) {
                    (true, 0) => Some(Claim::Port(port)),
                    (false, 1) => Some(Claim::ReleasePort(port)),
                    _ => None,
                };
                *workers = if is_open { *workers + 1 } else { workers.saturating_sub(1) };
                if let Some(Err(cause)) = claim.map(&mut self.claim) {
                    self.events.send(StackEvent::PortNotClaimed { port, cause });
                }
            }
        }
    }

    fn new_panics<'a>(&'a self, reported: &'a Reported) -> impl Iterator<Item = usize> + 'a {
        let workers = self.mailboxes.iter().zip(&reported.panicked).enumerate();
        workers
            .filter(|(_, (mailbox, reported))| !**reported && mailbox.has_panicked())
            .map(|(worker, _)| worker)
    }

    fn report_panics(&self, reported: &mut Reported) {
        let workers: Vec<usize> = self.new_panics(reported).collect();
        for worker in workers {
            reported.panicked[worker] = true;
            self.events.send(StackEvent::WorkerPanicked { worker });
        }
    }

    fn is_removal_new(&self, reported: &Reported) -> bool {
        !reported.interface_removed && self.interface_removed.load(Ordering::SeqCst)
    }

    fn report_removal(&self, reported: &mut Reported) {
        if self.is_removal_new(reported) {
            reported.interface_removed = true;
            let interface = self.interface.clone();
            self.events.send(StackEvent::InterfaceRemoved { interface });
        }
    }

    fn probe_interface(&mut self) {
        let mut counters = Counters::default();
        for mailbox in &self.mailboxes {
            counters.merge(&mailbox.published.load().counters);
        }
        let Changes { events, commands } = self.watch.compare(&counters, (self.probe)());
        for command in commands {
            self.mailboxes.iter().for_each(|mailbox| mailbox.send(command.clone()));
        }
        events.into_iter().for_each(|event| self.events.send(event));
    }
}

/// Returns the message of a panic, as `panic!` was given it.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
    let formatted = || panic.downcast_ref::<String>().cloned();
    literal.or_else(formatted).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::command::Command;
    use super::super::events::{StackEvents, channel};
    use super::super::watch::tests::probe;
    use super::*;
    use crate::wire::MacAddr;

    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

    struct Running {
        thread: HousekeepingThread,
        mailbox: Arc<Mailbox>,
        removed: Arc<AtomicBool>,
        events: StackEvents,
    }

    fn start(
        probe_every: Duration,
        probe: impl FnMut() -> Option<Probe> + Send + 'static,
        claim: impl FnMut(Claim) -> Result<(), String> + Send + 'static,
    ) -> Running {
        let waker = || Arc::new(Waker::new().expect("an eventfd"));
        let own = waker();
        let mailbox = Arc::new(Mailbox::new(waker(), Arc::clone(&own)));
        let removed = Arc::new(AtomicBool::new(false));
        let (sender, events) = channel();
        let work = Housekeeping {
            interface: "eth7".into(),
            mailboxes: vec![Arc::clone(&mailbox)],
            watch: Watch::new(super::super::watch::tests::probe(), &[0, 1], 9000),
            probe: Box::new(probe),
            claim: Box::new(claim),
            interface_removed: Arc::clone(&removed),
            events: sender,
            probe_every,
        };
        let thread = HousekeepingThread::start(work, own).expect("a thread");
        Running { thread, mailbox, removed, events }
    }

    /// Housekeeping that is never due to probe: only wakes make it work.
    fn start_idle() -> Running {
        start(Duration::from_secs(3600), || None, |_| Ok(()))
    }

    fn v4(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    #[test]
    fn the_interface_is_probed_and_workers_follow_without_the_programs_help() {
        let mut probes = 0;
        let growing = move || {
            probes += 1;
            Some(Probe { mtu: if probes < 3 { 1500 } else { 1400 }, ..probe() })
        };
        let running = start(Duration::from_millis(1), growing, |_| Ok(()));
        let event = running.events.recv_timeout(PATIENCE);
        let mtu =
            StackEvent::MtuChanged { interface: "eth7".into(), mtu: 1400, packet_bytes_max: 1400 };
        assert_eq!(event, Some(mtu));
        assert!(matches!(running.mailbox.commands.pop(), Some(Command::Mtu(1400))));
    }

    #[test]
    fn an_address_of_autoconfiguration_is_claimed_when_a_worker_reports_it() {
        let claim = |claim| match claim {
            Claim::Address(address) if address == v4(2) => Err("full".to_owned()),
            _ => Ok(()),
        };
        let running = start(Duration::from_secs(3600), || None, claim);
        running.mailbox.report_added(v4(1));
        running.mailbox.report_added(v4(2));
        let cause = "full".to_owned();
        let expected = [
            StackEvent::AddressAdded { address: v4(1) },
            StackEvent::AddressNotClaimed { address: v4(2), cause },
        ];
        for event in expected {
            assert_eq!(running.events.recv_timeout(PATIENCE), Some(event));
        }
    }

    #[test]
    fn a_port_is_claimed_for_the_first_listener_and_released_with_the_last() {
        let (sender, claims) = std::sync::mpsc::channel();
        let claim = move |claim| {
            sender.send(claim).expect("the test listens");
            if claim == Claim::Port(81) { Err("in use".to_owned()) } else { Ok(()) }
        };
        let running = start(Duration::from_secs(3600), || None, claim);
        for (port, is_open) in [(80, true), (80, true), (80, false), (80, false), (81, true)] {
            assert!(running.mailbox.report_port(port, is_open));
        }
        let cause = "in use".to_owned();
        let refused = StackEvent::PortNotClaimed { port: 81, cause };
        assert_eq!(running.events.recv_timeout(PATIENCE), Some(refused));
        let expected = [Claim::Port(80), Claim::ReleasePort(80), Claim::Port(81)];
        assert_eq!(claims.try_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn conflicts_panics_and_removal_are_reported_once() {
        let running = start_idle();
        running.mailbox.report_conflict(v4(1), MacAddr([2; 6]));
        let conflict = StackEvent::AddressConflict { address: v4(1), mac: [2; 6] };
        assert_eq!(running.events.recv_timeout(PATIENCE), Some(conflict));
        running.mailbox.report_end(true);
        let panicked = StackEvent::WorkerPanicked { worker: 0 };
        assert_eq!(running.events.recv_timeout(PATIENCE), Some(panicked));
        running.removed.store(true, Ordering::SeqCst);
        running.thread.waker.wake();
        let removed = StackEvent::InterfaceRemoved { interface: "eth7".into() };
        assert_eq!(running.events.recv_timeout(PATIENCE), Some(removed));
        drop(running.thread);
        assert_eq!(running.events.try_recv(), None);
    }

    #[test]
    fn stopping_joins_the_thread_and_ends_the_events() {
        let running = start_idle();
        drop(running.thread);
        // The thread owned the sending end: the channel is closed only once it has gone.
        assert_eq!(running.events.recv(), None);
    }

    #[test]
    fn a_panic_of_housekeeping_is_reported() {
        let running =
            start(Duration::from_millis(1), || panic!("driver says {}", "no"), |_| Ok(()));
        let message = "driver says no".to_owned();
        let panicked = StackEvent::HousekeepingPanicked { message };
        assert_eq!(running.events.recv_timeout(PATIENCE), Some(panicked));
        assert_eq!(running.events.recv(), None);
    }
}
