//! Segments without a connection: written into frames, and sent to a given MAC address or by route.
//!
//! Refuses to know why a segment is sent.

use crate::link::Frame;
use crate::metrics::{DropReason, Event};
use crate::shard::codec::{self, HeaderFields};
use crate::shard::engine::Engine;
use crate::shard::flow::key::FlowKey;
use crate::shard::mem::tx_queue::TxQueue;
use crate::tcp::SegmentOut;
use crate::wire::MacAddr;

impl Engine {
    /// Returns the header fields of a flow's segments, for a destination MAC address.
    #[inline]
    pub(in crate::shard) fn header_fields(&self, key: &FlowKey, to_mac: MacAddr) -> HeaderFields {
        HeaderFields {
            from_mac: self.ip.mac,
            to_mac,
            local: self.ip.locals.address(key.local),
            remote: key.remote.address(),
            local_port: key.remote.local_port(),
            remote_port: key.remote.port(),
            hops: if key.remote.is_ipv4() { self.ip.hop_limit } else { self.ip.hop_limit_v6 },
            flow_label: self.flow_label(key),
            diffserv: 0,
        }
    }

    /// Returns the flow label of a flow's packets. Every worker and every kind of connection
    /// computes the same one.
    #[inline]
    fn flow_label(&self, key: &FlowKey) -> u32 {
        if key.remote.is_ipv4() { 0 } else { self.flow_label_v6(key) }
    }

    #[inline(never)]
    fn flow_label_v6(&self, key: &FlowKey) -> u32 {
        self.ip.labels.flow_label(self.tcp.tables.hasher.hash(key))
    }

    /// Sends one segment of a flow to a MAC address.
    pub(in crate::shard) fn send_to(
        &mut self,
        key: &FlowKey,
        to: MacAddr,
        segment: &SegmentOut<'_>,
        queue: &mut TxQueue<'_>,
    ) {
        if let Some(frame) = self.write(key, to, segment, queue) {
            queue.send(frame);
        }
    }

    /// Sends one segment of a flow by route.
    pub(in crate::shard) fn send_by_route(
        &mut self,
        key: &FlowKey,
        segment: &SegmentOut<'_>,
        queue: &mut TxQueue<'_>,
    ) {
        let now = self.turn.now;
        let Some(neighbour) = self.ip.neighbour_towards(now, key.remote.address()) else {
            self.turn.counters.drop(DropReason::NoRoute);
            return;
        };
        let target = self.ip.link_target(now, neighbour);
        if let Some(frame) = self.write(key, target.mac, segment, queue) {
            self.ip.send_or_hold(&mut self.turn, target, frame, queue);
        }
    }

    fn write(
        &mut self,
        key: &FlowKey,
        to: MacAddr,
        segment: &SegmentOut<'_>,
        queue: &mut TxQueue<'_>,
    ) -> Option<Frame> {
        let Some(mut frame) = queue.take() else {
            self.turn.counters.drop(DropReason::NoFrame);
            return None;
        };
        if codec::write(&mut frame, &self.header_fields(key, to), segment).is_err() {
            queue.put_back(frame);
            return None;
        }
        self.turn.counters.count(Event::SegmentOut);
        Some(frame)
    }
}
