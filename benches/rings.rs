//! The rings between two threads: nanoseconds a message with 16 under way, there and back with both
//! sides spinning, and there and back when the other side sleeps.
//!
//! Prints the median of several rounds, and the best and the worst. Give it two idle cores.

use std::hint::{black_box, spin_loop};
use std::thread::{self, Thread};
use std::time::Instant;

use linerate::net::ring::{Entry, SeatRings, Sleep, Wait, byte_ring};

const ROUNDS: usize = 15;
const CAPACITY: u32 = 256;
/// Operation that ends the worker.
const STOP: u8 = 255;

fn main() {
    println!("{:<52} {:>9} {:>9} {:>9}", "", "median", "best", "worst");
    let seat = || SeatRings::pair(CAPACITY).expect("memory");
    let spinning = |rounds: &mut dyn FnMut(&mut SeatRings) -> f64| {
        let (mut client, worker) = seat();
        thread::scope(|scope| {
            scope.spawn(move || echo_spinning(worker));
            let samples = (0..ROUNDS).map(|_| rounds(&mut client)).collect();
            push(&mut client, Entry { op: STOP, ..Entry::default() });
            samples
        })
    };
    report("ns a message, 16 under way", spinning(&mut |client| under_way(client, 16, 500_000)));
    report("ns there and back, both spinning", spinning(&mut |client| alone(client, 200_000)));
    report("us there and back, worker sleeps", sleeping(2_000));
    for (len, piece) in [(16 << 10, 1 << 10), (64 << 10, 16 << 10), (256 << 10, 64 << 10)] {
        let label = format!("GB/s of bytes, ring {} KiB, pieces {} KiB", len >> 10, piece >> 10);
        report(&label, (0..ROUNDS).map(|_| stream(len, piece, 256 << 20)).collect());
    }
}

fn report(label: &str, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let (best, worst) = (samples[0], samples[samples.len() - 1]);
    println!("{label:<52} {:>9.1} {best:>9.1} {worst:>9.1}", samples[samples.len() / 2]);
}

fn push(seat: &mut SeatRings, entry: Entry) {
    seat.push(entry).expect("the ring has room and the other side tells the truth");
}

/// Sends every entry back, spinning, until one says stop. Batches as they come.
fn echo_spinning(mut seat: SeatRings) {
    let mut batch = [Entry::default(); 16];
    loop {
        match seat.pop_batch(&mut batch).expect("no lie") {
            0 => spin_loop(),
            count => {
                if batch[count - 1].op == STOP {
                    return;
                }
                let pushed = seat.push_batch(&batch[..count]).expect("no lie");
                assert_eq!(pushed, count);
                seat.ring(|| unreachable!("the client spins"));
            }
        }
    }
}

/// Keeps `depth` entries under way, sends one for each that returns, and returns nanoseconds a
/// message.
fn under_way(seat: &mut SeatRings, depth: usize, messages: usize) -> f64 {
    let mut batch = [Entry::default(); 16];
    let start = Instant::now();
    assert_eq!(seat.push_batch(&batch[..depth]), Ok(depth));
    let (mut sent, mut received) = (depth, 0);
    while received < messages {
        let count = seat.pop_batch(&mut batch).expect("no lie");
        if count == 0 {
            spin_loop();
            continue;
        }
        received += count;
        let next = count.min(messages - sent);
        sent += seat.push_batch(&batch[..next]).expect("no lie");
        seat.ring(|| unreachable!("the worker spins"));
    }
    start.elapsed().as_nanos() as f64 / messages as f64
}

/// Sends one entry at a time and spins until it returns: nanoseconds there and back.
fn alone(seat: &mut SeatRings, messages: usize) -> f64 {
    let start = Instant::now();
    for n in 0..messages {
        push(seat, Entry { arguments: [n as u64, 0], ..Entry::default() });
        seat.ring(|| unreachable!("the worker spins"));
        black_box(wait_spinning(seat));
    }
    start.elapsed().as_nanos() as f64 / messages as f64
}

fn wait_spinning(seat: &mut SeatRings) -> Entry {
    loop {
        match seat.pop().expect("no lie") {
            Some(entry) => return entry,
            None => spin_loop(),
        }
    }
}

/// Sends one entry at a time to a worker that sleeps in between, while this side sleeps as well:
/// microseconds there and back.
fn sleeping(messages: usize) -> Vec<f64> {
    let (mut client, mut worker) = SeatRings::pair(CAPACITY).expect("memory");
    let client_thread = thread::current();
    thread::scope(|scope| {
        let echo = scope.spawn(move || {
            loop {
                let entry = wait_sleeping(&mut worker);
                if entry.op == STOP {
                    return;
                }
                push(&mut worker, entry);
                worker.ring(|| client_thread.unpark());
            }
        });
        let worker_thread: Thread = echo.thread().clone();
        let mut round = || {
            let start = Instant::now();
            for _ in 0..messages {
                push(&mut client, Entry::default());
                client.ring(|| worker_thread.unpark());
                black_box(wait_sleeping(&mut client));
            }
            start.elapsed().as_nanos() as f64 / messages as f64 / 1000.0
        };
        let samples = (0..ROUNDS).map(|_| round()).collect();
        push(&mut client, Entry { op: STOP, ..Entry::default() });
        client.ring(|| worker_thread.unpark());
        samples
    })
}

fn wait_sleeping(seat: &mut SeatRings) -> Entry {
    loop {
        match seat.pop().expect("no lie") {
            Some(entry) => return entry,
            None if seat.announce_sleep(Wait::Entries) == Sleep::Now => thread::park(),
            None => {}
        }
    }
}

/// Streams `total` bytes in pieces through a ring of `len` bytes, both sides spinning: GB/s.
fn stream(len: usize, piece: usize, total: usize) -> f64 {
    let (mut writer, mut reader) = byte_ring(len).expect("memory");
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            let source = vec![1; piece];
            let mut left = total;
            while left > 0 {
                match writer.write(&source[..piece.min(left)]).expect("no lie") {
                    0 => spin_loop(),
                    count => left -= count,
                }
            }
        });
        let mut buffer = vec![0; piece];
        let mut left = total;
        while left > 0 {
            match reader.read(&mut buffer).expect("no lie") {
                0 => spin_loop(),
                count => left -= count,
            }
        }
    });
    total as f64 / start.elapsed().as_nanos() as f64
}
