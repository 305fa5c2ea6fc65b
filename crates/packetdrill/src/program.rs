//! The shard's program: it only notes what happened, for the sockets to be told once the shard has come to
//! rest.

use linerate::shard::{CloseReason, ConnId, Io, ListenerId, Service};
use linerate::time::Duration;

/// Something that happened to a connection; `user` is the socket's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A passive open is done; the socket of this number is to be made for it.
    Accepted { user: u64, conn: ConnId, listener: ListenerId },
    /// An active open is done.
    Connected { user: u64 },
    /// There is data that was not there before.
    Readable { user: u64 },
    /// There is room that was not there before.
    Writable { user: u64 },
    /// The peer has closed its direction.
    PeerClosed { user: u64 },
    /// It is over.
    Closed { user: u64, ending: CloseReason },
}

/// What happened since the sockets were told last.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) events: Vec<Event>,
    /// The number that was given out last; 0 is nobody's.
    numbers: u64,
}

impl Program {
    /// A number that no other socket has had.
    pub(super) const fn draw_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl Service for Program {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        let user = self.draw_number();
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

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, user: u64, ending: CloseReason) {
        self.events.push(Event::Closed { user, ending });
    }
}
