//! From segments to frames on their way: who is behind the address, and the frame given to the link, or
//! held until the neighbour answers.
//!
//! Owns the frame that was reserved and not yet needed. Refuses to know why a segment is sent.

use core::net::IpAddr;

use crate::link::{Frame, Link};
use crate::metrics::{DropReason, Event};
use crate::shard::codec::{self, Ends};
use crate::shard::engine::Engine;
use crate::shard::flow::key::FlowKey;
use crate::shard::ip::neighbour::{NeighbourId, Way};
use crate::shard::rx::parse::Arrival;
use crate::tcp::SegmentOut;
use crate::time::Instant;
use crate::wire::MacAddr;

/// The link, as far as a turn sends with it.
pub(in crate::shard) struct Outlet<'a> {
    link: &'a mut dyn Link,
    now: Instant,
    spare: Option<Frame>,
    /// Frames sent.
    pub(in crate::shard) sent: usize,
}

impl<'a> Outlet<'a> {
    pub(in crate::shard) fn new(link: &'a mut dyn Link, now: Instant) -> Self {
        Self { link, now, spare: None, sent: 0 }
    }

    /// A frame to fill.
    #[inline]
    pub(in crate::shard) fn take(&mut self) -> Option<Frame> {
        self.spare.take().or_else(|| self.link.reserve())
    }

    /// A frame that was not needed after all: the next one to be taken.
    #[inline]
    pub(in crate::shard) fn put_back(&mut self, frame: Frame) {
        if let Some(other) = self.spare.replace(frame) {
            self.link.release(other);
        }
    }

    /// Sends a frame.
    #[inline]
    pub(in crate::shard) fn send(&mut self, frame: Frame) {
        self.sent += 1;
        self.link.transmit(self.now, frame);
    }

    /// Gives a frame back that will not be sent.
    pub(in crate::shard) fn release(&mut self, frame: Frame) {
        self.link.release(frame);
    }

    /// Gives back what was not needed. Returns how many frames were sent.
    pub(in crate::shard) fn close(mut self) -> usize {
        if let Some(frame) = self.spare.take() {
            self.link.release(frame);
        }
        self.sent
    }
}

impl Engine {
    /// The ends of a flow's segments, towards a station.
    #[inline]
    pub(in crate::shard) fn ends(&self, key: &FlowKey, to_mac: MacAddr) -> Ends {
        Ends {
            from_mac: self.mac,
            to_mac,
            local: self.locals.address(key.local),
            remote: key.remote.address(),
            local_port: key.remote.local_port(),
            remote_port: key.remote.port(),
            hops: if key.remote.is_ipv4() { self.hop_limit } else { self.hop_limit_v6 },
            flow_label: self.flow_label(key),
            diffserv: 0,
        }
    }

    /// The label of a flow's packets, which the other worker or the other kind of connection gives it too.
    #[inline]
    fn flow_label(&self, key: &FlowKey) -> u32 {
        if key.remote.is_ipv4() { 0 } else { self.flow_label_v6(key) }
    }

    #[inline(never)]
    fn flow_label_v6(&self, key: &FlowKey) -> u32 {
        self.secrets.flow_label(self.tables.hasher.hash(key))
    }

    /// Answers a segment without a connection, to the station that it came from: it must be on the way
    /// back, and a flood from invented addresses fills no neighbour cache.
    pub(in crate::shard) fn answer(
        &mut self,
        arrival: &Arrival,
        segment: &SegmentOut<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        self.send_to(&arrival.key, arrival.from, segment, outlet);
    }

    /// Sends one segment of a flow to a station.
    pub(in crate::shard) fn send_to(
        &mut self,
        key: &FlowKey,
        to: MacAddr,
        segment: &SegmentOut<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        if let Some(frame) = self.write(key, to, segment, outlet) {
            outlet.send(frame);
        }
    }

    /// Sends one segment of a flow by way of the routes.
    pub(in crate::shard) fn send_by_route(
        &mut self,
        key: &FlowKey,
        segment: &SegmentOut<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let Some(neighbour) = self.neighbour_towards(key.remote.address()) else {
            self.counters.drop(DropReason::NoRoute);
            return;
        };
        match self.neighbours.way(self.now, neighbour) {
            Way::Send(mac) => self.send_to(key, mac, segment, outlet),
            Way::Wait | Way::Gone => {
                if let Some(frame) = self.write(key, MacAddr::ZERO, segment, outlet) {
                    self.hold(neighbour, frame, outlet);
                }
            }
        }
    }

    fn write(
        &mut self,
        key: &FlowKey,
        to: MacAddr,
        segment: &SegmentOut<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Option<Frame> {
        let Some(mut frame) = outlet.take() else {
            self.counters.drop(DropReason::NoFrame);
            return None;
        };
        if codec::write(&mut frame, &self.ends(key, to), segment).is_err() {
            outlet.put_back(frame);
            return None;
        }
        self.counters.count(Event::SegmentOut);
        Some(frame)
    }

    /// Keeps a frame until its neighbour answers.
    pub(in crate::shard) fn hold(
        &mut self,
        neighbour: NeighbourId,
        frame: Frame,
        outlet: &mut Outlet<'_>,
    ) {
        if let Some(frame) = self.neighbours.hold(neighbour, frame) {
            self.counters.drop(DropReason::NoNeighbour);
            outlet.release(frame);
        }
    }

    /// Sends what was held for a neighbour that has answered.
    pub(in crate::shard) fn send_held(&mut self, neighbour: NeighbourId, outlet: &mut Outlet<'_>) {
        let Way::Send(mac) = self.neighbours.way(self.now, neighbour) else { return };
        while let Some(mut frame) = self.neighbours.take_held(neighbour) {
            if let Some(destination) = frame.first_chunk_mut::<6>() {
                *destination = mac.0;
            }
            outlet.send(frame);
        }
    }

    /// The neighbour through which an address is reached, asked for if it is new.
    #[inline]
    pub(in crate::shard) fn neighbour_towards(&mut self, remote: IpAddr) -> Option<NeighbourId> {
        let via = self.routes.via(remote)?;
        let (last, neighbour) = self.last_hop;
        if last == via && self.neighbours.is_current(neighbour) {
            return Some(neighbour);
        }
        // A cache full of entries that must stay: the flow asks again whenever it has something to send.
        let neighbour = self.neighbours.resolve(self.now, via).unwrap_or(NeighbourId::NONE);
        self.last_hop = (via, neighbour);
        Some(neighbour)
    }
}
