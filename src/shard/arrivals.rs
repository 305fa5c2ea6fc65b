//! What an arriving segment does to the shard: the flow that it belongs to is found, and fed; a stranger is
//! given to a listener, to another worker, or refused.
//!
//! Owns the moves between the three kinds of connection that a segment causes. The protocol's own
//! answers are in `tcp`.

use super::egress::Outlet;
use super::engine::{Engine, lend};
use super::flow_table::{Kind, Place};
use super::handover::Handover;
use super::ingress::{Arrival, Arrivals, Batch};
use super::limiter::Allowance;
use super::ready::enlist;
use crate::metrics::{DropReason, Event};
use crate::tcp::{Disposition, EmbryoAnswer, Segment, SegmentOut, TimeWait, TimeWaitAnswer};

/// A segment with all that is known of where it came from.
#[derive(Clone, Copy)]
pub(super) struct Letter<'a> {
    pub(super) arrival: &'a Arrival,
    pub(super) segment: &'a Segment<'a>,
    batch: &'a Batch,
}

impl<'a> Letter<'a> {
    /// The whole frame, should another worker have to see it.
    fn frame(&self) -> &'a [u8] {
        self.batch.bytes(self.arrival.source).0
    }

    /// How many workers have seen it before.
    fn hops(&self) -> u8 {
        self.batch.hops(self.arrival.source)
    }
}

/// The ways out of the shard while segments are fed.
pub(super) struct Exits<'a, 'b> {
    pub(super) outlet: &'a mut Outlet<'b>,
    pub(super) handover: &'a mut dyn Handover,
}

impl Engine {
    /// Step 3: names a candidate for every arrival and has its memory fetched.
    pub(super) fn look_up(&self, batch: &mut Batch) {
        let Arrivals { each, groups, .. } = &mut batch.arrivals;
        for arrival in each.iter() {
            self.tables.prefetch(arrival.hash);
        }
        for (at, arrival) in each.iter().enumerate() {
            groups.push(self.tables.candidate(arrival.hash, &arrival.key), at as u32);
        }
        for (kind, members) in groups.iter() {
            let Some(kind) = kind else { continue };
            for member in members {
                self.tables.prefetch_at(Place::new(kind, member.index));
                if kind == Kind::Connection {
                    self.wheel.prefetch(member.index);
                }
            }
        }
    }

    /// Step 4: every segment to its flow, those of each flow in order.
    pub(super) fn feed(&mut self, batch: &Batch, exits: &mut Exits<'_, '_>) {
        self.counters.add(Event::SegmentIn, batch.arrivals.each.len() as u64);
        for (kind, members) in batch.arrivals.groups.iter() {
            for member in members {
                let arrival = &batch.arrivals.each[member.at as usize];
                let whole;
                let segment = match batch.with_rest(arrival) {
                    None => &arrival.head,
                    Some(segment) => {
                        whole = segment;
                        &whole
                    }
                };
                let candidate = kind.map(|kind| Place::new(kind, member.index));
                self.on_letter(candidate, &Letter { arrival, segment, batch }, exits);
            }
        }
    }

    #[inline]
    fn on_letter(
        &mut self,
        candidate: Option<Place>,
        letter: &Letter<'_>,
        exits: &mut Exits<'_, '_>,
    ) {
        match self.find(candidate, letter.arrival) {
            Some(Place { kind: Kind::Connection, index }) => {
                self.on_connection_segment(index, letter, exits);
            }
            Some(Place { kind: Kind::Embryo, index }) => {
                self.on_embryo_segment(index, letter, exits);
            }
            Some(place) => self.on_time_wait_segment(place, letter, exits),
            None => self.on_stranger(letter, exits),
        }
    }

    /// The flow of a segment. What the batch's look-up named may have gone or moved since, by way of an
    /// earlier segment of the same batch: then it is looked up again.
    #[inline]
    fn find(&self, candidate: Option<Place>, arrival: &Arrival) -> Option<Place> {
        let key = &arrival.key;
        candidate
            .filter(|place| self.tables.is_at(*place, key))
            .or_else(|| self.tables.find(arrival.hash, key))
    }

