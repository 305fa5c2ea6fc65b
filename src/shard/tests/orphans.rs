//! Orphans, connections that the program has closed and the peer has not: their limit and their
//! end.

use super::stage::{Stage, target};
use crate::limits::Limits;
use crate::metrics::Event;
use crate::shard::{CloseReason, ConnId, Io, ListenerId, Service};
use crate::sim::{Close, Plan, SharedTally};
use crate::time::Duration;

/// A service that closes both directions of every accepted connection, optionally with a deadline.
struct ClosingServer {
    tally: SharedTally,
    within: Option<Duration>,
}

impl Service for ClosingServer {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        match self.within {
            Some(span) => {
                let deadline = io.now() + span;
                io.close_by(conn, deadline);
            }
            None => io.close_both(conn),
        }
    }

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        *self.tally.borrow_mut().ended.entry(ending).or_default() += 1;
    }
}

/// Returns the plan of a client that sends nothing and closes as `close` specifies.
fn silent(connections: usize, close: Close) -> Plan {
    Plan { close, ..Plan::echo(target(false), connections, 0) }
}

fn stage(within: Option<Duration>, orphans: usize) -> Stage {
    let make = |tally| Box::new(ClosingServer { tally, within }) as Box<dyn Service>;
    Stage::with(1, make, |config| config.limits = Limits { orphans, ..config.limits })
}

#[test]
fn a_close_past_the_orphan_limit_resets() {
    let mut stage = stage(None, 3);
    let (_, tally) = stage.client(silent(5, Close::AfterPeer));
    stage.world.run_for(Duration::from_secs(1));
    assert_eq!(stage.counted(stage.server, Event::OrphanRefused), 2);
    assert_eq!(stage.served.borrow().ended(CloseReason::Aborted), 2);
    assert_eq!(tally.borrow().ended(CloseReason::Reset), 2);
    // The peers have closed the other three, so there is room for three more.
    assert_eq!(stage.served.borrow().ended(CloseReason::Finished), 3);
    let (_, tally) = stage.client(silent(3, Close::AfterPeer));
    stage.world.run_for(Duration::from_secs(1));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), 3);
}

#[test]
fn a_close_with_a_deadline_frees_the_connection_of_a_peer_that_never_closes() {
    let mut stage = stage(Some(Duration::from_secs(2)), 10);
    let (client, tally) = stage.client(silent(1, Close::Never));
    stage.world.run_for(Duration::from_secs(1));
    assert_eq!(stage.world.host(stage.server).shard(0).connections(), 1);
    stage.world.run_for(Duration::from_secs(2));
    assert_eq!(stage.served.borrow().ended(CloseReason::TimedOut), 1);
    assert_eq!(tally.borrow().ended(CloseReason::Reset), 1);
    stage.assert_nothing_left(client);
    stage.assert_nothing_left(stage.server);
}
