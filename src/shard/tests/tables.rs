//! The TIME-WAIT ring (RFC 9293 §3.6.1, MUST-13: two MSL), the SYN table, and the size of a flow.

use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::shard::flow::embryos::Embryos;
use crate::shard::flow::entry::Flow;
use crate::shard::flow::flow_table::{FlowTable, Kind};
use crate::shard::flow::key::FlowKey;
use crate::shard::flow::slab::Slab;
use crate::shard::flow::time_waits::{GROUPS, Removed, Restarted, TimeWaits};
use crate::tcp::{Embryo, Flags, Segment, SeqNum, Settings, TimeWait};
use crate::time::{Duration, Instant};

const SPAN: Duration = Duration::from_millis(6_400);
const GROUP: Duration = Duration::from_millis(6_400 / GROUPS as u64);

fn flow(n: u16) -> FlowKey {
    FlowKey::new("192.0.2.1".parse().expect("an address"), n + 1, (n % 3) as u8, 80)
}

fn time_wait() -> TimeWait {
    TimeWait::new(SeqNum(1), SeqNum(2), 3)
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    Remove(usize),
    Restart(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Push),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => any::<usize>().prop_map(Step::Restart),
        2 => (0..400u64).prop_map(Step::Advance),
    ]
}

/// The expected content of the ring: index to flow and time of arrival.
struct Model(BTreeMap<u32, (FlowKey, Instant)>);

impl Model {
    fn remove(&mut self, removed: Removed) -> Instant {
        let (key, at) =
            self.0.remove(&removed.place.index).expect("a removed entry was in the ring");
        assert_eq!(key, removed.key);
        let kind = if key.remote.port().is_multiple_of(2) {
            Kind::TimeWaitTimestamps
        } else {
            Kind::TimeWait
        };
        assert_eq!(removed.place.kind, kind);
        at
    }

    fn pick(&self, n: usize) -> Option<u32> {
        self.0.keys().nth(n.checked_rem(self.0.len())?).copied()
    }
}

proptest! {
    #[test]
    fn entries_expire_within_one_group_after_two_msl(
        capacity in 1..60usize,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut ring = TimeWaits::new(capacity, SPAN);
        let mut model = Model(BTreeMap::new());
        let mut now = Instant::from_millis(7);
        let mut next = 0;
        for step in steps {
            match step {
                Step::Push => {
                    let key = flow(next);
                    next += 1;
                    let pushed = ring.push(now, key, time_wait(), key.remote.port().is_multiple_of(2));
                    if let Some(gone) = pushed.evicted {
                        let at = model.remove(gone);
                        prop_assert!(model.0.values().all(|(_, other)| at <= *other));
                    }
                    prop_assert!(ring.is(pushed.place.index, &key));
                    model.0.insert(pushed.place.index, (key, now));
                }
                Step::Remove(n) => {
                    if let Some(index) = model.pick(n) {
                        model.remove(ring.remove(index).expect("it was there"));
                        prop_assert_eq!(ring.remove(index), None);
                        prop_assert!(ring.get(index).is_none());
                    }
                }
                Step::Restart(n) => {
                    if let Some(index) = model.pick(n) {
                        let (key, at) = model.0[&index];
                        match ring.restart(now, index, time_wait()) {
                            Restarted::Moved(pushed) => {
                                prop_assert_eq!(pushed.evicted, None);
                                model.0.remove(&index);
                                model.0.insert(pushed.place.index, (key, now));
                            }
                            Restarted::InPlace => {
                                let full = ring.is_full();
                                prop_assert!(full || now.since(at) <= GROUP);
                            }
                            Restarted::NotFound => prop_assert!(false, "it was there"),
                        }
                    }
                }
                Step::Advance(by) => {
                    now += Duration::from_millis(by);
                    while let Some(gone) = ring.pop(now) {
                        prop_assert!(now.since(model.remove(gone)) >= SPAN);
                    }
                    let late = |(_, at): &(FlowKey, Instant)| now.since(*at) > SPAN + GROUP;
                    prop_assert!(!model.0.values().any(late));
                }
            }
            prop_assert_eq!(ring.len(), model.0.len());
            for (index, (key, at)) in &model.0 {
                prop_assert_eq!(ring.key(*index), Some(*key));
                let quiet_since = ring.quiet_since(*index);
                prop_assert!(quiet_since >= *at && quiet_since.since(*at) <= GROUP);
            }
            if let Some((_, at)) = model.0.values().min_by_key(|(_, at)| *at) {
                let next = ring.next_deadline().expect("one is in the ring");
                prop_assert!(next <= *at + SPAN + GROUP);
            }
        }
    }
}

#[test]
fn a_fin_retransmitted_a_hundred_times_evicts_no_other_entry() {
    let mut ring = TimeWaits::new(100, SPAN);
    let now = Instant::from_millis(1);
    for n in 0..20 {
        assert_eq!(ring.push(now, flow(n), time_wait(), false).evicted, None);
    }
    for _ in 0..100 {
        assert_eq!(ring.restart(now, 3, time_wait()), Restarted::InPlace);
    }
    assert_eq!(ring.restart(now, 99, time_wait()), Restarted::NotFound);
    assert_eq!(ring.len(), 20);
}

fn embryo(listener: u16) -> Embryo {
    let syn = Segment { seq: SeqNum(5), flags: Flags::SYN, window: 1000, ..Segment::default() };
    Embryo::from_syn(&syn, listener, SeqNum(1), Instant::ZERO, &Settings::default(), false)
}

#[test]
fn embryos_are_bounded_and_counted_per_listener() {
    let mut table = Embryos::new(3);
    table.expect_listener(7);
    let index: Vec<u32> =
        [2, 7, 7].into_iter().filter_map(|l| table.insert(flow(l), embryo(l))).collect();
    assert_eq!(index, [0, 1, 2]);
    assert_eq!(table.insert(flow(9), embryo(2)), None);
    assert_eq!((table.of_listener(2), table.of_listener(7), table.of_listener(500)), (1, 2, 0));
    assert!(table.is(0, &flow(2)) && !table.is(1, &flow(2)) && !table.is(99, &flow(2)));
    let (key, removed) = table.remove(1).expect("it was there");
    assert_eq!((key, removed.listener()), (flow(7), 7));
    assert!(table.remove(1).is_none() && table.get(1).is_none() && table.key(1).is_none());
    assert_eq!((table.of_listener(7), table.len(), table.is_full()), (1, 2, false));
    assert_eq!(table.insert(flow(1), embryo(1)), Some(1));
    assert_eq!(table.high_water(), 3);
}

#[test]
fn an_idle_connection_costs_at_most_512_bytes() {
    const FLOWS: usize = 100_000;
    let table = FlowTable::new(FLOWS).bytes().div_ceil(FLOWS);
    let timer = 16;
    let free_list = 4;
    let all = Slab::<Flow>::ENTRY_BYTES + table + timer + free_list;
    assert!(all <= 512, "{all}: {} + {table}", Slab::<Flow>::ENTRY_BYTES);
    assert_eq!(Slab::<Flow>::ENTRY_BYTES % 64, 0);
}
