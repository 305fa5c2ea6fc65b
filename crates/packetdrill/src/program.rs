//! The shard's service: records events and delivers them to the sockets once the shard is idle.

use linerate::shard::{CloseReason, ConnId, Io, ListenerId, Service};
use linerate::time::Duration;

/// An event of a connection; `user` is the socket's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A passive open completed; a socket with this number is created for it.
    Accepted { user: u64, conn: ConnId, listener: ListenerId },
    /// An active open completed.
    Connected { user: u64 },
    /// New data arrived.
    Readable { user: u64 },
    /// Room became available in the send buffer.
    Writable { user: u64 },
    /// The peer has closed its direction.
    PeerClosed { user: u64 },
    /// The connection closed.
    Closed { user: u64, reason: CloseReason },
}

/// Events since the last delivery to the sockets.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) events: Vec<Event>,
    /// The last assigned number; no socket has 0.
    numbers: u64,
}

impl Program {
    /// Returns an unused socket number.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl Service for Program {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        let user = self.next_number();
        io.set_user_data(conn, user);
        self.events.push(Event::Accepted { user, conn, listener });
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        self.events.push(Event::Connected { user: io.user_data(conn) });
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.events.push(Event::Readable { user: io.user_data(conn) });
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.events.push(Event::Writable { user: io.user_data(conn) });
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.events.push(Event::PeerClosed { user: io.user_data(conn) });
    }

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, user: u64, reason: CloseReason) {
        self.events.push(Event::Closed { user, reason });
    }
}
