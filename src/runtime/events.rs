//! Events of a running stack: what the program's operator should know, and the channel on which it
//! arrives.
//!
//! The channel is bounded. When it is full the oldest event is dropped and counted, so that a
//! program that never reads events costs the stack nothing.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration as StdDuration;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

use crate::wire::MacAddr;

/// Events that wait for the program. A stack has a few in its lifetime; only an address conflict or
/// a NIC that is being reconfigured repeats them.
const EVENTS_MAX: usize = 256;

/// Something that happened to a running stack. Its `Display` is one line: what happened, what
/// follows from it, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackEvent {
    /// The interface was removed.
    InterfaceRemoved {
        /// The interface.
        interface: String,
    },
    /// The interface lost its carrier.
    CarrierLost {
        /// The interface.
        interface: String,
    },
    /// The interface has a carrier again.
    CarrierRegained {
        /// The interface.
        interface: String,
    },
    /// The MTU of the interface changed. The workers use the new one.
    MtuChanged {
        /// The interface.
        interface: String,
        /// The new MTU of the interface, bytes.
        mtu: u32,
        /// The longest packet that the stack sends and receives from now on, bytes: the MTU, or
        /// less where the sockets carry less.
        packet_bytes_max: usize,
    },
    /// The queues of the interface or its RSS table changed. The workers use the new table.
    RssChanged {
        /// The interface.
        interface: String,
        /// Problems with the new table, each with its remedy.
        problems: Vec<String>,
    },
    /// Many segments arrived on another queue than the NIC's hash predicts. Reported once.
    SegmentsStrayed {
        /// The interface.
        interface: String,
        /// Segments that arrived on an unexpected queue.
        strayed: u64,
        /// All segments that arrived.
        segments: u64,
    },
    /// The NIC's timestamps are from a clock other than the system's. Reported once.
    TimestampsForeign {
        /// The interface.
        interface: String,
    },
    /// Autoconfiguration (RFC 4862) formed an address. The stack uses it once duplicate address
    /// detection has found it free.
    AddressAdded {
        /// The address.
        address: IpAddr,
    },
    /// The XDP program refused an address of autoconfiguration: its packets go to the kernel.
    AddressNotClaimed {
        /// The address.
        address: IpAddr,
        /// The cause.
        cause: String,
    },
    /// A service listens on a port that the stack does not get in shared mode.
    PortNotClaimed {
        /// The port.
        port: u16,
        /// The cause.
        cause: String,
    },
    /// Another host uses an address of the stack. The stack defends the address and keeps it.
    AddressConflict {
        /// The address.
        address: IpAddr,
        /// The other host's Ethernet address.
        mac: [u8; 6],
    },
    /// The thread of a worker panicked. The service of that worker and its connections are lost.
    WorkerPanicked {
        /// The worker's number.
        worker: usize,
    },
    /// A part of the program panicked, such as a task of `net`. Its connections are reset; the
    /// worker goes on.
    ProgramPanicked {
        /// The worker's number.
        worker: usize,
        /// The panic message.
        message: String,
    },
    /// The housekeeping thread panicked. Workers go on.
    HousekeepingPanicked {
        /// The panic message.
        message: String,
    },
}

impl fmt::Display for StackEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceRemoved { interface } => write!(
                f,
                "`{interface}` was removed: no packets arrive any more; start the stack again \
                 when it is back"
            ),
            Self::CarrierLost { interface } => write!(
                f,
                "`{interface}` has lost its carrier: no packets arrive until it returns; check \
                 the cable, or the other end of a veth pair"
            ),
            Self::CarrierRegained { interface } => {
                write!(f, "`{interface}` has a carrier again: connections resume")
            }
            Self::MtuChanged { interface, mtu, packet_bytes_max } => {
                fmt_mtu(f, interface, *mtu, *packet_bytes_max)
            }
            Self::RssChanged { interface, problems } => fmt_rss(f, interface, problems),
            Self::SegmentsStrayed { interface, strayed, segments } => write!(
                f,
                "{strayed} of {segments} segments arrived on another queue than the hash of \
                 `{interface}` predicts: workers hand them over, which costs time; see `ethtool \
                 -x {interface}` and `ethtool -n {interface} rx-flow-hash tcp4`"
            ),
            Self::TimestampsForeign { interface } => write!(
                f,
                "the timestamps of `{interface}` are from another clock than the system's: waits \
                 are counted from when the XDP program saw a frame"
            ),
            Self::AddressAdded { address } => {
                write!(
                    f,
                    "autoconfiguration formed {address}: the stack uses it once duplicate address \
                     detection has found it free"
                )
            }
            Self::AddressNotClaimed { address, cause } => write!(
                f,
                "autoconfiguration formed {address}, but its packets go to the kernel: {cause}"
            ),
            Self::PortNotClaimed { port, cause } => write!(
                f,
                "the program listens on port {port}, but its connections go to the kernel: {cause}"
            ),
            Self::AddressConflict { address, mac } => write!(
                f,
                "{} uses {address} too: the stack keeps the address, and connections to it may \
                 fail; remove it from one of the two hosts",
                MacAddr(*mac)
            ),
            Self::WorkerPanicked { worker } => write!(
                f,
                "worker {worker} panicked: its connections are lost and its queue is not served; \
                 stop the stack and start it again"
            ),
            Self::ProgramPanicked { worker, message } => write!(
                f,
                "a task of the program panicked on worker {worker} ({message}): its connections \
                 are reset, everything else goes on"
            ),
            Self::HousekeepingPanicked { message } => write!(
                f,
                "housekeeping panicked ({message}): the stack does not follow changes of the \
                 interface any more; stop it and start it again"
            ),
        }
    }
}

