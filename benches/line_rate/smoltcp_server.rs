//! smoltcp under the same load: the user-space stack that most Rust programs use.
//!
//! smoltcp has neither listeners with a backlog nor a flow table: each expected connection is a
//! listening socket, and each packet is offered to one socket after the other. As in smoltcp's
//! examples, the program polls all sockets after each batch.

use std::cell::RefCell;

use linerate::link::{Frame, Link};
use linerate::time::Instant;
use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpCidr};

use super::clients;
use super::link::PreparedLink;
use super::server::{MAC, Server};

/// Bytes of each buffer of a socket. Small, because smoltcp reserves them for the socket's
/// lifetime.
const BUFFER: usize = 512;

/// An interface with a socket for each connection.
pub(crate) struct Smoltcp {
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
    batch: Vec<Frame>,
}

impl Smoltcp {
    /// Creates an interface with `connections` listening sockets.
    pub(crate) fn new(connections: usize, batch: usize) -> Self {
        let mut link = PreparedLink::new(batch);
        let mut wire = Wire::new(&mut link, Vec::new());
        let config = Config::new(EthernetAddress(MAC.0).into());
        let mut interface = Interface::new(config, &mut wire, time(0));
        interface.update_ip_addrs(|addresses| {
            let server = clients::SERVER;
            addresses.push(IpCidr::new(server.into(), 24)).expect("the only address");
        });

        interface.routes_mut().add_default_ipv4_route(clients::GATEWAY).expect("the only route");
        let mut sockets = SocketSet::new(Vec::with_capacity(connections));
        let handles = (0..connections).map(|_| sockets.add(listening())).collect();
        let mut server = Self { interface, sockets, handles, batch: Vec::with_capacity(batch) };
        server.meet_gateway(&mut link);
        server
    }

    /// Injects the gateway's ARP request for the server's address, from which the server learns the
    /// gateway's.
    fn meet_gateway(&mut self, link: &mut PreparedLink) {
        link.prepare(clients::ask_for_server);
        self.turn(1_000_000_000, link);
        link.read_answers(|_| {});
    }

    /// Closes what the peer has closed, and listens again once a connection is over.
    fn serve(&mut self) {
        for handle in &self.handles {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(*handle);
            match socket.state() {
                tcp::State::CloseWait => socket.close(),
                tcp::State::Closed => socket.listen(clients::PORT).expect("it is closed"),
                _ => {}
            }
        }
    }
}

impl Server for Smoltcp {
    fn turn(&mut self, nanos: u64, link: &mut PreparedLink) {
        let now = time(nanos);
        let mut batch = std::mem::take(&mut self.batch);
        link.receive(Instant::from_nanos(nanos), usize::MAX, &mut batch);
        let mut wire = Wire::new(link, batch);
        let Self { interface, sockets, .. } = self;
        while interface.poll_ingress_single(now, &mut wire, sockets)
            != PollIngressSingleResult::None
        {}
        self.serve();
        self.interface.poll_egress(now, &mut wire, &mut self.sockets);
        self.batch = wire.end();
    }
}

fn time(nanos: u64) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros((nanos / 1000) as i64)
}

fn listening() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_tsval_generator(Some(|| 1));
    socket.listen(clients::PORT).expect("a new socket can listen");
    socket
}

/// The link as smoltcp's `Device`: a batch of received frames, and frames to fill.
struct Wire<'a> {
    link: RefCell<&'a mut PreparedLink>,
    batch: RefCell<Vec<Frame>>,
    next: usize,
}

impl<'a> Wire<'a> {
    fn new(link: &'a mut PreparedLink, batch: Vec<Frame>) -> Self {
        Self { link: RefCell::new(link), batch: RefCell::new(batch), next: 0 }
    }

    /// Returns the frames to the link.
    fn end(self) -> Vec<Frame> {
        let (link, mut batch) = (self.link.into_inner(), self.batch.into_inner());
        batch.drain(..).for_each(|frame| link.release(frame));
        batch
    }
}

struct Taken<'a>(&'a RefCell<Vec<Frame>>, usize);

impl RxToken for Taken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0.borrow()[self.1])
    }
}

struct Blank<'a, 'b>(&'a RefCell<&'b mut PreparedLink>);

impl TxToken for Blank<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut link = self.0.borrow_mut();
        let mut frame = link.reserve().expect("more frames than are answered");
        let result = f(&mut frame.buffer()[..len]);
        frame.set_len(len);
        link.transmit(Instant::ZERO, frame);
        result
    }
}

impl<'b> Device for Wire<'b> {
    type RxToken<'a>
        = Taken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Blank<'a, 'b>
    where
        Self: 'a;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Taken<'_>, Blank<'_, 'b>)> {
        if self.next == self.batch.borrow().len() {
            return None;
        }
        self.next += 1;
        Some((Taken(&self.batch, self.next - 1), Blank(&self.link)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Blank<'_, 'b>> {
        Some(Blank(&self.link))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}
