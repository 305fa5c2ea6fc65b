//! Flow lookups: by size of the table, hit or miss, one by one or, as a turn does it, a batch
//! prefetched first. Times are for one batch of 64.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linerate::rng::Rng;
use linerate::shard::flow_table::{FlowTable, Inserted, Kind, Place};
use linerate::shard::key::{FlowHasher, FlowKey};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
const BATCH: usize = 64;
/// Lookups drawn in advance: more than the largest cache remembers.
const DRAWN: usize = 1 << 16;

/// A full table, and hits and misses in random order.
struct Fixture {
    table: FlowTable,
    known: Vec<u64>,
    unknown: Vec<u64>,
}

fn fixture(size: u32, spare: usize) -> Fixture {
    let mut rng = Rng::new(1);
    let hashes: Vec<u64> = (0..size).map(|_| rng.next_u64()).collect();
    let mut table = FlowTable::new(size as usize + spare);
    for (index, hash) in (0..).zip(&hashes) {
        let inserted = table.insert(*hash, 0, Place::new(Kind::Connection, index));
        assert_eq!(inserted, Inserted::Done);
    }
    let known = (0..DRAWN).map(|_| hashes[rng.below(u64::from(size)) as usize]).collect();
    let unknown = (0..DRAWN).map(|_| rng.next_u64()).collect();
    Fixture { table, known, unknown }
}

/// Returns the next batch, in a circle.
fn turn<'a>(hashes: &'a [u64], at: &mut usize) -> &'a [u64] {
    *at = (*at + BATCH) % hashes.len();
    &hashes[*at..][..BATCH]
}

fn look_up(table: &FlowTable, batch: &[u64]) -> u32 {
    let found = batch.iter().filter_map(|hash| table.candidate(*hash, 0));
    found.fold(0, |sum, place| sum.wrapping_add(place.index))
}

/// Each lookup depends on the one before, as if segments were processed one at a time.
fn look_up_in_turn(table: &FlowTable, batch: &[u64]) -> u32 {
    batch.iter().fold(0, |found, hash| {
        let place = table.candidate(black_box(*hash | u64::from(found) >> 31), 0);
        place.map_or(0, |place| place.index)
    })
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow_table");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let Fixture { table, known, unknown } = fixture(size, 0);
        let mut at = 0;
        for (name, hashes) in [("hit", &known), ("miss", &unknown)] {
            group.bench_function(BenchmarkId::new(format!("{name}, one by one"), size), |b| {
                b.iter(|| look_up_in_turn(&table, turn(hashes, &mut at)));
            });
            group.bench_function(BenchmarkId::new(format!("{name}, batch"), size), |b| {
                b.iter(|| look_up(&table, turn(hashes, &mut at)));
            });
            group.bench_function(BenchmarkId::new(format!("{name}, prefetched"), size), |b| {
                b.iter(|| {
                    let batch = turn(hashes, &mut at);
                    batch.iter().for_each(|hash| table.prefetch(*hash));
                    look_up(&table, batch)
                });
            });
        }
    }
    group.finish();
}

fn changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow_table");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let Fixture { mut table, unknown, .. } = fixture(size - BATCH as u32, BATCH);
        let mut at = 0;
        group.bench_function(BenchmarkId::new("insert and remove, prefetched", size), |b| {
            b.iter(|| {
                let batch = turn(&unknown, &mut at);
                batch.iter().for_each(|hash| table.prefetch(*hash));
                for (index, hash) in (0..).zip(batch) {
                    let _ = black_box(table.insert(*hash, 0, Place::new(Kind::Embryo, index)));
                }
                for (index, hash) in (0..).zip(batch) {
                    let _ = black_box(table.remove(*hash, Place::new(Kind::Embryo, index)));
                }
            });
        });
    }
    group.finish();
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow_hash");
    group.throughput(Throughput::Elements(BATCH as u64));
    let hasher = FlowHasher::new([7; 16]);
    let families = [
        ("IPv4", IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        ("IPv6", IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
    ];
    for (name, address) in families {
        let keys: Vec<_> = (0..BATCH as u16).map(|p| FlowKey::new(address, p, 0, 80)).collect();
        group.bench_function(name, |b| {
            b.iter(|| black_box(&keys).iter().fold(0, |all, key| all ^ hasher.hash(key)));
        });
    }
    group.finish();
}

criterion_group!(benches, lookups, changes, hashing);
criterion_main!(benches);
