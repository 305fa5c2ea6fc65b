//! A scripted stack with one connection, for unit tests of services: the test supplies the incoming
//! data and inspects what the service sends.

use linerate::shard::{
    ConnId, ConnInfo, ConnectError, ConnectOptions, Io, ListenerId, Service, SocketOption, Status,
};
use linerate::time::Instant;

const CONN: ConnId = ConnId { index: 3, generation: 1 };

/// The scripted stack.
#[derive(Default)]
pub(super) struct Wire {
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
pub(super) struct Script<S> {
    service: S,
    wire: Wire,
}

impl<S: Service> Script<S> {
    /// Creates the stack with a megabyte of room.
    pub(super) fn of(service: S) -> Self {
        Self { service, wire: Wire { room: 1 << 20, memory: usize::MAX, ..Wire::default() } }
    }

    /// Sets the room in the send buffer.
    pub(super) fn room(mut self, bytes: usize) -> Self {
        self.wire.room = bytes;
        self
    }

    /// Limits the memory behind the room: a write may accept less than the room promises.
    pub(super) fn memory(mut self, bytes: usize) -> Self {
        self.wire.memory = bytes;
        self
    }

    /// Accepts the connection.
    pub(super) fn accepts(&mut self) {
        self.service.on_accept(&mut self.wire, CONN, ListenerId(0));
    }

    /// Delivers data.
    pub(super) fn gets(&mut self, bytes: &[u8]) {
        self.wire.incoming.extend_from_slice(bytes);
        self.service.on_readable(&mut self.wire, CONN);
    }

    /// Delivers the peer's FIN.
    pub(super) fn peer_closes(&mut self) {
        self.service.on_peer_closed(&mut self.wire, CONN);
    }

    /// Adds room. Notifies the service only if a write was short.
    pub(super) fn makes_room(&mut self, bytes: usize) {
        self.wire.room += bytes;
        if std::mem::take(&mut self.wire.short) {
            self.service.on_writable(&mut self.wire, CONN);
        }
    }

    /// Returns all bytes that the service has sent.
    pub(super) fn sent(&self) -> &[u8] {
        &self.wire.outgoing
    }

    /// Returns the number of bytes that the service has not read.
    pub(super) fn unread(&self) -> usize {
        self.wire.incoming.len()
    }

    /// Returns true if the service has aborted the connection.
    pub(super) fn is_aborted(&self) -> bool {
        self.wire.aborted
    }

    /// Returns true if the service has closed the connection.
    pub(super) fn is_closed(&self) -> bool {
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
    fn status(&self, _: ConnId) -> Status {
        Status::Open { peer_closed: false }
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
