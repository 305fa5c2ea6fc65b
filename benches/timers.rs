//! The timer wheel as connections use it: a deadline that moves later with every segment, one that
//! moves earlier, and many that expire.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linerate::rng::Rng;
use linerate::shard::wheel::Wheel;
use linerate::time::{Duration, Instant};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
const BATCH: usize = 64;

/// Builds a wheel with a deadline within `span` for each owner.
fn armed(owners: u32, span: Duration) -> Wheel {
    let mut rng = Rng::new(2);
    let mut wheel = Wheel::new(owners as usize, Instant::ZERO);
    for owner in 0..owners {
        wheel.arm(owner, Instant::from_nanos(rng.below(span.as_nanos())));
    }
    wheel
}

fn arming(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    group.throughput(Throughput::Elements(BATCH as u64));
    for owners in SIZES {
        let mut rng = Rng::new(3);
        let mut wheel = armed(owners, Duration::from_secs(1));
        let far = Instant::from_millis(5_000);
        group.bench_function(BenchmarkId::new("arm later", owners), |b| {
            b.iter(|| {
                for _ in 0..BATCH {
                    wheel.arm(rng.below(u64::from(owners)) as u32, far);
                }
            });
        });
        let mut wheel = armed(owners, Duration::from_secs(1));
        group.bench_function(BenchmarkId::new("disarm and arm", owners), |b| {
            b.iter(|| {
                for _ in 0..BATCH {
                    let owner = rng.below(u64::from(owners)) as u32;
                    wheel.disarm(owner);
                    wheel.arm(owner, Instant::from_nanos(rng.below(1 << 30)));
                }
            });
        });
    }
    group.finish();
}

fn expiring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    group.sample_size(10);
    for owners in SIZES {
        group.throughput(Throughput::Elements(u64::from(owners)));
        group.bench_function(BenchmarkId::new("expire all within 1 s, 1 ms a turn", owners), |b| {
            let wheel = || armed(owners, Duration::from_secs(1));
            b.iter_batched_ref(wheel, expire_all, BatchSize::PerIteration);
        });
    }
    let mut wheel = armed(100_000, Duration::from_secs(3_600));
    let mut now = Instant::ZERO;
    group.throughput(Throughput::Elements(1));
    group.bench_function("a turn with nothing due", |b| {
        b.iter(|| {
            now += Duration::from_nanos(10);
            (wheel.pop(now), wheel.next_deadline())
        });
    });
    group.finish();
}

fn expire_all(wheel: &mut Wheel) {
    let mut due = 0;
    for millis in 0..=1_001 {
        while let Some(owner) = wheel.pop(Instant::from_millis(millis)) {
            due += u64::from(owner);
        }
    }
    black_box(due);
}

criterion_group!(benches, arming, expiring);
criterion_main!(benches);