    #[inline]
    fn on_connection_segment(
        &mut self,
        index: u32,
        letter: &Letter<'_>,
        exits: &mut Exits<'_, '_>,
    ) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        let mut env = lend!(self);
        let disposition = flow.connection.on_segment(&mut env, letter.segment);
        enlist(flow, index, &mut self.ready, &mut self.marked);
        let neighbour = flow.neighbour;
        match disposition {
            Disposition::Accepted => {
                // RFC 4861 §7.3.1: what the peer sends in its window shows that ours arrives there.
                self.neighbours.on_confirmed(self.now, neighbour);
                if letter.segment.flags.rst() {
                    self.counters.count(Event::ResetIn);
                }
            }
            Disposition::Reset => self.reset_or_hand_over(letter, exits),
            refused => self.counters.drop(drop_reason(refused)),
        }
    }

    fn on_embryo_segment(&mut self, index: u32, letter: &Letter<'_>, exits: &mut Exits<'_, '_>) {
        let Some(embryo) = self.tables.embryos.get_mut(index) else { return };
        match embryo.on_segment(letter.segment, &self.settings) {
            EmbryoAnswer::Establish => self.establish(index, letter),
            EmbryoAnswer::SynAck => {
                let embryo = *embryo;
                self.send_syn_ack(&embryo, letter.arrival, exits.outlet);
            }
            EmbryoAnswer::Ack(reason) => {
                let embryo = *embryo;
                self.counters.drop(drop_reason(reason));
                if self.challenges.take(self.now) == Allowance::Granted {
                    let offset = self.secrets.of_flow(letter.arrival.hash).timestamp_offset;
                    let ack = embryo.ack(self.now, offset, &self.settings);
                    self.answer(letter.arrival, &ack, exits.outlet);
                }
            }
            EmbryoAnswer::Reset => self.reset_or_hand_over(letter, exits),
            EmbryoAnswer::Refuse => {
                self.tables.remove_embryo(index);
                self.refuse(letter, exits);
            }
            EmbryoAnswer::Remove => {
                self.counters.count(Event::ResetIn);
                self.tables.remove_embryo(index);
            }
            EmbryoAnswer::Ignore(reason) => self.counters.drop(drop_reason(reason)),
        }
    }

    fn on_time_wait_segment(
        &mut self,
        place: Place,
        letter: &Letter<'_>,
        exits: &mut Exits<'_, '_>,
    ) {
        let Some(state) = self.tables.time_waits.get(place.index).copied() else { return };
        let timestamps = place.kind == Kind::TimeWaitTimestamps;
        let key = &letter.arrival.key;
        match state.on_segment(letter.segment, timestamps, &self.settings) {
            TimeWaitAnswer::Ignore => {}
            TimeWaitAnswer::Ack => {
                if self.challenges.take(self.now) == Allowance::Granted {
                    self.send_time_wait_ack(&state, timestamps, letter.arrival, exits.outlet);
                }
            }
            TimeWaitAnswer::AckAndRestart => {
                self.send_time_wait_ack(&state, timestamps, letter.arrival, exits.outlet);
                let hash = letter.arrival.hash;
                self.tables.restart_time_wait(self.now, hash, place, state);
            }
            TimeWaitAnswer::Reuse { .. } => {
                let Some(listener) = self.listeners.find(key.local, key.remote.local_port()) else {
                    self.refuse(letter, exits);
                    return;
                };
                self.tables.remove_time_wait(place.index);
                self.counters.count(Event::TimeWaitReused);
                self.on_syn(listener, Some(&state), letter, exits.outlet);
            }
        }
    }

    /// A segment for which there is no flow here.
    fn on_stranger(&mut self, letter: &Letter<'_>, exits: &mut Exits<'_, '_>) {
        let (key, flags) = (&letter.arrival.key, letter.segment.flags);
        let listener = self.listeners.find(key.local, key.remote.local_port());
        if flags.syn() && !flags.ack() && !flags.rst() {
            let arrival = letter.arrival;
            if let Some(owner) = self.owner_elsewhere(arrival.hash, &arrival.key, letter.hops()) {
                self.hand_over(owner, letter.hops(), letter.frame(), exits.handover);
                return;
            }
            match listener {
                Some(listener) => self.on_syn(listener, None, letter, exits.outlet),
                None => self.refuse(letter, exits),
            }
            return;
        }
        if let Some(listener) = listener.filter(|_| flags.ack() && !flags.syn() && !flags.rst())
            && self.establish_from_cookie(listener, letter)
        {
            return;
        }
        // RFC 9293 §3.10.7.2, fourth: what reaches LISTEN without SYN, ACK or RST has no sender to tell.
        if listener.is_some() && !flags.ack() && !flags.syn() && !flags.rst() {
            self.counters.drop(DropReason::NoAck);
            return;
        }
        self.reset_or_hand_over(letter, exits);
    }

    fn send_time_wait_ack(
        &mut self,
        state: &TimeWait,
        timestamps: bool,
        arrival: &Arrival,
        outlet: &mut Outlet<'_>,
    ) {
        let offset = self.secrets.of_flow(arrival.hash).timestamp_offset;
        let ack = state.ack(self.now, offset, timestamps);
        self.answer(arrival, &ack, outlet);
    }

    /// A segment that the protocol refuses: another worker may know better, else a reset.
    fn reset_or_hand_over(&mut self, letter: &Letter<'_>, exits: &mut Exits<'_, '_>) {
        let arrival = letter.arrival;
        match self.next_worker(arrival.hash, &arrival.key, letter.hops()) {
            Some(worker) => {
                self.note_stray(&arrival.key, letter.hops());
                self.hand_over(worker, letter.hops(), letter.frame(), exits.handover);
            }
            None => self.refuse(letter, exits),
        }
    }

    /// Answers a stranger with a reset (RFC 9293 §3.10.7.1), as far as the rate allows.
    pub(super) fn refuse(&mut self, letter: &Letter<'_>, exits: &mut Exits<'_, '_>) {
        let Some(reset) = SegmentOut::reset_for(letter.segment) else {
            self.counters.drop(DropReason::StrayReset);
            return;
        };
        self.counters.drop(DropReason::NoConnection);
        match self.strangers.take(self.now) {
            Allowance::Granted => {
                self.counters.count(Event::ResetOut);
                self.answer(letter.arrival, &reset, exits.outlet);
            }
            Allowance::UsedUp => self.counters.drop(DropReason::RateLimited),
        }
    }
}

/// The name under which a refused segment is counted.
pub(super) fn drop_reason(disposition: Disposition) -> DropReason {
    match disposition {
        Disposition::OutOfWindow => DropReason::OutOfWindow,
        Disposition::OldTimestamp => DropReason::OldTimestamp,
        Disposition::NoTimestamp => DropReason::NoTimestamp,
        Disposition::BadAck => DropReason::BadAck,
        Disposition::ChallengedSyn => DropReason::ChallengedSyn,
        Disposition::ChallengedReset => DropReason::ChallengedReset,
        Disposition::NoAck => DropReason::NoAck,
        Disposition::NoBuffer => DropReason::NoBuffer,
        Disposition::AfterClose => DropReason::AfterClose,
        Disposition::Accepted | Disposition::Reset => DropReason::NoConnection,
    }
}
