//! The timer wheel against a model: a sorted map of deadlines.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::shard::mem::wheel::{TICK_BITS, Wheel};
use crate::time::Instant;

const TICK: u64 = 1 << TICK_BITS;
const OWNERS: u32 = 12;

#[derive(Clone, Debug)]
enum Step {
    Arm { owner: u32, after: u64 },
    Disarm { owner: u32 },
    Advance { by: u64 },
}

/// Generates spans of every magnitude, from below one tick to years.
fn span() -> impl Strategy<Value = u64> {
    (0..56u32, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..OWNERS, span()).prop_map(|(owner, after)| Step::Arm { owner, after }),
        1 => (0..OWNERS).prop_map(|owner| Step::Disarm { owner }),
        3 => span().prop_map(|by| Step::Advance { by }),
    ]
}

proptest! {
    #[test]
    fn no_timer_fires_early_or_a_tick_late(
        start in span(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut now = start;
        let mut wheel = Wheel::new(OWNERS as usize, Instant::from_nanos(now));
        // Maps each owner to its earliest deadline.
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Arm { owner, after } => {
                    let at = now.saturating_add(after);
                    wheel.arm(owner, Instant::from_nanos(at));
                    let armed = model.entry(owner).or_insert(at);
                    *armed = at.min(*armed);
                }
                Step::Disarm { owner } => {
                    wheel.disarm(owner);
                    model.remove(&owner);
                }
                Step::Advance { by } => {
                    now = now.saturating_add(by);
                    while let Some(owner) = wheel.pop(Instant::from_nanos(now)) {
                        let at = model.remove(&owner);
                        prop_assert!(at.is_some_and(|at| at <= now), "{owner} {at:?} at {now}");
                    }
                    let late = model.values().find(|at| **at + TICK <= now);
                    prop_assert_eq!(late, None);
                }
            }
            for owner in 0..OWNERS {
                prop_assert_eq!(wheel.is_armed(owner), model.contains_key(&owner));
            }
            let next = wheel.next_deadline().map(Instant::as_nanos);
            prop_assert_eq!(next.is_none(), model.is_empty());
            if let (Some(next), Some(first)) = (next, model.values().min()) {
                prop_assert!(next <= first.max(&now) + TICK, "{next} for {first}");
            }
        }
    }
}

#[test]
fn the_next_deadline_is_exact_to_a_tick_at_every_level() {
    for at in [1, TICK, 300 * TICK, 70_000 * TICK, 20_000_000 * TICK, 1 << 60] {
        let mut wheel = Wheel::new(1, Instant::ZERO);
        wheel.arm(0, Instant::from_nanos(at));
        let next = wheel.next_deadline().expect("one is armed");
        assert!(next.as_nanos() >= at && next.as_nanos() < at + TICK);
        assert_eq!(wheel.pop(Instant::from_nanos(at - 1)), None);
        assert_eq!(wheel.pop(next), Some(0));
        assert_eq!(wheel.next_deadline(), None);
    }
}

#[test]
fn rearming_later_keeps_the_earlier_deadline() {
    let mut wheel = Wheel::new(2, Instant::ZERO);
    wheel.arm(1, Instant::from_millis(10));
    wheel.arm(1, Instant::from_millis(500));
    assert_eq!(wheel.pop(Instant::from_millis(11)), Some(1));
    wheel.arm(1, Instant::from_millis(500));
    wheel.arm(1, Instant::from_millis(200));
    assert_eq!(wheel.pop(Instant::from_millis(201)), Some(1));
    assert_eq!(wheel.pop(Instant::from_millis(900)), None);
}

#[test]
fn rearming_in_the_past_does_not_loop_forever() {
    let mut wheel = Wheel::new(1, Instant::ZERO);
    let now = Instant::from_millis(5);
    wheel.arm(0, now);
    let mut times = 0;
    let later = Instant::from_millis(6);
    while let Some(owner) = wheel.pop(later) {
        wheel.arm(owner, now);
        times += 1;
    }
    assert_eq!(times, 1);
    assert_eq!(wheel.pop(Instant::from_millis(7)), Some(0));
}

#[test]
fn the_latest_deadline_can_be_armed_and_fires_last() {
    let mut wheel = Wheel::new(1, Instant::ZERO);
    wheel.arm(0, Instant::FAR);
    wheel.arm(7, Instant::ZERO);
    assert!(wheel.is_armed(0) && !wheel.is_armed(7));
    assert!(wheel.next_deadline().is_some_and(|at| at.as_nanos() > u64::MAX - TICK));
    assert_eq!(wheel.pop(Instant::from_nanos(u64::MAX - TICK)), None);
    assert_eq!(wheel.pop(Instant::FAR), Some(0));
    wheel.arm(0, Instant::FAR);
    assert_eq!(wheel.pop(Instant::FAR), None);
}

#[test]
fn ten_thousand_timers_in_one_tick_all_fire() {
    let mut wheel = Wheel::new(10_000, Instant::ZERO);
    let at = Instant::from_millis(5_000);
    for owner in 0..10_000 {
        wheel.arm(owner, at);
    }
    for owner in (0..10_000).step_by(2) {
        wheel.disarm(owner);
    }
    let mut due: Vec<u32> =
        core::iter::from_fn(|| wheel.pop(Instant::from_millis(5_001))).collect();
    due.sort_unstable();
    assert!(due.into_iter().eq((1..10_000).step_by(2)));
}
