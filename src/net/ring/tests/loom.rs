//! Models: loom runs every interleaving of two threads, and every value that a load may return
//! under the C11 memory model. It reports a race on an entry or a byte, and a sleep without end.
//!
//! `scripts/test` has the command.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::super::{
    Entry, Producer, PushError, Reader, SeatRings, Sleep, Sleeper, Wait, byte_ring, doorbell,
    entry_ring,
};

fn entry(number: u64) -> Entry {
    Entry { op: 1, arguments: [number, !number], ..Entry::default() }
}

/// A wake-up that is kept if it comes before the sleep, as an eventfd keeps it.
#[derive(Default)]
struct Wake {
    pending: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    fn wake(&self) {
        *self.pending.lock().expect("no panic") = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut pending = self.pending.lock().expect("no panic");
        while !*pending {
            pending = self.changed.wait(pending).expect("no panic");
        }
        *pending = false;
    }
}

/// Pushes 3 entries into 2 slots, as far as they fit at some moment, and returns their number.
fn push_some(tx: &mut Producer) -> u64 {
    let mut sent = 0;
    for _ in 0..3 {
        match tx.push(entry(sent)) {
            Ok(()) => sent += 1,
            Err(PushError::Full) => {}
            Err(PushError::Corrupt(lie)) => panic!("{lie}"),
        }
    }
    sent
}

#[test]
fn an_entry_is_written_before_it_is_seen_and_read_before_it_is_replaced() {
    loom::model(|| {
        let (mut tx, mut rx) = entry_ring(2).expect("memory");
        let producer = thread::spawn(move || push_some(&mut tx));
        let mut received = 0;
        let mut take = |attempts| {
            for _ in 0..attempts {
                if let Some(taken) = rx.pop().expect("no lie") {
                    assert_eq!(taken, entry(received));
                    received += 1;
                }
            }
            received
        };
        take(2);
        let sent = producer.join().expect("the producer ends");
        assert!(sent >= 2);
        assert_eq!(take(3), sent);
    });
}

#[test]
fn a_batch_is_written_before_it_is_seen_and_read_before_it_is_replaced() {
    loom::model(|| {
        let (mut tx, mut rx) = entry_ring(2).expect("memory");
        let producer = thread::spawn(move || {
            let all = [entry(0), entry(1), entry(2), entry(3)];
            let first = tx.push_batch(&all).expect("no lie");
            first + tx.push_batch(&all[first..]).expect("no lie")
        });
        let mut received = 0;
        let mut take = |attempts| {
            for _ in 0..attempts {
                let mut taken = [Entry::default(); 2];
                let count = rx.pop_batch(&mut taken).expect("no lie");
                for taken in &taken[..count] {
                    assert_eq!(*taken, entry(received));
                    received += 1;
                }
            }
            received
        };
        take(2);
        let sent = producer.join().expect("the producer ends");
        assert!(sent >= 2);
        assert_eq!(take(2), sent as u64);
    });
}

#[test]
fn a_byte_is_written_before_it_is_seen_and_read_before_it_is_replaced() {
    loom::model(|| {
        let (mut tx, mut rx) = byte_ring(32).expect("memory");
        let writer = thread::spawn(move || {
            let mut sent = 0;
            // The second piece is cut by the end of the ring, and perhaps by its being full.
            for piece in [20, 20] {
                let bytes: Vec<u8> = (sent..sent + piece).collect();
                sent += tx.write(&bytes).expect("no lie") as u8;
            }
            sent
        });
        let mut read = 0;
        let mut take = |attempts| {
            for _ in 0..attempts {
                let mut buffer = [0; 24];
                let count = rx.read(&mut buffer).expect("no lie") as u8;
                assert!(buffer[..count.into()].iter().copied().eq(read..read + count));
                read += count;
            }
            read
        };
        take(2);
        let sent = writer.join().expect("the writer ends");
        assert!(sent >= 32);
        assert_eq!(take(2), sent);
    });
}

/// Reads `total` bytes and sleeps while there are none.
fn read_sleeping(mut rx: Reader, sleeper: &Sleeper, wake: &Wake, total: usize) {
    let mut buffer = [0; 32];
    let mut read = 0;
    while read < total {
        match rx.read(&mut buffer).expect("no lie") {
            0 => {
                let mut readable = || rx.readable().expect("no lie");
                if sleeper.announce(|| Some(readable()).filter(|&n| n > 0)).is_none() {
                    wake.wait();
                }
            }
            count => read += count,
        }
    }
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let (mut tx, rx) = byte_ring(32).expect("memory");
        let (sleeper, bell) = doorbell().expect("memory");
        let wake = Arc::new(Wake::default());
        let waking = Arc::clone(&wake);
        let writer = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(tx.write(&[1]), Ok(1));
                bell.ring(|| waking.wake());
            }
        });
        read_sleeping(rx, &sleeper, &wake, 2);
        writer.join().expect("the writer ends");
    });
}

#[test]
fn two_sides_that_sleep_wake_each_other() {
    loom::model(|| {
        let (mut client, mut worker) = SeatRings::pair(1).expect("memory");
        let wakes = [Arc::new(Wake::default()), Arc::new(Wake::default())];
        let [client_wake, worker_wake] = wakes.clone();
        let echo = thread::spawn(move || {
            let taken = loop {
                match worker.pop().expect("no lie") {
                    Some(taken) => break taken,
                    None if worker.announce_sleep(Wait::Entries) == Sleep::Now => {
                        worker_wake.wait();
                    }
                    None => {}
                }
            };
            assert_eq!(worker.push(taken), Ok(()));
            worker.ring(|| client_wake.wake());
        });
        let [client_wake, worker_wake] = wakes;
        assert_eq!(client.push(entry(7)), Ok(()));
        client.ring(|| worker_wake.wake());
        let back = loop {
            match client.pop().expect("no lie") {
                Some(back) => break back,
                None if client.announce_sleep(Wait::Entries) == Sleep::Now => client_wake.wait(),
                None => {}
            }
        };
        assert_eq!(back, entry(7));
        echo.join().expect("the worker ends");
    });
}

#[test]
fn a_side_that_waits_for_room_is_woken() {
    loom::model(|| {
        let (mut client, mut worker) = SeatRings::pair(1).expect("memory");
        let wake = Arc::new(Wake::default());
        let waking = Arc::clone(&wake);
        assert_eq!(client.push(entry(0)), Ok(()));
        let taking = thread::spawn(move || {
            assert_eq!(worker.pop(), Ok(Some(entry(0))));
            worker.ring(|| waking.wake());
        });
        while client.push(entry(1)) == Err(PushError::Full) {
            if client.announce_sleep(Wait::EntriesOrRoom) == Sleep::Now {
                wake.wait();
            }
        }
        taking.join().expect("the worker ends");
    });
}
