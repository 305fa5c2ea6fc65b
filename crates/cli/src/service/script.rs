//! A stack of one connection for the services' tests: what arrives is told by the test, what the service
//! sends is looked at.

use linerate::shard::{
    CloseReason, ConnId, ConnInfo, ConnectError, ConnectOptions, Io, ListenerId, Service,
    SocketOption,
};
use linerate::time::Instant;

const CONN: ConnId = ConnId { index: 3, generation: 1 };

/// The scripted stack.
#[derive(Default)]
pub struct Wire {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    room: usize,
    memory: usize,
    aborted: bool,
    short: bool,
    closed: bool,
    user: u64,
}

/// A service on the scripted stack.
pub struct Script<S> {
    service: S,
    wire: Wire,
}

impl<S: Service> Script<S> {
    /// With room for a megabyte.
    pub fn of(service: S) -> Self {
        Self { service, wire: Wire { room: 1 << 20, memory: usize::MAX, ..Wire::default() } }
    }

    /// With so much room in the send buffer.
    pub fn room(mut self, bytes: usize) -> Self {
        self.wire.room = bytes;
        self
    }

    /// With so much memory behind the room.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.wire.memory = bytes;
        self
    }

    /// A connection comes in.
    pub fn accepts(&mut self) {
        self.service.on_accept(&mut self.wire, CONN, ListenerId(0));
    }

    /// Data arrives.
    pub fn gets(&mut self, bytes: &[u8]) {
        self.wire.incoming.extend_from_slice(bytes);
        self.service.on_readable(&mut self.wire, CONN);
    }

    /// The peer's FIN arrives.
    pub fn peer_closes(&mut self) {
        self.service.on_peer_closed(&mut self.wire, CONN);
    }

    /// The peer takes data: told only to a service that came up short.
    pub fn makes_room(&mut self, bytes: usize) {
        self.wire.room += bytes;
        if std::mem::take(&mut self.wire.short) {
            self.service.on_writable(&mut self.wire, CONN);
        }
    }

    /// The connection is over.
    pub fn ends(&mut self) {
        let user = self.wire.user;
        self.service.on_closed(&mut self.wire, CONN, user, CloseReason::Finished);
    }

    /// The service itself.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// All that the service has sent.
    pub fn sent(&self) -> &[u8] {
        &self.wire.outgoing
    }

    /// Bytes it has not read.
    pub fn unread(&self) -> usize {
        self.wire.incoming.len()
    }

    /// Whether it has aborted.
    pub fn is_aborted(&self) -> bool {
        self.wire.aborted
    }

    /// Whether it has closed.
    pub fn is_closed(&self) -> bool {
        self.wire.closed
    }
}

impl Io for Wire {
    fn now(&self) -> Instant {
        Instant::from_millis(1)
    }
    fn connect(&mut self, _: &ConnectOptions) -> Result<ConnId, ConnectError> {
        Err(ConnectError::NoRoute)
    }
    fn read(&mut self, _: ConnId, buffer: &mut [u8]) -> usize {
        let length = buffer.len().min(self.incoming.len());
        buffer[..length].copy_from_slice(&self.incoming[..length]);
        self.incoming.drain(..length);
        length
    }
    fn write(&mut self, _: ConnId, bytes: &[u8]) -> usize {
        let length = if self.closed { 0 } else { bytes.len().min(self.room).min(self.memory) };
        self.short |= length < bytes.len();
        self.room -= length;
        self.outgoing.extend_from_slice(&bytes[..length]);
        length
    }
    fn write_room(&self, _: ConnId) -> usize {
        self.room
    }
    fn readable(&self, _: ConnId) -> usize {
        self.incoming.len()
    }
    fn close(&mut self, _: ConnId) {
        self.closed = true;
    }
    fn close_both(&mut self, _: ConnId) {
        self.closed = true;
    }
    fn close_by(&mut self, _: ConnId, _: Instant) {
        self.closed = true;
    }
    fn abort(&mut self, _: ConnId) {
        self.aborted = true;
    }
    fn set_option(&mut self, _: ConnId, _: SocketOption) {}
    fn user_data(&self, _: ConnId) -> u64 {
        self.user
    }
    fn set_user_data(&mut self, _: ConnId, user: u64) {
        self.user = user;
    }
    fn info(&self, _: ConnId) -> Option<ConnInfo> {
        None
    }
    fn retransmissions(&self) -> u64 {
        0
    }
    fn set_alarm(&mut self, _: Instant) {}
    fn stop(&mut self) {}
    fn connections(&self) -> usize {
        1
    }
}
