//! One turn of a worker: the order of the steps.
//!
//! Receive, parse all, look all up, feed (the segments of each flow in order), run the application, advance the
//! timers, send what is owed, flush. Each step goes over the whole batch before the next begins, so that the memory
//! which one step asks for has arrived when the next one needs it.

use crate::link::Link;
use crate::metrics::Event;
use crate::shard::app::service::{Io, Service};
use crate::shard::engine::Engine;
use crate::shard::ip::event::ControlPacket;
use crate::shard::mem::tx_queue::TxQueue;
use crate::shard::rx::batch::Batch;
use crate::shard::rx::handover::Handover;
use crate::shard::rx::parse::RxFilter;
use crate::shard::rx::segment::TxPaths;
use crate::shard::shard::Shard;
use crate::time::Instant;

/// What a turn works with: all of it belongs to the worker's thread.
pub struct TurnEnv<'a> {
    /// Where frames come from and go.
    pub link: &'a mut dyn Link,
    /// The application.
    pub service: &'a mut dyn Service,
    /// The way to the other workers.
    pub handover: &'a mut dyn Handover,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Frames received, those of other workers included.
    pub received: usize,
    /// Frames sent.
    pub sent: usize,
    /// The application has asked to stop.
    pub stop: bool,
}

impl Shard {
    /// The worker starts: its addresses are claimed, or announced if they need not be. Its service is told
    /// when they are ours.
    pub fn start(&mut self, now: Instant, env: &mut TurnEnv<'_>) {
        let engine = &mut self.engine;
        engine.begin(now);
        let mut queue = TxQueue::new(env.link, now);
        engine.ip.begin_dad(&mut engine.turn, &mut queue);
        engine.start_service(env.service);
        engine.send_pending(env.service, &mut queue);
        engine.poll_neighbours(&mut queue);
        queue.close();
        env.link.flush(now);
    }

    /// One turn.
    pub fn turn(&mut self, now: Instant, env: &mut TurnEnv<'_>) -> Turn {
        self.poll_rx(now, env.link);
        self.process(now, env)
    }

    /// The first part of a turn, for who has a clock that runs meanwhile: takes frames from the link. What
    /// [`process`](Self::process) then takes for now must have been read after it. Read before, and while another
    /// program has the core, answers arrive that seem to have come when it was taken away, sooner than the
    /// path allows: a model of the path believes the shortest round trip for ten seconds.
    pub fn poll_rx(&mut self, now: Instant, link: &mut dyn Link) {
        link.receive(now, self.batch_max, &mut self.batch.frames);
    }

    /// The rest of it.
    pub fn process(&mut self, now: Instant, env: &mut TurnEnv<'_>) -> Turn {
        let Self { engine, batch, .. } = self;
        engine.begin(now);
        let received = batch.frames.len() + batch.inbox.len();
        let answered = if received > 0 { engine.take_in(batch, env) } else { 0 };
        let TurnEnv { link, service, .. } = env;
        let mut queue = TxQueue::new(&mut **link, now);
        engine.run_application(&mut **service);
        engine.advance_timers(&mut **service, &mut queue);
        engine.run_application(&mut **service);
        engine.tcp.relieve_memory(&mut engine.turn);
        engine.send_pending(&mut **service, &mut queue);
        engine.poll_neighbours(&mut queue);
        let sent = answered + queue.close();
        link.flush(now);
        let busy = received + sent > 0;
        engine.turn.counters.count(if busy { Event::BusyTurn } else { Event::IdleTurn });
        Turn { received, sent, stop: engine.service.stopping }
    }

    /// Lets the program act outside of its callbacks, as a call from elsewhere does: what it owes for that goes
    /// out at once, what happens is told.
    pub fn with_io<R>(
        &mut self,
        now: Instant,
        env: &mut TurnEnv<'_>,
        call: impl FnOnce(&mut dyn Io) -> R,
    ) -> R {
        let engine = &mut self.engine;
        engine.begin(now);
        let result = call(engine);
        let mut queue = TxQueue::new(env.link, now);
        engine.run_application(env.service);
        engine.send_pending(env.service, &mut queue);
        engine.poll_neighbours(&mut queue);
        queue.close();
        env.link.flush(now);
        result
    }
}

impl Engine {
    /// Steps 2 to 4: everything that arrived is parsed, looked up and fed, and the frames go back. Returns
    /// how many answers were sent at once.
    fn take_in(&mut self, batch: &mut Batch, env: &mut TurnEnv<'_>) -> usize {
        let filter = RxFilter {
            mac: self.ip.mac,
            locals: &self.ip.locals,
            hasher: &self.tcp.tables.hasher,
            accept_partial_checksums: self.tcp.accept_partial_checksums,
        };
        batch.parse(&filter, |reason| self.turn.counters.drop(reason));
        self.tcp.look_up(batch);
        let mut queue = TxQueue::new(&mut *env.link, self.turn.now);
        for (source, kind) in &batch.control {
            let (frame, hops) = batch.bytes(*source);
            let (queue, was_fragmented) = (&mut queue, batch.was_fragmented(*source));
            let mut packet = ControlPacket { frame, hops, was_fragmented, queue };
            self.on_control(*kind, &mut packet, &mut *env.handover);
        }
        let mut tx = TxPaths { queue: &mut queue, handover: &mut *env.handover };
        self.feed(batch, &mut tx);
        let answered = queue.close();
        for frame in batch.frames.drain(..) {
            env.link.release(frame);
        }
        batch.inbox.clear();
        batch.inbox.append(&mut self.ip.reassembled);
        answered
    }
}
