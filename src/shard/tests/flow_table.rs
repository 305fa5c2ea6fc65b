//! The flow table against a model: a list of all its entries.

use proptest::prelude::*;

use crate::rng::Rng;
use crate::shard::flow::flow_table::{FlowTable, Found, Inserted, Kind, Place};

const KINDS: [Kind; 4] = [Kind::Embryo, Kind::Connection, Kind::TimeWait, Kind::TimeWaitTimestamps];

/// An operation on the table. There are few hashes, so that tags and buckets often collide.
#[derive(Clone, Debug)]
enum Step {
    Insert { hash: u64, local: u8 },
    Remove { entry: usize },
    Replace { entry: usize, kind: usize },
}

fn step() -> impl Strategy<Value = Step> {
    // Three home buckets of a table of 16, including the last one, and four tags.
    let hash = (0..3u64, 0..4u64).prop_map(|(home, tag)| (home * 15 / 2) | tag << 40);
    prop_oneof![
        4 => (hash, 0..2u8).prop_map(|(hash, local)| Step::Insert { hash, local }),
        3 => any::<usize>().prop_map(|entry| Step::Remove { entry }),
        1 => (any::<usize>(), 0..4usize).prop_map(|(entry, kind)| Step::Replace { entry, kind }),
    ]
}

fn sorted(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_by_key(|place| place.index);
    places
}

proptest! {
    #[test]
    fn the_table_holds_exactly_the_inserted_entries(steps in prop::collection::vec(step(), 0..400)) {
        const CAPACITY: usize = 85;
        let mut table = FlowTable::new(CAPACITY);
        let mut model: Vec<(u64, u8, Place)> = Vec::new();
        let mut next_index = 0;
        for step in steps {
            match step {
                Step::Insert { hash, local } => {
                    let place = Place::new(Kind::Embryo, next_index);
                    next_index += 1;
                    let room = model.len() < CAPACITY;
                    let inserted = table.insert(hash, local, place);
                    prop_assert_eq!(inserted, if room { Inserted::Done } else { Inserted::Full });
                    if room {
                        model.push((hash, local, place));
                    }
                }
                Step::Remove { entry } if !model.is_empty() => {
                    let (hash, _, place) = model.swap_remove(entry % model.len());
                    prop_assert_eq!(table.remove(hash, place), Found::Yes);
                    prop_assert_eq!(table.remove(hash, place), Found::No);
                }
                Step::Replace { entry, kind } if !model.is_empty() => {
                    let entry = entry % model.len();
                    let (hash, _, from) = model[entry];
                    let to = Place::new(KINDS[kind], next_index);
                    next_index += 1;
                    prop_assert_eq!(table.replace(hash, from, to), Found::Yes);
                    model[entry].2 = to;
                }
                Step::Remove { .. } | Step::Replace { .. } => {}
            }
            prop_assert_eq!(table.len(), model.len());
        }
        for (hash, local, _) in &model {
            let found = table.candidates(*hash, *local).collect();
            let same = |e: &&(u64, u8, Place)| e.0 >> 40 == hash >> 40 && e.1 == *local;
            let here = |e: &&(u64, u8, Place)| e.0 == *hash && e.1 == *local;
            let all = sorted(model.iter().filter(same).map(|e| e.2).collect());
            let found = sorted(found);
            prop_assert!(found.iter().all(|place| all.contains(place)));
            prop_assert!(model.iter().filter(here).all(|e| found.contains(&e.2)));
        }
        for (hash, _, place) in model {
            prop_assert_eq!(table.remove(hash, place), Found::Yes);
        }
        prop_assert!(table.is_empty());
        prop_assert!(table.is_pristine());
    }
}

#[test]
fn a_full_table_finds_every_flow_with_few_false_candidates() {
    const FLOWS: u32 = 100_000;
    let mut table = FlowTable::new(FLOWS as usize);
    let mut rng = Rng::new(3);
    let hashes: Vec<u64> = (0..FLOWS).map(|_| rng.next_u64()).collect();
    for (index, hash) in (0..).zip(&hashes) {
        let place = Place::new(KINDS[index as usize % 4], index);
        assert_eq!(table.insert(*hash, index as u8, place), Inserted::Done);
    }
    assert_eq!(table.insert(1, 0, Place::new(Kind::Embryo, FLOWS)), Inserted::Full);
    let mut wrong = 0;
    for (index, hash) in (0..).zip(&hashes) {
        let place = Place::new(KINDS[index as usize % 4], index);
        let at = table.candidates(*hash, index as u8).position(|found| found == place);
        wrong += at.expect("every flow is found");
    }
    let false_positives =
        (0..FLOWS).filter(|_| table.candidate(rng.next_u64(), 0).is_some()).count();
    assert!(wrong <= 2 && false_positives <= 2, "{wrong} {false_positives}");
    assert_eq!(table.candidate(hashes[1], 2), None, "another local address is another flow");
}

#[test]
fn a_28_bit_index_is_stored_losslessly() {
    let mut table = FlowTable::new(1);
    let place = Place::new(Kind::TimeWaitTimestamps, (1 << 28) - 1);
    assert_eq!(table.insert(u64::MAX, u8::MAX, place), Inserted::Done);
    assert_eq!(table.candidate(u64::MAX, u8::MAX), Some(place));
    assert!(table.bytes() <= 128);
}

#[test]
fn a_tag_of_zero_at_address_zero_is_not_an_empty_slot() {
    let mut table = FlowTable::new(4);
    assert_eq!(table.candidate(0, 0), None);
    let place = Place::new(Kind::Connection, 0);
    assert_eq!(table.insert(0, 0, place), Inserted::Done);
    assert_eq!(table.candidates(0, 0).collect::<Vec<_>>(), [place]);
}