fn fmt_mtu(
    f: &mut fmt::Formatter<'_>,
    interface: &str,
    mtu: u32,
    packet_bytes_max: usize,
) -> fmt::Result {
    write!(
        f,
        "the MTU of `{interface}` is now {mtu}: packets carry at most {packet_bytes_max} bytes"
    )?;
    if packet_bytes_max < mtu as usize {
        f.write_str(
            ", since the sockets were opened for a smaller one; start the stack again to use all of it",
        )?;
    }
    Ok(())
}

fn fmt_rss(f: &mut fmt::Formatter<'_>, interface: &str, problems: &[String]) -> fmt::Result {
    write!(f, "`{interface}` now spreads flows over its queues differently: ")?;
    if problems.is_empty() {
        f.write_str("the workers use the new table")
    } else {
        f.write_str(&problems.join("; "))
    }
}

/// Creates the two ends of a stack's event channel.
pub(super) fn channel() -> (EventSender, StackEvents) {
    let (sender, receiver) = bounded(EVENTS_MAX);
    let events = StackEvents { receiver, dropped: Arc::new(AtomicU64::new(0)) };
    (EventSender { sender, oldest: events.clone() }, events)
}

/// The sending end. It never blocks.
#[derive(Debug)]
pub(super) struct EventSender {
    sender: Sender<StackEvent>,
    /// A receiver of its own, with which it makes room.
    oldest: StackEvents,
}

impl EventSender {
    /// Queues an event. When the queue is full, drops the oldest one.
    pub(super) fn send(&self, event: StackEvent) {
        let mut event = event;
        while let Err(TrySendError::Full(refused)) = self.sender.try_send(event) {
            event = refused;
            if self.oldest.receiver.try_recv().is_ok() {
                self.oldest.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The events of a running stack, from [`Stack::events`](super::Stack::events).
///
/// Clones share one queue: each event goes to one of them. At most 256 events wait; the oldest is
/// dropped and counted when another one arrives.
#[derive(Clone, Debug)]
pub struct StackEvents {
    receiver: Receiver<StackEvent>,
    dropped: Arc<AtomicU64>,
}

impl StackEvents {
    /// Returns the next event, or `None` when none is waiting.
    pub fn try_recv(&self) -> Option<StackEvent> {
        self.receiver.try_recv().ok()
    }

    /// Waits for the next event. Returns `None` once the stack has stopped and all events were
    /// read.
    pub fn recv(&self) -> Option<StackEvent> {
        self.receiver.recv().ok()
    }

    /// Waits for the next event for at most `timeout`. Returns `None` after that, and once the
    /// stack has stopped and all events were read.
    pub fn recv_timeout(&self, timeout: StdDuration) -> Option<StackEvent> {
        self.receiver.recv_timeout(timeout).ok()
    }

    /// Returns the number of events that were dropped because they were not read in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(host: u8) -> StackEvent {
        StackEvent::AddressAdded { address: IpAddr::from([192, 0, 2, host]) }
    }

    #[test]
    fn events_arrive_in_order_and_end_with_the_stack() {
        let (sender, events) = channel();
        sender.send(added(1));
        sender.send(added(2));
        drop(sender);
        assert_eq!(events.recv(), Some(added(1)));
        assert_eq!(events.recv_timeout(StdDuration::ZERO), Some(added(2)));
        assert_eq!((events.recv(), events.try_recv(), events.dropped()), (None, None, 0));
    }

    #[test]
    fn a_full_channel_drops_the_oldest_events_and_counts_them() {
        let (sender, events) = channel();
        (0..3).for_each(|host| sender.send(added(host)));
        (0..EVENTS_MAX).for_each(|_| sender.send(added(9)));
        assert_eq!(events.dropped(), 3);
        let left: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
        assert_eq!(left, vec![added(9); EVENTS_MAX]);
    }

    #[test]
    fn an_event_is_one_line_without_jargon_of_the_code() {
        let interface = || "eth7".to_owned();
        let cases = [
            (StackEvent::CarrierLost { interface: interface() }, "`eth7` has lost its carrier: "),
            (
                StackEvent::MtuChanged {
                    interface: interface(),
                    mtu: 1400,
                    packet_bytes_max: 1400,
                },
                "the MTU of `eth7` is now 1400: packets carry at most 1400 bytes",
            ),
            (
                StackEvent::MtuChanged {
                    interface: interface(),
                    mtu: 9000,
                    packet_bytes_max: 1500,
                },
                "the MTU of `eth7` is now 9000: packets carry at most 1500 bytes, since ",
            ),
            (
                StackEvent::AddressConflict {
                    address: IpAddr::from([192, 0, 2, 1]),
                    mac: [2, 0, 0, 0, 0, 9],
                },
                "02:00:00:00:00:09 uses 192.0.2.1 too: ",
            ),
        ];
        for (event, start) in cases {
            let line = event.to_string();
            assert!(line.starts_with(start) && !line.contains('\n'), "{line}");
        }
    }
}
