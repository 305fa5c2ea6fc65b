//! Listing all flows in slices.

use std::collections::BTreeSet;

use super::stage::{Stage, echo, target};
use crate::shard::{ConnInfo, Cursor, Shard};
use crate::sim::{Close, Daytime, Plan};
use crate::time::Duration;

/// Returns all rows, read in slices of at most `room` rows.
fn list_all(shard: &Shard, room: usize) -> Vec<ConnInfo> {
    let mut all = Vec::new();
    let (mut rows, mut next) = (Vec::with_capacity(room), Some(Cursor::default()));
    while let Some(from) = next {
        let room = rows.capacity();
        next = shard.census(from, &mut rows);
        assert_eq!(rows.capacity(), room, "a slice allocates nothing");
        all.append(&mut rows);
    }
    all
}

#[test]
fn every_connection_is_listed_once_for_any_slice_size() {
    const COUNT: usize = 300;
    let mut stage = Stage::new(1, echo);
    let plan = Plan::echo(target(true), COUNT, 200_000);
    let (client, tally) = stage.client(Plan { close: Close::Never, ..plan });
    assert!(stage.world.run(Duration::from_secs(5), |_| tally.borrow().connected == COUNT));
    for room in [1, 7, 256, 4096] {
        let rows = list_all(stage.world.host(client).shard(0), room);
        let endpoints: BTreeSet<_> = rows.iter().map(|row| row.local).collect();
        assert_eq!((rows.len(), endpoints.len()), (COUNT, COUNT));
        assert!(rows.iter().all(|row| row.state == "ESTABLISHED" && row.remote == target(true)));
    }
}

#[test]
fn connections_in_time_wait_are_listed_with_their_endpoints() {
    let mut stage = Stage::new(2, |tally| Box::new(Daytime::new(tally)));
    let plan = Plan { close: Close::AfterPeer, ..Plan::echo(target(false), 40, 0) };
    let (_, tally) = stage.client(plan);
    stage.finish(&tally, 40, Duration::from_secs(5));
    stage.world.run_for(Duration::from_millis(500));
    let rows = list_all(stage.world.host(stage.server).shard(0), 16);
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.state == "TIME-WAIT" && row.local == target(false)));
    assert_eq!(rows.iter().map(|row| row.remote).collect::<BTreeSet<_>>().len(), 40);
}
