//! Models: loom runs every interleaving of two threads, and every value that a load may return
//! under the C11 memory model. It reports a race on an entry or a byte, and a sleep without end.
//!
//! `scripts/check` has the command.

use loom::thread;

use super::super::{
    Entry, PushError, Reader, SeatRings, Sleep, Sleeper, Wait, byte_ring, doorbell, entry_ring,
};

fn entry(number: u64) -> Entry {
    Entry { op: 1, arguments: [number, !number], ..Entry::default() }
}

#[test]
fn an_entry_is_written_before_it_is_seen_and_read_before_it_is_replaced() {
    loom::model(|| {
        // Two slots and three entries: a slot is used twice.
        let (mut tx, mut rx) = entry_ring(2).expect("memory");
        let producer = thread::spawn(move || {
            let mut sent = 0;
            while sent < 3 {
                match tx.push(entry(sent)) {
                    Ok(()) => sent += 1,
                    Err(PushError::Full) => thread::yield_now(),
                    Err(PushError::Corrupt(lie)) => panic!("{lie}"),
                }
            }
        });
        let mut received = 0;
        while received < 3 {
            match rx.pop().expect("no lie") {
                Some(taken) => {
                    assert_eq!(taken, entry(received));
                    received += 1;
                }
                None => thread::yield_now(),
            }
        }
        producer.join().expect("the producer ends");
    });
}

#[test]
fn a_batch_is_written_before_it_is_seen_and_read_before_it_is_replaced() {
    loom::model(|| {
        let (mut tx, mut rx) = entry_ring(2).expect("memory");
        let producer = thread::spawn(move || {
            let all = [entry(0), entry(1), entry(2)];
            let mut sent = 0;
            while sent < all.len() {
                match tx.push_batch(&all[sent..]).expect("no lie") {
                    0 => thread::yield_now(),
                    count => sent += count,
                }
            }
        });
        let mut received = 0;
        let mut taken = [Entry::default(); 2];
        while received < 3 {
            let count = rx.pop_batch(&mut taken).expect("no lie");
            for taken in &taken[..count] {
                assert_eq!(*taken, entry(received));
                received += 1;
            }
            if count == 0 {
                thread::yield_now();
            }
        }
        producer.join().expect("the producer ends");
    });
}

#[test]
fn a_byte_is_written_before_it_is_seen_and_read_before_it_is_replaced() {
    loom::model(|| {
        let (mut tx, mut rx) = byte_ring(32).expect("memory");
        let writer = thread::spawn(move || {
            let mut written = 0_usize;
            while written < 40 {
                let piece: Vec<u8> = (written as u8..40).take(20).collect();
                match tx.write(&piece).expect("no lie") {
                    0 => thread::yield_now(),
                    count => written += count,
                }
            }
        });
        let mut read = 0_usize;
        let mut buffer = [0; 32];
        while read < 40 {
            let count = rx.read(&mut buffer).expect("no lie");
            for (n, byte) in buffer[..count].iter().enumerate() {
                assert_eq!(usize::from(*byte), read + n);
            }
            read += count;
            if count == 0 {
                thread::yield_now();
            }
        }
        writer.join().expect("the writer ends");
    });
}

/// Reads `total` bytes and sleeps while there are none.
fn read_sleeping(mut rx: Reader, sleeper: &Sleeper, wake: &Notify, total: usize) {
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
        let wake = Arc::new(Notify::new());
        let waking = Arc::clone(&wake);
        let writer = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(tx.write(&[1]), Ok(1));
                bell.ring(|| waking.notify());
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
        let wakes = [Arc::new(Notify::new()), Arc::new(Notify::new())];
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
            worker.ring(|| client_wake.notify());
        });
        let [client_wake, worker_wake] = wakes;
        assert_eq!(client.push(entry(7)), Ok(()));
        client.ring(|| worker_wake.notify());
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
        let wake = Arc::new(Notify::new());
        let waking = Arc::clone(&wake);
        assert_eq!(client.push(entry(0)), Ok(()));
        let taking = thread::spawn(move || {
            assert_eq!(worker.pop(), Ok(Some(entry(0))));
            worker.ring(|| waking.notify());
        });
        while client.push(entry(1)) == Err(PushError::Full) {
            if client.announce_sleep(Wait::EntriesOrRoom) == Sleep::Now {
                wake.wait();
            }
        }
        taking.join().expect("the worker ends");
    });
}
