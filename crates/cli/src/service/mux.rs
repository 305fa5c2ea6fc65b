//! Runs several services on one worker: dispatches by listener on accept, and by user data
//! afterwards.
//!
//! The upper byte of [`Io::user_data`] is the index of the service; the service sees the lower 56
//! bits.

use linerate::shard::{
    CloseReason, ConnId, ConnInfo, ConnectError, ConnectOptions, Early, Io, ListenerId, Service,
    SocketOption, SoftError,
};
use linerate::time::Instant;

const TAG_SHIFT: u32 = 56;
const USER_MASK: u64 = (1 << TAG_SHIFT) - 1;

/// The services of a worker: `services[k]` serves `ListenerId(k)`.
pub(crate) struct Mux {
    services: Vec<Box<dyn Service + Send>>,
}

impl Mux {
    /// Creates a mux of at most 256 services.
    pub(crate) fn new(services: Vec<Box<dyn Service + Send>>) -> Self {
        assert!(services.len() <= 256, "the tag in the user data has eight bits");
        Self { services }
    }

    fn with(
        &mut self,
        io: &mut dyn Io,
        tag: u64,
        call: impl FnOnce(&mut dyn Service, &mut dyn Io),
    ) {
        if let Some(service) = self.services.get_mut(tag as usize) {
            call(&mut **service, &mut Tagged { io, tag: tag << TAG_SHIFT });
        }
    }

    fn each(&mut self, io: &mut dyn Io, call: impl Fn(&mut dyn Service, &mut dyn Io)) {
        for tag in 0..self.services.len() as u64 {
            self.with(io, tag, &call);
        }
    }
}

impl Service for Mux {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.each(io, |service, io| service.on_start(io));
    }

    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        let tag = u64::from(listener.0);
        io.set_user_data(conn, tag << TAG_SHIFT);
        self.with(io, tag, |service, io| service.on_accept(io, conn, listener));
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let tag = io.user_data(conn) >> TAG_SHIFT;
        self.with(io, tag, |service, io| service.on_readable(io, conn));
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let tag = io.user_data(conn) >> TAG_SHIFT;
        self.with(io, tag, |service, io| service.on_writable(io, conn));
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        let tag = io.user_data(conn) >> TAG_SHIFT;
        self.with(io, tag, |service, io| service.on_peer_closed(io, conn));
    }

    fn on_urgent(&mut self, io: &mut dyn Io, conn: ConnId) {
        let tag = io.user_data(conn) >> TAG_SHIFT;
        self.with(io, tag, |service, io| service.on_urgent(io, conn));
    }

    fn on_soft_error(&mut self, io: &mut dyn Io, conn: ConnId, error: SoftError) {
        let tag = io.user_data(conn) >> TAG_SHIFT;
        self.with(io, tag, |service, io| service.on_soft_error(io, conn, error));
    }

    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, reason: CloseReason) {
        let user_of_service = user & USER_MASK;
        self.with(io, user >> TAG_SHIFT, |service, io| {
            service.on_closed(io, conn, user_of_service, reason);
        });
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.each(io, |service, io| service.on_alarm(io));
    }
}

/// The [`Io`] of one service: adds its tag to the user data and hides it.
struct Tagged<'a> {
    io: &'a mut dyn Io,
    tag: u64,
}

impl Io for Tagged<'_> {
    fn set_option(&mut self, conn: ConnId, option: SocketOption) {
        self.io.set_option(conn, option);
    }
    fn user_data(&self, conn: ConnId) -> u64 {
        self.io.user_data(conn) & USER_MASK
    }
    fn set_user_data(&mut self, conn: ConnId, user: u64) {
        self.io.set_user_data(conn, user & USER_MASK | self.tag);
    }
    fn connect(&mut self, open: &ConnectOptions) -> Result<ConnId, ConnectError> {
        self.io.connect(&ConnectOptions { user: open.user & USER_MASK | self.tag, ..*open })
    }
    fn connect_with(
        &mut self,
        open: &ConnectOptions,
        early: &Early<'_>,
    ) -> Result<(ConnId, usize), ConnectError> {
        let open = ConnectOptions { user: open.user & USER_MASK | self.tag, ..*open };
        self.io.connect_with(&open, early)
    }
    fn early_room(&mut self, open: &ConnectOptions, early: &Early<'_>) -> Option<usize> {
        self.io.early_room(open, early)
    }
    fn now(&self) -> Instant {
        self.io.now()
    }
    fn read(&mut self, conn: ConnId, buffer: &mut [u8]) -> usize {
        self.io.read(conn, buffer)
    }
    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.io.write(conn, bytes)
    }
    fn write_urgent(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.io.write_urgent(conn, bytes)
    }
    fn urgent(&self, conn: ConnId) -> usize {
        self.io.urgent(conn)
    }
    fn write_room(&self, conn: ConnId) -> usize {
        self.io.write_room(conn)
    }
    fn readable(&self, conn: ConnId) -> usize {
        self.io.readable(conn)
    }
    fn close(&mut self, conn: ConnId) {
        self.io.close(conn);
    }
    fn close_both(&mut self, conn: ConnId) {
        self.io.close_both(conn);
    }
    fn close_by(&mut self, conn: ConnId, deadline: Instant) {
        self.io.close_by(conn, deadline);
    }
    fn abort(&mut self, conn: ConnId) {
        self.io.abort(conn);
    }
    fn info(&self, conn: ConnId) -> Option<ConnInfo> {
        self.io.info(conn)
    }
    fn retransmissions(&self) -> u64 {
        self.io.retransmissions()
    }
    fn set_alarm(&mut self, at: Instant) {
        self.io.set_alarm(at);
    }
    fn stop(&mut self) {
        self.io.stop();
    }
    fn connections(&self) -> usize {
        self.io.connections()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{echo::Echo, script::Script};
    use super::*;

    #[test]
    fn a_service_behind_the_mux_sees_its_own_user_data() {
        let mut t = Script::of(Mux::new(vec![Box::new(Echo::new())])).room(2);
        t.accepts();
        t.gets(b"abc");
        t.peer_closes();
        t.makes_room(5);
        assert_eq!(t.sent(), b"abc");
        assert!(t.is_closed());
    }
}
