//! Runs several services on one worker: dispatches by listener on accept, and by user data
//! afterwards.
//!
//! The upper byte of [`Io::user_data`] is the index of the service; the service sees the lower 56
//! bits.

use core::mem::MaybeUninit;
use core::net::SocketAddr;
use std::io::IoSlice;

use crate::shard::app::service::{
    CloseReason, ConnInfo, ConnectError, ConnectOptions, Io, Service, SocketOption, SoftError,
    Status,
};
use crate::shard::fast_open::config::Early;
use crate::shard::flow::id::{ConnId, ListenerId};
use crate::shard::flow::listeners::{ListenError, ListenerConfig};
use crate::shard::flow::service_waker::ServiceWaker;
use crate::time::{Duration, Instant};

const TAG_SHIFT: u32 = 56;
const USER_MASK: u64 = (1 << TAG_SHIFT) - 1;

/// Several services on one worker. The k-th serves the k-th configured listener, and the listeners
/// that it opens itself. A service that stops, stops all.
///
/// A service behind a mux has 56 bits of [`Io::user_data`] instead of 64.
///
/// # Examples
///
/// ```
/// use linerate::shard::{Service, ServiceMux};
///
/// struct Http;
/// impl Service for Http {}
/// struct Metrics;
/// impl Service for Metrics {}
///
/// let both: Box<dyn Service> = Box::new(ServiceMux::new(vec![Box::new(Http), Box::new(Metrics)]));
/// ```
pub struct ServiceMux {
    services: Vec<Box<dyn Service>>,
    /// The services whose listeners were opened at run time, by the number of the listener. A
    /// closed one stays: a connection may still wait for its `on_accept`.
    opened: Vec<Option<u8>>,
}

impl ServiceMux {
    /// Creates a mux.
    ///
    /// # Panics
    /// With more than 256 services.
    pub fn new(services: Vec<Box<dyn Service>>) -> Self {
        assert!(services.len() <= 256, "the tag in the user data has eight bits");
        Self { services, opened: Vec::new() }
    }

    fn with(
        &mut self,
        io: &mut dyn Io,
        tag: u64,
        call: impl FnOnce(&mut dyn Service, &mut dyn Io),
    ) {
        if let Some(service) = self.services.get_mut(tag as usize) {
            let opened = &mut self.opened;
            call(&mut **service, &mut Tagged { io, tag: tag << TAG_SHIFT, opened });
        }
    }

    /// Returns the tag of the service that a listener belongs to.
    fn owner(&self, listener: ListenerId) -> u64 {
        let opened = self.opened.get(usize::from(listener.0)).copied().flatten();
        opened.map_or(u64::from(listener.0), u64::from)
    }

    fn each(&mut self, io: &mut dyn Io, call: impl Fn(&mut dyn Service, &mut dyn Io)) {
        for tag in 0..self.services.len() as u64 {
            self.with(io, tag, &call);
        }
    }
}

impl Service for ServiceMux {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.each(io, |service, io| service.on_start(io));
    }

    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        let tag = self.owner(listener);
        io.set_user_data(conn, tag << TAG_SHIFT);
        self.with(io, tag, |service, io| service.on_accept(io, conn, listener));
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        let tag = io.user_data(conn) >> TAG_SHIFT;
        self.with(io, tag, |service, io| service.on_connected(io, conn, took));
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

    fn on_wake(&mut self, io: &mut dyn Io) {
        self.each(io, |service, io| service.on_wake(io));
    }

    fn on_drain(&mut self, io: &mut dyn Io, deadline: Instant) {
        self.each(io, |service, io| service.on_drain(io, deadline));
    }

    fn on_turn_end(&mut self, io: &mut dyn Io) {
        self.each(io, |service, io| service.on_turn_end(io));
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.each(io, |service, io| service.on_alarm(io));
    }
}

/// The [`Io`] of one service: adds its tag to the user data and hides it.
struct Tagged<'a> {
    io: &'a mut dyn Io,
    tag: u64,
    opened: &'a mut Vec<Option<u8>>,
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
    fn listen(&mut self, config: &ListenerConfig) -> Result<ListenerId, ListenError> {
        let listener = self.io.listen(config)?;
        let at = usize::from(listener.0);
        self.opened.resize(self.opened.len().max(at + 1), None);
        self.opened[at] = Some((self.tag >> TAG_SHIFT) as u8);
        Ok(listener)
    }
    fn unlisten(&mut self, listener: ListenerId) {
        self.io.unlisten(listener);
    }
    fn waker(&self) -> ServiceWaker {
        self.io.waker()
    }
    fn worker(&self) -> (usize, usize) {
        self.io.worker()
    }
    fn report_panic(&mut self, message: &str) {
        self.io.report_panic(message);
    }
    fn status(&self, conn: ConnId) -> Status {
        self.io.status(conn)
    }
    fn endpoints(&self, conn: ConnId) -> Option<(SocketAddr, SocketAddr)> {
        self.io.endpoints(conn)
    }
    fn peek(&self, conn: ConnId) -> [&[u8]; 2] {
        self.io.peek(conn)
    }
    fn can_peek(&self) -> bool {
        self.io.can_peek()
    }
    fn consume(&mut self, conn: ConnId, n: usize) {
        self.io.consume(conn, n);
    }
    fn read_into(&mut self, conn: ConnId, buffer: &mut [MaybeUninit<u8>]) -> usize {
        self.io.read_into(conn, buffer)
    }
    fn write_slices(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> usize {
        self.io.write_slices(conn, slices)
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
